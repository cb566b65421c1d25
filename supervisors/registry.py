"""Names that survive restarts: an actor is registered under a key, and everybody finds the current one by it.

An entry goes when its owner has ended, before monitors hear of that; an owner that runs `on_stop` still has its names.
Keys are equal as Python says (`==` and `hash`): 1, 1.0 and True are one key. Source: Elixir's `Registry`.
"""

from __future__ import annotations

import threading
import weakref
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import pykka

from supervisors.entries import Entry
from supervisors.errors import Fenced, InvalidOption, NotFound
from supervisors.handles import Via, missing
from supervisors.key_locks import KeyLocks
from supervisors.listeners import Listeners
from supervisors.registrations import Registrations
from supervisors.runtime import Incarnation, PooledActor, after_fork_in_child, current, hooks
from supervisors.spec import ChildSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable
    from contextlib import AbstractContextManager

    from supervisors.listeners import Listener

Keys = Literal["unique", "duplicate"]
AnyRef = pykka.ActorRef[Any]


class Registry:
    """A table of (key, actor, value); thread-safe, without a thread of its own.

    Functions of the user's (predicates, `update_value`, `dispatch`) run in the caller's thread, outside of its lock. Every
    operation raises NoProcError while a registry that was started by `child_spec` is down.

    Args:
        name: By which `Registry.get` finds it, as long as somebody holds it.
        keys: "unique": one live owner per key, one entry. "duplicate": any number, of the same actor too.
        listeners: Told of every change, in order: refs and handles get `Registered` and `Unregistered` as messages, a
            SimpleQueue as items; functions are called in the thread that makes the change.

    Raises:
        InvalidOption: The name is taken, or an argument is out of range.
    """

    _named: ClassVar[weakref.WeakValueDictionary[Hashable, Registry]] = weakref.WeakValueDictionary()
    _named_lock: ClassVar[threading.RLock] = threading.RLock()

    def __init__(self, name: Hashable, *, keys: Keys = "unique", listeners: Iterable[Listener] = ()) -> None:
        _check_keys(keys)
        self.name = name
        self.registrations = Registrations(name, unique=keys == "unique", listeners=listeners)
        self.locks = KeyLocks()
        with Registry._named_lock:
            if name in Registry._named:
                raise InvalidOption("name", name, "is that of another registry: use Registry.get")
            Registry._named[name] = self

    def __repr__(self) -> str:
        return f"<Registry {self.name!r}, {len(self.registrations)} entries>"

    @classmethod
    def get(cls, name: Hashable) -> Registry:
        """Find a registry.

        Raises:
            ValueError: There is none of that name.
        """
        with cls._named_lock:
            found = cls._named.get(name)
        if found is None:
            raise ValueError(f"there is no registry named {name!r}")
        return found

    @classmethod
    def child_spec(
        cls, *, name: Hashable, keys: Keys = "unique", listeners: Iterable[Listener] = ()
    ) -> ChildSpec:
        """Make the spec of a registry below a supervisor; its id is its name.

        While that child is down the registry is empty and its operations raise NoProcError; afterwards who holds the
        registry has the same one again. Put it first under a `rest_for_one`: those who had registered then start anew, too.

        Raises:
            InvalidOption: An argument is out of range. That the name is taken fails the start.
        """
        _check_keys(keys)
        known = Listeners(listeners).listeners
        return ChildSpec(id=name, start=RegistryOwner, args=(name, keys, known))

    # Change

    def register(self, key: Hashable, value: Any = None, *, ref: AnyRef | None = None) -> None:
        """Register an actor until it ends.

        Args:
            key: Any hashable but None.
            value: Kept with the entry.
            ref: None: the calling actor.

        Raises:
            AlreadyRegistered: With unique keys: a live actor has the key, be it the same one.
            NoProcError: `ref` has ended.
            Fenced: The calling incarnation was abandoned.
            ValueError: No `ref`, and not called by an actor.
        """
        me = current()
        ref = _whom("register", ref)
        if me is not None and not me.is_current():
            raise Fenced("this incarnation was abandoned: it may not register")
        self._add(Entry(key, ref, value))

    def claim(self, key: Hashable, incarnation: Incarnation, value: Any = None) -> None:
        """Register an actor that is about to start."""
        self._add(Entry(key, incarnation.ref, value, incarnation))

    def _add(self, entry: Entry) -> None:
        if entry.key is None:
            raise ValueError("None is no name")
        self.registrations.add(entry)

    def unregister(self, key: Hashable, *, ref: AnyRef | None = None) -> None:
        """Remove all entries under a key of the calling actor, or of `ref`; others' stay. Always succeeds.

        Raises:
            ValueError: No `ref`, and not called by an actor.
        """
        self.registrations.remove(self.registrations.own(key, _whom("unregister", ref)))

    def unregister_match(
        self, key: Hashable, predicate: Callable[[Any], object], *, ref: AnyRef | None = None
    ) -> None:
        """Remove those entries under a key of the calling actor, or of `ref`, for whose value `predicate` holds.

        Raises:
            ValueError: No `ref`, and not called by an actor.
        """
        own = self.registrations.own(key, _whom("unregister_match", ref))
        self.registrations.remove([entry for entry in own if predicate(entry.value)])

    def update_value(self, key: Hashable, function: Callable[[Any], Any]) -> tuple[Any, Any]:
        """Replace the value of a unique key of the calling actor by `function(value)`; returns (new, old).

        Raises:
            NotFound: The calling actor does not have the key; `function` is not called.
            ValueError: Keys are duplicate.
        """
        self._needs_unique("update_value")
        me = current()
        for entry in () if me is None else self.registrations.own(key, me.ref):
            old = entry.value
            entry.value = new = function(old)
            return new, old
        raise NotFound(f"the caller does not have the key {key!r}")

    # Look

    def whereis(self, key: Hashable) -> AnyRef | None:
        """Find the live actor of a unique key.

        Raises:
            ValueError: Keys are duplicate.
        """
        self._needs_unique("whereis")
        for entry in self.registrations.live(key):
            return entry.ref
        return None

    def resolve(self, key: Hashable) -> AnyRef:
        """Find the live actor of a unique key.

        Raises:
            NoProcError: There is none.
            ValueError: Keys are duplicate.
        """
        found = self.whereis(key)
        if found is None:
            raise missing(key, parked=self.registrations.is_parked(key))
        return found

    def lookup(self, key: Hashable) -> list[tuple[AnyRef, Any]]:
        """List the (ref, value) of a key's live owners, the oldest entry first: at most one with unique keys."""
        return [(entry.ref, entry.value) for entry in self.registrations.live(key)]

    def match(self, key: Hashable, predicate: Callable[[Any], object]) -> list[tuple[AnyRef, Any]]:
        """List what `lookup` would, where `predicate(value)` holds."""
        return [(ref, value) for ref, value in self.lookup(key) if predicate(value)]

    def count_match(self, key: Hashable, predicate: Callable[[Any], object]) -> int:
        """Count what `match` would list."""
        return len(self.match(key, predicate))

    def select(
        self, predicate: Callable[[Hashable, AnyRef, Any], object]
    ) -> list[tuple[Hashable, AnyRef, Any]]:
        """List the (key, ref, value) of all n entries where `predicate(key, ref, value)` holds; calls it n times."""
        entries = [(entry.key, entry.ref, entry.value) for entry in self.registrations.all()]
        return [one for one in entries if predicate(*one)]

    def keys(self, ref: AnyRef) -> list[Hashable]:
        """List the keys of an actor, the oldest entry first; a duplicate one as often as it was registered."""
        return [entry.key for entry in self.registrations.of_owner(ref)]

    def values(self, key: Hashable, ref: AnyRef) -> list[Any]:
        """List the values an actor has under one key, the oldest first."""
        return [entry.value for entry in self.registrations.own(key, ref)]

    def count(self) -> int:
        """Count the entries of live owners."""
        return self.registrations.count()

    def dispatch(self, key: Hashable, function: Callable[[list[tuple[AnyRef, Any]]], object]) -> None:
        """Call `function` once with what `lookup` lists, in this thread; not at all when that is nothing."""
        entries = self.lookup(key)
        if entries:
            function(entries)

    # Hold, find again

    def lock(self, key: Hashable) -> AbstractContextManager[None]:
        """Hold the lock of a key within a `with`: one actor or thread at a time, each key by itself.

        Locks have nothing to do with entries of the same key. When the incarnation that holds one ends or is abandoned, the
        next who waits has it.

        Raises:
            WouldDeadlock: The caller holds it already, or the pool has no thread left that could let go of it.
            Fenced, Exit: The calling incarnation was abandoned, before or meanwhile.
        """
        self.registrations.check_up()
        return self.locks.hold(key)

    def via(self, key: Hashable, value: Any = None, *, wait: float = 0.0) -> Via:
        """Make a stable handle of a unique key, which is also a name to start an actor under.

        Args:
            key: Need not be taken yet.
            value: Of the entry, for an actor that is started under this name.
            wait: Seconds every use may wait for somebody to take the key.

        Raises:
            ValueError: Keys are duplicate, or `wait` is out of range.
        """
        self._needs_unique("via")
        return Via(self, key, value, wait=wait)

    def _needs_unique(self, operation: str) -> None:
        if not self.registrations.unique:
            raise ValueError(f"{operation}() needs unique keys, those of {self.name!r} are duplicate")


class RegistryOwner(PooledActor):
    """Holds a registry up while it lives; see `Registry.child_spec`."""

    def __init__(self, name: Hashable, keys: Keys, listeners: tuple[Listener, ...]) -> None:
        super().__init__()
        self._name = name
        self._keys: Keys = keys
        self._listeners = listeners
        self._registry: Registry | None = None

    def on_start(self) -> None:
        """Make the registry, or open the one of an owner that has ended.

        Raises:
            InvalidOption: The name is that of another registry, or an argument is out of range.
        """
        me = current()
        assert me is not None
        with Registry._named_lock:  # noqa: SLF001 # the two are one
            registry = Registry._named.get(self._name)  # noqa: SLF001 # the two are one
            if registry is not None and not registry.registrations.is_down:
                raise InvalidOption("name", self._name, "is that of another registry")
            if registry is None or registry.registrations.unique != (self._keys == "unique"):
                Registry._named.pop(self._name, None)  # noqa: SLF001 # one of other keys stays down for ever
                registry = Registry(self._name, keys=self._keys, listeners=self._listeners)
            registry.registrations.follow(me, self._listeners)
        self._registry = registry  # so that Registry.get finds it


def _check_keys(keys: object) -> None:
    if keys not in {"unique", "duplicate"}:
        raise InvalidOption("keys", keys, 'must be "unique" or "duplicate"')


names = Registry("names")
"""The registry behind `name=`, `whereis` and `Supervisor.ref`."""
hooks.names = names


def whereis(name: Hashable) -> AnyRef | None:
    """Find the live actor of that name in the default registry."""
    return names.whereis(name)


def all_registries() -> list[Registry]:
    """List the registries of the process."""
    with Registry._named_lock:  # noqa: SLF001 # of this module
        return list(Registry._named.values())  # noqa: SLF001 # of this module


def _whom(operation: str, ref: AnyRef | None) -> AnyRef:
    if ref is not None:
        return ref
    me = current()
    if me is None:
        raise ValueError(f"{operation}() outside of an actor needs ref=")
    return me.ref


def _in_child() -> None:
    Registry._named_lock = threading.RLock()  # noqa: SLF001 # a thread that does not exist here may hold it
    for registry in all_registries():
        registry.registrations.reset()
        registry.locks = KeyLocks()


after_fork_in_child(_in_child)
