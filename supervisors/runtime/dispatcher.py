"""Few threads for many actors: a run queue, core workers, and spares for workers that block.

A worker that says it blocks (`managed_blocking`) does not count as one of the core while it does; one that blocks
without saying so is found by the watchdog. So there are always `core` workers that can run, up to `cap` threads in all.
A mailbox waits in the queue at most once; `run` handles a few of its messages.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, ClassVar, Final, Protocol

from supervisors.errors import WouldDeadlock
from supervisors.logs import log
from supervisors.runtime.logs import report
from supervisors.runtime.watchdog import Watchdog, thread_cpu_clock

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from supervisors.runtime.watchdog import Sampled

LINGER: Final = 1.0  # seconds a thread stays without work
SIZES: Final = {"actors": (2, 64), "supervisors": (1, 16)}  # core threads, cap; others have those of "actors"

_local = threading.local()
_counter = itertools.count(1)


class Runnable(Protocol):
    """What waits in the run queue."""

    def run(self, worker: Worker) -> None:
        """Do a slice of work; must not raise."""


class Worker:
    """One thread of a dispatcher; also the context manager of its managed blocking, which may nest."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        self.dispatcher = dispatcher
        self.parked = threading.Lock()
        self.parked.acquire()
        self.name = f"supervisors-{dispatcher.name}-{next(_counter)}"
        self.thread = threading.Thread(target=self._main, name=self.name, daemon=True)
        self.runs = 0  # slices begun
        self.busy = False  # within a slice
        self.off = False  # does not count as able to run: it blocks
        self.lost = False  # taken by a zombie: ends when that does
        self.depth = 0  # of nested managed blocking
        self.asks = False  # waits for another actor
        self.cpu_clock: int | None = None
        self.seen: tuple[int, float] = (-1, 0.0)  # the watchdog's last sample: runs, CPU seconds
        self.still = 0  # samples in a row without any progress
        self.alone = 0  # those of them during which nobody else computed either

    @property
    def ident(self) -> int | None:
        """Of the thread."""
        return self.thread.ident

    def may_block(self) -> bool:
        """Whether it is within a slice, and not known to block."""
        return self.busy and not self.off

    def __enter__(self) -> None:
        self.depth += 1
        if self.depth == 1:
            self.dispatcher.worker_blocks(self)

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.depth -= 1
        if self.depth == 0:
            self.dispatcher.worker_runs(self)

    def _main(self) -> None:
        _local.worker = self
        self.cpu_clock = thread_cpu_clock()
        dispatcher, ready = self.dispatcher, self.dispatcher.ready
        while True:
            try:
                runnable: Runnable | None = ready.popleft()
            except IndexError:
                if not dispatcher.park(self):
                    return
                continue
            self.runs += 1
            self.busy = True
            try:
                runnable.run(self)  # type: ignore[union-attr] # None only below
            except BaseException as error:  # a bug of this package
                report("worker_failed", error, thread=self.name)
            runnable = None  # an idle worker must not keep an actor alive
            self.busy = False
            if self.off:
                dispatcher.worker_runs(self)
            if self.lost:
                return


class Dispatcher:
    """A named pool; `Dispatcher.get(name)` makes it on first use."""

    _all: ClassVar[dict[str, Dispatcher]] = {}
    _all_lock: ClassVar[threading.RLock] = threading.RLock()
    watchdog: ClassVar[Watchdog] = Watchdog()

    def __init__(self, name: str, core: int = 2, cap: int = 64, linger: float = LINGER) -> None:
        self.name = name
        self.core = core
        self.cap = cap
        self.ready: deque[Runnable] = deque()
        self._idle: list[Worker] = []  # a stack: the last to fall idle is the first to work
        self._linger = linger
        self._lock = threading.RLock()
        self._workers: set[Worker] = set()
        self._off = 0
        self._live = 0
        self._armed = False  # the watchdog looks at us
        self._hurry = False  # idle threads end at once

    @classmethod
    def get(cls, name: str) -> Dispatcher:
        """Find the dispatcher of that name, or make it; its threads start with the first work."""
        found = cls._all.get(name)
        if found is None:
            with cls._all_lock:
                found = cls._all.setdefault(name, cls(name, *SIZES.get(name, SIZES["actors"])))
        return found

    @classmethod
    def all(cls) -> list[Dispatcher]:
        """List the dispatchers used so far."""
        with cls._all_lock:
            return list(cls._all.values())

    @property
    def thread_count(self) -> int:
        """How many threads it has now, those of zombies not counted."""
        return len(self._workers)

    @property
    def live_count(self) -> int:
        """How many actors run on it."""
        return self._live

    @property
    def blocked_count(self) -> int:
        """How many of them block, as far as is known."""
        return self._off

    # Work

    def submit(self, runnable: Runnable) -> None:
        """Queue a slice of work; wakes an idle worker."""
        self.ready.append(runnable)
        if self._idle:
            try:
                worker = self._idle.pop()
            except IndexError:
                pass
            else:
                worker.parked.release()
                return
        if not self._armed:
            self._arm()

    def actor_starts(self) -> None:
        """Count one more live actor, and see to it that there is a thread at all.

        Raises:
            RuntimeError: No thread can be started, and there is none.
        """
        with self._lock:
            self._hurry = False
            if not self._workers:
                self._grow(1)
            self._live += 1

    def actor_ended(self) -> None:
        """Count one live actor less; with the last one, idle threads begin to linger."""
        with self._lock:
            self._live -= 1
            if self._live == 0:
                self._wake_all()

    def park(self, worker: Worker) -> bool:
        """Wait for work; False: the worker's thread shall end."""
        if self._live > 0 and len(self._workers) <= self.core:
            timeout = -1.0
        else:
            timeout = 0.0 if self._hurry else self._linger
        self._idle.append(worker)
        if not self.ready and worker.parked.acquire(timeout=timeout):
            return True
        try:
            self._idle.remove(worker)
        except ValueError:  # somebody took it off the stack and is about to release it
            worker.parked.acquire()
            return True
        with self._lock:
            if self.ready or (self._live > 0 and len(self._workers) <= self.core):
                return True
            self._workers.discard(worker)
            return False

    # Threads

    def _arm(self) -> None:
        """Nobody is idle: start a thread if one is missing, else let the watchdog see whether the queue moves."""
        with self._lock:
            if len(self._workers) - self._off < self.core and len(self._workers) < self.cap:
                self._grow_or_log(1)
            elif not self._armed:
                self._armed = True
                self.watchdog.watch(self)

    def _grow(self, count: int) -> None:
        for _ in range(min(count, self.cap - len(self._workers))):
            worker = Worker(self)
            worker.thread.start()
            self._workers.add(worker)

    def _grow_or_log(self, count: int) -> None:
        try:
            self._grow(count)
        except RuntimeError as error:  # no more threads: those that are there go on
            log.warning("worker_not_started", dispatcher=self.name, error=str(error))

    def worker_blocks(self, worker: Worker) -> None:
        """Note that a worker is about to block; a spare takes its place when there is work."""
        with self._lock:
            if not worker.off and not worker.lost:
                worker.off = True
                self._off += 1
            if self.ready and not self._idle:
                self._arm()

    def worker_runs(self, worker: Worker) -> None:
        """Note that a worker no longer blocks."""
        with self._lock:
            if worker.off:
                worker.off = False
                if not worker.lost:
                    self._off -= 1

    def lose(self, worker: Worker) -> None:
        """Give a worker up to a zombie: another takes its place now, and its thread ends when the zombie does."""
        with self._lock:
            if worker.lost or worker not in self._workers:
                return
            worker.lost = True
            self._workers.discard(worker)
            if worker.off:
                self._off -= 1
            if len(self._workers) - self._off < self.core:
                self._grow_or_log(1)

    def worker_asks(self, worker: Worker) -> None:
        """Note that a worker is about to wait for another actor, unless that leaves none to bring the answer.

        Raises:
            WouldDeadlock: All other threads, `cap` in all, wait for other actors already.
        """
        with self._lock:
            if len(self._workers) >= self.cap:
                waiting = sum(1 for other in self._workers if other.asks and other is not worker)
                if waiting + 1 >= self.cap:
                    raise WouldDeadlock(
                        f"{waiting} handlers on the dispatcher {self.name!r} wait for answers of other actors and "
                        f"it has at most {self.cap} threads: make the chain of blocking asks shorter, or tell "
                        "and handle the answer as a message"
                    )
            worker.asks = True

    def check(self, still: Callable[[Sampled], bool]) -> None:
        """One look of the watchdog: add threads if the queue does not move because workers block."""
        with self._lock:
            if not self.ready:
                self._armed = False
                self.watchdog.forget(self)
                if self.ready:  # came in between, and saw us armed
                    self._arm()
                return
            if self._idle:
                return
            for worker in self._workers:
                if worker.may_block() and still(worker):
                    worker.off = True
                    self._off += 1
                    if not worker.busy:  # just through: it may have looked at `off` before
                        self.worker_runs(worker)
            missing = self.core - (len(self._workers) - self._off)
            if missing > 0:
                # Many at once when many block, so that a crowd of sleepers is got round in a few looks.
                self._grow_or_log(min(len(self.ready), max(missing, 3 * self._off)))

    # End

    def _wake_all(self) -> None:
        while self._idle:
            try:
                self._idle.pop().parked.release()
            except IndexError:
                return

    def release(self) -> list[threading.Thread]:
        """Let idle threads that are not needed end now; returns those that will."""
        with self._lock:
            self._hurry = True
            ending = [worker.thread for worker in self._workers] if self._live == 0 else []
            self._wake_all()
            return ending

    @classmethod
    def reset_after_fork(cls) -> None:
        """Forget all dispatchers: their threads are the parent's."""
        cls._all = {}
        cls._all_lock = threading.RLock()
        cls.watchdog = Watchdog()
        worker = current_worker()
        if worker is not None:
            worker.lost = True
            _local.worker = None  # its dispatcher's lock may be held for ever


def current_worker() -> Worker | None:
    """Return the pool worker that the calling thread is, None elsewhere."""
    return getattr(_local, "worker", None)


def release_idle_dispatchers(timeout: float) -> None:
    """End lingering pool threads and wait up to `timeout` seconds for that."""
    end = time.monotonic() + timeout
    dispatchers = Dispatcher.all()
    threads = [thread for dispatcher in dispatchers for thread in dispatcher.release()]
    watchdog = Dispatcher.watchdog.release()
    if watchdog is not None and not any(dispatcher.live_count for dispatcher in dispatchers):
        threads.append(watchdog)
    for thread in threads:
        if thread is not threading.current_thread():
            thread.join(max(0.0, end - time.monotonic()))
