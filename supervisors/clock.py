"""Time as a parameter: supervisors read and wait through a `Clock`, tests move a fake one."""

from __future__ import annotations

import heapq
import itertools
import threading
import time
from typing import TYPE_CHECKING, Protocol

from supervisors.logs import log

if TYPE_CHECKING:
    from collections.abc import Callable

_SMALL_HEAP = 100  # cancelled timers that may lie about


class Timer(Protocol):
    """A pending call."""

    def cancel(self) -> None:
        """Drop the call; harmless when it has already run."""


class Clock(Protocol):
    """Monotonic seconds and delayed calls."""

    def now(self) -> float:
        """Monotonic seconds; only differences mean something."""

    def call_later(self, delay: float, function: Callable[[], object]) -> Timer:
        """Call `function` once after `delay` seconds, on a thread of the clock: it must be short and not block."""


class _Entry:
    __slots__ = ("clock", "function")

    def __init__(self, function: Callable[[], object], clock: SystemClock) -> None:
        self.function: Callable[[], object] | None = function
        self.clock = clock

    def cancel(self) -> None:
        if self.function is not None:
            self.function = None
            self.clock.cancelled()


class SystemClock:
    """`time.monotonic` and one timer thread, started at the first timer and gone when none is left.

    linger: Seconds the thread stays without work, so that a burst of timers does not start a thread each.
    """

    def __init__(self, linger: float = 1.0) -> None:
        self._linger = linger
        self._heap: list[tuple[float, int, _Entry]] = []
        self._count = itertools.count()
        self._condition = threading.Condition()
        self._thread: threading.Thread | None = None
        self._released = False
        self._cancelled = 0
        self._looks_at = 0.0  # when the thread looks at the heap by itself, at the latest

    def now(self) -> float:
        return time.monotonic()

    def call_later(self, delay: float, function: Callable[[], object]) -> Timer:
        entry = _Entry(function, self)
        with self._condition:
            item = (time.monotonic() + max(delay, 0.0), next(self._count), entry)
            heapq.heappush(self._heap, item)
            if self._thread is None:
                self._start_thread()
            elif item[0] < self._looks_at:
                self._condition.notify()
        return entry

    def _start_thread(self) -> None:
        self._released = False
        self._thread = threading.Thread(target=self._run, name="supervisors-clock", daemon=True)
        try:
            self._thread.start()
        except (
            RuntimeError
        ):  # too many threads, or the interpreter is on its way out; the next timer tries again
            self._thread = None
            log.warning("clock_not_started")

    def cancelled(self) -> None:
        """Note that a timer was cancelled; when most of the heap is such, it is made anew.

        Nearly every timer here is a limit that is never reached, so they must not pile up until they are due.
        """
        with self._condition:
            self._cancelled += 1
            if self._cancelled > _SMALL_HEAP and self._cancelled * 2 > len(self._heap):
                self._heap = [item for item in self._heap if item[2].function is not None]
                heapq.heapify(self._heap)
                self._cancelled = 0

    def release(self, timeout: float = 1.0) -> None:
        """End the thread now if nothing is pending, and wait up to `timeout` seconds for that."""
        with self._condition:
            thread = self._thread
            self._released = True
            self._condition.notify()
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout)

    def reset_after_fork(self) -> None:
        """Forget the parent's thread and timers; called in a forked child."""
        self._heap.clear()
        self._cancelled = 0
        self._looks_at = 0.0
        self._condition = threading.Condition()
        self._thread = None

    def _run(self) -> None:
        while (function := self._next()) is not None:
            try:
                function()
            except Exception:
                log.exception("timer_failed")
            function = None

    def _next(self) -> Callable[[], object] | None:
        """Wait for the next call that is due; None ends the thread."""
        with self._condition:
            while True:
                while self._heap and self._heap[0][2].function is None:
                    heapq.heappop(self._heap)
                    self._cancelled -= 1
                if not self._heap:
                    if self._released or (not self._wait(self._linger) and not self._heap):
                        self._thread = None
                        return None
                    continue
                wait = self._heap[0][0] - time.monotonic()
                if wait <= 0:
                    entry = heapq.heappop(self._heap)[2]
                    function, entry.function = entry.function, None
                    if function is not None:
                        return function
                    self._cancelled -= 1
                    continue
                self._wait(wait)

    def _wait(self, seconds: float) -> bool:
        self._looks_at = time.monotonic() + seconds
        told = self._condition.wait(min(seconds, threading.TIMEOUT_MAX))
        self._looks_at = 0.0  # it looks now
        return told


system_clock = SystemClock()
"""Real time; what supervisors use unless they get another one."""
