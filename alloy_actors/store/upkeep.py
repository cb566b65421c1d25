"""Looking after a store's file: check, list, export, back up, compact.

All but `compact` only read, and work while the store is in use: SQLite shows them one moment of it.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from alloy_actors.conversation import Conversation
from alloy_actors.errors import AlloyError, ConfigError, StoreError
from alloy_actors.journal import ModelChanged, Seeded
from alloy_actors.session import Session
from alloy_actors.store._file import open_for_reading, open_for_writing
from alloy_actors.store._heads import IDS
from alloy_actors.store._reading import one_moment, read_records
from alloy_actors.store.sqlite import SqliteStore

if TYPE_CHECKING:
    from collections.abc import Sequence

    from alloy_actors.journal import Record

StorePath = str | os.PathLike[str]


@dataclass(frozen=True, slots=True)
class AgentSummary:
    """An agent of a store.

    Args:
        id: Its id.
        records: How many the journal has.
        messages: Of its conversation.
        waiting: Accepted requests that have not begun.
        running: The request whose run has begun and not ended.
        problem: Why the journal cannot be read; the numbers are 0 then.
    """

    id: str
    records: int = 0
    messages: int = 0
    waiting: int = 0
    running: str | None = None
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """What `check` found; `problems` are sentences, none when all is well."""

    agents: int
    records: int
    size: int  # bytes, with SQLite's log
    problems: tuple[str, ...]


def check(path: StorePath) -> Report:
    """Read everything there is and say what is wrong with it.

    Raises:
        ConfigError: There is no store at the path.
        StoreError: It could not be opened.
    """
    reader = open_for_reading(path)
    try:
        problems = _damage(reader)
        try:
            found = _summaries(reader)
        except sqlite3.Error as error:
            found = []
            problems.append(f"the list of agents cannot be read: {error}")
    finally:
        reader.close()
    problems += [agent.problem for agent in found if agent.problem is not None]
    return Report(len(found), sum(agent.records for agent in found), size(path), tuple(problems))


def summaries(path: StorePath) -> list[AgentSummary]:
    """All agents with records, oldest first.

    Raises:
        ConfigError: There is no store at the path.
        StoreError: It could not be read.
    """
    reader = open_for_reading(path)
    try:
        return _summaries(reader)
    except sqlite3.Error as error:
        raise StoreError(f"the agents of {path} could not be listed: {error}") from error
    finally:
        reader.close()


def export(path: StorePath, agent_id: str) -> Session:
    """An agent's conversation as a session that can be taken up again; a run that is on is closed in it.

    Raises:
        ConfigError: There is no store at the path, or no such agent in it.
        StoreError: The agent's journal is damaged.
    """
    reader = open_for_reading(path)
    try:
        records = read_records(reader, agent_id)
    except sqlite3.Error as error:
        raise StoreError(
            f"the journal of agent {agent_id!r} could not be read from {path}: {error}", agent_id=agent_id
        ) from error
    finally:
        reader.close()
    if not records:
        raise ConfigError(f"store: {path} has no agent {agent_id!r}")
    conversation = _fold(records)
    if conversation.running is not None:
        closing = conversation.closing(conversation.running, "the conversation was exported during this run")
        if closing is not None:
            conversation.apply(closing)
    return Session(
        id=agent_id,
        messages=tuple(conversation.messages),
        usage=conversation.usage,
        cost_cents=conversation.cost,
    )


def backup(path: StorePath, target: StorePath) -> None:
    """Copy the store as it is at one moment; nobody has to stop.

    Args:
        path: The store.
        target: A file that is not there yet.

    Raises:
        ConfigError: There is no store at the path, or the target cannot be made.
        StoreError: It could not be copied; the target is removed.
    """
    reader = open_for_reading(path)
    try:
        try:
            os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        except OSError as error:
            raise ConfigError(f"backup: {target} cannot be made: {error.strerror}") from error
        copy = sqlite3.connect(target)
        try:
            reader.backup(copy)
        except sqlite3.Error as error:
            Path(target).unlink()
            raise StoreError(f"{path} could not be copied to {target}: {error}") from error
        finally:
            copy.close()
    finally:
        reader.close()


def compact(path: StorePath) -> list[AgentSummary]:
    """Write each conversation anew without its history, and give the free space back to the disk.

    Agents with a run that is on, or with a journal that cannot be read, stay as they are. Finished requests are
    forgotten: their ids name nothing afterwards.

    Returns:
        The agents as they were before.

    Raises:
        ConfigError: There is no store at the path.
        FencedError: The store is in use.
        StoreError: It could not be written.
    """
    before = summaries(path)
    with SqliteStore(path) as store:
        for agent in before:
            if agent.running is None and agent.problem is None:
                _compact_agent(store, agent.id)
    opened = open_for_writing(path)
    try:
        opened.write.execute("DELETE FROM records WHERE agent NOT IN (SELECT number FROM agents)")
        opened.write.execute("VACUUM")
    except sqlite3.Error as error:
        raise StoreError(f"the free space of {path} could not be given back: {error}") from error
    finally:
        opened.close()
    return before


def sqlite_version() -> str:
    """Of the SQLite library in use."""
    return sqlite3.sqlite_version


def size(path: StorePath) -> int:
    """Bytes on disk, with SQLite's log."""
    files = (Path(f"{os.fspath(path)}{suffix}") for suffix in ("", "-wal"))
    return sum(file.stat().st_size for file in files if file.exists())


def _compact_agent(store: SqliteStore, agent_id: str) -> None:
    token = store.take_token(agent_id)
    conversation = _fold(records := store.load(agent_id))
    base: list[Record] = []
    # The change of model goes first: a change drops the state that the seed carries.
    base += [record for record in records if isinstance(record, ModelChanged)][-1:]
    seed = Seeded(
        tuple(conversation.messages), conversation.usage, conversation.provider_state, conversation.cost
    )
    if seed != Seeded(()):
        base.append(seed)
    base += conversation.waiting.values()
    outcome: list[Exception | None] = []
    done = threading.Event()

    def on_compacted(error: Exception | None) -> None:
        outcome.append(error)
        done.set()

    store.compact(agent_id, token, base, on_compacted)
    done.wait()
    if outcome[0] is not None:
        raise outcome[0]


def _damage(reader: sqlite3.Connection) -> list[str]:
    try:
        said = [str(line) for (line,) in reader.execute("PRAGMA integrity_check(20)")]
    except sqlite3.Error as error:
        said = [str(error)]
    return [f"the database is damaged: {line}" for line in said if line != "ok"]


def _summaries(reader: sqlite3.Connection) -> list[AgentSummary]:
    with one_moment(reader):
        found = reader.execute(IDS).fetchall()
        return [_summary(reader, agent_id) for (agent_id,) in found]


def _summary(reader: sqlite3.Connection, agent_id: str) -> AgentSummary:
    try:
        records = read_records(reader, agent_id)
    except AlloyError as error:
        return AgentSummary(agent_id, problem=str(error))
    except sqlite3.Error as error:
        return AgentSummary(agent_id, problem=f"the journal of agent {agent_id!r} cannot be read: {error}")
    conversation = _fold(records)
    return AgentSummary(
        agent_id,
        len(records),
        len(conversation.messages),
        len(conversation.waiting),
        conversation.running,
    )


def _fold(records: Sequence[Record]) -> Conversation:
    conversation = Conversation()
    conversation.replay(records)
    return conversation
