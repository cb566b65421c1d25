"""Ends of agents on disk that are no `agent.stop()`, or one that nobody waits for: what was accepted is not lost."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import alloy_actors as alloy
from alloy_actors.actors.entry import AgentEntry
from alloy_actors.conversation import Conversation
from alloy_actors.store.sqlite import SqliteStore
from alloy_actors.testing import Gate, ScriptedProvider, held, tool_call
from supervisors import ChildExit
from tests.checks import check_sendable

WAIT = 10.0


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "agents.db"


@pytest.fixture
def system(path: Path) -> Iterator[alloy.AgentSystem]:
    with alloy.AgentSystem(store=f"sqlite:///{path}") as made:
        yield made


def busy(system: alloy.AgentSystem) -> tuple[alloy.AgentRef, queue.SimpleQueue[alloy.Result]]:
    """An agent with a run that is on and a request that waits; its results."""
    gate = Gate()
    told: queue.SimpleQueue[alloy.Result] = queue.SimpleQueue()
    agent = system.spawn("ada", provider=ScriptedProvider([held(gate, "never")]))
    agent.send_message("running", told.put, request_id="r1")
    gate.arrived()
    agent.send_message("waiting", told.put, request_id="r2")
    return agent, told


def go_on(path: Path) -> dict[str, str]:
    """What a later start makes of the two requests."""
    with alloy.AgentSystem(store=f"sqlite:///{path}") as system:
        agent = system.spawn("ada", provider=ScriptedProvider(["one", "two"]))
        return {
            "r1": agent.chat("running", request_id="r1").text,
            "r2": agent.chat("waiting", request_id="r2").text,
        }


def test_a_spawn_that_is_refused_takes_nothing_from_the_store(system: alloy.AgentSystem, path: Path) -> None:
    busy(system)
    system.stop()
    with (
        alloy.AgentSystem(store=f"sqlite:///{path}") as second,
        pytest.raises(alloy.ConfigError, match="without session="),
    ):
        session = alloy.Session(id="x", messages=())
        second.spawn("ada", provider=ScriptedProvider([]), session=session)
    assert go_on(path) == {"r1": "one", "r2": "two"}


def test_a_tree_that_is_stopped_by_its_root_leaves_its_requests_to_the_next_start(
    system: alloy.AgentSystem, path: Path
) -> None:
    _, told = busy(system)
    system.supervisor.stop()  # as `supervisors.run`, and the second SIGTERM under `system.run`, do
    assert {told.get(timeout=WAIT).status, told.get(timeout=WAIT).status} == {"cancelled"}
    system.stop()
    assert go_on(path) == {"r1": "one", "r2": "two"}


def test_a_stop_that_gives_up_ends_what_waits_in_the_store_as_well(
    system: alloy.AgentSystem, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given_up = threading.Event()
    ended = AgentEntry.actor_ended

    def late(entry: AgentEntry, exit_: ChildExit) -> None:
        assert given_up.wait(WAIT)
        ended(entry, exit_)

    monkeypatch.setattr(AgentEntry, "actor_ended", late)
    agent, told = busy(system)
    agent.stop(timeout=0.001)
    assert {told.get(timeout=WAIT).status, told.get(timeout=WAIT).status} == {"cancelled"}
    given_up.set()
    system.stop()
    with SqliteStore(path) as store:
        assert store.unfinished() == []


def test_a_run_that_does_not_leave_in_time_is_over_in_the_store_and_not_gone_on_with(
    system: alloy.AgentSystem, path: Path
) -> None:
    started, leave = threading.Event(), threading.Event()

    @alloy.tool
    async def cleans_up() -> str:
        """Take time to end."""
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.to_thread(leave.wait, WAIT)
        return "never"

    agent = system.spawn("ada", provider=ScriptedProvider([tool_call("cleans_up")]), tools=[cleans_up])
    agent.send_message("running", request_id="r1")
    assert started.wait(WAIT)
    agent.stop(timeout=0.001)
    assert agent.result("r1").status == "cancelled"
    leave.set()
    agent.stop()
    system.stop()
    with SqliteStore(path) as store:
        assert store.unfinished() == []
        conversation = Conversation()
        conversation.replay(store.load("ada"))
    assert conversation.run is None
    check_sendable(conversation.messages)


def test_what_a_run_says_to_a_topic_while_the_system_drains_is_kept_for_the_next_start(
    system: alloy.AgentSystem, path: Path
) -> None:
    gate = Gate()
    writer = system.spawn("writer", provider=ScriptedProvider([held(gate, "a draft")]))
    reviewer = ScriptedProvider([])
    system.spawn("reviewer", provider=reviewer, subscribe=["agent:writer:responses"])
    writer.send_message("write")
    gate.arrived()
    assert not system.drain(0.001)
    gate.release()
    assert system.drain(WAIT)
    system.stop()
    assert not reviewer.requests
    with alloy.AgentSystem(store=f"sqlite:///{path}") as second:
        agent = second.spawn("reviewer", provider=ScriptedProvider(["fine"]))
        asyncio.run(agent.drained())
        assert [message.text for message in agent.messages()] == ["a draft", "fine"]


def test_a_second_stop_does_not_return_before_the_system_is_stopped(
    system: alloy.AgentSystem, path: Path
) -> None:
    saying, leave = threading.Event(), threading.Event()

    def goodbye(session: alloy.Session) -> None:
        saying.set()
        leave.wait(WAIT)

    system.spawn("ada", provider=ScriptedProvider([]), on_shutdown=goodbye)
    first = threading.Thread(target=system.stop)
    first.start()
    assert saying.wait(WAIT)
    system.stop(timeout=0.01)
    SqliteStore(path).close()  # which the first one would have done later
    leave.set()
    first.join(WAIT)


def test_a_drain_under_run_leaves_time_to_record_what_it_interrupts(
    system: alloy.AgentSystem, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    busy(system)
    drains: list[float] = []
    monkeypatch.setattr(alloy.AgentSystem, "drain", lambda _, timeout: drains.append(timeout))

    def stopped(root: object, *, grace: float, before_stop: Callable[[float], object]) -> int:
        before_stop(grace)
        return 0

    monkeypatch.setattr("alloy_actors.actors.system.run_supervisor", stopped)
    assert system.run(drain_timeout=60, grace=8) == 0
    assert drains == [4.0]
    assert go_on(path) == {"r1": "one", "r2": "two"}


def test_a_shutdown_gives_every_system_all_of_its_time(system: alloy.AgentSystem, tmp_path: Path) -> None:
    both = threading.Barrier(2, timeout=WAIT)
    said: queue.SimpleQueue[int] = queue.SimpleQueue()
    with alloy.AgentSystem(store=f"sqlite:///{tmp_path / 'others.db'}") as other:
        for one in (system, other):
            one.spawn("ada", provider=ScriptedProvider([]), on_shutdown=lambda _: said.put(both.wait()))
        alloy.shutdown(timeout=WAIT)
        assert sorted([said.get_nowait(), said.get_nowait()]) == [0, 1]
