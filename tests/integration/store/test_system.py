"""Agents on a store on disk."""

from __future__ import annotations

import asyncio
import queue
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

import alloy_actors as alloy
from alloy_actors.content import assistant, user
from alloy_actors.store.sqlite import SqliteStore
from alloy_actors.testing import ScriptedProvider, text, tool_call, tool_calls
from tests.checks import check_sendable


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "agents.db"


@pytest.fixture
def system(path: Path) -> Iterator[alloy.AgentSystem]:
    with alloy.AgentSystem(store=f"sqlite:///{path}") as made:
        yield made


@alloy.tool
def look(place: str) -> str:
    """Look somewhere."""
    return f"nothing in {place}"


def test_a_run_with_tools_is_journaled_and_answered(system: alloy.AgentSystem, path: Path) -> None:
    script = [tool_calls(tool_call("look", place="a"), tool_call("look", place="b")), text("Nothing.")]
    agent = system.spawn("ada", provider=ScriptedProvider(script), tools=[look])
    result = agent.chat("Look around.").raise_for_status()
    assert result.text == "Nothing."
    history = agent.messages()
    check_sendable(history)
    system.stop()
    with SqliteStore(path) as store:
        (agent_id,) = store.agents()
        names = [type(record).__name__ for record in store.load(agent_id)]
    assert names[:2] == ["Accepted", "RunBegan"]
    assert names[-1] == "RunEnded"
    assert names.count("ToolCallEnded") == 2


def test_a_crashed_agent_has_its_conversation_from_the_disk(system: alloy.AgentSystem) -> None:
    agent = system.spawn("ada", provider=ScriptedProvider(["one", "two"]))
    agent.chat("first").raise_for_status()
    agent.messages()  # so that the actor knows of the run's end and does not take the next request before it crashes
    agent.crash()
    assert agent.chat("second").raise_for_status().text == "two"
    assert [message.text for message in agent.messages()] == ["first", "one", "second", "two"]


def test_a_conversation_given_at_the_start_is_there(
    system: alloy.AgentSystem,
) -> None:
    history = [user("first"), assistant("one")]
    agents = [
        system.spawn(f"agent-{number}", provider=ScriptedProvider("two"), messages=history)
        for number in range(20)
    ]
    for agent in agents:
        assert [message.text for message in agent.messages()] == ["first", "one"]
        agent.chat("second").raise_for_status()
        assert len(agent.messages()) == 4


def test_what_the_store_cannot_write_at_a_start_or_a_reset_is_said_to_the_caller(path: Path) -> None:
    history = [user("first"), assistant("one")]
    with alloy.AgentSystem(store=SqliteStore(path, busy_timeout=0.05)) as system:
        agent = system.spawn("ada", provider=ScriptedProvider(["two", "three"]), messages=history)
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(alloy.StoreError, match="'bob' could not be written"):
            system.spawn("bob", provider=ScriptedProvider("hi"), messages=history)
        with pytest.raises(alloy.StoreError, match="'ada' could not be written"):
            agent.reset()
        with pytest.raises(alloy.StoreError, match="'ada' could not be written"):
            asyncio.run(agent.areset())
        other.execute("ROLLBACK")
        other.close()
        assert agent.messages() == history
        bob = system.spawn("bob", provider=ScriptedProvider("hi"), messages=history)
        assert bob.messages() == history
        agent.reset()
        assert agent.messages() == []
        assert agent.chat("second").ok
    with alloy.AgentSystem(store=f"sqlite:///{path}") as system:
        assert len(system.spawn("ada", provider=ScriptedProvider([])).messages()) == 2


def rows(path: Path) -> int:
    with closing(sqlite3.connect(path)) as connection:
        (count,) = connection.execute("SELECT count(*) FROM records").fetchone()
    return count


def test_a_chat_with_an_idle_agent_waits_for_the_disk_once_before_each_effect(
    system: alloy.AgentSystem, path: Path
) -> None:
    script = [tool_call("look", place="attic"), "nothing", "bye"]
    agent = system.spawn("ada", provider=ScriptedProvider(script), tools=[look])
    assert agent.chat("go").ok
    assert rows(path) == 4  # asked, called, asked again, answered
    assert asyncio.run(agent.achat("bye")).ok
    assert rows(path) == 6


def test_a_chat_that_the_store_does_not_take_raises_and_has_not_happened(path: Path) -> None:
    provider = ScriptedProvider(["one", "two", "three"])
    with alloy.AgentSystem(store=SqliteStore(path, busy_timeout=0.05)) as system:
        agent = system.spawn("ada", provider=provider)
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(alloy.StoreError, match="'ada' could not be written"):
                agent.chat("lost", request_id="a")
            with pytest.raises(alloy.StoreError, match="'ada' could not be written"):
                asyncio.run(agent.achat("lost", request_id="a"))
            with agent.subscribe("events") as events:
                with pytest.raises(alloy.StoreError, match="'ada' could not be written"):
                    agent.chat("lost", request_id="a")
                with pytest.raises(TimeoutError):
                    events.get(0)
            other.execute("ROLLBACK")
        assert agent.messages() == []
        assert agent.result("a") is None
        assert not provider.requests
        assert agent.chat("found", request_id="a").text == "one"
        assert [message.text for message in agent.messages()] == ["found", "one"]
    with alloy.AgentSystem(store=f"sqlite:///{path}") as system:
        assert len(system.spawn("ada", provider=ScriptedProvider([])).messages()) == 2


def test_a_stopped_system_lets_go_of_the_file(path: Path) -> None:
    for number in range(2):
        with alloy.AgentSystem(store=f"sqlite:///{path}") as system:
            system.spawn("ada", provider=ScriptedProvider("hi")).chat(f"{number}").raise_for_status()
    with SqliteStore(path) as store:
        assert store.agents()


def test_a_second_system_on_one_file_is_refused(system: alloy.AgentSystem, path: Path) -> None:
    with pytest.raises(alloy.FencedError, match="takeover=True"):
        alloy.AgentSystem(store=f"sqlite:///{path}")


def test_requests_that_come_while_an_agent_keeps_crashing_are_all_answered(system: alloy.AgentSystem) -> None:
    """Tokens are taken while appends with older ones are on their way to the disk, and nobody waits for nobody."""
    agents = [
        system.spawn(
            f"agent-{number}", provider=ScriptedProvider(lambda request: text("hi")), max_pending=100
        )
        for number in range(4)
    ]
    answered: queue.SimpleQueue[alloy.Result] = queue.SimpleQueue()
    for crashes in range(2):
        for agent in agents:
            for number in range(10):
                agent.send_message(f"{crashes}.{number}", on_result=answered.put)
                if number == 5:
                    agent.crash()
    results = [answered.get(timeout=20) for _ in range(2 * 4 * 10)]
    assert {result.status for result in results} <= {"completed", "error"}
    assert sum(result.ok for result in results) >= 2 * 4 * 9  # a crash ends at most the run that was on
    for agent in agents:
        check_sendable(agent.messages())
