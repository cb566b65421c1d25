"""Looking after a store: check, list, export, backup, compact, and their command line."""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from alloy_actors.content import Message, ToolCall, Usage, assistant, user
from alloy_actors.errors import ConfigError, FencedError, StoreError
from alloy_actors.journal import (
    Accepted,
    ModelChanged,
    Record,
    Replied,
    RequestSent,
    RunBegan,
    RunEnded,
    Seeded,
    ToolCallStarted,
)
from alloy_actors.session import Session
from alloy_actors.store import upkeep
from alloy_actors.store.command import main
from alloy_actors.store.sqlite import SqliteStore
from tests.checks import check_sendable
from tests.integration.store.support import append


def a_run(number: int) -> list[Record]:
    request_id, question = f"r{number}", user(f"question {number}")
    return [
        Accepted(request_id, question),
        RunBegan(request_id, question),
        RequestSent(request_id, 1, "m"),
        Replied(request_id, assistant(f"answer {number}"), "end_turn", Usage(10, 5)),
        RunEnded(request_id, "completed"),
    ]


CALL = Message("assistant", (ToolCall("c1", "read", {"path": "x"}),))
MID_RUN = [
    Accepted("r9", user("read it")),
    RunBegan("r9", user("read it")),
    Replied("r9", CALL, "tool_use", Usage(1, 1)),
    ToolCallStarted("r9", "c1"),
    Accepted("r10", user("and then?")),
]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Ada has finished ten runs and changed her model, Bob is in a run, and somebody waits for each."""
    path = tmp_path / "agents.db"
    with SqliteStore(path) as store:
        ada, bob = store.take_token("ada"), store.take_token("bob")
        for number in range(10):
            assert append(store, "ada", ada, *a_run(number)) is None
        assert append(store, "ada", ada, ModelChanged("m-2"), Accepted("r10", user("wait"))) is None
        assert append(store, "bob", bob, *MID_RUN) is None
    return path


@pytest.fixture
def in_use(path: Path) -> Iterator[SqliteStore]:
    with SqliteStore(path) as store:
        yield store


def damage_bob(path: Path) -> None:
    connection = sqlite3.connect(path)
    with connection:
        connection.execute(
            "UPDATE records SET crc = 0 WHERE agent = (SELECT number FROM agents WHERE id = 'bob')"
        )
    connection.close()


ADA = upkeep.AgentSummary("ada", records=52, messages=20, waiting=1)
BOB = upkeep.AgentSummary("bob", records=5, messages=2, waiting=1, running="r9")


def test_the_agents_are_listed_while_the_store_is_in_use(path: Path, in_use: SqliteStore) -> None:
    assert upkeep.summaries(path) == [ADA, BOB]


def test_a_sound_store_has_no_problems(path: Path, in_use: SqliteStore) -> None:
    report = upkeep.check(path)
    assert (report.agents, report.records, report.problems) == (2, 57, ())
    assert report.size == upkeep.size(path) > 0


def test_checking_names_the_agent_whose_journal_is_damaged(path: Path) -> None:
    damage_bob(path)
    (problem,) = upkeep.check(path).problems
    assert "agent 'bob' is damaged" in problem
    assert [agent.problem is None for agent in upkeep.summaries(path)] == [True, False]


def test_checking_finds_damage_of_the_database_itself(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[4096:8192] = b"\xff" * 4096
    path.write_bytes(content)
    assert upkeep.check(path).problems


def test_an_exported_conversation_is_a_session(path: Path, in_use: SqliteStore) -> None:
    session = Session.from_json(upkeep.export(path, "ada").to_json())
    assert (session.id, len(session.messages), session.usage) == ("ada", 20, Usage(100, 50))


def test_a_run_that_is_on_is_closed_in_its_export(path: Path) -> None:
    session = upkeep.export(path, "bob")
    check_sendable(session.messages)
    assert "outcome of this call is unknown" in session.messages[2].blocks[0].content


def test_exporting_an_unknown_agent_says_so(path: Path) -> None:
    with pytest.raises(ConfigError, match="has no agent 'eve'"):
        upkeep.export(path, "eve")


def test_exporting_a_damaged_agent_says_so(path: Path) -> None:
    damage_bob(path)
    with pytest.raises(StoreError, match="agent 'bob' is damaged"):
        upkeep.export(path, "bob")


def test_a_backup_of_a_store_in_use_is_a_store(path: Path, in_use: SqliteStore, tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    upkeep.backup(path, copy)
    assert append(in_use, "ada", in_use.take_token("ada"), *a_run(11)) is None
    with SqliteStore(copy) as restored:
        assert len(restored.load("ada")) == ADA.records
        assert append(restored, "bob", restored.take_token("bob"), RunEnded("r9", "error")) is None
    assert len(in_use.load("bob")) == BOB.records


def test_a_backup_overwrites_nothing(path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be made: File exists"):
        upkeep.backup(path, path)


def test_compacting_keeps_conversations_and_what_waits_and_gives_space_back(path: Path) -> None:
    with SqliteStore(path) as store:
        token = store.take_token("ada")
        for number in range(20, 220):
            assert append(store, "ada", token, *a_run(number)[1:]) is None
    before, size = upkeep.export(path, "ada"), upkeep.size(path)
    upkeep.compact(path)
    assert upkeep.size(path) < size
    assert upkeep.export(path, "ada").messages == before.messages
    with SqliteStore(path) as store:
        assert list(store.load("ada")) == [
            ModelChanged("m-2"),
            Seeded(before.messages, before.usage),
            Accepted("r10", user("wait")),
        ]
        assert list(store.load("bob")) == MID_RUN  # in a run: left for the next start
    assert upkeep.check(path).problems == ()


def test_compacting_leaves_a_damaged_agent_alone(path: Path) -> None:
    damage_bob(path)
    upkeep.compact(path)
    (problem,) = upkeep.check(path).problems
    assert "bob" in problem


def test_a_store_in_use_is_not_compacted(path: Path, in_use: SqliteStore) -> None:
    with pytest.raises(FencedError, match="in use by process"):
        upkeep.compact(path)


@pytest.mark.parametrize("call", [upkeep.check, upkeep.summaries, upkeep.compact])
def test_what_is_no_store_is_refused_and_not_made(tmp_path: Path, call: object) -> None:
    with pytest.raises(ConfigError, match="there is no file"):
        call(tmp_path / "nothing.db")
    assert list(tmp_path.iterdir()) == []


# -- the command line ----------------------------------------------------------------------------------------------


def test_the_commands_say_what_they_found(
    path: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main(["list", str(path)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "ada  52 records  20 messages  1 waiting  idle",
        "bob  5 records  2 messages  1 waiting  running r9",
    ]
    assert main(["check", str(path)]) == 0
    assert capsys.readouterr().out == f"2 agents, 57 records, {upkeep.size(path)} bytes: ok\n"
    assert main(["export", str(path), "ada"]) == 0
    assert Session.from_json(capsys.readouterr().out).id == "ada"
    assert main(["backup", str(path), str(tmp_path / "copy.db")]) == 0
    assert main(["compact", str(path)]) == 0
    assert "bytes before" in capsys.readouterr().out


def test_the_check_fails_when_there_are_problems(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    damage_bob(path)
    assert main(["check", str(path)]) == 1
    assert capsys.readouterr().out.endswith("1 problems\n")
    assert main(["list", str(path)]) == 0
    assert "bob  record" in capsys.readouterr().out


def test_a_mistake_is_one_line_on_standard_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(tmp_path / "nothing.db")]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == f"store: there is no file {tmp_path / 'nothing.db'}\n"


def test_the_command_line_runs_as_a_module(path: Path) -> None:
    import subprocess

    command = [sys.executable, "-m", "alloy_actors.store", "check", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout.endswith(": ok\n")
