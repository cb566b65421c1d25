"""How a store's answer to an append comes back to the loop that asked: at once, or with others in one wake-up."""

from __future__ import annotations

import asyncio
import threading
import weakref
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from alloy_actors.journal import Journal, OnAppended, Record


class Append:
    """One append on its way. A store that answers inside `append` never wakes the loop."""

    __slots__ = ("_answered", "_error", "_on_appended", "_told", "_wakeups")

    def __init__(self, on_appended: OnAppended) -> None:
        self._on_appended = on_appended
        self._answered = False
        self._error: Exception | None = None
        self._told = False
        self._wakeups: _WakeUps | None = None

    def hand_over(self, journal: Journal, records: Sequence[Record]) -> None:
        """Give the records to the store; on the loop's thread."""
        journal.store.append(journal.agent_id, journal.token, records, self._answer)
        if not self._answered:
            self._wakeups = _wakeups_of(asyncio.get_running_loop())
        # The answer may have come before there was somebody to wake.
        if self._answered:
            self.tell()

    def tell(self) -> None:
        """Hand the answer on; on the loop's thread."""
        if not self._told:
            self._told = True
            self._on_appended(self._error)

    def _answer(self, error: Exception | None) -> None:
        """The store's answer, on any thread."""
        self._error = error
        self._answered = True
        if self._wakeups is not None:
            self._wakeups.add(self)


class _WakeUps:
    """Answers for the appends of one loop: a store that answers a thousand of them wakes the loop once."""

    __slots__ = ("_answered", "_lock", "_loop")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._lock = threading.Lock()
        self._loop = weakref.ref(loop)
        self._answered: list[Append] = []

    def are_of(self, loop: asyncio.AbstractEventLoop) -> bool:
        return self._loop() is loop

    def add(self, append: Append) -> None:
        with self._lock:
            self._answered.append(append)
            if len(self._answered) > 1:
                return  # the loop has been called and has not come yet
        loop = self._loop()
        try:
            if loop is not None:
                loop.call_soon_threadsafe(self._tell)
                return
        except RuntimeError:
            pass
        self._take()  # the loop is closed: nobody waits any more

    def _tell(self) -> None:
        for append in self._take():
            append.tell()

    def _take(self) -> list[Append]:
        with self._lock:
            answered, self._answered = self._answered, []
        return answered


_here = threading.local()


def _wakeups_of(loop: asyncio.AbstractEventLoop) -> _WakeUps:
    """Those of the loop that this thread runs."""
    wakeups: _WakeUps | None = getattr(_here, "wakeups", None)
    if wakeups is None or not wakeups.are_of(loop):
        wakeups = _here.wakeups = _WakeUps(loop)
    return wakeups
