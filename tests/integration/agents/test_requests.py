"""Requests of one agent: chat, stream, send, cancel, queue."""

from __future__ import annotations

import asyncio
import contextvars
import queue
import threading

import pytest

import alloy_actors as alloy
from alloy_actors.testing import Gate, ScriptedProvider, cut, hang, held, tool_call, tool_calls
from tests.checks import check_sendable

WAIT = 5.0


@alloy.tool
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


def echo(request: alloy.ModelRequest) -> str:
    return f"you said {request.messages[-1].text}"


def test_a_chat_answers_and_is_remembered(system: alloy.AgentSystem) -> None:
    """T68: history and usage add up."""
    agent = system.spawn("a", provider=ScriptedProvider(["hi", "again"]))
    assert agent.chat("hello").text == "hi"
    assert agent.chat("more").text == "again"
    assert [message.text for message in agent.messages()] == ["hello", "hi", "more", "again"]
    assert agent.usage().input_tokens == 20


def test_tools_run_on_workers_and_side_by_side(system: alloy.AgentSystem) -> None:
    both = threading.Barrier(2)

    @alloy.tool
    def meet(name: str) -> str:
        """Wait for the other call."""
        both.wait(WAIT)
        return f"{name} on {threading.current_thread().name}"

    script = [tool_calls(tool_call("meet", name="x"), tool_call("meet", name="y")), "met"]
    result = system.spawn("a", provider=ScriptedProvider(script), tools=[meet]).chat("go")
    assert result.text == "met"
    first, second = (block.content for block in result.messages[2].blocks)
    assert first.startswith("x on ")
    assert second.startswith("y on ")
    assert first[1:] != second[1:]


def test_send_message_returns_at_once_and_the_callback_gets_the_result(system: alloy.AgentSystem) -> None:
    """T76: with an id of one's own."""
    gate = Gate()
    agent = system.spawn("a", provider=ScriptedProvider([held(gate, "done")]))
    results: queue.SimpleQueue[alloy.Result] = queue.SimpleQueue()
    assert agent.send_message("work", results.put, request_id="job-1") == "job-1"
    gate.arrived()
    assert agent.health().busy
    assert agent.result("job-1") is None
    gate.release()
    result = results.get(timeout=WAIT)
    assert (result.request_id, result.text) == ("job-1", "done")
    assert agent.result("job-1") is result


def test_results_are_called_back_in_order(system: alloy.AgentSystem) -> None:
    """T76: first in, first out; ids are made up."""
    agent = system.spawn("a", provider=ScriptedProvider(echo))
    results: queue.SimpleQueue[alloy.Result] = queue.SimpleQueue()
    for number in range(20):
        agent.send_message(str(number), results.put)
    assert [results.get(timeout=WAIT).text for _ in range(20)] == [
        f"you said {number}" for number in range(20)
    ]


def test_a_raising_callback_is_logged_and_harms_nobody(
    system: alloy.AgentSystem, capsys: pytest.CaptureFixture[str]
) -> None:
    agent = system.spawn("a", provider=ScriptedProvider(echo))
    results: queue.SimpleQueue[alloy.Result] = queue.SimpleQueue()

    def broken(_result: alloy.Result) -> None:
        raise ValueError("broken callback")

    agent.send_message("1", broken)
    agent.send_message("2", results.put)
    assert results.get(timeout=WAIT).text == "you said 2"
    printed = capsys.readouterr()
    assert "callback_failed" in printed.out + printed.err


def test_a_stream_hears_every_word_and_gets_the_same_result(system: alloy.AgentSystem) -> None:
    agent = system.spawn("a", provider=ScriptedProvider(["one two three"]))
    chunks: list[str] = []
    events: list[alloy.Event] = []
    here = threading.get_ident()
    threads: set[int] = set()

    def on_chunk(text: str) -> None:
        chunks.append(text)
        threads.add(threading.get_ident())

    result = agent.stream_chat("go", on_chunk, on_event=events.append)
    assert "".join(chunks) == result.text == "one two three"
    assert len(chunks) == 3
    assert threads == {here}
    assert isinstance(events[-1], alloy.RunFinished)
    assert events[-1].result is result


def test_a_raising_on_chunk_is_logged_once_and_the_run_goes_on(
    system: alloy.AgentSystem, capsys: pytest.CaptureFixture[str]
) -> None:
    agent = system.spawn("a", provider=ScriptedProvider(["one two three"]))
    calls: list[str] = []

    def broken(text: str) -> None:
        calls.append(text)
        raise ValueError("broken listener")

    assert agent.stream_chat("go", broken).text == "one two three"
    assert len(calls) == 1
    printed = capsys.readouterr()
    assert (printed.out + printed.err).count("callback=on_chunk") == 1


def test_a_cut_stream_keeps_what_was_heard(system: alloy.AgentSystem) -> None:
    agent = system.spawn("a", provider=ScriptedProvider([cut("half an"), "whole"]))
    result = agent.stream_chat("go", lambda _text: None)
    assert result.status == "error"
    assert result.text == "half an"
    assert agent.chat("again").text == "whole"
    check_sendable(agent.messages())


def test_cancelling_ends_the_run_and_the_next_request_works(system: alloy.AgentSystem) -> None:
    provider = ScriptedProvider([hang(), "fine"])
    agent = system.spawn("a", provider=provider)
    results: queue.SimpleQueue[alloy.Result] = queue.SimpleQueue()
    request_id = agent.send_message("wait for ever", results.put)
    while not provider.requests:
        agent.health()
    assert agent.cancel_request(request_id)
    assert results.get(timeout=WAIT).status == "cancelled"
    assert not agent.cancel_request(request_id)
    assert agent.chat("next").text == "fine"
    check_sendable(agent.messages())


def test_a_queued_request_is_cancelled_without_having_run(system: alloy.AgentSystem) -> None:
    gate = Gate()
    provider = ScriptedProvider([held(gate, "first"), "third"])
    agent = system.spawn("a", provider=provider)
    results: queue.SimpleQueue[alloy.Result] = queue.SimpleQueue()
    agent.send_message("1", results.put, request_id="1")
    gate.arrived()
    agent.send_message("2", results.put, request_id="2")
    agent.send_message("3", results.put, request_id="3")
    assert agent.cancel_request("2")
    assert (results.get(timeout=WAIT).request_id) == "2"
    gate.release()
    assert [results.get(timeout=WAIT).text for _ in range(2)] == ["first", "third"]
    assert [message.text for message in agent.messages()] == ["1", "first", "3", "third"]


def test_the_queue_is_bounded(system: alloy.AgentSystem) -> None:
    """T76."""
    gate = Gate()
    agent = system.spawn("a", provider=ScriptedProvider([held(gate, "1"), "2"]), max_pending=1)
    agent.send_message("1")
    gate.arrived()
    agent.send_message("2")
    with pytest.raises(alloy.QueueFullError, match="max_pending=1"):
        agent.send_message("3")
    gate.release()


def test_a_wait_that_runs_out_does_not_cancel_the_request(system: alloy.AgentSystem) -> None:
    gate = Gate()
    agent = system.spawn("a", provider=ScriptedProvider([held(gate, "late")]))
    with pytest.raises(TimeoutError, match="goes on") as caught:
        agent.chat("go", timeout=0.01, request_id="slow")
    assert isinstance(caught.value, alloy.TimeoutError)
    gate.release()
    assert agent.chat("go", request_id="slow").text == "late"


def test_the_model_is_switched_between_runs_and_the_conversation_stays(system: alloy.AgentSystem) -> None:
    """T72."""
    agent = system.spawn("a", provider=ScriptedProvider(["from one"], model="one"))
    agent.chat("hello")
    agent.set_model(second := ScriptedProvider(["from two"], model="two"))
    assert agent.health().model == "two"
    assert agent.chat("and now?").text == "from two"
    assert len(second.requests[0].messages) == 3


def test_changes_during_a_run_are_refused_or_queued(system: alloy.AgentSystem) -> None:
    """T77, and the reset of T68; `chat` and `stream_chat` wait their turn instead."""
    gate = Gate()
    agent = system.spawn("a", provider=ScriptedProvider([held(gate, "old"), "never"], model="one"))
    results: queue.SimpleQueue[alloy.Result] = queue.SimpleQueue()
    agent.send_message("1", results.put)
    gate.arrived()
    with pytest.raises(alloy.BusyError, match="when_idle=True"):
        agent.set_model(ScriptedProvider(["new"], model="two"))
    with pytest.raises(alloy.BusyError, match="when_idle=True"):
        agent.reset()
    agent.reset(when_idle=True)
    agent.set_model(ScriptedProvider(["new"], model="two"), when_idle=True)
    agent.send_message("2", results.put)
    gate.release()
    assert [results.get(timeout=WAIT).text for _ in range(2)] == ["old", "new"]
    assert [message.text for message in agent.messages()] == ["2", "new"]


def test_messages_during_a_run_hold_the_question_and_not_what_it_came_to_so_far(
    system: alloy.AgentSystem,
) -> None:
    gate = Gate()
    agent = system.spawn(
        "a", provider=ScriptedProvider([tool_call("add", a=1, b=2), held(gate, "3")]), tools=[add]
    )
    results: queue.SimpleQueue[alloy.Result] = queue.SimpleQueue()
    agent.send_message("add", results.put)
    gate.arrived()
    assert [message.text for message in agent.messages()] == ["add"]
    gate.release()
    results.get(timeout=WAIT)
    assert len(agent.messages()) == 4


def test_a_session_goes_on_in_a_new_agent(system: alloy.AgentSystem) -> None:
    """T70: an exported session keeps its agent's id."""
    agent = system.spawn("a", provider=ScriptedProvider([tool_call("add", a=1, b=2), "3"]), tools=[add])
    agent.chat("add")
    session = alloy.Session.from_json(agent.export_session().to_json())
    agent.stop()
    provider = ScriptedProvider(["still 3"])
    again = system.spawn(provider=provider, session=session, tools=[add])
    assert again.agent_id == again.name == session.id == "a"
    assert again.usage() == session.usage
    assert again.chat("and?").text == "still 3"
    assert len(provider.requests[0].messages) == 5


def test_t95_a_session_exported_later_has_the_same_id_and_birth_and_what_came_since(
    system: alloy.AgentSystem,
) -> None:
    agent = system.spawn("a", provider=ScriptedProvider(["one", "two"]))
    agent.chat("hi")
    first = agent.export_session()
    agent.chat("and?")
    second = agent.export_session()
    assert (second.id, second.created_at) == (first.id, first.created_at)
    assert second.updated_at > first.updated_at
    assert second.messages[: len(first.messages)] == first.messages
    assert len(second.messages) == 4
    assert second.usage.total_tokens == 2 * first.usage.total_tokens


def test_an_agent_started_with_messages_goes_on_from_them(system: alloy.AgentSystem) -> None:
    provider = ScriptedProvider(["fine"])
    history = [alloy.Message("user", "hi"), alloy.Message("assistant", "hello")]
    agent = system.spawn("a", provider=provider, messages=history)
    results: queue.SimpleQueue[alloy.Result] = queue.SimpleQueue()
    agent.send_message("how are you?", results.put)
    results.get(timeout=WAIT)
    assert [message.text for message in agent.messages()] == ["hi", "hello", "how are you?", "fine"]


def test_context_variables_travel_into_the_run_and_its_tools(system: alloy.AgentSystem) -> None:
    who: contextvars.ContextVar[str] = contextvars.ContextVar("who", default="nobody")

    @alloy.tool
    def plain() -> str:
        """Say who."""
        return who.get()

    @alloy.tool
    async def on_loop() -> str:
        """Say who."""
        return who.get()

    script = [tool_calls(tool_call("plain"), tool_call("on_loop")), "ok"]
    agent = system.spawn("a", provider=ScriptedProvider(script), tools=[plain, on_loop])
    who.set("u7")
    result = agent.chat("go")
    assert [block.content for block in result.messages[2].blocks] == ["u7", "u7"]


def test_a_stopped_agent_tells_everyone_and_refuses_the_rest(system: alloy.AgentSystem) -> None:
    """T76: stopped in flight."""
    gate = Gate()
    agent = system.spawn("a", provider=ScriptedProvider([held(gate, "1"), "2"]))
    results: queue.SimpleQueue[alloy.Result] = queue.SimpleQueue()
    agent.send_message("1", results.put)
    gate.arrived()
    agent.send_message("2", results.put)
    agent.stop()
    assert {results.get(timeout=WAIT).status for _ in range(2)} == {"cancelled"}
    for call in (lambda: agent.chat("3"), lambda: agent.send_message("3"), agent.messages, agent.reset):
        with pytest.raises(alloy.AgentDownError, match="stopped"):
            call()
    assert agent.health().status == "stopped"
    agent.stop()
    assert not agent.cancel_request()


def test_names_are_unique_until_the_agent_is_stopped(system: alloy.AgentSystem) -> None:
    """T68: names."""
    agent = system.spawn("a", provider=ScriptedProvider("hi"))
    with pytest.raises(alloy.ConfigError, match="'a' exists"):
        system.spawn("a", provider=ScriptedProvider("hi"))
    agent.stop()
    assert system.spawn("a", provider=ScriptedProvider(["hi"])).chat("hello").text == "hi"


def test_the_name_of_a_stopped_agent_is_taken_until_its_run_has_left(system: alloy.AgentSystem) -> None:
    asked, leave = threading.Event(), threading.Event()

    @alloy.tool
    async def resign(context: alloy.ToolContext) -> str:
        """Stop the agent that calls it, and take time to end."""
        await system.agent(context.agent).astop()
        try:
            await asyncio.Event().wait()
        finally:
            asked.set()
            await asyncio.to_thread(leave.wait, WAIT)
        return "never"

    agent = system.spawn("a", provider=ScriptedProvider([tool_call("resign")]), tools=[resign])
    results: queue.SimpleQueue[alloy.Result] = queue.SimpleQueue()
    agent.send_message("go", results.put)
    assert asked.wait(WAIT)
    next_one = ScriptedProvider(["fresh"])
    with pytest.raises(alloy.ConfigError, match="'a' exists already.*being stopped, and has not ended"):
        system.spawn("a", provider=next_one)  # it would take up the run that is still leaving
    leave.set()
    agent.stop()
    assert results.get_nowait().status == "cancelled"
    assert system.spawn("a", provider=next_one).messages() == []
    assert not next_one.requests


def test_an_agent_is_found_by_name_and_made_by_the_factory() -> None:
    def factory(name: str) -> dict[str, object]:
        return {"provider": ScriptedProvider([f"I am {name}"])}

    with alloy.AgentSystem(factory=factory) as system:
        assert system.agent("x").chat("who?").text == "I am x"
        assert system.agent("x") == system.agent("x")
    with alloy.AgentSystem() as system, pytest.raises(alloy.AgentDownError, match="factory"):
        system.agent("x")


def test_the_twins_do_the_same_for_coroutines() -> None:
    async def main() -> None:
        async with alloy.AgentSystem() as system:
            agent = await system.aspawn("a", provider=ScriptedProvider(["one two", "three", "four"]))
            heard = [event async for event in agent.astream_chat("go")]
            assert [event.text for event in heard if isinstance(event, alloy.TextDelta)] == ["one ", "two"]
            assert isinstance(heard[-1], alloy.RunFinished)
            assert (await agent.achat("more")).text == "three"
            told = asyncio.get_running_loop().create_future()

            async def on_result(result: alloy.Result) -> None:
                assert asyncio.get_running_loop() is told.get_loop()
                told.set_result(result)

            await agent.asend_message("yet more", on_result)
            assert (await asyncio.wait_for(told, WAIT)).text == "four"
            assert len(await agent.amessages()) == 6
            assert (await agent.ausage()).output_tokens == 15
            assert (await agent.ahealth()).status == "idle"
            assert (await agent.aexport_session()).id == agent.agent_id
            await agent.aset_model(ScriptedProvider(["five"]))
            await agent.areset()
            assert await agent.amessages() == []
            await agent.acrash("drill")
            assert await agent.amessages() == []  # waits until it is back
            assert (await agent.ahealth()).restarts == 1
            assert not await agent.acancel_request()
            await agent.astop()

    asyncio.run(main())


def test_leaving_a_stream_does_not_cancel_the_request(system: alloy.AgentSystem) -> None:
    agent = system.spawn("a", provider=ScriptedProvider(["one two three"]))

    async def first_delta() -> str:
        async for event in agent.astream_chat("go", request_id="left"):
            if isinstance(event, alloy.TextDelta):
                return event.text
        raise AssertionError

    assert asyncio.run(first_delta()) == "one "
    assert agent.chat("go", request_id="left").text == "one two three"


PICTURE = alloy.ImageBlock("image/png", "aGk=")


def test_the_user_may_show_something_beside_the_words(system: alloy.AgentSystem) -> None:
    shown = alloy.Message("user", [alloy.TextBlock("What is this?"), PICTURE])
    provider = ScriptedProvider(["a cat", "a cat indeed"])
    agent = system.spawn("a", provider=provider)
    assert agent.chat(shown, request_id="1").text == "a cat"
    assert provider.requests[0].messages[-1] == shown
    assert agent.chat(shown, request_id="1").text == "a cat"  # the same request
    with pytest.raises(alloy.ConfigError, match="ids name one request"):
        agent.chat("What is this?", request_id="1")
    assert alloy.run(shown, provider=ScriptedProvider(["a cat"])).messages[0] == shown


@pytest.mark.parametrize(
    ("said", "complaint"),
    [
        ("", "must not be empty"),
        (alloy.Message("user", []), "must not be empty"),
        (alloy.Message("assistant", "hi"), "must be the user's"),
        (alloy.Message("user", [alloy.ToolResult("1", "x")]), "must be the user's"),
        (b"hi", "must be a string or an alloy.Message.*got bytes"),
        ([PICTURE], "must be a string or an alloy.Message.*got list"),
    ],
)
def test_what_a_user_cannot_say_is_refused_everywhere(
    system: alloy.AgentSystem, said: object, complaint: str
) -> None:
    agent = system.spawn("a", provider=ScriptedProvider(["x"]))
    for call in (agent.chat, agent.stream_chat, agent.send_message, agent.steer):
        with pytest.raises(alloy.ConfigError, match=complaint):
            call(said)
    with pytest.raises(alloy.ConfigError, match=complaint):
        alloy.run(said, provider=ScriptedProvider(["x"]))
