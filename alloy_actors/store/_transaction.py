"""Groups of appends as SQLite transactions.

All of a group's rows go in with few statements: each statement that runs lets go of the GIL, and getting it back may
take milliseconds while another thread computes.
"""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Any, Literal

from alloy_actors.errors import FencedError, StoreError
from alloy_actors.journal import Accepted, RunBegan, Steered, Withdrawn, unfinished_by
from alloy_actors.logs import log, traced
from alloy_actors.store._codec import encode
from alloy_actors.store._heads import TAIL, find, sum_up
from alloy_actors.store._reading import CHAIN, checksum, seed_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from alloy_actors.content import Message
    from alloy_actors.journal import OnAppended, Record
    from alloy_actors.store._file import Opened

# How many rows a statement takes: powers of two, so that few statements have to be kept compiled.
_SIZES = tuple(1 << power for power in range(7, -1, -1))
_INSERTS = {
    size: f"INSERT INTO records (id, agent, prev, crc, change, data) VALUES {', '.join(['(?, ?, ?, ?, ?, ?)'] * size)}"  # noqa: S608  (our own text)
    for size in _SIZES
}
# A transaction in itself: whether the store is still ours is part of it.
_INSERT_ALONE = (
    "INSERT INTO records (id, agent, prev, crc, change, data) "
    "SELECT ?, ?, ?, ?, ?, ? WHERE (SELECT epoch FROM owner) = ?"
)
_DELETE_CHAIN = f"{CHAIN} DELETE FROM records WHERE id IN (SELECT id FROM chain)"  # noqa: S608  (our own text)


class Head:
    """An agent's token, and where its log ends."""

    __slots__ = ("accepted", "agent_id", "last", "number", "seed", "token")

    def __init__(self, agent_id: str) -> None:
        self.agent_id = agent_id
        self.seed = seed_of(agent_id)
        self.token = 0  # under the store's lock; 0 is no token
        # Messages on the disk whose runs have not begun: replaced under the store's lock, filled by the writer.
        self.accepted: dict[str, Message] = {}
        # What the newest transaction left behind, for the next one only:
        self.number: int | None = None  # its row of agents; None before anything was written for it here
        self.last = 0


class Write:
    """One append, compaction or deletion on its way to the disk; `error` is its outcome.

    It is encoded here, by whoever hands it in: there the records are still in the processor's cache, which the writer's
    thread has to fill anew after each wait for the disk.

    Raises:
        Exception: A record cannot be written down.
    """

    __slots__ = ("_accepted", "_noted", "change", "data", "error", "head", "kind", "on_written")

    def __init__(
        self,
        kind: Literal["append", "compact", "delete"],
        head: Head,
        records: Sequence[Record],
        on_written: OnAppended | None,
    ) -> None:
        if kind != "append":
            head.accepted = {}  # what comes after it must not refer to what was before it
        self.kind = kind
        self.head = head
        self.data = encode(records, head.accepted) if records else None
        self.change = unfinished_by(records)
        self.on_written = on_written
        self.error: Exception | None = None
        self._accepted = head.accepted
        self._noted = [record for record in records if isinstance(record, _NOTED)]

    def written(self) -> None:
        """It is on the disk: what is encoded from now on may refer to it."""
        for record in self._noted:
            if isinstance(record, Accepted):
                self._accepted[record.request_id] = record.message
            elif isinstance(record, Steered):
                self._accepted.pop(record.steering_id, None)
            else:
                self._accepted.pop(record.request_id, None)


_NOTED = (Accepted, RunBegan, Steered, Withdrawn)


class LogTables:
    """The writing end of an open store; for one thread at a time.

    Args:
        opened: The store's file.
        busy_timeout: Seconds that SQLite waits for other programs; only for the message.
    """

    def __init__(self, opened: Opened, busy_timeout: float) -> None:
        self._file = opened
        self._connection = opened.write
        self._cursor = opened.write.cursor()  # of lone appends
        self._busy_timeout = busy_timeout
        self._fenced = False  # and the log says so
        newest = self._connection.execute("SELECT coalesce(max(id), 0) FROM records").fetchone()
        self._next_row: int = newest[0] + 1
        self._summed: int = newest[0]  # by who opened the file

    def commit(self, group: list[Write]) -> None:
        """Write a group and leave the outcomes in it; one that cannot be written does not take others with it."""
        if self._commit(group):
            return
        failures = [write.error for write in group if isinstance(write.error, StoreError)]
        if failures:
            log.error(
                "store_write_failed", store=self._file.path, writes=len(failures), **traced(failures[0])
            )

    def _commit(self, group: list[Write]) -> bool:
        """Write what can be written; whether that was all."""
        try:
            if len(group) > 1 or not self._append_alone(group[0]):
                self._run(group)
        except FencedError as error:
            if not self._fenced:
                self._fenced = True
                log.warning("store_taken_over", store=self._file.path)
            for write in group:
                write.error = FencedError(str(error))
        except Exception as error:
            if len(group) > 1 and not _is_busy(error):
                half = len(group) // 2
                first, second = self._commit(group[:half]), self._commit(group[half:])
                return first and second
            for write in group:
                write.error = self.failure(write.head.agent_id, error)
        else:
            return True
        return False

    def _append_alone(self, write: Write) -> bool:
        """A lone append to a log that was written before, as one statement; False when it is not that."""
        head, data, row = write.head, write.data, self._next_row
        if write.kind != "append" or data is None or head.number is None or row - self._summed >= TAIL:
            return False
        crc = checksum(head.seed, head.last, data)
        values = (row, head.number, head.last, crc, write.change, data, self._file.epoch)
        if self._cursor.execute(_INSERT_ALONE, values).rowcount != 1:
            self._check_owner()
        self._next_row = row + 1
        head.last = row
        write.written()
        return True

    def _run(self, group: list[Write]) -> None:
        """One transaction.

        Raises:
            FencedError: Another process has taken over the store.
            sqlite3.Error: Nothing of the group was written.
        """
        connection = self._connection
        connection.execute("BEGIN IMMEDIATE")
        try:
            self._check_owner()
            plan = _Plan(connection, self._next_row, self._summed)
            for write in group:
                plan.add(write)
            plan.finish()
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        self._next_row, self._summed = plan.next_row, plan.summed
        for write in group:
            write.head.number, write.head.last = plan.ends[write.head.agent_id]
            write.written()

    def _check_owner(self) -> None:
        (epoch,) = self._connection.execute("SELECT epoch FROM owner").fetchone()
        if epoch != self._file.epoch:
            msg = f"another process has taken over the store {self._file.path}: this one writes nothing more"
            raise FencedError(msg)

    def failure(self, agent_id: str, error: Exception) -> StoreError:
        """What an agent is told about a write that failed."""
        code = _code(error)
        if code == sqlite3.SQLITE_FULL:
            reason = "the disk, or the store's share of it, is full: make room"
        elif _is_busy(error):
            reason = f"another program has held the database locked for {self._busy_timeout:g} s"
        elif isinstance(error, sqlite3.Error):
            reason = str(error)
        else:
            reason = f"a record cannot be written down ({type(error).__name__}: {error})"
        msg = f"the journal of agent {agent_id!r} could not be written to {self._file.path}: {reason}"
        failure = StoreError(msg, agent_id=agent_id)
        failure.__cause__ = error
        return failure


class _Plan:
    """What a transaction has come to: rows that wait to be inserted, and where logs end after them."""

    __slots__ = ("_connection", "_rows", "ends", "next_row", "summed")

    def __init__(self, connection: sqlite3.Connection, next_row: int, summed: int) -> None:
        self._connection = connection
        self._rows: list[tuple[int, int, int, int, int, bytes]] = []
        self.next_row = next_row
        self.summed = summed  # the row up to which agents is up to date
        # By id and not by head: an agent that was retired and came back has two in one group.
        self.ends: dict[str, tuple[int | None, int]] = {}

    def add(self, write: Write) -> None:
        head, data = write.head, write.data
        number, last = self._end(head)
        if write.kind != "append":
            self._sum_up()  # so that no row of what is deleted here is counted later
            if number is not None:
                self._connection.execute(_DELETE_CHAIN, {"number": number, "last": last})
                self._connection.execute(
                    "UPDATE agents SET last = 0, unfinished = 0 WHERE number = ?", (number,)
                )
            last = 0
        if write.kind == "delete":
            self._connection.execute("DELETE FROM agents WHERE number = ?", (number,))
            number = None
        elif data is not None:
            if number is None:
                row = self._connection.execute("INSERT INTO agents (id) VALUES (?)", (head.agent_id,))
                number = row.lastrowid
                assert number is not None
            crc = checksum(head.seed, last, data)
            self._rows.append((self.next_row, number, last, crc, write.change, data))
            last = self.next_row
            self.next_row += 1
        self.ends[head.agent_id] = (number, last)

    def finish(self) -> None:
        """Insert what waits for it; sum up when it is time to."""
        if self.next_row - self.summed > TAIL:
            self._sum_up()
        else:
            self._insert_rows()

    def _sum_up(self) -> None:
        self._insert_rows()
        sum_up(self._connection)
        self.summed = self.next_row - 1

    def _insert_rows(self) -> None:
        rows, done = self._rows, 0
        while done < len(rows):
            size = next(size for size in _SIZES if size <= len(rows) - done)
            values: list[Any] = []
            for row in rows[done : done + size]:
                values += row
            self._connection.execute(_INSERTS[size], values)
            done += size
        self._rows = []

    def _end(self, head: Head) -> tuple[int | None, int]:
        end = self.ends.get(head.agent_id)
        if end is not None:
            return end
        if head.number is not None:
            return head.number, head.last
        return find(self._connection, head.agent_id)


def _code(error: Exception) -> int | None:
    """SQLite's primary result code."""
    code: int | None = getattr(error, "sqlite_errorcode", None)
    return None if code is None else code & 0xFF


def _is_busy(error: Exception) -> bool:
    return _code(error) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
