"""At the edges: stops that meet restarts, stores and callbacks that fail, circles that close late."""

from __future__ import annotations

import asyncio
import queue
import sys
import threading

import pytest

import alloy_actors as alloy
from alloy_actors.actors.agent import AgentActor
from alloy_actors.actors.loop_thread import loop_thread
from alloy_actors.errors import AlloyError, FencedError
from alloy_actors.journal import RunEnded
from alloy_actors.store.memory import MemoryStore
from alloy_actors.testing import Gate, ScriptedProvider, hang, held, tool_call
from tests.checks import check_sendable
from tests.world.stubborn import wait_stubbornly

WAIT = 5.0


class Stubborn:
    """A provider that will not be cancelled until it is let go."""

    model = "stubborn"

    def __init__(self) -> None:
        self.gate = Gate()

    async def complete(self, request: object, on_deltas: object = None) -> alloy.ModelReply:
        await wait_stubbornly(self.gate)
        return alloy.ModelReply(alloy.Message("assistant", "late"))


# -- sessions and names


def test_a_session_goes_on_under_its_own_id_once_and_under_another_name_beside_it(
    system: alloy.AgentSystem,
) -> None:
    agent = system.spawn("a", provider=ScriptedProvider(["1", "2"]))
    agent.chat("hi")
    session = agent.export_session()
    with pytest.raises(alloy.ConfigError, match="'a' exists already"):
        system.spawn(provider=ScriptedProvider(["x"]), session=session)
    fork = system.spawn("b", provider=ScriptedProvider(["forked"]), session=session)
    assert fork.agent_id == "b"
    assert fork.chat("go on").text == "forked"
    assert agent.chat("still me?").text == "2"
    assert len(agent.messages()) == len(fork.messages()) == 4


def test_a_conversation_that_breaks_off_is_closed_before_it_goes_on(system: alloy.AgentSystem) -> None:
    broken = [
        alloy.Message("user", "look"),
        alloy.Message("assistant", [alloy.ToolCall("1", "look", {})]),
    ]
    agent = system.spawn("a", provider=ScriptedProvider(["fine"]), messages=broken)
    agent.chat("again")
    check_sendable(agent.messages())
    result = alloy.run("again", provider=ScriptedProvider(["fine"]), messages=broken)
    check_sendable(result.messages)


def test_one_name_asked_for_by_many_threads_is_one_agent() -> None:
    with alloy.AgentSystem(factory=lambda name: {"provider": ScriptedProvider("hi")}) as system:
        start = threading.Barrier(8)
        found: queue.SimpleQueue[object] = queue.SimpleQueue()

        def look() -> None:
            start.wait(WAIT)
            try:
                found.put(system.agent("x"))
            except AlloyError as error:
                found.put(error)

        threads = [threading.Thread(target=look) for _ in range(8)]
        for thread in threads:
            thread.start()
        assert {found.get(timeout=WAIT) for _ in threads} == {system.agent("x")}
        for thread in threads:
            thread.join(WAIT)


# -- stops


def test_a_run_that_will_not_be_cancelled_does_not_keep_its_caller_waiting() -> None:
    provider = Stubborn()
    results: queue.SimpleQueue[alloy.Result] = queue.SimpleQueue()
    with alloy.AgentSystem(stop_timeout=0.2) as system:
        agent = system.spawn("a", provider=provider)
        agent.send_message("go", results.put)
        provider.gate.arrived(timeout=WAIT)
        agent.stop()
        assert results.get(timeout=WAIT).status == "cancelled"
    provider.gate.release()


def test_a_one_shot_run_that_will_not_be_cancelled_is_told_by_shutdown() -> None:
    provider = Stubborn()
    results: queue.SimpleQueue[alloy.Result] = queue.SimpleQueue()
    thread = threading.Thread(target=lambda: results.put(alloy.run("go", provider=provider)))
    thread.start()
    provider.gate.arrived(timeout=WAIT)
    loop = loop_thread().thread
    alloy.shutdown(timeout=0.5)
    assert results.get(timeout=WAIT).status == "cancelled"
    provider.gate.release()
    thread.join(WAIT)
    loop.join(WAIT)


def test_a_stop_that_meets_a_restart_ends_the_agent(
    system: alloy.AgentSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    restoring, go_on = threading.Event(), threading.Event()
    agent = system.spawn("a", provider=ScriptedProvider("hi"))
    agent.messages()
    restore = AgentActor._restore

    def slow(self: AgentActor) -> None:
        restoring.set()
        go_on.wait(WAIT)
        restore(self)

    monkeypatch.setattr(AgentActor, "_restore", slow)
    agent.crash()
    assert restoring.wait(WAIT)
    stopping = threading.Thread(target=agent.stop)
    stopping.start()
    go_on.set()
    stopping.join(WAIT)
    assert not stopping.is_alive()
    assert agent.health().status == "stopped"
    assert system._agents.count_children().specs == 0


def test_a_callback_may_stop_its_agent_and_its_system() -> None:
    system = alloy.AgentSystem(stop_timeout=WAIT)
    agent = system.spawn("a", provider=ScriptedProvider(["hi"]))
    stopped = threading.Event()

    def on_result(_result: alloy.Result) -> None:
        agent.stop(timeout=60)
        system.stop(timeout=60)
        stopped.set()

    agent.send_message("go", on_result)
    assert stopped.wait(WAIT)


def test_stopping_an_agent_after_its_system_is_harmless() -> None:
    with alloy.AgentSystem() as system:
        agent = system.spawn("a", provider=ScriptedProvider("hi"))
    agent.stop()
    assert agent.health().status == "stopped"
    with pytest.raises(alloy.AgentDownError, match="stopped"):
        system.spawn("b", provider=ScriptedProvider("hi"))
    threads = {thread.name for thread in threading.enumerate()}
    alloy.shutdown()
    assert agent.health().status == "stopped"
    assert not any(name.startswith("alloy-loop") for name in {t.name for t in threading.enumerate()}), threads


def _spawn_many(
    system: alloy.AgentSystem, started: threading.Barrier, errors: queue.SimpleQueue[BaseException | None]
) -> None:
    started.wait(WAIT)
    try:
        for _ in range(20):
            system.spawn(provider=ScriptedProvider("hi"))
    except BaseException as error:
        errors.put(error)
    else:
        errors.put(None)


def test_spawning_while_the_system_stops_says_so() -> None:
    for _ in range(5):
        system = alloy.AgentSystem()
        errors: queue.SimpleQueue[BaseException | None] = queue.SimpleQueue()
        started = threading.Barrier(5)

        threads = [threading.Thread(target=_spawn_many, args=(system, started, errors)) for _ in range(4)]
        for thread in threads:
            thread.start()
        started.wait(WAIT)
        system.stop()
        raised = [errors.get(timeout=WAIT) for _ in threads]
        assert all(error is None or isinstance(error, alloy.AgentDownError) for error in raised), raised
        for thread in threads:
            thread.join(WAIT)


# -- what users' code does


def test_a_provider_that_exits_ends_its_run_and_not_the_runtime(system: alloy.AgentSystem) -> None:
    class Leaving:
        model = "leaving"

        async def complete(self, request: object, on_deltas: object = None) -> alloy.ModelReply:
            sys.exit(3)

    result = system.spawn("a", provider=Leaving()).chat("go", timeout=WAIT)
    assert isinstance(result.error, alloy.CrashError)
    assert system.spawn("b", provider=ScriptedProvider(["fine"])).chat("go", timeout=WAIT).text == "fine"


def test_something_that_ends_the_loop_is_survived(system: alloy.AgentSystem) -> None:
    agent = system.spawn("a", provider=ScriptedProvider(["fine"]))
    loop_thread().call(lambda: sys.exit(3))
    assert agent.chat("go", timeout=WAIT).text == "fine"


@pytest.mark.parametrize("reply", ["text", None, 3])
def test_a_provider_that_returns_something_else_is_told_what_to_return(
    system: alloy.AgentSystem, reply: object
) -> None:
    class Odd:
        model = "odd"

        async def complete(self, request: object, on_deltas: object = None) -> object:
            return reply

    error = system.spawn("a", provider=Odd()).chat("go").error
    assert "Odd.complete() must return a ModelReply" in str(error)


def test_a_callback_that_exits_does_not_take_the_ones_behind_it_along(system: alloy.AgentSystem) -> None:
    agent = system.spawn("a", provider=ScriptedProvider(lambda _request: "hi"))
    results: queue.SimpleQueue[alloy.Result] = queue.SimpleQueue()
    agent.send_message("1", lambda _result: sys.exit(1))
    agent.send_message("2", results.put)
    assert results.get(timeout=WAIT).text == "hi"


def test_an_async_callback_may_chat_with_its_own_agent(system: alloy.AgentSystem) -> None:
    agent = system.spawn("a", provider=ScriptedProvider(["one", "two"]))
    results: queue.SimpleQueue[object] = queue.SimpleQueue()

    async def on_result(_result: alloy.Result) -> None:
        try:
            results.put((await agent.achat("and?")).text)
        except AlloyError as error:
            results.put(error)

    agent.send_message("go", on_result)
    assert results.get(timeout=WAIT) == "two"


def test_an_agent_asked_without_waiting_may_ask_back(system: alloy.AgentSystem) -> None:
    @alloy.tool
    def ask_back() -> str:
        """Ask the one who sent the message."""
        return system.agent("a").chat("what was it?").text

    @alloy.tool
    def send() -> str:
        """Hand work to b."""
        return system.agent("b").send_message("work", results.put)

    results: queue.SimpleQueue[alloy.Result] = queue.SimpleQueue()
    a = system.spawn("a", provider=ScriptedProvider([tool_call("send"), "sent", "it was work"]), tools=[send])
    system.spawn("b", provider=ScriptedProvider([tool_call("ask_back"), "done"]), tools=[ask_back])
    assert a.chat("go", timeout=WAIT).text == "sent"
    result = results.get(timeout=WAIT)
    assert result.messages[2].blocks[0].content == "it was work"


def test_a_circle_of_waits_that_closes_late_is_refused(system: alloy.AgentSystem) -> None:
    both = threading.Barrier(2)

    @alloy.tool
    def ask(name: str) -> str:
        """Ask the other, once both are in a run."""
        both.wait(WAIT)
        return system.agent(name).chat("you?").text

    a = system.spawn("a", provider=ScriptedProvider([tool_call("ask", name="b"), "a", "a2"]), tools=[ask])
    b = system.spawn("b", provider=ScriptedProvider([tool_call("ask", name="a"), "b", "b2"]), tools=[ask])
    results: queue.SimpleQueue[alloy.Result] = queue.SimpleQueue()
    a.send_message("go", results.put)
    b.send_message("go", results.put)
    outcomes = [results.get(timeout=WAIT).messages[2].blocks[0] for _ in range(2)]
    assert sorted(outcome.is_error for outcome in outcomes) == [False, True]


def test_a_run_inside_an_async_tool_makes_the_default_system() -> None:
    @alloy.tool
    async def delegate() -> str:
        """Let another model do it."""
        return (await alloy.arun("it", provider=ScriptedProvider(["did it"]))).text

    with alloy.AgentSystem() as system:
        agent = system.spawn("a", provider=ScriptedProvider([tool_call("delegate"), "ok"]), tools=[delegate])
        assert agent.chat("go", timeout=WAIT).messages[2].blocks[0].content == "did it"


# -- streams


def test_when_a_stream_has_ended_the_agent_is_done(system: alloy.AgentSystem) -> None:
    agent = system.spawn("a", provider=ScriptedProvider(lambda _request: "hi"))

    async def main() -> None:
        for number in range(50):
            async for event in agent.astream_chat("go", request_id=str(number)):
                last = event
            assert isinstance(last, alloy.RunFinished)
            assert agent.result(str(number)) is not None
            assert (await agent.amessages())[-1].text == "hi"
            await agent.areset()

    asyncio.run(main())


def test_a_stream_of_a_request_that_is_known_says_its_text_at_the_end(system: alloy.AgentSystem) -> None:
    agent = system.spawn("a", provider=ScriptedProvider(["one two"]))
    agent.chat("go", request_id="r")
    chunks: list[str] = []
    events: list[alloy.Event] = []
    agent.stream_chat("go", chunks.append, on_event=events.append, request_id="r")
    assert chunks == ["one two"]
    assert [event.type for event in events] == ["run_finished"]


@pytest.mark.parametrize("timeout", ["5", 0, -1, float("nan"), True])
def test_a_wrong_timeout_is_refused_before_anything_is_accepted(
    system: alloy.AgentSystem, timeout: object
) -> None:
    """T69: a timeout of 0 is a mistake of the caller's, who is told at once."""
    agent = system.spawn("a", provider=ScriptedProvider(["hi"]))
    with pytest.raises(alloy.ConfigError, match="timeout must be a number of seconds above 0"):
        agent.chat("go", timeout=timeout)
    assert agent.messages() == []


# -- stores


class FailingStore(MemoryStore):
    """Refuses appends while `broken`."""

    def __init__(self) -> None:
        super().__init__()
        self.broken = False

    def append(self, agent_id, token, records, on_appended):
        if self.broken:
            on_appended(AlloyError("the disk is full"))
        else:
            super().append(agent_id, token, records, on_appended)


def test_a_store_that_fails_in_the_middle_is_a_result_and_the_agent_lives_on() -> None:
    store, gate = FailingStore(), Gate()
    with alloy.AgentSystem(store=store) as system:
        agent = system.spawn("a", provider=ScriptedProvider([held(gate, "never kept"), "fine"]))
        results: queue.SimpleQueue[alloy.Result] = queue.SimpleQueue()
        agent.send_message("1", results.put)
        gate.arrived()
        store.broken = True
        gate.release()
        result = results.get(timeout=WAIT)
        assert result.status == "error"
        assert "the disk is full" in str(result.error)
        with pytest.raises(AlloyError, match="the disk is full"):
            agent.chat("2")
        store.broken = False
        assert agent.chat("3").text == "fine"
        check_sendable(agent.messages())


def test_an_agent_that_the_store_gives_no_token_is_refused_once_and_over() -> None:
    class Closed(MemoryStore):
        asked = 0

        def take_token(self, agent_id: str) -> int:
            self.asked += 1
            raise AlloyError("the store is closed")

    store = Closed()
    with alloy.AgentSystem(store=store) as system:
        with pytest.raises(AlloyError, match="the store is closed") as raised:
            system.spawn("a", provider=ScriptedProvider([]))
        assert (store.asked, raised.value.__context__) == (1, None)


def test_a_cancelled_run_whose_end_the_store_does_not_take_is_cancelled_all_the_same() -> None:
    store, gate = FailingStore(), Gate()
    with alloy.AgentSystem(store=store) as system:
        agent = system.spawn("a", provider=ScriptedProvider([held(gate, "never"), "fine"]))
        results: queue.SimpleQueue[alloy.Result] = queue.SimpleQueue()
        agent.send_message("1", results.put)
        gate.arrived()
        store.broken = True
        agent.cancel_request()
        result = results.get(timeout=WAIT)
        assert (result.status, type(result.error)) == ("cancelled", alloy.CancelledError)
        store.broken = False
        assert agent.chat("3").text == "fine"
        ended = [record for record in store.load("a") if isinstance(record, RunEnded)]
    assert [record.status for record in ended] == ["cancelled", "completed"]


def test_a_second_cancel_at_the_door_changes_nothing() -> None:
    class SlowStore(MemoryStore):
        """Answers on a thread of its own, at the door only when it is let."""

        def __init__(self) -> None:
            super().__init__()
            self.slow, self.at_door, self.go_on = False, threading.Event(), threading.Event()

        def append(self, agent_id, token, records, on_appended):
            def later() -> None:
                self.at_door.set()
                self.go_on.wait(WAIT)
                MemoryStore.append(self, agent_id, token, records, on_appended)

            if self.slow:
                threading.Thread(target=later).start()
            else:
                super().append(agent_id, token, records, on_appended)

    store = SlowStore()
    with alloy.AgentSystem(store=store) as system:
        provider = ScriptedProvider([hang(), "fine"])
        agent = system.spawn("a", provider=provider)
        results: queue.SimpleQueue[alloy.Result] = queue.SimpleQueue()
        agent.send_message("1", results.put)
        while not provider.requests:
            agent.health()
        store.slow = True
        assert agent.cancel_request()
        assert store.at_door.wait(WAIT)
        agent.cancel_request()
        agent.health()
        store.slow = False
        store.go_on.set()
        assert results.get(timeout=WAIT).status == "cancelled"
        assert agent.chat("2").text == "fine"


def test_a_retired_agents_log_is_forgotten_only_by_its_last_incarnation() -> None:
    store = MemoryStore()
    old, new = store.take_token("a"), store.take_token("a")
    store.retire("a", old)
    outcome: list[Exception | None] = []
    store.append("a", new, (), outcome.append)
    assert outcome == [None]
    store.retire("a", new)
    store.append("a", new, (), outcome.append)
    assert isinstance(outcome[1], FencedError)
