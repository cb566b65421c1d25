"""No test leaves an actor behind."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

GRACE = 5.0  # seconds for actors that were asked to stop


@pytest.fixture(autouse=True)
def _no_actor_is_left() -> Iterator[None]:
    before = _actors()
    yield
    end = time.monotonic() + GRACE
    for ref in _actors() - before:
        ref.actor_stopped.wait(max(0.0, end - time.monotonic()))
    left = _actors() - before
    for ref in left:
        ref.stop(block=False)
    assert not left, f"the test left actors behind: {sorted(map(str, left))}"


def _actors() -> set:
    pykka = sys.modules.get("pykka")
    return set() if pykka is None else set(pykka.ActorRegistry.get_all())
