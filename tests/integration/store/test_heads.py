"""The newest rows that the table of agents does not know of yet: everything reads as if it did."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from alloy_actors.content import user
from alloy_actors.journal import Accepted, Record, RunEnded
from alloy_actors.store import upkeep
from alloy_actors.store._heads import TAIL
from alloy_actors.store.sqlite import SqliteStore
from tests.integration.store.support import WAIT, accepted, append, fill, numbers, outcome


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "agents.db"


@pytest.fixture
def store(path: Path) -> Iterator[SqliteStore]:
    with SqliteStore(path) as store:
        yield store


def summed(path: Path) -> tuple[int, int]:
    """The row that agents is up to date with, and the newest one."""
    connection = sqlite3.connect(path)
    try:
        found: tuple[int, int] = connection.execute(
            "SELECT summed, (SELECT max(id) FROM records) FROM owner"
        ).fetchone()
        return found
    finally:
        connection.close()


def kept(path: Path) -> list[tuple[str, int, int]]:
    """The table of agents as it is on the disk."""
    connection = sqlite3.connect(path)
    try:
        return connection.execute("SELECT id, last, unfinished FROM agents ORDER BY number").fetchall()
    finally:
        connection.close()


def compact(store: SqliteStore, agent: str, token: int, *records: Record) -> Exception | None:
    return outcome(lambda hear: store.compact(agent, token, records, hear))


def test_an_append_leaves_the_table_of_agents_alone(store: SqliteStore, path: Path) -> None:
    fill(store, "agent", 3)
    assert kept(path) == [("agent", 0, 0)]
    assert numbers(store, "agent") == [0, 1, 2]
    assert store.agents() == store.unfinished() == ["agent"]


@pytest.mark.parametrize("count", [TAIL - 1, TAIL, TAIL + 1, 3 * TAIL + 7])
def test_the_tail_is_summed_up_before_it_grows_long(store: SqliteStore, path: Path, count: int) -> None:
    fill(store, "agent", count)
    known, newest = summed(path)
    assert newest == count
    assert known == count - count % TAIL
    assert kept(path) == [("agent", known, known)]
    assert numbers(store, "agent") == list(range(count))


def test_a_group_of_many_agents_is_summed_up_at_once(store: SqliteStore, path: Path) -> None:
    tokens = {f"agent-{number:03}": store.take_token(f"agent-{number:03}") for number in range(TAIL + 50)}
    told = threading.Semaphore(0)
    for _ in range(2):
        for agent, token in tokens.items():
            store.append(agent, token, [accepted(1)], lambda error: told.release() if error is None else None)
        for _ in tokens:
            assert told.acquire(timeout=WAIT)
    known, newest = summed(path)
    assert newest == 2 * len(tokens)
    assert newest - known < TAIL
    assert store.unfinished() == list(tokens)
    assert all(numbers(store, agent) == [1, 1] for agent in tokens)


def test_opening_sums_up_what_a_killed_process_left(store: SqliteStore, path: Path) -> None:
    token = fill(store, "ada", 3)
    append(store, "ada", token, RunEnded("r0", "completed"))
    fill(store, "bob", 1)
    assert summed(path) == (0, 5)
    with SqliteStore(path, takeover=True) as winner:
        assert summed(path) == (5, 5)
        assert kept(path) == [("ada", 4, 2), ("bob", 5, 1)]
        assert winner.unfinished() == ["ada", "bob"]


def test_requests_that_end_in_the_tail_are_not_unfinished(store: SqliteStore, path: Path) -> None:
    token = fill(store, "agent", 1)
    with SqliteStore(path, takeover=True) as winner:  # which knows one unfinished request from the table
        token = winner.take_token("agent")
        assert winner.unfinished() == ["agent"]
        assert append(winner, "agent", token, RunEnded("r0", "completed")) is None
        assert winner.unfinished() == []
        assert winner.agents() == ["agent"]


def test_other_programs_see_the_tail(store: SqliteStore, path: Path) -> None:
    fill(store, "ada", 2)
    fill(store, "bob", 1)
    assert [(agent.id, agent.records) for agent in upkeep.summaries(path)] == [("ada", 2), ("bob", 1)]
    assert upkeep.check(path).problems == ()


def test_what_was_compacted_in_the_tail_is_not_counted_later(store: SqliteStore, path: Path) -> None:
    token = fill(store, "agent", 3)
    assert compact(store, "agent", token, accepted(7)) is None
    assert append(store, "agent", token, RunEnded("r7", "completed")) is None
    assert store.unfinished() == []
    assert len(store.load("agent")) == 2
    with SqliteStore(path, takeover=True) as winner:
        assert winner.unfinished() == []
        assert len(winner.load("agent")) == 2


def test_an_agent_with_a_deleted_ones_number_does_not_get_its_rows(store: SqliteStore, path: Path) -> None:
    fill(store, "old", 3)
    store.delete("old")
    fill(store, "new", 1)
    assert store.agents() == store.unfinished() == ["new"]
    assert numbers(store, "new") == [0]
    with SqliteStore(path, takeover=True) as winner:
        assert numbers(winner, "new") == [0]
        assert kept(path) == [("new", 4, 1)]


def test_what_is_left_of_a_damaged_agent_is_nobodys(store: SqliteStore, path: Path) -> None:
    fill(store, "old", 3)
    connection = sqlite3.connect(path)
    connection.execute(
        "DELETE FROM records WHERE id = 2"
    )  # so that deleting the agent does not find the first row
    connection.commit()
    connection.close()
    store.delete("old")
    token = fill(store, "new", 1)
    assert append(store, "new", token, RunEnded("r0", "completed")) is None
    assert store.unfinished() == []
    assert len(store.load("new")) == 2


def test_a_store_whose_newest_rows_were_deleted_goes_on(path: Path) -> None:
    with SqliteStore(path) as store:
        fill(store, "ada", 2)
        fill(store, "bob", 2)
        store.delete("bob")
    for number in (5, 6):  # the second time, the row that was summed up to is one that is gone
        with SqliteStore(path) as store:
            assert append(store, "ada", store.take_token("ada"), accepted(number)) is None
            store.take_token("cy")
            store.delete("cy")
    with SqliteStore(path) as store:
        assert numbers(store, "ada") == [0, 1, 5, 6]
        assert store.unfinished() == ["ada"]


def test_a_large_message_in_the_tail_is_not_in_the_way(store: SqliteStore) -> None:
    text = "x" * 1_000_000
    token = store.take_token("agent")
    assert append(store, "agent", token, Accepted("r0", user(text))) is None
    assert append(store, "agent", token, accepted(1)) is None
    assert store.unfinished() == ["agent"]
    assert numbers(store, "agent") == [0, 1]
