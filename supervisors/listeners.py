"""Who is told what changes in a registry, in the order of the changes."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

import pykka

from supervisors.calls import cast
from supervisors.errors import InvalidOption
from supervisors.handles import Handle
from supervisors.runtime import report

if TYPE_CHECKING:
    from collections.abc import Hashable

    from supervisors.reasons import ExitReason


@dataclass(frozen=True, slots=True)
class Registered:
    """An actor has taken a key.

    registry: Its name.
    """

    registry: Hashable
    key: Hashable
    ref: pykka.ActorRef[Any]
    value: Any


@dataclass(frozen=True, slots=True)
class Unregistered:
    """An actor has a key no more.

    registry: Its name.
    reason: Why the actor, or the registry itself, has ended; None when the key was given back.
    """

    registry: Hashable
    key: Hashable
    ref: pykka.ActorRef[Any]
    reason: ExitReason | None = None


RegistryEvent = Registered | Unregistered
Listener = pykka.ActorRef[Any] | Handle | SimpleQueue[RegistryEvent] | Callable[[RegistryEvent], object]


class Listeners:
    """Tells a fixed list of listeners. `note` under the registry's lock, `tell` after it was let go.

    Whoever changes the registry tells of it; one at a time, so a change may be told by a thread that was at it already.
    """

    def __init__(self, listeners: Iterable[Listener]) -> None:
        if isinstance(listeners, (str, pykka.ActorRef)) or not isinstance(listeners, Iterable):
            raise InvalidOption(
                "listeners", listeners, "must be a list of refs, handles, queues or functions"
            )
        self.listeners = tuple(listeners)
        for listener in self.listeners:
            known = isinstance(listener, (pykka.ActorRef, Handle, SimpleQueue)) or callable(listener)
            if not known:
                raise InvalidOption(
                    "listeners", listener, "must be a ref, a handle, a SimpleQueue or a function"
                )
        self.reset()

    def reset(self) -> None:
        """Drop what was not told yet; in a forked child."""
        self._news: deque[RegistryEvent] = deque()
        self._telling = threading.Lock()

    def __bool__(self) -> bool:
        return bool(self.listeners)

    def note(self, event: RegistryEvent) -> None:
        """Put a change into line."""
        self._news.append(event)

    def tell(self) -> None:
        """Tell what is in line, unless somebody is at it."""
        while self._news and self._telling.acquire(blocking=False):
            try:
                while self._news:
                    event = self._news.popleft()
                    for listener in self.listeners:
                        _tell(listener, event)
            finally:
                self._telling.release()


def _tell(listener: Listener, event: RegistryEvent) -> None:
    try:
        if isinstance(listener, SimpleQueue):
            listener.put(event)
        elif isinstance(listener, (pykka.ActorRef, Handle)):
            cast(listener, event)
        else:
            listener(event)
    except Exception as error:
        report("registry_listener_failed", error, listener=repr(listener))
