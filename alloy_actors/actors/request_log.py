"""The book's end of an agent's log: requests that come, and requests that are over without a run.

It is also where a book finds out that another process has the log.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Protocol

from alloy_actors.actors.request import accepted_as
from alloy_actors.errors import FencedError
from alloy_actors.journal import Journal, Withdrawn
from alloy_actors.logs import log, traced

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterable, Sequence

    from alloy_actors.actors.request import Request
    from alloy_actors.journal import OnAppended, Record, Store
    from alloy_actors.result import Result
    from supervisors.runtime import PooledFuture


class LogOwner(Protocol):
    """Whose log it is."""

    def lost(self, error: FencedError) -> None:
        """The store says that another process has the log; must not block."""


class RequestLog:
    """Writes with the token of the newest incarnation, in the order of the calls.

    Args:
        agent_id: Whose log.
        store: Where.
        lock: The book's, reentrant: a store may answer inside `append`. Callers hold it.
        owner: Whose it is.
    """

    __slots__ = ("_agent_id", "_journal", "_late", "_lock", "_owner", "_store", "lacks_until")

    def __init__(self, agent_id: str, store: Store, lock: threading.RLock, owner: LogOwner) -> None:
        self._agent_id = agent_id
        self._store = store
        self._lock = lock
        self._owner = owner
        self._journal: Journal | None = None
        self._late: tuple[Record, ...] = ()  # noted, and not taken by the store so far
        self.lacks_until = 0.0  # monotonic: what was over by then may be missing in the log

    def begin_incarnation(self) -> Journal:
        """A journal for a new incarnation; the ones before it can write no more."""
        if self._late:  # the new one sees in the log itself what is missing there of requests that it has
            self._late, self.lacks_until = (), time.monotonic()
        self._journal = Journal(self._agent_id, self._store.take_token(self._agent_id), self._store)
        return self._journal

    @property
    def is_behind(self) -> bool:
        """Whether something was noted that the store has not taken."""
        return bool(self._late)

    def is_current(self, journal: Journal) -> bool:
        """Whether no newer incarnation in this process has the log."""
        return self._journal is journal

    def append(self, records: Sequence[Record], on_appended: OnAppended) -> None:
        """Write records that somebody waits for."""
        if self._late:
            self.note()
        self._write(records, on_appended)

    def note(self, *records: Record) -> None:
        """Write records that nobody waits for. What the store does not take is tried again with what comes next.

        Without any it finds out whether the log is still ours.
        """
        if self._journal is None and not records:
            return  # of an agent that never got so far
        journal = self._current()
        records, self._late = (*self._late, *records), ()
        self._write(records, lambda error: self._noted(journal, records, error))

    def withdraw(self, ends: Iterable[tuple[Request, Result | None]]) -> None:
        """Note that requests are over without a run; that they were accepted as well, where the log does not know.

        Args:
            ends: Each with its result; None is a cancel.
        """
        now = time.time()
        records: list[Record] = []
        for request, result in ends:
            if request.rides:
                records.append(accepted_as(request))
                request.is_recorded()
            error = result.error if result is not None and result.status == "error" else None
            if error is None:
                records.append(Withdrawn(request.id, now))
            else:
                records.append(Withdrawn(request.id, now, type(error).__name__, str(error)))
        if records:
            self.note(*records)

    def replace(self, records: Sequence[Record], on_replaced: OnAppended) -> None:
        """Let the log begin anew with these records."""
        self._late, self.lacks_until = (), time.monotonic()
        self._store.compact(self._agent_id, self._current().token, records, on_replaced)

    def retire(self) -> None:
        """The agent is gone for good; see `Store.retire`."""
        if self._journal is not None:
            self._store.retire(self._agent_id, self._journal.token)

    def check(self, error: Exception | None) -> None:
        """What the store said to a write: if it was that the log is another process's, pass that on."""
        if isinstance(error, FencedError):
            self._owner.lost(error)

    def _current(self) -> Journal:
        return self._journal or self.begin_incarnation()

    def _write(self, records: Sequence[Record], on_written: OnAppended) -> None:
        self._store.append(self._agent_id, self._current().token, records, on_written)

    def _noted(self, journal: Journal, records: tuple[Record, ...], error: Exception | None) -> None:
        if error is None:
            return
        log.error("append_failed", agent=self._agent_id, **traced(error))
        with self._lock:
            if self._journal is journal:
                self._late = (*records, *self._late)
            else:
                self.lacks_until = time.monotonic()
        self.check(error)


def into(written: PooledFuture[None]) -> OnAppended:
    """Let a future have what the store says."""

    def answer(error: Exception | None) -> None:
        if error is None:
            written.set(None)
        else:
            written.set_exception((type(error), error, None))

    return answer
