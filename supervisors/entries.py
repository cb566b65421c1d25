"""The entries of a registry, by key and by owner: the plain data structure under its lock."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pykka

from supervisors.reasons import ExitReason, Unknown
from supervisors.runtime import Incarnation, incarnation_of

if TYPE_CHECKING:
    from collections.abc import Hashable

AnyRef = pykka.ActorRef[Any]


class Entry:
    """One registration; each is its own, also when all it says is equal."""

    __slots__ = ("key", "owner", "ref", "value")

    def __init__(self, key: Hashable, ref: AnyRef, value: Any, owner: Incarnation | None = None) -> None:
        self.key = key
        self.ref = ref
        self.value = value
        self.owner = owner or incarnation_of(ref)  # None: not started through this package

    def is_alive(self) -> bool:
        """Whether its owner still owns it: until that has ended, so also while it runs `on_stop`."""
        return self.ref.is_alive() if self.owner is None else self.owner.is_current()

    def end_reason(self) -> ExitReason:
        """Say why its owner ended."""
        return (self.owner and self.owner.exit_reason) or Unknown()


class EntryTable:
    """Entries in the order they came; every change costs the same for one and for a hundred thousand."""

    def __init__(self) -> None:
        self._by_key: dict[Hashable, dict[Entry, None]] = {}
        self._by_ref: dict[AnyRef, dict[Entry, None]] = {}
        self._foreign: dict[Entry, None] = {}  # of owners whose end nobody tells
        self._sweep_at = 16
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def __contains__(self, entry: Entry) -> bool:
        return entry in self._by_key.get(entry.key, ())

    def add(self, entry: Entry) -> None:
        self._by_key.setdefault(entry.key, {})[entry] = None
        self._by_ref.setdefault(entry.ref, {})[entry] = None
        if entry.owner is None:
            self._foreign[entry] = None
        self._size += 1

    def remove(self, entry: Entry) -> bool:
        """Take an entry out; returns whether its owner has others."""
        _take(self._by_key, entry.key, entry)
        self._foreign.pop(entry, None)
        self._size -= 1
        return _take(self._by_ref, entry.ref, entry)

    def of_key(self, key: Hashable) -> list[Entry]:
        """List the entries of a key."""
        return list(self._by_key.get(key, ()))

    def of_owner(self, ref: AnyRef) -> list[Entry]:
        """List the entries of an actor."""
        return list(self._by_ref.get(ref, ()))

    def of_both(self, key: Hashable, ref: AnyRef) -> list[Entry]:
        """List the entries an actor has under one key."""
        same_key, own = self._by_key.get(key, {}), self._by_ref.get(ref, {})
        if len(own) < len(same_key):
            return [entry for entry in own if entry in same_key]
        return [entry for entry in same_key if entry.ref is ref]

    def all(self) -> list[Entry]:
        """List all entries."""
        return [entry for entries in self._by_key.values() for entry in entries]

    def dead(self, *, now: bool) -> list[Entry]:
        """List the entries of actors that ended without anybody being told.

        Args:
            now: False: only when enough have come since the last look, so that looking costs next to nothing per entry.
        """
        if not now and len(self._foreign) < self._sweep_at:
            return []
        found = [entry for entry in self._foreign if not entry.is_alive()]
        self._sweep_at = max(16, 2 * (len(self._foreign) - len(found)))
        return found


def _take(table: dict[Any, dict[Entry, None]], index: object, entry: Entry) -> bool:
    """Take an entry out of an index and say whether others are left there."""
    entries = table[index]
    del entries[entry]
    if not entries:
        del table[index]
    return bool(entries)
