"""Real actors under real supervisors; a script instead of a model."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

import alloy_actors as alloy

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def system() -> Iterator[alloy.AgentSystem]:
    with alloy.AgentSystem() as system:
        yield system


@pytest.fixture(autouse=True)
def _runtime() -> Iterator[None]:
    """Nothing outlives a test: no default system, no loop, no idle thread."""
    yield
    alloy.shutdown()
    assert {
        thread for thread in threading.enumerate() if thread.name.startswith(("alloy", "supervisors"))
    } == set()
