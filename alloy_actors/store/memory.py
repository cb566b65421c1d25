"""A store that lives as long as the process: survives crashes of actors, not of the process."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from alloy_actors.errors import FencedError
from alloy_actors.journal import unfinished_by

if TYPE_CHECKING:
    from collections.abc import Sequence

    from alloy_actors.journal import OnAppended, Record


class _Log:
    __slots__ = ("records", "token")

    def __init__(self) -> None:
        self.token = 0
        self.records: list[Record] = []


class MemoryStore:
    """The semantics of every store, without the disk: tokens fence, appends are atomic and in order."""

    durable = False

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._logs: dict[str, _Log] = {}
        self._tokens = (
            0  # one counter for all agents, so that a deleted agent's tokens never become valid again
        )
        self._closed = False

    def take_token(self, agent_id: str) -> int:
        with self._lock:
            self._tokens += 1
            log = self._logs.setdefault(agent_id, _Log())
            log.token = self._tokens
            return log.token

    def append(self, agent_id: str, token: int, records: Sequence[Record], on_appended: OnAppended) -> None:
        with self._lock:
            error = self._refusal(agent_id, token)
            if error is None:
                self._logs[agent_id].records.extend(records)
        on_appended(error)

    def compact(self, agent_id: str, token: int, records: Sequence[Record], on_compacted: OnAppended) -> None:
        with self._lock:
            error = self._refusal(agent_id, token)
            if error is None:
                self._logs[agent_id].records[:] = records
        on_compacted(error)

    def load(self, agent_id: str) -> Sequence[Record]:
        with self._lock:
            if self._closed:
                raise FencedError("the store is closed")
            log = self._logs.get(agent_id)
            return tuple(log.records) if log is not None else ()

    def delete(self, agent_id: str) -> None:
        with self._lock:
            self._logs.pop(agent_id, None)

    def retire(self, agent_id: str, token: int) -> None:
        with self._lock:
            if self._refusal(agent_id, token) is None:
                del self._logs[agent_id]

    def agents(self) -> list[str]:
        with self._lock:
            return [agent_id for agent_id, log in self._logs.items() if log.records]

    def unfinished(self) -> list[str]:
        with self._lock:
            return [agent_id for agent_id, log in self._logs.items() if unfinished_by(log.records) > 0]

    def close(self) -> None:
        with self._lock:
            self._closed = True
            self._logs.clear()

    def _refusal(self, agent_id: str, token: int) -> Exception | None:
        if self._closed:
            return FencedError("the store is closed")
        log = self._logs.get(agent_id)
        if log is None or log.token != token:
            return FencedError(f"a newer incarnation of agent {agent_id!r} has its journal")
        return None
