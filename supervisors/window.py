"""Restart intensity: at most n restart attempts within s seconds.

Source: OTP supervisor, `add_restart/1`; real-valued time instead of whole seconds, so the window is exactly s.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Hashable


class RestartWindow:
    """The account of one supervisor's restart attempts.

    An attempt is entered before it is made; one exactly `max_seconds` old still counts. A success clears nothing.
    Costs O(1) per attempt over time and keeps at most max_restarts + 1 entries.
    """

    __slots__ = ("_entries", "max_restarts", "max_seconds")

    def __init__(self, max_restarts: int, max_seconds: float) -> None:
        self.max_restarts = max_restarts
        self.max_seconds = max_seconds
        self._entries: deque[tuple[float, Hashable]] = deque()

    def __len__(self) -> int:
        return len(self._entries)

    def record(self, now: float, key: Hashable = None) -> bool:
        """Enter an attempt at `now`; True when it is one too many and must not be made.

        Args:
            now: Monotonic seconds, never smaller than in an earlier call.
            key: Who is restarted, for `forget`.
        """
        oldest = now - self.max_seconds
        entries = self._entries
        while entries and entries[0][0] < oldest:
            entries.popleft()
        entries.append((now, key))
        exceeded = len(entries) > self.max_restarts
        if len(entries) > self.max_restarts + 1:
            entries.popleft()
        return exceeded

    def forget(self, key: Hashable) -> None:
        """Drop the entries of a child that is parked: they are not the others' debt."""
        self._entries = deque(entry for entry in self._entries if entry[1] != key)
