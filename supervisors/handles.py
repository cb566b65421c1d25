"""What to keep instead of a ref: a handle finds the current incarnation of an actor on every use."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pykka

from supervisors.calls import call, cast
from supervisors.errors import InvalidOption, NoProcError
from supervisors.links import monitor
from supervisors.reasons import NoProc
from supervisors.runtime import PooledFuture
from supervisors.spec import is_seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from supervisors.links import MonitorRef, Notify
    from supervisors.registry import Registry
    from supervisors.runtime import Incarnation

AnyRef = pykka.ActorRef[Any]
Change = tuple[PooledFuture[Any], "Callable[[], None]"]


def nobody_comes() -> Change:
    """Make what a `when_changed` returns when there is nothing to wait for."""
    future: PooledFuture[Any] = PooledFuture()
    future.set_exception((pykka.Timeout, pykka.Timeout("nobody is on the way"), None))
    return future, lambda: None


def missing(label: object, *, parked: bool) -> NoProcError:
    """Make the error of a target that nobody is."""
    why = "its supervisor lets it rest after too many restarts" if parked else "nobody has that name now"
    return NoProcError(f"{label!r}: {why}", NoProc(parked=parked))


class Handle:
    """A target that survives restarts.

    Args:
        resolve: Finds the current incarnation; None when there is none just now.
        label: For messages.
        wait: Seconds every use may wait for a restart in progress; 0 fails at once.
        when_changed: Returns a future that is set when `resolve` may find somebody, and what gives that up. Without it
            nothing is waited for.
        parked: Whether that there is nobody is because the actor's supervisor has given it a rest.

    Raises:
        InvalidOption: `wait` is no length of time.
    """

    def __init__(
        self,
        resolve: Callable[[], AnyRef | None],
        *,
        label: object,
        wait: float = 0.0,
        when_changed: Callable[[], Change] = nobody_comes,
        parked: Callable[[], bool] = bool,
    ) -> None:
        if not is_seconds(wait):
            raise InvalidOption("wait", wait, "must be seconds >= 0")
        self._resolve = resolve
        self._label = label
        self._wait = wait
        self._when_changed = when_changed
        self._parked = parked

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._label!r}>"

    def whereis(self) -> AnyRef | None:
        """Find the current incarnation, None when there is none within `wait` seconds."""
        return self._look(self._wait)

    def find_actor(self, limit: float | None = None) -> AnyRef:
        """Find the current incarnation within `wait` seconds, or `limit` if that is less.

        Raises:
            NoProcError: There is none.
        """
        found = self._look(self._wait if limit is None else min(limit, self._wait))
        if found is None:
            raise missing(self._label, parked=self._parked())
        return found

    def _look(self, seconds: float) -> AnyRef | None:
        found = self._resolve()
        if found is not None or seconds <= 0:
            return found
        end = time.monotonic() + seconds
        while True:
            changed, undo = self._when_changed()
            try:
                found = self._resolve()
                left = end - time.monotonic()
                if found is not None or left <= 0:
                    return found
                changed.get(timeout=left)
            except pykka.Timeout:
                return self._resolve()
            finally:
                undo()

    def tell(self, message: Any) -> None:
        """Send a message to the current incarnation.

        Raises:
            NoProcError: There is none.
            ActorDeadError: It ended just now.
        """
        self.find_actor().tell(message)

    def ask(self, message: Any, *, block: bool = True, timeout: float | None = None) -> Any:
        """Ask the current incarnation; as `ActorRef.ask`.

        Raises:
            NoProcError: There is none.
        """
        return self.find_actor().ask(message, block=block, timeout=timeout)

    def call(self, message: Any, timeout: float | None = 5.0) -> Any:
        """Ask the current incarnation and wait for its answer; see `supervisors.call`."""
        return call(self, message, timeout)

    def cast(self, message: Any) -> bool:
        """Hand a message to the current incarnation; returns False when there is none."""
        return cast(self, message)

    def monitor(self, *, notify: Notify | None = None) -> MonitorRef:
        """Watch the current incarnation; see `supervisors.monitor`."""
        return monitor(self, notify=notify)


class Via(Handle):
    """A key of a registry, as a handle, and as a name to start an actor under. Made by `Registry.via`."""

    def __init__(self, registry: Registry, key: Hashable, value: Any = None, *, wait: float = 0.0) -> None:
        registrations = registry.registrations

        def resolve() -> AnyRef | None:
            try:
                return registry.whereis(key)
            except NoProcError:  # the registry itself is down
                return None

        def when_changed() -> Change:
            return nobody_comes() if registrations.is_parked(key) else registrations.when_registered(key)

        super().__init__(
            resolve,
            label=key,
            wait=wait,
            when_changed=when_changed,
            parked=lambda: registrations.is_parked(key),
        )
        self._registry = registry
        self._key = key
        self._value = value

    def claim(self, incarnation: Incarnation) -> None:
        """Register an actor that is about to start."""
        self._registry.claim(self._key, incarnation, self._value)

    def note_parked(self, *, parked: bool) -> None:
        """Note whether the actor of that name rests; told by its supervisor."""
        self._registry.registrations.note_parked(self._key, parked=parked)
