"""An actor that fails comes back; what it was asked is answered, what it knew is kept."""

from __future__ import annotations

import queue
import threading

import pytest

import alloy_actors as alloy
from alloy_actors.actors.agent import AgentActor
from alloy_actors.testing import Gate, ScriptedProvider, cut, held, tool_call, tool_calls
from tests.checks import check_sendable

WAIT = 5.0


def echo(request: alloy.ModelRequest) -> str:
    return f"turn {sum(message.role == 'user' for message in request.messages)}"


def test_a_crashed_agent_answers_the_next_chat_on_the_same_handle(system: alloy.AgentSystem) -> None:
    agent = system.spawn("a", provider=ScriptedProvider(echo))
    agent.chat("1")
    agent.chat("2")
    agent.crash("drill")
    assert agent.chat("3").text == "turn 3"
    assert [message.text for message in agent.messages()] == ["1", "turn 1", "2", "turn 2", "3", "turn 3"]
    assert agent.health().restarts == 1


def test_a_sibling_keeps_its_incarnation_and_its_run(system: alloy.AgentSystem) -> None:
    gate = Gate()
    agent = system.spawn("a", provider=ScriptedProvider(echo))
    sibling = system.spawn("b", provider=ScriptedProvider([held(gate, "undisturbed")]))
    results: queue.SimpleQueue[alloy.Result] = queue.SimpleQueue()
    sibling.send_message("go", results.put)
    gate.arrived()
    agent.crash()
    agent.chat("back?")
    gate.release()
    assert results.get(timeout=WAIT).text == "undisturbed"
    assert sibling.health().restarts == 0


def test_a_crash_resumes_the_request_in_flight_and_keeps_the_queue(system: alloy.AgentSystem) -> None:
    """T76: everybody hears of it, and the history stays."""
    gate = Gate()
    agent = system.spawn("a", provider=ScriptedProvider([held(gate, "never"), "first", "second", "third"]))
    results: queue.SimpleQueue[alloy.Result] = queue.SimpleQueue()
    for number in "123":
        agent.send_message(number, results.put, request_id=number)
    gate.arrived()
    agent.crash("drill")
    told = [results.get(timeout=WAIT) for _ in range(3)]
    assert [(result.request_id, result.text) for result in told] == [
        ("1", "first"),
        ("2", "second"),
        ("3", "third"),
    ]
    check_sendable(agent.messages())
    assert len(agent.messages()) == 6


def test_a_second_crash_ends_the_request_with_an_error_and_the_queue_goes_on(
    system: alloy.AgentSystem,
) -> None:
    gate = Gate()
    provider = ScriptedProvider([held(gate, "never"), held(gate, "never"), "second"])
    agent = system.spawn("a", provider=provider)
    results: queue.SimpleQueue[alloy.Result] = queue.SimpleQueue()
    for number in "12":
        agent.send_message(number, results.put, request_id=number)
    for attempt in (1, 2):
        gate.arrived(attempt)
        agent.crash(f"drill {attempt}")
    first, second = (results.get(timeout=WAIT) for _ in range(2))
    assert (first.request_id, first.status) == ("1", "error")
    assert isinstance(first.error, alloy.CrashError)
    assert "drill 2" in str(first.error.__cause__)
    assert second.text == "second"
    check_sendable(agent.messages())


def test_a_call_that_a_crash_interrupted_is_not_run_again_and_its_finished_siblings_are_kept(
    system: alloy.AgentSystem,
) -> None:
    started, release = threading.Event(), threading.Event()
    ran: list[str] = []

    @alloy.tool
    def slow() -> str:
        """Wait."""
        ran.append("slow")
        started.set()
        release.wait(WAIT)
        return "too late"

    @alloy.tool(concurrent=False)
    def quick() -> str:
        """Do not wait."""
        ran.append("quick")
        return "done"

    calls = tool_calls(tool_call("quick"), tool_call("slow"), tool_call("quick"))
    agent = system.spawn("a", provider=ScriptedProvider([calls, "fine"]), tools=[slow, quick])
    results: queue.SimpleQueue[alloy.Result] = queue.SimpleQueue()
    agent.send_message("go", results.put)
    assert started.wait(WAIT)
    agent.crash()
    result = results.get(timeout=WAIT)
    release.set()
    assert (result.status, result.text) == ("completed", "fine")
    assert ran == ["quick", "slow", "quick"]
    done, unknown, later = agent.messages()[2].blocks
    assert (done.content, later.content) == ("done", "done")
    assert "outcome of this call is unknown" in unknown.content
    assert [call.error is None for call in result.tool_calls] == [True, False, True]
    check_sendable(agent.messages())


def test_an_idempotent_call_that_a_crash_interrupted_is_run_again_under_the_same_key(
    system: alloy.AgentSystem,
) -> None:
    started, release = threading.Event(), threading.Event()
    keys: list[str] = []

    @alloy.tool(idempotent=True)
    def put(context: alloy.ToolContext) -> str:
        """Wait the first time."""
        keys.append(context.idempotency_key)
        if len(keys) == 1:
            started.set()
            release.wait(WAIT)
        return f"put {len(keys)}"

    agent = system.spawn("a", provider=ScriptedProvider([tool_call("put"), "fine"]), tools=[put])
    results: queue.SimpleQueue[alloy.Result] = queue.SimpleQueue()
    agent.send_message("go", results.put)
    assert started.wait(WAIT)
    agent.crash()
    assert results.get(timeout=WAIT).text == "fine"
    release.set()
    assert len(keys) == 2
    assert keys[0] == keys[1]
    assert agent.messages()[2].blocks[0].content == "put 2"


def test_a_listener_hears_that_a_turn_is_restarted_and_then_counts_on(system: alloy.AgentSystem) -> None:
    gate = Gate()
    agent = system.spawn("a", provider=ScriptedProvider([cut("one two", gate=gate), "one two three"]))
    chunks: list[str] = []
    events: list[alloy.Event] = []
    crasher = threading.Thread(target=lambda: (gate.arrived(), agent.crash()))
    crasher.start()
    result = agent.stream_chat("go", chunks.append, on_event=events.append)
    crasher.join(WAIT)
    assert result.text == "".join(chunks) == "one two three"
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    kinds = [event.type for event in events]
    assert kinds.index("turn_restarted") > kinds.index("text_delta")
    (restarted,) = (event for event in events if isinstance(event, alloy.TurnRestarted))
    assert (restarted.turn, restarted.attempt) == (1, 2)


def test_an_answer_that_begins_differently_after_a_crash_ends_a_stream_of_chunks_with_an_error(
    system: alloy.AgentSystem,
) -> None:
    gate = Gate()
    agent = system.spawn("a", provider=ScriptedProvider([cut("one two", gate=gate), "something else"]))
    chunks: list[str] = []
    crasher = threading.Thread(target=lambda: (gate.arrived(), agent.crash()))
    crasher.start()
    result = agent.stream_chat("go", chunks.append)
    crasher.join(WAIT)
    assert "".join(chunks) == "one two"
    assert result.status == "error"
    assert isinstance(result.error, alloy.CrashError)
    assert agent.chat("hello?", timeout=WAIT).status == "error"  # the script has run out
    check_sendable(agent.messages())


def test_a_switched_model_survives_a_crash(system: alloy.AgentSystem) -> None:
    agent = system.spawn("a", provider=ScriptedProvider("one", model="one"))
    agent.set_model(ScriptedProvider(["from two"], model="two"))
    agent.crash()
    assert agent.chat("who?").text == "from two"


def test_a_reset_survives_a_crash(system: alloy.AgentSystem) -> None:
    agent = system.spawn("a", provider=ScriptedProvider(echo))
    agent.chat("1")
    agent.reset()
    agent.crash()
    assert agent.messages() == []
    assert agent.usage().input_tokens == 10


def test_the_fourth_crash_in_a_row_parks_the_agent_alone_and_tells_everyone(
    system: alloy.AgentSystem,
) -> None:
    gate = Gate()
    agent = system.spawn("a", provider=ScriptedProvider([held(gate, "never")] * 9))
    sibling = system.spawn("b", provider=ScriptedProvider(echo))
    results: queue.SimpleQueue[alloy.Result] = queue.SimpleQueue()
    for number in range(4):
        agent.crash(f"drill {number}")
        if number < 3:
            agent.messages()  # waits until it is back
    with pytest.raises(alloy.AgentDownError, match="parked"):
        while True:
            agent.messages()
    for call in (lambda: agent.chat("1"), lambda: agent.send_message("2", results.put), agent.crash):
        with pytest.raises(alloy.AgentDownError, match="parked"):
            call()
    assert agent.health().status == "parked"
    assert sibling.chat("still there?").text == "turn 1"
    assert sibling.health().restarts == 0


def test_who_waits_on_an_agent_that_gets_parked_is_told(system: alloy.AgentSystem) -> None:
    gate = Gate()
    agent = system.spawn("a", provider=ScriptedProvider([held(gate, "never")] * 9))
    results: queue.SimpleQueue[alloy.Result] = queue.SimpleQueue()
    raised: queue.SimpleQueue[BaseException] = queue.SimpleQueue()

    def wait() -> None:
        try:
            agent.chat("blocking", request_id="0")
        except alloy.AgentDownError as error:
            raised.put(error)

    waiter = threading.Thread(target=wait)
    for number in range(5):
        agent.send_message(f"{number}", results.put, request_id=f"m{number}")
    waiter.start()
    while agent.health().pending_count < 5:
        pass
    for number in range(1, 5):
        gate.arrived(number)
        agent.crash("again")
    told = [results.get(timeout=WAIT) for _ in range(5)]
    assert {result.status for result in told} == {"error"}
    assert isinstance(told[-1].error, alloy.AgentDownError)
    assert isinstance(raised.get(timeout=WAIT), alloy.AgentDownError)
    waiter.join(WAIT)


def test_a_parked_agent_can_be_stopped_and_started_anew(system: alloy.AgentSystem) -> None:
    agent = system.spawn("a", provider=ScriptedProvider(echo))
    with pytest.raises(alloy.AgentDownError):
        while True:
            agent.crash()
            agent.messages()
    agent.stop()
    assert system.spawn("a", provider=ScriptedProvider(echo)).chat("new").text == "turn 1"


def test_a_request_taken_but_not_begun_when_the_actor_fails_is_begun_by_the_next_one(
    system: alloy.AgentSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = system.spawn("a", provider=ScriptedProvider(echo))
    broken = iter([True])
    begin = AgentActor._begin

    def fail_once(self: AgentActor, request: object) -> None:
        if next(broken, False):
            raise RuntimeError("between take and begin")
        begin(self, request)

    monkeypatch.setattr(AgentActor, "_begin", fail_once)
    assert agent.chat("1", timeout=WAIT).text == "turn 1"
    assert agent.health().restarts == 1
