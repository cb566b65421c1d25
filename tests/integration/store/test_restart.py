"""A system that is started again on its store: conversations, requests and results are there."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

import alloy_actors as alloy
from alloy_actors.store import upkeep
from alloy_actors.testing import Gate, ScriptedProvider, held, tool_call
from alloy_actors.turn import Run
from tests.checks import check_sendable

WAIT = 10.0

Open = Callable[..., alloy.AgentSystem]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "agents.db"


@pytest.fixture
def open_system(path: Path) -> Iterator[Open]:
    """Opens a system on the store; what a test leaves open is stopped."""
    opened: list[alloy.AgentSystem] = []

    def open_one(**options: Any) -> alloy.AgentSystem:
        opened.append(alloy.AgentSystem(store=f"sqlite:///{path}", **options))
        return opened[-1]

    yield open_one
    for system in opened:
        system.stop()


def answers(*script: object, **options: Any) -> Callable[[str], dict[str, Any]]:
    """A factory whose agents share one script."""
    provider = ScriptedProvider(script)
    return lambda name: {"provider": provider, **options}


def test_an_agent_goes_on_with_its_conversation_and_its_results_are_readable(open_system: Open) -> None:
    system = open_system()
    agent = system.spawn("ada", provider=ScriptedProvider(["one"]))
    before = agent.chat("first", request_id="r1").raise_for_status()
    system.stop()

    system = open_system()
    agent = system.spawn(
        "ada", provider=ScriptedProvider(["two"]), messages=[alloy.Message("user", "ignored")]
    )
    after = agent.result("r1")
    assert after is not None
    assert (after.text, after.status, after.usage, after.turns, after.stop_reason) == (
        before.text,
        before.status,
        before.usage,
        before.turns,
        before.stop_reason,
    )
    assert list(after.messages) == list(before.messages)
    assert agent.chat("first", request_id="r1").text == "one"  # the same id is the same request
    with pytest.raises(alloy.ConfigError, match="ids name one request"):
        agent.chat("second", request_id="r1")
    assert agent.chat("second").text == "two"
    assert [message.text for message in agent.messages()] == ["first", "one", "second", "two"]
    assert agent.usage() == before.usage + before.usage


def test_results_older_than_their_time_are_forgotten(open_system: Open) -> None:
    system = open_system()
    system.spawn("ada", provider=ScriptedProvider(["one"])).chat("first", request_id="r1")
    system.stop()
    agent = open_system().spawn("ada", provider=ScriptedProvider(["again"]), result_ttl=1e-6)
    assert agent.result("r1") is None
    assert agent.chat("first", request_id="r1").text == "again"


def test_an_error_is_readable_after_the_restart_by_its_class(open_system: Open) -> None:
    system = open_system()
    failing = ScriptedProvider([alloy.AuthError("no key", status=401)])
    agent = system.spawn("ada", provider=failing)
    assert isinstance(agent.chat("first", request_id="r1").error, alloy.AuthError)
    gate = Gate()
    agent.set_model(ScriptedProvider([held(gate, "never")]))
    agent.send_message("running", request_id="r2")
    gate.arrived()
    agent.send_message("queued", request_id="r3")
    assert agent.cancel_request("r3")
    assert agent.cancel_request("r2")
    agent.stop()
    system.stop()
    agent = open_system().spawn("ada", provider=ScriptedProvider([]))
    assert isinstance(agent.result("r1").error, alloy.AuthError)
    assert "no key" in str(agent.result("r1").error)
    assert {agent.result(name).status for name in ("r2", "r3")} == {"cancelled"}


def test_what_was_running_and_what_waited_goes_on_where_a_factory_makes_the_agents(open_system: Open) -> None:
    gate, told = Gate(), queue.SimpleQueue()
    system = open_system()
    agent = system.spawn("ada", provider=ScriptedProvider([held(gate, "never")]))
    idle = system.spawn("idle", provider=ScriptedProvider(["hi"]))
    idle.chat("hello")
    for number in "123":
        agent.send_message(number, told.put, request_id=number)
    gate.arrived()
    system.stop()
    results = [told.get(timeout=WAIT) for _ in range(3)]
    assert {result.status for result in results} == {"cancelled"}
    assert "goes on" in str(results[0].error)

    made: list[str] = []
    make = answers("one", "two", "three")
    system = open_system(factory=lambda name: made.append(name) or make(name))
    assert made == ["ada"]  # who has nothing to do is made when somebody asks for it
    agent = system.agent("ada")
    assert [agent.chat(number, request_id=number).text for number in "123"] == ["one", "two", "three"]
    assert [message.text for message in agent.messages()] == ["1", "one", "2", "two", "3", "three"]
    assert system.agent("idle").messages()[-1].text == "hi"
    assert made == ["ada", "idle"]


def test_without_a_factory_requests_wait_until_their_agent_is_spawned(open_system: Open) -> None:
    gate = Gate()
    system = open_system()
    agent = system.spawn("ada", provider=ScriptedProvider([held(gate, "never")]))
    agent.send_message("1", request_id="1")
    gate.arrived()
    system.stop()
    system = open_system()
    with pytest.raises(alloy.AgentDownError, match="waits until then"):
        system.agent("ada")
    agent = system.spawn("ada", provider=ScriptedProvider(["one"]))
    assert agent.chat("1", request_id="1").text == "one"


def test_a_run_that_was_on_may_be_reported_instead_of_resumed(open_system: Open) -> None:
    gate = Gate()
    system = open_system()
    agent = system.spawn("ada", provider=ScriptedProvider([held(gate, "never")]))
    agent.send_message("1", request_id="1")
    agent.send_message("2", request_id="2")
    gate.arrived()
    system.stop()
    system = open_system(factory=answers("two"), on_restart="report")
    agent = system.agent("ada")
    assert agent.chat("2", request_id="2").text == "two"
    reported = agent.result("1")
    assert reported.status == "error"
    assert "the process ended" in str(reported.error)
    check_sendable(agent.messages())


def test_a_run_is_reported_also_when_the_first_incarnation_crashes_over_it(
    open_system: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate()
    system = open_system()
    agent = system.spawn("ada", provider=ScriptedProvider([held(gate, tool_call("nothing"))]))
    agent.send_message("1", request_id="1")
    gate.arrived()
    agent.send_message("and more", request_id="2", when_busy="steer")
    system.stop()

    execute = Run.execute
    first = iter([RuntimeError("a bug")])

    async def crash_first(run: Run) -> alloy.Result:
        for bug in first:
            raise bug
        return await execute(run)

    monkeypatch.setattr(Run, "execute", crash_first)
    provider = ScriptedProvider(["more"])
    agent = open_system(on_restart="report").spawn("ada", provider=provider)
    assert agent.chat("and more", request_id="2").text == "more"
    assert "the process ended" in str(agent.result("1").error)
    assert len(provider.requests) == 1


def test_orderly_stops_never_count_as_crashes_of_a_run(open_system: Open) -> None:
    for _ in range(4):
        gate = Gate()
        system = open_system()
        agent = system.spawn("ada", provider=ScriptedProvider([held(gate, "never")]))
        agent.send_message("1", request_id="1")
        gate.arrived()
        system.stop()
    agent = open_system().spawn("ada", provider=ScriptedProvider(["at last"]))
    assert agent.chat("1", request_id="1").text == "at last"


def test_a_tool_that_ran_is_not_run_again_after_the_restart(open_system: Open) -> None:
    ran: list[str] = []

    @alloy.tool
    def effect(what: str) -> str:
        """Have an effect."""
        ran.append(what)
        return f"did {what}"

    gate = Gate()
    system = open_system()
    script = [tool_call("effect", what="it"), held(gate, "never")]
    agent = system.spawn("ada", provider=ScriptedProvider(script), tools=[effect])
    agent.send_message("do it", request_id="1")
    gate.arrived()
    system.stop()
    agent = open_system().spawn("ada", provider=ScriptedProvider(["done"]), tools=[effect])
    result = agent.chat("do it", request_id="1")
    assert (result.text, result.turns, ran) == ("done", 2, ["it"])
    assert [(call.name, call.error) for call in result.tool_calls] == [("effect", None)]
    check_sendable(agent.messages())


def test_steering_is_part_of_the_run_after_the_restart_as_well(open_system: Open) -> None:
    gates = Gate(), Gate()
    system = open_system()
    script = [held(gates[0], "first"), held(gates[1], "never")]
    agent = system.spawn("ada", provider=ScriptedProvider(script))
    agent.send_message("go", request_id="run")
    gates[0].arrived()
    agent.send_message("more", request_id="more", when_busy="steer")
    gates[0].release()
    gates[1].arrived()
    agent.send_message("late", request_id="late", when_busy="steer")
    system.stop()
    agent = open_system().spawn("ada", provider=ScriptedProvider(["second", "third"]))
    results = [agent.chat(text, request_id=name) for text, name in (("go", "run"), ("more", "more"))]
    assert [result.text for result in results] == ["third", "third"]
    assert agent.result("late").text == "third"
    assert [message.text for message in agent.messages()] == [
        "go",
        "first",
        "more",
        "second",
        "late",
        "third",
    ]


def test_a_stopped_agents_requests_are_over_also_in_the_store(open_system: Open, path: Path) -> None:
    gate = Gate()
    system = open_system()
    agent = system.spawn("ada", provider=ScriptedProvider([held(gate, "never")]))
    for number in "12":
        agent.send_message(number, request_id=number)
    gate.arrived()
    agent.stop()
    system.stop()
    (summary,) = upkeep.summaries(path)
    assert (summary.running, summary.waiting) == (None, 0)
    made: list[str] = []
    open_system(factory=lambda name: made.append(name) or {"provider": ScriptedProvider([])})
    assert made == []


def test_an_agent_whose_factory_fails_stops_no_other(
    open_system: Open, capsys: pytest.CaptureFixture[str]
) -> None:
    system = open_system()
    for name in ("bad", "good"):
        gate = Gate()
        system.spawn(name, provider=ScriptedProvider([held(gate, "never")])).send_message("1", request_id="1")
        gate.arrived()
    system.stop()
    make = answers("one")

    def factory(name: str) -> dict[str, Any]:
        if name == "bad":
            raise RuntimeError("no such customer")
        return make(name)

    system = open_system(factory=factory)
    assert system.agent("good").chat("1", request_id="1").text == "one"
    assert "agent_not_resumed" in capsys.readouterr().out
    system.stop()
    assert upkeep.summaries(system._store._file.path)[0].running == "1"


def test_a_session_is_no_beginning_for_an_agent_that_the_store_knows(open_system: Open) -> None:
    system = open_system()
    agent = system.spawn("ada", provider=ScriptedProvider(["one"]))
    agent.chat("first")
    session = agent.export_session()
    with pytest.raises(alloy.ConfigError, match="is alive"):
        system.delete("ada")
    agent.stop()
    with pytest.raises(alloy.ConfigError, match=r"delete\('ada'\) it first"):
        system.spawn("ada", provider=ScriptedProvider(["x"]), session=session)
    system.delete("ada")
    agent = system.spawn("ada", provider=ScriptedProvider(["two"]), session=session)
    agent.chat("second")
    assert [message.text for message in agent.messages()] == ["first", "one", "second", "two"]


def test_draining_lets_runs_end_and_leaves_what_waits_to_the_next_start(open_system: Open) -> None:
    gate, told = Gate(), queue.SimpleQueue()
    system = open_system()
    agent = system.spawn("ada", provider=ScriptedProvider([held(gate, "one")]))
    for number in "12":
        agent.send_message(number, told.put, request_id=number)
    gate.arrived()
    drained: list[bool] = []
    drainer = threading.Thread(target=lambda: drained.append(system.drain(WAIT)))
    drainer.start()
    with pytest.raises(alloy.AgentDownError, match="being stopped"):
        while True:  # until the drain has begun
            with suppress(alloy.BusyError):
                agent.send_message("late", when_busy="reject")
    gate.release()
    drainer.join(WAIT)
    assert drained == [True]
    assert told.get(timeout=WAIT).text == "one"
    with pytest.raises(alloy.AgentDownError, match="being stopped"):
        system.spawn("bob", provider=ScriptedProvider([]))
    system.stop()
    assert told.get(timeout=WAIT).status == "cancelled"
    agent = open_system().spawn("ada", provider=ScriptedProvider(["two"]))
    assert agent.chat("2", request_id="2").text == "two"


def test_an_agent_that_is_taken_over_stops_and_tells_its_callers(open_system: Open) -> None:
    gate, told = Gate(), queue.SimpleQueue()
    loser = open_system()
    agent = loser.spawn("ada", provider=ScriptedProvider([held(gate, tool_call("nothing"))]))
    for number in "12":
        agent.send_message(number, told.put, request_id=number)
    gate.arrived()
    winner = open_system(takeover=True, factory=answers("one", "two"))
    gate.release()
    results = [told.get(timeout=WAIT) for _ in range(2)]
    assert [type(result.error) for result in results] == [alloy.FencedError] * 2
    with pytest.raises(alloy.AgentDownError):
        agent.chat("still there?")
    assert [winner.agent("ada").chat(number, request_id=number).text for number in "12"] == ["one", "two"]


def test_taking_over_is_for_a_store_on_disk() -> None:
    with pytest.raises(alloy.ConfigError, match="takeover=True is for a store on disk"):
        alloy.AgentSystem(takeover=True)
