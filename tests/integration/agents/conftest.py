"""Real actors under real supervisors; a script instead of a model."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import alloy_actors as alloy

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def system() -> Iterator[alloy.AgentSystem]:
    with alloy.AgentSystem() as system:
        yield system


@pytest.fixture(scope="package", autouse=True)
def _runtime() -> Iterator[None]:
    yield
    alloy.shutdown()
