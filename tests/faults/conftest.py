"""Real stores, real processes, a real server."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

import alloy_actors as alloy
from alloy_actors.local import LocalServer


@pytest.fixture(scope="module")
def server() -> Iterator[LocalServer]:
    with LocalServer() as server:
        yield server


@pytest.fixture(autouse=True)
def _runtime(request: pytest.FixtureRequest) -> Iterator[None]:
    """Nothing outlives a test: no loop, no thread, no request at the server."""
    yield
    alloy.shutdown()
    left = {thread for thread in threading.enumerate() if thread.name.startswith(("alloy", "supervisors"))}
    for thread in left:
        thread.join(5.0)  # one that was let go only now
    assert not any(thread.is_alive() for thread in left)
    if "server" in request.fixturenames:
        request.getfixturevalue("server").wait_stats(active=0, connections=0)
