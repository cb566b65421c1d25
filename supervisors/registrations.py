"""The entries of a registry under its lock: taken out when their owners end, told to listeners, waited for."""

from __future__ import annotations

import threading
from functools import partial
from typing import TYPE_CHECKING

from supervisors.entries import EntryTable
from supervisors.errors import AlreadyRegistered, NoProcError
from supervisors.listeners import Listeners, Registered, Unregistered
from supervisors.runtime import PooledFuture

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable

    from supervisors.entries import AnyRef, Entry
    from supervisors.handles import Change
    from supervisors.listeners import Listener
    from supervisors.reasons import ExitReason
    from supervisors.runtime import Incarnation


class Registrations:
    """Thread-safe; no function of the user's is called with the lock held, but `==` and `hash` of keys.

    Args:
        name: Of the registry, for events and messages.
        unique: Whether a key has one live owner and one entry at most.
        listeners: Told of every change.

    Raises:
        InvalidOption: A listener cannot be told.
    """

    def __init__(self, name: Hashable, *, unique: bool, listeners: Iterable[Listener]) -> None:
        self.name = name
        self.unique = unique
        self._listeners = Listeners(listeners)
        self._down = False
        self.reset()

    def reset(self) -> None:
        """Start empty; also in a forked child, where its actors are dead and its lock may be held by nobody."""
        self._lock = threading.RLock()
        self._table = EntryTable()
        self._waiting: dict[Hashable, list[PooledFuture[None]]] = {}
        self._parked: set[Hashable] = set()
        self._listeners.reset()

    def __len__(self) -> int:
        return len(self._table)

    # Change

    def add(self, entry: Entry) -> None:
        """Enter an entry until its owner ends.

        Raises:
            AlreadyRegistered: The key is unique and has a live owner.
            NoProcError: The owner has ended.
        """
        try:
            with self._lock:
                waiting = self._enter(entry)
        finally:
            self._listeners.tell()
        for future in waiting:
            future.set(None)

    def _enter(self, entry: Entry) -> Iterable[PooledFuture[None]]:
        """Enter an entry; returns who waits for that."""
        self.check_up()
        self._sweep(now=False)
        for holder in self._table.of_key(entry.key) if self.unique else ():
            if holder.is_alive():
                raise AlreadyRegistered(entry.key, holder.ref)
            self._remove(holder, holder.end_reason())
        if not self._follow(entry):
            raise NoProcError(f"{entry.ref} has ended, it cannot be registered")
        self._table.add(entry)
        self._listeners.note(Registered(self.name, entry.key, entry.ref, entry.value))
        return self._waiting.pop(entry.key, ())

    def _follow(self, entry: Entry) -> bool:
        """See to it that the end of its owner ends an entry; False when that has ended already."""
        if entry.owner is None:
            return entry.ref.is_alive()
        return entry.owner.add_cleanup(self, partial(self._owner_ended, entry.ref))

    def remove(self, entries: Iterable[Entry], reason: ExitReason | None = None) -> None:
        """Take entries out, as far as they are there."""
        with self._lock:
            for entry in entries:
                if entry in self._table:
                    self._remove(entry, reason)
        self._listeners.tell()

    def _remove(self, entry: Entry, reason: ExitReason | None) -> None:
        """Take an entry out, with the lock held; who does it tells the listeners afterwards."""
        has_others = self._table.remove(entry)
        if entry.owner is not None and not has_others:
            entry.owner.remove_cleanup(self)
        self._listeners.note(Unregistered(self.name, entry.key, entry.ref, reason))

    def _owner_ended(self, ref: AnyRef, reason: ExitReason) -> None:
        with self._lock:
            for entry in self._table.of_owner(ref):
                self._remove(entry, reason)
        self._listeners.tell()

    def _sweep(self, *, now: bool) -> None:
        for entry in self._table.dead(now=now):
            self._remove(entry, entry.end_reason())

    # Look

    def live(self, key: Hashable) -> list[Entry]:
        """List the entries of a key whose owners are alive, the oldest first."""
        with self._lock:
            self.check_up()
            entries = self._table.of_key(key)
        return [entry for entry in entries if entry.is_alive()]

    def all(self) -> list[Entry]:
        """List all entries whose owners are alive."""
        with self._lock:
            self.check_up()
            entries = self._table.all()
        return [entry for entry in entries if entry.is_alive()]

    def of_owner(self, ref: AnyRef) -> list[Entry]:
        """List the entries of an actor while it is alive, the oldest first."""
        with self._lock:
            self.check_up()
            entries = self._table.of_owner(ref)
        return [entry for entry in entries if entry.is_alive()]

    def own(self, key: Hashable, ref: AnyRef) -> list[Entry]:
        """List the entries an actor has under one key while it is alive, the oldest first."""
        with self._lock:
            self.check_up()
            entries = self._table.of_both(key, ref)
        return [entry for entry in entries if entry.is_alive()]

    def count(self) -> int:
        """Count the entries of live owners."""
        with self._lock:
            self.check_up()
            self._sweep(now=True)
            count = len(self._table)
        self._listeners.tell()
        return count

    # Wait

    def when_registered(self, key: Hashable) -> Change:
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

    def waiters(self) -> int:
        """Count those who wait for a key."""
        with self._lock:
            return sum(map(len, self._waiting.values()))

    def is_parked(self, key: Hashable) -> bool:
        """Whether the actor of that name is a child that rests after too many restarts."""
        return key in self._parked

    def note_parked(self, key: Hashable, *, parked: bool) -> None:
        """Note whether the actor of that name rests."""
        with self._lock:
            if parked:
                self._parked.add(key)
                waiting = self._waiting.pop(key, ())
            else:
                self._parked.discard(key)
                waiting = ()
        for future in waiting:  # those who wait need not wait any longer
            future.set(None)

    # Up and down, for a registry that is somebody's child

    @property
    def is_down(self) -> bool:
        """Whether the actor that holds it up has ended."""
        return self._down

    def check_up(self) -> None:
        """Raise NoProcError while it is down."""
        if self._down:
            raise NoProcError(f"the registry {self.name!r} is down")

    def follow(self, owner: Incarnation, listeners: Iterable[Listener]) -> None:
        """Be up until `owner` ends."""
        with self._lock:
            self._listeners = Listeners(listeners)
            self._down = not owner.add_cleanup((self, "owner"), self._close)

    def _close(self, reason: ExitReason) -> None:
        with self._lock:
            self._down = True
            for entry in self._table.all():
                self._remove(entry, reason)
        self._listeners.tell()
