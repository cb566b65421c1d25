"""A store and a session that an earlier version wrote, of the same formats but without the records added since.

`tests/data/stores` holds both: the tables as SQL, from a process that was killed while "busy" had one request running
and one queued, and the session of "idle". They are never made anew: what matters is that they are old.
"""

from __future__ import annotations

import math
import sqlite3
from pathlib import Path

import pytest

import alloy_actors as alloy
from alloy_actors.actors.restoring import fold
from alloy_actors.journal import ApprovalAsked, Charged, Record, Reminded, WasCompacted
from alloy_actors.store import _codec, upkeep
from alloy_actors.store.sqlite import SqliteStore
from alloy_actors.testing import ScriptedProvider
from tests.checks import check_journal, check_sendable
from tests.integration.store.support import WAIT, append

OLD = Path(__file__).parents[2] / "data" / "stores"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "agents.db"
    connection = sqlite3.connect(path)
    connection.executescript((OLD / "format2.sql").read_text())
    connection.close()
    return path


@alloy.tool
def look(what: str) -> str:
    """Look at it."""
    raise AssertionError(f"looked at {what} again: that is in the log")


def test_an_older_store_opens_and_everything_in_it_goes_on(path: Path) -> None:
    assert upkeep.check(path).problems == ()
    providers = {"idle": ScriptedProvider([]), "busy": ScriptedProvider(["y is fine.", "And z."])}
    with alloy.AgentSystem(
        store=f"sqlite:///{path}", factory=lambda name: {"provider": providers[name], "tools": [look]}
    ) as system:
        busy = system.agent("busy")
        running = busy.chat("Is y fine?", request_id="running", timeout=WAIT)
        queued = busy.chat("And z?", request_id="queued", timeout=WAIT)
        assert (running.text, queued.text) == ("y is fine.", "And z.")
        assert [call.name for call in running.tool_calls] == ["look"]
        idle = system.agent("idle")
        assert [message.text for message in idle.messages()][-3:] == [
            "All is fine.",
            "Thanks.",
            "You are welcome.",
        ]
        assert idle.usage() == alloy.Usage(input_tokens=30, output_tokens=15)
        check_sendable(busy.messages())
        check_sendable(idle.messages())
    with SqliteStore(path) as store:
        assert store.unfinished() == []
        assert check_journal(store.load("busy")) == {"running", "queued"}
        _, finished = fold(store.load("idle"), math.inf)
    assert [(one.result.request_id, one.result.text) for one in finished] == [
        ("idle-1", "All is fine."),
        ("idle-2", "You are welcome."),
    ]


def test_a_store_of_the_first_format_opens_too(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.executescript("""
        DROP TRIGGER appended;
        CREATE TABLE agents1 (number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, last INTEGER NOT NULL DEFAULT 0);
        INSERT INTO agents1 SELECT number, id, last FROM agents;
        DROP TABLE agents;
        ALTER TABLE agents1 RENAME TO agents;
        CREATE TABLE records1 (
            id INTEGER PRIMARY KEY, agent INTEGER NOT NULL, prev INTEGER NOT NULL CHECK (prev < id),
            crc INTEGER NOT NULL, data BLOB NOT NULL
        );
        INSERT INTO records1 SELECT id, agent, prev, crc, data FROM records;
        DROP TABLE records;
        ALTER TABLE records1 RENAME TO records;
        CREATE TRIGGER appended AFTER INSERT ON records BEGIN
            UPDATE agents SET last = new.id WHERE number = new.agent;
        END;
        PRAGMA user_version = 1;
    """)
    connection.close()
    before = [(agent.id, agent.records, agent.running) for agent in upkeep.summaries(path)]
    assert [agent for agent, _, _ in before] == ["idle", "busy"]
    with SqliteStore(path) as store:
        assert store.unfinished() == ["busy"]
        assert append(store, "idle", store.take_token("idle"), *store.load("idle")[:1]) is None
        assert store.unfinished() == ["idle", "busy"]
    after = [(agent.id, agent.records, agent.running) for agent in upkeep.summaries(path)]
    assert after == [("idle", before[0][1] + 1, None), before[1]]


def test_an_older_session_is_taken_up(path: Path) -> None:
    session = alloy.Session.from_json((OLD / "session2.json").read_bytes())
    assert session.cost_cents is None
    assert session.messages == upkeep.export(path, "idle").messages
    with alloy.AgentSystem() as system:
        agent = system.spawn(session=session, provider=ScriptedProvider(["Still fine."]), tools=[look])
        assert agent.chat("And now?").text == "Still fine."
        assert agent.name == "idle"
        assert agent.usage() == alloy.Usage(input_tokens=40, output_tokens=20)


@pytest.mark.parametrize(
    "record",
    [
        ApprovalAsked("r", "call_1", "why"),
        Charged("r", alloy.Usage(1, 2), 0.5),
        Reminded("r", "output_retries", alloy.Message("user", "as JSON, please")),
        WasCompacted("r", ((0, 1),), 10, 0, 0),
    ],
    ids=lambda record: type(record).__name__,
)
def test_what_is_new_in_a_log_is_refused_by_a_version_that_does_not_know_it(
    path: Path, record: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    with SqliteStore(path) as store:
        assert append(store, "busy", store.take_token("busy"), record) is None
        unknown = _codec._KIND_OF[type(record)].tag
        known = {tag: kind for tag, kind in _codec._TAGS.items() if tag != unknown}
        monkeypatch.setattr(_codec, "_TAGS", known)
        with pytest.raises(
            alloy.StoreError, match=f"holds the kind {unknown!r}: .* newer version .*: upgrade"
        ):
            store.load("busy")
        assert len(store.load("idle")) > 0  # the others can be read
