"""What supervisors report, and the one thread that tells subscribers.

Every event carries the `path` of the supervisor (its name or class first, then ids), the `id` of the child and the
child's `generation`. Subscribers run on a thread of their own, started at the first event and gone soon after the
last; the queue is bounded, so a slow subscriber costs events (`EventsDropped` says how many) and never a restart.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from supervisors.errors import InvalidOption
from supervisors.logs import log

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    import pykka

    from supervisors.reasons import ExitReason

_CAPACITY = 10_000
_LINGER = 0.5  # seconds the thread stays without work


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildEvent:
    """Base of the events about one child."""

    path: tuple[str, ...]
    id: Hashable
    generation: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildStarted(ChildEvent):
    """An incarnation is up: its `on_start` has returned."""

    ref: pykka.ActorRef[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildExited(ChildEvent):
    """An incarnation ended; `dropped` messages nobody waits for were in its inbox, and no one will handle them."""

    reason: ExitReason
    dropped: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class RestartScheduled(ChildEvent):
    """A restart attempt follows in `delay` seconds; `attempt` counts those in a row from 1."""

    delay: float
    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StartFailedEvent(ChildEvent):
    """A start or a restart attempt failed."""

    reason: ExitReason


@dataclass(frozen=True, slots=True, kw_only=True)
class ShutdownError(ChildEvent):
    """A child that was asked to stop ended with another reason than is expected of it."""

    reason: ExitReason


@dataclass(frozen=True, slots=True, kw_only=True)
class CleanupError(ChildEvent):
    """`on_stop` or `on_failure` raised; the exit reason is unchanged."""

    exception: BaseException


@dataclass(frozen=True, slots=True, kw_only=True)
class IntensityExceeded(ChildEvent):
    """The child needed one restart too many; the supervisor gives up."""

    reason: ExitReason


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildParked(ChildEvent):
    """The child needed one restart too many and rests, alone, for `park_time` seconds."""

    reason: ExitReason
    park_time: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildAbandoned(ChildEvent):
    """The thread of an incarnation would not end; it is a zombie now, `stack` says where it was."""

    thread_name: str
    stack: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ZombieExited(ChildEvent):
    """The thread of an abandoned incarnation ended after all, `after` seconds later."""

    thread_name: str
    after: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SupervisorStopped:
    """A supervisor has ended, after all its children."""

    path: tuple[str, ...]
    reason: ExitReason


@dataclass(frozen=True, slots=True, kw_only=True)
class EventsDropped:
    """Subscribers were too slow: `count` events before this one are lost."""

    count: int


Event = (
    ChildStarted
    | ChildExited
    | RestartScheduled
    | StartFailedEvent
    | ShutdownError
    | CleanupError
    | IntensityExceeded
    | ChildParked
    | ChildAbandoned
    | ZombieExited
    | SupervisorStopped
    | EventsDropped
)
"""What subscribers get."""


class EventBus:
    """Hands events to subscribers on one thread; publishing never waits for them."""

    def __init__(self, capacity: int = _CAPACITY) -> None:
        self._capacity = capacity
        self.reset_after_fork()

    def reset_after_fork(self) -> None:
        """Start empty; also in a forked child, where the thread is gone and the lock may be held by nobody."""
        self._ready = threading.Condition(threading.RLock())
        self._queue: deque[tuple[tuple[str, ...], Event]] = deque()
        self._subscribers: dict[object, tuple[Callable[[Event], object], str | None]] = {}
        self._dropped = 0
        self._thread: threading.Thread | None = None
        self._released = False
        self._delivering = False

    @property
    def active(self) -> bool:
        """Whether anybody listens: publishers skip making events otherwise."""
        return bool(self._subscribers)

    def subscribe(
        self, function: Callable[[Event], object], root: pykka.ActorRef[Any] | None = None
    ) -> Callable[[], None]:
        """Call `function` with every event from now on; returns what ends that.

        Args:
            function: Runs on the events thread. When it raises, that is logged and it is not called again.
            root: Only events of this supervisor and those below it.
        """
        if not callable(function):
            raise InvalidOption("function", function, "must be callable with an event")
        token = object()
        with self._ready:
            self._subscribers[token] = (function, None if root is None else root.actor_urn)

        def unsubscribe() -> None:
            with self._ready:
                self._subscribers.pop(token, None)

        return unsubscribe

    def publish(self, lineage: tuple[str, ...], event: Event) -> None:
        """Queue `event`; `lineage` holds the urns of its supervisor and of all above it."""
        with self._ready:
            if not self._subscribers:
                return
            if len(self._queue) >= self._capacity:
                self._dropped += 1
                return
            self._queue.append((lineage, event))
            if self._thread is None:
                self._start_thread()
            else:
                self._ready.notify_all()

    def _start_thread(self) -> None:
        self._released = False
        self._thread = threading.Thread(target=self._run, name="supervisors-events", daemon=True)
        try:
            self._thread.start()
        except RuntimeError:  # no thread can start: too many, or the interpreter is on its way out
            self._thread = None
            self._dropped += len(self._queue)
            self._queue.clear()

    def flush(self, timeout: float = 2.0) -> bool:
        """Wait until every event published so far was delivered; False when that takes over `timeout` seconds."""
        with self._ready:
            return self._ready.wait_for(lambda: not self._queue and not self._delivering, timeout)

    def release(self, timeout: float = 1.0) -> None:
        """End the thread once it has no work, and wait up to `timeout` seconds for that."""
        with self._ready:
            thread, self._released = self._thread, True
            self._ready.notify_all()
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout)

    def _run(self) -> None:
        while (work := self._next()) is not None:
            lineage, events = work
            for event in events:
                self._deliver(lineage, event)
            with self._ready:
                self._delivering = False
                self._ready.notify_all()

    def _next(self) -> tuple[tuple[str, ...], list[Event]] | None:
        with self._ready:
            while not self._queue:
                if self._released or (not self._ready.wait(_LINGER) and not self._queue):
                    self._thread = None
                    return None
            lineage, event = self._queue.popleft()
            events: list[Event] = [event]
            if self._dropped:
                events.append(EventsDropped(count=self._dropped))
                self._dropped = 0
            self._delivering = True
            return lineage, events

    def _deliver(self, lineage: tuple[str, ...], event: Event) -> None:
        with self._ready:
            subscribers = list(self._subscribers.items())
        for token, (function, root) in subscribers:
            if root is not None and root not in lineage and not isinstance(event, EventsDropped):
                continue
            try:
                function(event)
            except Exception:
                log.exception("subscriber_failed", subscriber=repr(function))
                with self._ready:
                    self._subscribers.pop(token, None)


bus = EventBus()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=bus.reset_after_fork)


def subscribe(
    function: Callable[[Event], object], *, root: pykka.ActorRef[Any] | None = None
) -> Callable[[], None]:
    """Call `function` with every event of supervisors, or of those from `root` down; returns what ends that."""
    return bus.subscribe(function, root)
