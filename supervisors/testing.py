"""For tests of code that runs under supervisors: time that moves by hand, chance without chance, and checks.

A test gives a `FakeClock` to the root (its supervisors below take it over), makes something happen, waits for its `Down` or
event, and lets `settle()` wait until the tree has nothing left to do by itself:

    clock = FakeClock()
    root = Supervisor.start([spec], clock=clock, backoff=Backoff(initial=30, jitter=0))
    down = monitor(root.which_child("a").ref)
    root.which_child("a").ref.tell("crash")
    down.wait(5)
    settle(root)
    assert root.which_child("a").state == "restarting"
    clock.advance(30)
    settle(root)
    assert root.which_child("a").generation == 1
    root.stop()
    assert_no_leaks()

On the clock are the restart window, back-off, rests, start and shutdown limits. Not on it: `sleep()`, and the timeouts of `call` and
of other waits, which are for threads that really wait.
"""

from __future__ import annotations

import heapq
import itertools
import threading
import time
from typing import TYPE_CHECKING, Any

import pykka

from supervisors import release_idle_threads, roots
from supervisors.children import State
from supervisors.events import bus
from supervisors.inspection import format_tree, zombies
from supervisors.refs import BaseSupervisorRef
from supervisors.registry import all_registries
from supervisors.runtime import PooledFuture

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["FakeClock", "FakeRandom", "assert_no_leaks", "settle"]

_UNSETTLED = {State.STARTING, State.STOPPING}
_LOOK_AGAIN = 0.002  # seconds


class _FakeTimer:
    __slots__ = ("function",)

    def __init__(self, function: Callable[[], object]) -> None:
        self.function: Callable[[], object] | None = function

    def cancel(self) -> None:
        self.function = None


class FakeClock:
    """A clock that stands still until `advance` is called; calls that fall due run in the thread that advances.

    A supervisor acts on such a call in its own thread: `settle` before looking at what came of it, and before advancing to a
    moment that it has still to plan.
    """

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


def settle(root: BaseSupervisorRef[Any], timeout: float = 5.0) -> None:
    """Wait until nothing below `root` starts, stops or restarts, delayed restarts excepted, and subscribers know.

    A crash is known once the actor has ended: wait for its `Down` first.

    Raises:
        AssertionError: It has not come to rest within `timeout` seconds; the tree is in the message.
    """
    end = time.monotonic() + timeout
    while not _is_settled(root, end):
        if time.monotonic() > end:
            raise AssertionError(f"the tree has not come to rest:\n{format_tree(root)}")
        time.sleep(_LOOK_AGAIN)
    bus.flush(max(0.0, end - time.monotonic()))


def _is_settled(ref: BaseSupervisorRef[Any], end: float) -> bool:
    """Look at a supervisor and at those below it."""
    if not ref.is_alive():
        return True
    looked: PooledFuture[list[BaseSupervisorRef[Any]] | None] = PooledFuture()
    ref.core.port.post(lambda: looked.set(_look(ref)))
    ref.when_closed(lambda _reason: looked.cancel())
    try:
        below = looked.get(timeout=max(0.0, end - time.monotonic()))
    except Exception:
        return not ref.is_alive()
    return below is not None and all(_is_settled(child, end) for child in below)


def _look(ref: BaseSupervisorRef[Any]) -> list[BaseSupervisorRef[Any]] | None:
    """List the supervisors below; None when there is something to do. Runs in the supervisor's handler, where no change is half made."""
    if ref.core.busy or not ref.actor_inbox.empty():
        return None
    below = []
    for record in ref.core.table.records():
        ended = record.run is not None and not record.run.is_current()  # it will hear of that
        starts = record.state is State.RESTARTING and record.run is not None
        if ended or starts or record.state in _UNSETTLED:
            return None
        if isinstance(record.ref, BaseSupervisorRef):
            below.append(record.ref)
    return below


def assert_no_leaks(timeout: float = 5.0) -> None:
    """Check that nothing of this package is left, waiting up to `timeout` seconds for that.

    Looked for: supervisors, actors (pykka's own as well), entries, locks and waiting handles of registries, zombies, and threads that
    belong to no actor.

    Raises:
        AssertionError: Says what is left.
    """
    end = time.monotonic() + timeout
    release_idle_threads(timeout)
    while (left := _left()) and time.monotonic() < end:
        time.sleep(_LOOK_AGAIN)
        release_idle_threads(_LOOK_AGAIN)
    if left:
        raise AssertionError("left behind: " + "; ".join(left))


def _left() -> list[str]:
    found = [f"supervisor {'/'.join(ref.core.path)}" for ref in roots.all_roots()]
    found += [f"actor {ref}" for ref in pykka.ActorRegistry.get_all()]
    for registry in all_registries():
        entries, waiting = registry.registrations, registry.registrations.waiters()
        if not entries.is_down and entries.count():
            found.append(f"{entries.count()} entries in {registry}")
        if waiting:
            found.append(f"{waiting} waiting for a key of {registry}")
        if len(registry.locks):
            found.append(f"{len(registry.locks)} locks of {registry}")
    found += [f"zombie {'/'.join(zombie.path)} on {zombie.thread_name}" for zombie in zombies()]
    found += [
        f"thread {thread.name}" for thread in threading.enumerate() if thread.name.startswith("supervisors-")
    ]
    return found
