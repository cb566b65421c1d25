"""Agents with `idle_timeout`: what leaves the memory, and that nobody can tell otherwise."""

from __future__ import annotations

import asyncio
import gc
import queue
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

import alloy_actors as alloy
from alloy_actors.actors import sleep
from alloy_actors.content import Message
from alloy_actors.journal import ModelChanged
from alloy_actors.local import LocalServer
from alloy_actors.store.sqlite import SqliteStore
from alloy_actors.testing import ScriptedProvider, delayed, error, reply, tool_call
from supervisors.testing import FakeClock
from tests.checks import check_journal, check_sendable

IDLE = 60.0
WAIT = 10.0


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> FakeClock:
    clock = FakeClock()
    monkeypatch.setattr(sleep, "CLOCK", clock)
    return clock


@pytest.fixture
def system(tmp_path: Path) -> Iterator[alloy.AgentSystem]:
    with alloy.AgentSystem(store=f"sqlite:///{tmp_path}/agents.db") as system:
        yield system


class Stops(alloy.Middleware):
    """Ends every run before its model is asked."""

    def before_completion(self, run: alloy.RunView) -> alloy.Halt:
        return alloy.Halt("enough")


def spawn(system: alloy.AgentSystem, *script: Any, name: str = "ada", **options: Any) -> alloy.AgentRef:
    return system.spawn(name, provider=ScriptedProvider([*script]), idle_timeout=IDLE, **options)


def at_rest(agent: alloy.AgentRef) -> None:
    """Who waits for a result has it a moment before the actor is at rest."""
    assert agent.health().status == "idle"


def fall_asleep(clock: FakeClock, agent: alloy.AgentRef) -> None:
    at_rest(agent)
    clock.advance(IDLE)
    assert agent.health().status == "asleep"


# -- what a caller sees --------------------------------------------------------------------------------------------


def test_an_idle_agent_sleeps_and_its_next_request_finds_the_conversation(
    system: alloy.AgentSystem, clock: FakeClock
) -> None:
    agent = spawn(system, "one", "two", "three")
    agent.chat("first")
    before = agent.messages()
    fall_asleep(clock, agent)
    assert agent.chat("second").text == "two"
    assert agent.health().status == "idle"
    fall_asleep(clock, agent)
    assert agent.chat("third").text == "three"
    assert agent.messages()[: len(before)] == before
    assert [message.text for message in agent.messages()] == [
        "first",
        "one",
        "second",
        "two",
        "third",
        "three",
    ]
    check_sendable(agent.messages())


def test_the_model_gets_the_same_history_from_an_agent_that_slept(
    system: alloy.AgentSystem, clock: FakeClock
) -> None:
    @alloy.tool
    async def look(what: str) -> str:
        """Look."""
        return f"{what} is there"

    script = [tool_call("look", what="x"), "found", "and now", "last"]
    awake = ScriptedProvider(script)
    sleepy = ScriptedProvider(script)
    one = system.spawn("awake", provider=awake, tools=[look])
    two = system.spawn("sleepy", provider=sleepy, tools=[look], idle_timeout=IDLE)
    for said in ("where is x?", "thanks", "bye"):
        one.chat(said)
        two.chat(said)
        fall_asleep(clock, two)
    assert [request.messages for request in awake.requests] == [
        request.messages for request in sleepy.requests
    ]


def test_health_and_usage_do_not_wake_it(system: alloy.AgentSystem, clock: FakeClock) -> None:
    agent = spawn(system, "one")
    agent.chat("first")
    before = agent.health()
    fall_asleep(clock, agent)
    asleep = agent.health()
    assert (asleep.turns, asleep.message_count, asleep.usage) == (1, 2, before.usage)
    assert agent.usage() == before.usage
    assert not asleep.busy
    assert agent.health().status == "asleep"
    assert clock.pending() == []  # one that sleeps costs no timer


def test_asking_for_the_conversation_wakes_it_until_it_was_idle_again(
    system: alloy.AgentSystem, clock: FakeClock
) -> None:
    agent = spawn(system, "one")
    agent.chat("first")
    for ask in (agent.messages, agent.export_session):
        fall_asleep(clock, agent)
        ask()
        assert agent.health().status == "idle"
        clock.advance(IDLE - 1)
        assert agent.health().status == "idle"


def test_results_stay_readable_with_all_that_is_in_them(system: alloy.AgentSystem, clock: FakeClock) -> None:
    agent = spawn(system, "one", "two")
    first = agent.chat("first", request_id="r1")
    agent.chat("second", request_id="r2")
    fall_asleep(clock, agent)
    again = agent.result("r1")
    assert again is not None
    assert (again.text, again.usage, again.messages) == (first.text, first.usage, first.messages)
    assert agent.result("never") is None
    assert agent.health().status == "idle"  # it has taken its conversation up as well
    fall_asleep(clock, agent)
    assert asyncio.run(agent.aresult("r2")) == agent.result("r2")
    assert asyncio.run(agent.aresult("never")) is None
    fall_asleep(clock, agent)


@pytest.mark.parametrize(
    ("script", "options"),
    [
        ([tool_call("look", what="x"), "found"], {}),
        ([tool_call("look", what="x")], {"max_turns": 1}),
        ([reply("let me see", tool_call("look", what="x"))], {"max_turns": 1}),
        ([reply("as far as it we", stop_reason="max_tokens")], {}),
        ([reply("I must not", stop_reason="refusal")], {}),
        ([error(alloy.AuthError)], {}),
        (["four"], {"output": int, "output_retries": 0}),
        (["4"], {"output": int}),
        ([tool_call("look", what="x")], {"halt_on_tool": "look"}),
        (["too dear"], {"middleware": [Stops()]}),
    ],
    ids=[
        "tools",
        "max-turns",
        "max-turns-with-text",
        "cut",
        "refusal",
        "error",
        "unfit",
        "output",
        "tool-answer",
        "halted",
    ],
)
def test_a_result_is_the_same_however_its_run_ended(
    system: alloy.AgentSystem, clock: FakeClock, script: list[Any], options: dict[str, Any]
) -> None:
    @alloy.tool
    def look(what: str) -> str:
        """Look."""
        return f"{what} is there"

    agent = spawn(system, *script, tools=[look], **options)
    said = agent.chat("first", request_id="r1")
    fall_asleep(clock, agent)
    again = agent.result("r1")
    assert again is not None
    for name in (
        "status",
        "text",
        "thinking",
        "messages",
        "usage",
        "turns",
        "tool_calls",
        "stop_reason",
        "output",
    ):
        assert getattr(again, name) == getattr(said, name), name
    assert (type(again.error), str(again.error)) == (type(said.error), str(said.error))


def test_a_request_id_names_one_request_although_the_agent_slept(
    system: alloy.AgentSystem, clock: FakeClock
) -> None:
    agent = spawn(system, "one", "two")
    agent.chat("first", request_id="r1")
    fall_asleep(clock, agent)
    assert agent.chat("first", request_id="r1").text == "one"
    fall_asleep(clock, agent)
    assert asyncio.run(agent.achat("first", request_id="r1")).text == "one"
    fall_asleep(clock, agent)
    with pytest.raises(alloy.ConfigError, match="already used for another message"):
        agent.send_message("other", request_id="r1")
    assert agent.chat("second").text == "two"


def test_results_from_before_a_reset_are_kept_though_the_store_has_them_no_more(
    system: alloy.AgentSystem, clock: FakeClock
) -> None:
    agent = spawn(system, "one", "two", "three")
    first = agent.chat("first", request_id="r1")
    agent.reset()
    agent.chat("second", request_id="r2")
    fall_asleep(clock, agent)
    assert agent.result("r1") == first
    assert agent.chat("first", request_id="r1").text == "one"
    fall_asleep(clock, agent)
    again = agent.result("r2")
    assert again is not None
    assert again.text == "two"
    assert agent.chat("third").text == "three"


def test_a_message_on_a_topic_wakes_it(system: alloy.AgentSystem, clock: FakeClock) -> None:
    agent = spawn(system, "one", "two", subscribe=["news"])
    agent.chat("first")
    fall_asleep(clock, agent)
    with agent.subscribe("responses") as answers:
        system.publish("news", "it rains")
        assert answers.get(timeout=WAIT).text == "two"
    assert len(agent.messages()) == 4


def test_another_model_and_a_reset_hold_for_one_that_slept(
    system: alloy.AgentSystem, clock: FakeClock
) -> None:
    agent = spawn(system, "one")
    agent.chat("first")
    fall_asleep(clock, agent)
    agent.set_model(ScriptedProvider(["from the other", "anew"], model="other"))
    fall_asleep(clock, agent)
    assert agent.chat("second").text == "from the other"
    fall_asleep(clock, agent)
    agent.reset()
    fall_asleep(clock, agent)
    assert agent.messages() == []
    assert agent.chat("third").text == "anew"
    assert agent.health().model == "other"


# -- when it does not sleep ----------------------------------------------------------------------------------------


def test_an_agent_at_work_does_not_sleep(system: alloy.AgentSystem, clock: FakeClock) -> None:
    at_work, go_on = threading.Event(), threading.Event()

    @alloy.tool
    def work() -> str:
        """Work."""
        at_work.set()
        assert go_on.wait(WAIT)
        return "done"

    agent = spawn(system, tool_call("work"), "one", tools=[work])
    told: queue.SimpleQueue[alloy.Result] = queue.SimpleQueue()
    agent.send_message("first", told.put)
    assert at_work.wait(WAIT)
    clock.advance(IDLE)
    assert agent.health().status == "running"
    clock.advance(IDLE / 2)
    go_on.set()
    assert told.get(timeout=WAIT).text == "one"
    at_rest(agent)
    clock.advance(IDLE - 1)
    assert agent.health().status == "idle"  # the time began when it had nothing more to do
    clock.advance(1)
    assert agent.health().status == "asleep"


def test_what_the_log_lacks_keeps_an_agent_awake(system: alloy.AgentSystem, clock: FakeClock) -> None:
    agent = spawn(system, "one", "two")
    agent.chat("first")
    agent._entry.leave_unwritten((ModelChanged("other"),))  # as after a store that would not take it
    at_rest(agent)
    clock.advance(10 * IDLE)
    assert agent.health().status == "idle"
    agent.chat("second")  # whose run writes it first
    fall_asleep(clock, agent)


def test_without_the_option_nothing_sleeps(system: alloy.AgentSystem, clock: FakeClock) -> None:
    agent = system.spawn(provider=ScriptedProvider(["one"]))
    agent.chat("first")
    assert clock.pending() == []


def test_a_store_in_memory_is_refused_with_what_to_do(clock: FakeClock) -> None:
    with alloy.AgentSystem() as system, pytest.raises(alloy.ConfigError, match="idle_timeout.*store on disk"):
        spawn(system)
    with pytest.raises(alloy.ConfigError, match="idle_timeout"):
        alloy.Agent.start(provider=ScriptedProvider([]), idle_timeout=1)


# -- what is let go of ---------------------------------------------------------------------------------------------


def said_here(marker: str) -> int:
    gc.collect()
    return sum(isinstance(thing, Message) and marker in thing.text for thing in gc.get_objects())


def test_nothing_of_the_conversation_is_left_in_memory(system: alloy.AgentSystem, clock: FakeClock) -> None:
    marker = "a word that is nowhere else"
    with LocalServer() as server:  # a script would keep what it was asked
        provider = alloy.OpenAICompat(model="scripted-fast", api_url=server.url)
        agent = system.spawn("ada", provider=provider, idle_timeout=IDLE)
        agent.chat(marker, request_id="r1")
        agent.send_message("second", lambda _: None)
        asyncio.run(agent.drained())
        assert said_here(marker) > 0
        fall_asleep(clock, agent)
        assert said_here(marker) == 0
        assert agent.messages()[0].text == marker


def test_an_agent_that_is_stopped_leaves_no_timer(system: alloy.AgentSystem, clock: FakeClock) -> None:
    agent = spawn(system, "one")
    agent.chat("first")
    assert len(clock.pending()) == 1
    agent.stop()
    assert clock.pending() == []


# -- crashes and ends ----------------------------------------------------------------------------------------------


def test_a_crash_in_its_sleep_costs_nothing(system: alloy.AgentSystem, clock: FakeClock) -> None:
    agent = spawn(system, "one", "two")
    agent.chat("first", request_id="r1")
    fall_asleep(clock, agent)
    agent.crash()
    assert agent.chat("second").text == "two"
    assert agent.chat("first", request_id="r1").text == "one"
    assert agent.health().restarts == 1
    assert len(clock.pending()) == 1
    fall_asleep(clock, agent)


def test_stopping_one_that_sleeps_says_goodbye_with_its_conversation(
    system: alloy.AgentSystem, clock: FakeClock
) -> None:
    sessions: list[alloy.Session] = []
    agent = spawn(system, "one", on_shutdown=sessions.append)
    agent.chat("first", request_id="r1")
    fall_asleep(clock, agent)
    agent.stop()
    assert [message.text for message in sessions[0].messages] == ["first", "one"]
    with pytest.raises(alloy.AgentDownError, match="is stopped"):
        agent.chat("second", request_id="r2")
    with pytest.raises(alloy.AgentDownError, match="asleep when it was stopped"):
        agent.result("r1")
    again = spawn(system, "two")
    assert again.result("r1") is not None
    assert again.chat("second").text == "two"


def test_the_next_process_finds_what_slept(tmp_path: Path, clock: FakeClock) -> None:
    store = f"sqlite:///{tmp_path}/agents.db"
    with alloy.AgentSystem(store=store) as system:
        agent = spawn(system, "one")
        agent.chat("first", request_id="r1")
        fall_asleep(clock, agent)
    with alloy.AgentSystem(store=store) as system:
        agent = spawn(system, "two")
        assert agent.chat("second").text == "two"
        assert len(agent.messages()) == 4
    with SqliteStore(tmp_path / "agents.db") as closed:
        assert len(check_journal(closed.load("ada"))) == 2


def test_a_journal_that_cannot_be_read_is_the_callers_error_and_the_agent_stays(
    system: alloy.AgentSystem, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = spawn(system, "one", "two")
    agent.chat("first", request_id="r1")
    fall_asleep(clock, agent)

    with monkeypatch.context() as patch:
        unreadable = alloy.StoreError("the journal of agent 'ada' could not be read", agent_id="ada")
        patch.setattr(SqliteStore, "load", Mock(side_effect=unreadable))
        with pytest.raises(alloy.StoreError, match="could not be read"):
            agent.result("r1")
        with pytest.raises(alloy.StoreError, match="could not be read"):
            agent.chat("first", request_id="r1")
        assert agent.health().status == "asleep"
    assert agent.chat("second").text == "two"
    assert agent.health().restarts == 0


def test_an_agent_that_cannot_read_its_journal_is_parked_as_after_a_crash(
    system: alloy.AgentSystem, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = spawn(system, "one")
    agent.chat("first")
    fall_asleep(clock, agent)
    damaged = alloy.StoreError("record 1 is damaged", agent_id="ada")
    monkeypatch.setattr(SqliteStore, "load", Mock(side_effect=damaged))
    with pytest.raises(alloy.AgentDownError, match="parked.*damaged") as caught:
        agent.chat("second")
    assert caught.value.__cause__ is damaged
    assert agent.health().status == "parked"


def test_falling_asleep_races_with_requests_and_loses_none(
    system: alloy.AgentSystem, clock: FakeClock
) -> None:
    """Four callers say numbered things while time jumps; each request has one answer and one place in the log."""
    agent = spawn(system, *(delayed(0.0, str(number)) for number in range(200)))
    results: list[alloy.Result] = []

    def talk(base: int) -> None:
        for number in range(25):
            request_id = f"r{base + number}"
            results.append(agent.chat(request_id, request_id=request_id, timeout=WAIT))
            assert agent.result(request_id) is not None

    over = threading.Event()

    def jump() -> None:
        while not over.is_set():
            clock.advance(IDLE)
            agent.health()

    jumper = threading.Thread(target=jump)
    callers = [threading.Thread(target=talk, args=(100 * index,)) for index in range(4)]
    jumper.start()
    for thread in callers:
        thread.start()
    for thread in callers:
        thread.join(60)
    over.set()
    jumper.join(WAIT)
    assert len({result.request_id for result in results}) == 100
    assert len({result.text for result in results}) == 100
    assert len(agent.messages()) == 200
    check_sendable(agent.messages())
