"""Real shells, and a way to see that nothing of them is left."""

from __future__ import annotations

import os
import select
from typing import TYPE_CHECKING

import pytest

import alloy_actors as alloy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

LONG = 20.0  # seconds; a limit for what hangs, never waited for


class Lifeline:
    """A FIFO that processes of a command hold open; its end is reached when the last of them is gone."""

    def __init__(self, path: Path) -> None:
        os.mkfifo(path)
        self.hold = f"exec 9>{path}; echo started >&9;"  # put before a command; needs an unrestricted shell
        self._file = os.open(path, os.O_RDONLY | os.O_NONBLOCK)

    def wait_for_start(self) -> None:
        assert self._next() == b"started\n"

    def wait_for_end(self) -> None:
        assert self._next() == b""

    def _next(self) -> bytes:
        ready, _, _ = select.select([self._file], [], [], LONG)
        assert ready, "no process came, or one is still there"
        return os.read(self._file, 100)

    def close(self) -> None:
        os.close(self._file)


@pytest.fixture
def lifeline(tmp_path: Path) -> Iterator[Lifeline]:
    made = Lifeline(tmp_path / "lifeline")
    yield made
    made.close()


@pytest.fixture
def new_lifeline(tmp_path: Path) -> Iterator[Callable[[], Lifeline]]:
    """Makes as many as needed."""
    made: list[Lifeline] = []

    def make() -> Lifeline:
        made.append(Lifeline(tmp_path / f"lifeline{len(made)}"))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def system() -> Iterator[alloy.AgentSystem]:
    with alloy.AgentSystem() as system:
        yield system


@pytest.fixture(scope="package", autouse=True)
def _runtime() -> Iterator[None]:
    yield
    alloy.shutdown()
