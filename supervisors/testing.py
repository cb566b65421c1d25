"""For tests of code that runs under supervisors: time that moves by hand, chance without chance, and checks.

`settle()` waits until a tree has nothing left to do by itself; `assert_no_leaks()` says what a test left behind.
"""

from __future__ import annotations

import heapq
import itertools
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


class _FakeTimer:
    __slots__ = ("function",)

    def __init__(self, function: Callable[[], object]) -> None:
        self.function: Callable[[], object] | None = function

    def cancel(self) -> None:
        self.function = None


class FakeClock:
    """A clock that stands still until `advance` is called; calls that fall due run in the thread that advances."""

    def __init__(self, now: float = 1000.0) -> None:
        self._now = now
        self._lock = threading.RLock()
        self._count = itertools.count()
        self._timers: list[tuple[float, int, _FakeTimer]] = []

    def now(self) -> float:
        with self._lock:
            return self._now

    def call_later(self, delay: float, function: Callable[[], object]) -> _FakeTimer:
        timer = _FakeTimer(function)
        with self._lock:
            heapq.heappush(self._timers, (self._now + max(delay, 0.0), next(self._count), timer))
        return timer

    def pending(self) -> list[float]:
        """Seconds until each call that is due later, the nearest first."""
        with self._lock:
            return sorted(due - self._now for due, _, timer in self._timers if timer.function is not None)

    def advance(self, seconds: float) -> None:
        """Move time, making each call at the moment it is due."""
        with self._lock:
            end = self._now + seconds
        while (function := self._due(end)) is not None:
            function()
        with self._lock:
            self._now = max(self._now, end)

    def _due(self, end: float) -> Callable[[], object] | None:
        with self._lock:
            while self._timers and self._timers[0][0] <= end:
                due, _, timer = heapq.heappop(self._timers)
                if timer.function is not None:
                    self._now = max(self._now, due)
                    return timer.function
            return None


class FakeRandom:
    """A random source that gives the shares it was told to, again and again: 0 is the least, 1 the most."""

    def __init__(self, shares: Iterable[float] = (1.0,)) -> None:
        self._shares = itertools.cycle(tuple(shares))

    def uniform(self, a: float, b: float, /) -> float:
        return a + (b - a) * next(self._shares)
