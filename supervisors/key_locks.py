"""Locks by key that no dead actor holds: a lock goes to the next who waits when its holder ends or is abandoned."""

from __future__ import annotations

import threading
from collections import deque
from contextlib import contextmanager
from typing import TYPE_CHECKING

from supervisors.errors import Fenced, WouldDeadlock
from supervisors.runtime import Incarnation, block_on, current, fence

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator


class _Ticket:
    """One claim to a lock, held or waiting."""

    __slots__ = ("owner", "turn", "void")

    def __init__(self, owner: Incarnation | threading.Thread) -> None:
        self.owner = owner
        self.turn: threading.Lock | None = None  # released when its turn has come, or never will
        self.void = False  # its owner has ended


class KeyLocks:
    """Per key those who claim its lock, the holder first; a key nobody claims costs nothing."""

    def __init__(self) -> None:
        self._guard = threading.RLock()
        self._lines: dict[Hashable, deque[_Ticket]] = {}

    def __len__(self) -> int:
        return len(self._lines)

    def waiting(self, key: Hashable) -> int:
        """Count those who wait for the lock of a key."""
        with self._guard:
            return max(0, len(self._lines.get(key, ())) - 1)

    @contextmanager
    def hold(self, key: Hashable) -> Iterator[None]:
        """Hold the lock of a key, after a wait for those who came before.

        Raises:
            WouldDeadlock: The caller holds it already, or the pool has no thread left that could let go of it.
            Fenced, Exit: The calling incarnation was abandoned, before or meanwhile.
        """
        me = current()
        ticket = _Ticket(me or threading.current_thread())
        try:
            if me is not None and not me.add_cleanup(ticket, lambda _reason: self._owner_ended(key, ticket)):
                raise Fenced("this incarnation was abandoned: it may not take locks")
            turn = self._join(key, ticket)
            if turn is not None:
                block_on(turn, None, for_answer=True)
            if ticket.void:
                fence()
            yield
        finally:
            self._leave(key, ticket)
            if me is not None:
                me.remove_cleanup(ticket)

    def _join(self, key: Hashable, ticket: _Ticket) -> threading.Lock | None:
        """Get into line; returns what to wait for, None when the lock was free."""
        with self._guard:
            line = self._lines.setdefault(key, deque())
            if line and line[0].owner is ticket.owner:
                raise WouldDeadlock(f"the caller holds the lock of {key!r} and would wait for itself")
            line.append(ticket)
            if len(line) == 1:
                return None
            turn = ticket.turn = threading.Lock()
            turn.acquire()
            return turn

    def _leave(self, key: Hashable, ticket: _Ticket) -> None:
        """Give up a claim; when it was held, the next in line has the lock. Harmless when it was given up already."""
        with self._guard:
            line = self._lines.get(key)
            if line is None or ticket not in line:
                return
            held = line[0] is ticket
            line.remove(ticket)
            if not line:
                del self._lines[key]
            elif held and (turn := line[0].turn) is not None:
                turn.release()

    def _owner_ended(self, key: Hashable, ticket: _Ticket) -> None:
        with self._guard:
            line = self._lines.get(key)
            waits = line is not None and ticket in line and line[0] is not ticket
            ticket.void = True
            self._leave(key, ticket)
            if waits and ticket.turn is not None:
                ticket.turn.release()  # its thread waits in vain
