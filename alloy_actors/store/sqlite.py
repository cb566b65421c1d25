"""A store on disk: one SQLite file that survives crashes of the process and of the machine.

One thread writes (`_writer.py`), a group of appends a transaction (`_transaction.py`), and a transaction is on the disk
before its appends are acknowledged. `_file.py` opens the file, `_reading.py` reads it, `_codec.py` knows the records.
docs/store.md says how to run one.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import weakref
from typing import TYPE_CHECKING, Literal, Self

from alloy_actors.errors import ConfigError, FencedError, StoreError
from alloy_actors.logs import log, traced
from alloy_actors.store._file import open_for_writing
from alloy_actors.store._heads import IDS, UNFINISHED_IDS
from alloy_actors.store._reading import read_records
from alloy_actors.store._transaction import Head, LogTables, Write
from alloy_actors.store._writer import GroupWriter

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from alloy_actors.journal import OnAppended, Record

PREFIX = "sqlite:///"

_TOKENS_PER_EPOCH = 1 << 32

_stores: weakref.WeakSet[SqliteStore] = weakref.WeakSet()  # the open ones
_of_the_parent: list[object] = []  # connections that a forked child must not even close


class SqliteStore:
    """The journals of agents in one SQLite file; a context manager that closes it.

    Args:
        path: The file; made, readable for its owner only, when it is not there.
        takeover: Open it although another process has it open; that one can write nothing from now on.
        busy_timeout: Seconds to wait for another program that holds the database locked.

    Raises:
        ConfigError: The path cannot be a store: a directory, in a missing folder, not readable or writable, another
            program's file, or written by a newer version.
        FencedError: Another process has it open.
        StoreError: SQLite could not open it.
    """

    durable = True

    def __init__(
        self, path: str | os.PathLike[str], *, takeover: bool = False, busy_timeout: float = 5.0
    ) -> None:
        self._pid = os.getpid()
        self._file = open_for_writing(path, takeover=takeover, busy_timeout=busy_timeout)
        self._tables = LogTables(self._file, busy_timeout)
        self._writer: GroupWriter[Write] = GroupWriter(self._tables.commit, _tell)
        self._reading = threading.Lock()  # of the connection to read
        self._lock = threading.Lock()  # of the tokens; records are encoded under it, and nobody waits
        self._heads: dict[str, Head] = {}
        self._tokens = 0
        self._closed = False
        _stores.add(self)

    @classmethod
    def from_url(cls, url: str, *, takeover: bool = False) -> Self:
        """Open `sqlite:///relative.db` or `sqlite:////absolute.db`; what follows the third slash is the path as it is.

        Raises:
            ConfigError: It is no such URL; and as the constructor.
            FencedError: As the constructor.
            StoreError: As the constructor.
        """
        path = url.removeprefix(PREFIX)
        if path == url or not path or path == ":memory:":
            msg = (
                f"store={url!r}: write sqlite:///agents.db for a file in the working directory, "
                "sqlite:////var/lib/agents.db for an absolute path; 'memory:' is the store without a file"
            )
            raise ConfigError(msg)
        return cls(path, takeover=takeover)

    def __repr__(self) -> str:
        return f"<SqliteStore {self._file.path}{' closed' if self._closed else ''}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def take_token(self, agent_id: str) -> int:
        self._check_process()
        with self._lock:
            if self._closed:
                raise _closed()
            head = self._heads.setdefault(agent_id, Head(agent_id))
            self._tokens += 1
            # Newer than every token of every process that had the file before.
            head.token = self._file.epoch * _TOKENS_PER_EPOCH + self._tokens
            return head.token

    def append(self, agent_id: str, token: int, records: Sequence[Record], on_appended: OnAppended) -> None:
        self._submit("append", agent_id, token, records, on_appended)

    def compact(self, agent_id: str, token: int, records: Sequence[Record], on_compacted: OnAppended) -> None:
        self._submit("compact", agent_id, token, records, on_compacted)

    def load(self, agent_id: str) -> Sequence[Record]:
        """All records of the agent, oldest first, with those appended before this call; empty for an unknown one.

        Raises:
            StoreError: A record of this agent is damaged, missing, or from a newer version; other agents go on.
        """
        self._check_process()
        self._writer.flush()
        with self._reading:
            if self._closed:
                raise _closed()
            try:
                return read_records(self._file.read, agent_id)
            except sqlite3.Error as error:
                msg = f"the journal of agent {agent_id!r} could not be read from {self._file.path}: {error}"
                raise StoreError(msg, agent_id=agent_id) from error

    def retire(self, agent_id: str, token: int) -> None:
        """The agent was stopped: its records stay, its token is refused; nothing happens when there is a newer one."""
        self._check_process()
        with self._lock:
            head = self._heads.get(agent_id)
            if head is not None and head.token == token:
                del self._heads[agent_id]

    def delete(self, agent_id: str) -> None:
        """Forget the agent's records and refuse all tokens given so far; returns when it is on the disk.

        Raises:
            StoreError: It could not be written.
        """
        self._check_process()
        with self._lock:
            head = self._heads.setdefault(agent_id, Head(agent_id))
            head.token = 0
            write = Write("delete", head, (), None)
            if not self._writer.submit(write):
                raise _closed()
        self._writer.flush()
        with self._lock:
            if head.token == 0:
                self._heads.pop(agent_id, None)
        if write.error is not None:
            raise write.error

    def agents(self) -> list[str]:
        """The ids of agents that have records, oldest first.

        Raises:
            StoreError: The store could not be read.
        """
        return self._ids(IDS)

    def unfinished(self) -> list[str]:
        """The ids of agents with requests that have no end, oldest first.

        Raises:
            StoreError: The store could not be read.
        """
        return self._ids(UNFINISHED_IDS)

    def close(self) -> None:
        """Write and acknowledge what was appended, then let go of the file; a forked child's handle does nothing."""
        if os.getpid() != self._pid:
            return
        with self._lock:
            self._closed = True
        self._writer.close()
        with self._reading:  # a second call waits for the first: whoever returns may open the file anew
            if self in _stores:
                self._file.close()
                _stores.discard(self)

    def _ids(self, statement: str) -> list[str]:
        self._check_process()
        self._writer.flush()
        with self._reading:
            if self._closed:
                raise _closed()
            try:
                return [agent_id for (agent_id,) in self._file.read.execute(statement)]
            except sqlite3.Error as error:
                msg = f"the agents of {self._file.path} could not be listed: {error}"
                raise StoreError(msg) from error

    def _submit(
        self,
        kind: Literal["append", "compact"],
        agent_id: str,
        token: int,
        records: Sequence[Record],
        on_written: OnAppended,
    ) -> None:
        if os.getpid() != self._pid:
            on_written(self._forked())
            return
        error = self._hand_in(kind, agent_id, token, records, on_written)
        if error is None:
            return
        if isinstance(error, StoreError):
            log.error("store_write_failed", store=self._file.path, writes=1, **traced(error))
        on_written(error)

    def _hand_in(
        self,
        kind: Literal["append", "compact"],
        agent_id: str,
        token: int,
        records: Sequence[Record],
        on_written: OnAppended,
    ) -> FencedError | StoreError | None:
        """Give it to the writer, or return why not."""
        with self._lock:
            # Checked at the call, not when it is written: what was appended before a newer token was taken counts,
            # and whoever takes the token finds it in `load`.
            head = self._heads.get(agent_id)
            if self._closed:
                return _closed()
            if head is None or head.token != token:
                return FencedError(f"a newer incarnation of agent {agent_id!r} has its journal")
            try:
                write = Write(kind, head, records, on_written)
            except Exception as error:
                return self._tables.failure(agent_id, error)
            return None if self._writer.submit(write) else _closed()

    def _check_process(self) -> None:
        if os.getpid() != self._pid:
            raise self._forked()

    def _forked(self) -> StoreError:
        return StoreError(
            f"the store {self._file.path} belongs to process {self._pid}, from which this one was forked: "
            "open stores after the fork, or use the spawn start method"
        )

    def _leave_to_parent(self) -> None:
        """In a forked child: keep the parent's file as it is, and do not hold its lock beyond the parent's end."""
        _of_the_parent.append(self._file)
        os.close(self._file.lock)


def _tell(write: Write) -> None:
    if write.on_written is not None:
        write.on_written(write.error)


def _closed() -> FencedError:
    return FencedError("the store is closed")


def _after_fork() -> None:
    for store in list(_stores):
        store._leave_to_parent()  # noqa: SLF001  (this module's own class)
    _stores.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
