"""Finds workers that block without saying so, and tells them from workers that merely compute.

Looks every few milliseconds, only while work waits. A worker is *still* when it has begun no new slice and its thread
has used no CPU since the last look. That alone could be a thread that waits for the interpreter lock, so either nobody
computed meanwhile, or the thread must have been still for many looks in a row. Somebody computed when the process used
CPU, or when the watchdog itself got the interpreter late: a thread that computes gives it up only every switch interval
(5 ms). The latter is true also on a machine so busy that nobody gets much CPU.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Final, Protocol

from supervisors.logs import log
from supervisors.runtime.logs import report

if TYPE_CHECKING:
    from collections.abc import Callable

TICK: Final = 0.01  # seconds between two looks
LINGER: Final = 1.0  # seconds without anything to look at, after which the thread ends
IDLE_SHARE: Final = 0.2  # of one core: below that the process does not compute
IDLE_LOOKS: Final = (
    2  # looks in a row that tell blocked when nobody computes; one may be chance on a busy machine
)
NO_CPU: Final = 0.0005  # seconds of CPU per look that are nothing
LATE: Final = 0.003  # seconds; a watchdog that wakes later than that had to wait for the interpreter
PATIENCE: Final = 20  # looks in a row that tell blocked from starved when somebody computes


class Sampled(Protocol):
    """A worker, as far as the watchdog looks at it."""

    runs: int
    cpu_clock: int | None
    seen: tuple[int, float]
    still: int
    alone: int


class Watched(Protocol):
    """A dispatcher, as far as the watchdog looks at it."""

    def check(self, still: Callable[[Sampled], bool], /) -> None:
        """Look once; calls `forget` when nothing waits any more."""


def thread_cpu_clock() -> int | None:
    """Return the clock of the calling thread's CPU time; None where threads have none (macOS, Windows)."""
    if not hasattr(time, "pthread_getcpuclockid"):
        return None
    try:
        return time.pthread_getcpuclockid(threading.get_ident())
    except OSError:
        return None


def cpu_seconds(clock: int | None) -> float:
    """Read a thread's CPU time; 0.0 when it has no clock or has ended."""
    if clock is None:
        return 0.0
    try:
        return time.clock_gettime(clock)
    except OSError:
        return 0.0


def judge(worker: Sampled, cpu: float, *, process_idle: bool) -> bool:
    """Take a sample of a busy worker; True when it blocks.

    Args:
        worker: Its last sample is replaced.
        cpu: CPU seconds its thread has used so far.
        process_idle: Whether nobody in the process has computed since the last look.
    """
    runs, before = worker.seen
    moved = runs != worker.runs or cpu - before > NO_CPU
    worker.seen = (worker.runs, cpu)
    worker.still = 0 if moved else worker.still + 1
    if not process_idle or moved:
        worker.alone = 0
    else:
        worker.alone += 1
    if worker.alone >= IDLE_LOOKS:
        return True
    return worker.cpu_clock is not None and worker.still >= PATIENCE


class Watchdog:
    """One thread for all dispatchers; started at the first need, gone a second after the last."""

    def __init__(self) -> None:
        self._condition = threading.Condition(threading.RLock())
        self._watched: set[Watched] = set()
        self._thread: threading.Thread | None = None
        self._released = False

    def watch(self, dispatcher: Watched) -> None:
        """Look at `dispatcher` from now on, until `forget`."""
        with self._condition:
            self._watched.add(dispatcher)
            self._released = False
            if self._thread is not None:
                if len(self._watched) == 1:
                    self._condition.notify()
                return
            self._thread = threading.Thread(target=self._run, name="supervisors-watchdog", daemon=True)
            try:
                self._thread.start()
            except RuntimeError:  # no more threads: then none could be added either
                self._thread = None
                log.warning("watchdog_not_started")

    def forget(self, dispatcher: Watched) -> None:
        """Look at `dispatcher` no more."""
        with self._condition:
            self._watched.discard(dispatcher)

    def release(self) -> threading.Thread | None:
        """End the thread as soon as there is nothing to look at; returns it."""
        with self._condition:
            self._released = True
            self._condition.notify()
            return self._thread

    def _run(self) -> None:
        while self._has_work():
            wall, process = time.monotonic(), time.process_time()
            while self._watched:
                time.sleep(TICK)
                now, used = time.monotonic(), time.process_time()
                idle = used - process < IDLE_SHARE * (now - wall) and now - wall < TICK + LATE
                self._look(process_idle=idle)
                wall, process = now, used

    def _look(self, *, process_idle: bool) -> None:
        def still(worker: Sampled) -> bool:
            return judge(worker, cpu_seconds(worker.cpu_clock), process_idle=process_idle)

        for dispatcher in list(self._watched):
            try:
                dispatcher.check(still)
            except Exception as error:
                report("watchdog_failed", error)
                self.forget(dispatcher)

    def _has_work(self) -> bool:
        """Wait until there is a dispatcher to look at; False: the thread shall end."""
        with self._condition:
            while not self._watched:
                if self._released or (not self._condition.wait(LINGER) and not self._watched):
                    self._thread = None
                    return False
            return True
