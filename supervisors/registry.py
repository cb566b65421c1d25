"""Names that survive restarts: an actor is registered under a key, and everybody finds the current one by it.

An entry goes when its owner has ended, before monitors hear of that; an owner that runs `on_stop` still has its names.
Keys are equal as Python says (`==` and `hash`): 1, 1.0 and True are one key.
"""

from __future__ import annotations

import threading
import time
import weakref
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import pykka

from supervisors.errors import AlreadyRegistered, Fenced, NoProcError
from supervisors.links import monitor
from supervisors.runtime import (
    Incarnation,
    PooledFuture,
    after_fork_in_child,
    current,
    hooks,
    incarnation_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from supervisors.links import MonitorRef, Notify
    from supervisors.reasons import ExitReason

Keys = Literal["unique", "duplicate"]
AnyRef = pykka.ActorRef[Any]


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """One registration."""

    key: Hashable
    ref: AnyRef
    value: Any

    def is_alive(self) -> bool:
        """Whether its owner still owns it."""
        owner = incarnation_of(self.ref)
        return self.ref.is_alive() if owner is None else owner.is_current()


class Registry:
    """A table key -> actor; thread-safe, without a thread of its own.

    Args:
        name: By which `Registry.get` finds it, as long as somebody holds it.
        keys: "unique": one live owner per key. (Duplicate keys are not there yet.)

    Raises:
        ValueError: The name is taken, or `keys` is not known.
    """

    _all: ClassVar[weakref.WeakValueDictionary[Hashable, Registry]] = weakref.WeakValueDictionary()

    def __init__(self, name: Hashable, *, keys: Keys = "unique") -> None:
        if keys != "unique":
            raise ValueError(f"keys={keys!r}: only 'unique' is supported")
        if self._all.setdefault(name, self) is not self:
            raise ValueError(f"there is a registry named {name!r}: use Registry.get")
        self.name = name
        self._empty()

    def _empty(self) -> None:
        self._lock = threading.RLock()
        self._entries: dict[Hashable, Entry] = {}
        self._owned: dict[AnyRef, dict[Hashable, Entry]] = {}
        self._waiting: dict[Hashable, list[PooledFuture[None]]] = {}

    def __repr__(self) -> str:
        return f"<Registry {self.name!r}, {self.count()} keys>"

    @classmethod
    def get(cls, name: Hashable) -> Registry:
        """Find a registry.

        Raises:
            ValueError: There is none of that name.
        """
        found = cls._all.get(name)
        if found is None:
            raise ValueError(f"there is no registry named {name!r}")
        return found

    # Change

    def register(self, key: Hashable, value: Any = None, *, ref: AnyRef | None = None) -> None:
        """Register an actor until it ends.

        Args:
            key: Any hashable but None.
            value: Kept with the entry.
            ref: None: the calling actor.

        Raises:
            AlreadyRegistered: A live actor has the key, be it the same one.
            NoProcError: `ref` has ended.
            Fenced: The calling incarnation was abandoned.
            ValueError: No `ref`, and not called by an actor.
        """
        me = current()
        if ref is None:
            if me is None:
                raise ValueError("register() outside of an actor needs ref=")
            ref = me.ref
        if me is not None and not me.is_current():
            raise Fenced("this incarnation was abandoned: it may not register")
        self._add(Entry(key, ref, value), incarnation_of(ref))

    def claim(self, key: Hashable, incarnation: Incarnation, value: Any = None) -> None:
        """Register an actor that is about to start."""
        self._add(Entry(key, incarnation.ref, value), incarnation)

    def _add(self, entry: Entry, owner: Incarnation | None) -> None:
        if entry.key is None:
            raise ValueError("None is no name")
        with self._lock:
            holder = self._entries.get(entry.key)
            if holder is not None:
                if holder.is_alive():
                    raise AlreadyRegistered(entry.key, holder.ref)
                self._remove(holder)
            if owner is None:
                alive = entry.ref.is_alive()
            else:
                alive = owner.add_cleanup(self, partial(self._owner_ended, entry.ref))
            if not alive:
                raise NoProcError(f"{entry.ref} has ended, it cannot be registered")
            self._entries[entry.key] = entry
            self._owned.setdefault(entry.ref, {})[entry.key] = entry
            waiting = self._waiting.pop(entry.key, ())
        for future in waiting:
            future.set(None)

    def unregister(self, key: Hashable, *, ref: AnyRef | None = None) -> None:
        """Remove an entry of the calling actor, or of `ref`; does nothing when that does not own the key.

        Raises:
            ValueError: No `ref`, and not called by an actor.
        """
        if ref is None:
            me = current()
            if me is None:
                raise ValueError("unregister() outside of an actor needs ref=")
            ref = me.ref
        with self._lock:
            entry = self._entries.get(key)
            if entry is not None and entry.ref is ref:
                self._remove(entry)

    def _remove(self, entry: Entry) -> None:
        del self._entries[entry.key]
        owned = self._owned[entry.ref]
        del owned[entry.key]
        if not owned:
            del self._owned[entry.ref]

    def _owner_ended(self, ref: AnyRef, _reason: ExitReason) -> None:
        with self._lock:
            for entry in list(self._owned.get(ref, {}).values()):
                self._remove(entry)

    # Look

    def whereis(self, key: Hashable) -> AnyRef | None:
        """Find the live actor of that key."""
        entry = self._find(key)
        return None if entry is None else entry.ref

    def lookup(self, key: Hashable) -> list[tuple[AnyRef, Any]]:
        """List the (ref, value) of the live owners of a key: at most one with unique keys."""
        entry = self._find(key)
        return [] if entry is None else [(entry.ref, entry.value)]

    def _find(self, key: Hashable) -> Entry | None:
        with self._lock:
            entry = self._entries.get(key)
        return entry if entry is not None and entry.is_alive() else None

    def keys(self, ref: AnyRef) -> list[Hashable]:
        """List the keys of an actor."""
        with self._lock:
            return [entry.key for entry in self._owned.get(ref, {}).values() if entry.is_alive()]

    def count(self) -> int:
        """Count the entries of live owners."""
        with self._lock:
            return sum(1 for entry in self._entries.values() if entry.is_alive())

    def via(self, key: Hashable, value: Any = None, *, wait: float = 0.0) -> Via:
        """Make a stable handle of a key; also a name to give to a child spec."""
        return Via(self, key, value, wait=wait)

    def when_registered(self, key: Hashable) -> tuple[PooledFuture[None], Callable[[], None]]:
        """Return a future that is set when somebody takes the key next, and what gives up waiting for it."""
        future: PooledFuture[None] = PooledFuture()
        with self._lock:
            self._waiting.setdefault(key, []).append(future)

        def undo() -> None:
            with self._lock:
                waiting = self._waiting.get(key, [])
                if future in waiting:
                    waiting.remove(future)
                    if not waiting:
                        del self._waiting[key]

        return future, undo


class Handle:
    """What to keep instead of a ref: it finds the current incarnation on every use.

    Args:
        resolve: Finds it; None when there is none just now.
        label: For messages.
        wait: Seconds every use may wait for a restart in progress; 0 fails at once.
        when_changed: Returns a future that is set when `resolve` may find somebody, and what gives that up. Without it
            nothing is waited for.
    """

    def __init__(
        self,
        resolve: Callable[[], AnyRef | None],
        *,
        label: object,
        wait: float = 0.0,
        when_changed: Callable[[], tuple[PooledFuture[Any], Callable[[], None]]] | None = None,
    ) -> None:
        self._resolve = resolve
        self._label = label
        self._wait = wait
        self._when_changed = when_changed

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._label!r}>"

    def whereis(self) -> AnyRef | None:
        """Find the current incarnation, None when there is none within `wait` seconds."""
        found = self._resolve()
        if found is not None or self._wait <= 0 or self._when_changed is None:
            return found
        end = time.monotonic() + self._wait
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
        self._found().tell(message)

    def ask(self, message: Any, *, block: bool = True, timeout: float | None = None) -> Any:
        """Ask the current incarnation; as `ActorRef.ask`.

        Raises:
            NoProcError: There is none.
        """
        return self._found().ask(message, block=block, timeout=timeout)

    def monitor(self, *, notify: Notify | None = None) -> MonitorRef:
        """Watch the current incarnation; see `supervisors.monitor`."""
        return monitor(self, notify=notify)

    def _found(self) -> AnyRef:
        found = self.whereis()
        if found is None:
            raise NoProcError(f"nobody is {self._label!r} now")
        return found


class Via(Handle):
    """A key of a registry, as a handle, and as a name to start an actor under."""

    def __init__(self, registry: Registry, key: Hashable, value: Any = None, *, wait: float = 0.0) -> None:
        super().__init__(
            lambda: registry.whereis(key),
            label=key,
            wait=wait,
            when_changed=lambda: registry.when_registered(key),
        )
        self._registry = registry
        self._key = key
        self._value = value

    def claim(self, incarnation: Incarnation) -> None:
        """Register an actor that is about to start."""
        self._registry.claim(self._key, incarnation, self._value)


names = Registry("names")
hooks.names = names


def whereis(name: Hashable) -> AnyRef | None:
    """Find the live actor of that name in the default registry."""
    return names.whereis(name)


def _in_child() -> None:
    for registry in list(Registry._all.values()):  # noqa: SLF001 # of this module
        registry._empty()  # noqa: SLF001 # of this module


after_fork_in_child(_in_child)
