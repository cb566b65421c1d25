"""What a run writes down: applied to its conversation at once, on the journal before the next effect.

Records that have no effect between them go to the store together, so a run waits for the disk a handful of times. They
are written in the order of `note`, whatever fails in between: what the store could not take stays in front of what
comes later, and is tried again with it.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from alloy_actors.errors import AlloyError, FencedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from alloy_actors.conversation import Conversation
    from alloy_actors.journal import Journal, Record


class NotAcceptedError(Exception):
    """The store did not take the first thing that a run wrote, and with it the request: there was no run.

    Args:
        refusal: What the store said.
    """

    def __init__(self, refusal: AlloyError) -> None:
        super().__init__(str(refusal))
        self.refusal = refusal


class Ledger:
    """For one run, on the loop.

    Args:
        journal: Where to write.
        conversation: Follows the records as they are noted.
        unwritten: What an earlier run of this conversation could not write; it comes first.
        begun: Called once, when the store has taken something. None: the request of the run is in the log already.
    """

    __slots__ = (
        "_begun",
        "_conversation",
        "_error",
        "_flushed",
        "_journal",
        "_pending",
        "_writing",
    )

    def __init__(
        self,
        journal: Journal,
        conversation: Conversation,
        unwritten: Iterable[Record] = (),
        begun: Callable[[], object] | None = None,
    ) -> None:
        self._begun = begun
        self._journal = journal
        self._conversation = conversation
        self._pending: list[Record] = list(unwritten)
        self._writing: tuple[Record, ...] | None = None
        self._error: Exception | None = None
        self._flushed: asyncio.Future[None] | None = None

    @property
    def unwritten(self) -> tuple[Record, ...]:
        """What the store has not taken so far, in order."""
        return (*(self._writing or ()), *self._pending)

    def note(self, *records: Record) -> None:
        """Apply records to the conversation; they are written by the next `begin` or `flush`."""
        for record in records:
            self._conversation.apply(record)
        self._pending += records

    def begin_soon(self) -> None:
        """`begin` when the loop has done what it is at: what is noted until then is written together."""
        asyncio.get_running_loop().call_soon(self.begin)

    def amend(self, record: Record) -> None:
        """Put another record in the place of the last one noted, which the store has not taken."""
        self._pending[-1] = record

    def begin(self) -> None:
        """Let the store begin to write what is noted, without waiting for it."""
        if self._writing is None and self._pending:
            self._writing = tuple(self._pending)
            self._pending.clear()
            self._journal.append_soon(self._writing, self._answered)

    async def flush(self) -> None:
        """Return when everything noted is written.

        Raises:
            FencedError: A newer incarnation has the log.
            AlloyError: The store could not write; what it could not is kept for the next time.
            NotAcceptedError: The same, when it has taken nothing of the run and `begun` waits for that.
        """
        self._take_error()
        self.begin()
        while self._is_writing():
            self._flushed = asyncio.get_running_loop().create_future()
            await self._flushed
        error = self._take_error()
        if error is not None:
            if (
                self._begun is not None
                and isinstance(error, AlloyError)
                and not isinstance(error, FencedError)
            ):
                raise NotAcceptedError(error)
            raise error

    def _is_writing(self) -> bool:
        return self._writing is not None

    def _take_error(self) -> Exception | None:
        error, self._error = self._error, None
        return error

    def _answered(self, error: Exception | None) -> None:
        records, self._writing = self._writing, None
        assert records is not None
        if error is not None:
            self._error = error
            self._pending[:0] = records
        else:
            begun, self._begun = self._begun, None
            if begun is not None:
                begun()
            self.begin()  # what was noted meanwhile
        flushed = self._flushed
        if not self._is_writing() and flushed is not None and not flushed.done():
            flushed.set_result(None)
