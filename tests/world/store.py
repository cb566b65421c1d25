"""A store on disk whose writes and answers come when the test says so. Its rules are those of `SqliteStore`."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

from alloy_actors.errors import FencedError, StoreError
from alloy_actors.journal import OnAppended, Record, unfinished_by

TOKENS_PER_EPOCH = 1 << 32


class Write(NamedTuple):
    """An append, or a compaction, that is not on the disk."""

    agent_id: str
    records: tuple[Record, ...]
    replaces: bool
    on_written: OnAppended


class Disk:
    """What outlives a process.

    Attributes:
        logs: By agent.
        all: Every record ever written, also those that a compaction took out.
        epoch: Of the process that has the store.
        full: Nothing can be written.
    """

    def __init__(self) -> None:
        self.logs: dict[str, list[Record]] = {}
        self.all: list[Record] = []
        self.epoch = 0
        self.full = False


class ManualStore:
    """One process's view of the disk; opening it takes the store over from the process before."""

    durable = True

    def __init__(self, disk: Disk) -> None:
        self.disk = disk
        disk.epoch += 1
        self._epoch = disk.epoch
        self._tokens = 0
        self._token: dict[str, int] = {}
        self._queue: deque[Write] = deque()
        self._answers: deque[tuple[OnAppended, Exception | None]] = deque()

    @property
    def has_work(self) -> bool:
        return bool(self._queue or self._answers)

    def write(self) -> None:
        """One group: everything that is queued."""
        while self._queue:
            write = self._queue.popleft()
            error: Exception | None = None
            if self._epoch != self.disk.epoch:
                error = FencedError("another process has taken over the store")
            elif self.disk.full:
                error = StoreError("the disk is full", agent_id=write.agent_id)
            else:
                log = self.disk.logs.setdefault(write.agent_id, [])
                if write.replaces:
                    log[:] = write.records
                else:
                    log += write.records
                self.disk.all += write.records
            self._answers.append((write.on_written, error))

    def answer(self) -> None:
        """Tell one of those whose write has an outcome."""
        if self._answers:
            on_written, error = self._answers.popleft()
            on_written(error)

    def settle(self) -> None:
        """Write and answer everything."""
        while self.has_work:
            self.write()
            self.answer()

    def take_token(self, agent_id: str) -> int:
        self._tokens += 1
        token = self._token[agent_id] = self._epoch * TOKENS_PER_EPOCH + self._tokens
        return token

    def append(self, agent_id: str, token: int, records: Sequence[Record], on_appended: OnAppended) -> None:
        self._submit(agent_id, token, Write(agent_id, tuple(records), False, on_appended))

    def compact(self, agent_id: str, token: int, records: Sequence[Record], on_compacted: OnAppended) -> None:
        self._submit(agent_id, token, Write(agent_id, tuple(records), True, on_compacted))

    def load(self, agent_id: str) -> Sequence[Record]:
        self.write()
        return tuple(self.disk.logs.get(agent_id, ()))

    def retire(self, agent_id: str, token: int) -> None:
        if self._token.get(agent_id) == token:
            del self._token[agent_id]

    def agents(self) -> list[str]:
        return list(self.disk.logs)

    def unfinished(self) -> list[str]:
        return [name for name, log in self.disk.logs.items() if unfinished_by(log) > 0]

    def close(self) -> None:
        self.settle()

    def _submit(self, agent_id: str, token: int, write: Write) -> None:
        if self._token.get(agent_id) != token:
            write.on_written(FencedError("a newer incarnation has the journal"))
        else:
            self._queue.append(write)
