"""The loop, without actors, threads or sockets; each scenario with and without a listener."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from alloy_actors import errors, events
from alloy_actors.content import ServerToolCall, ToolCall, Usage, assistant, user
from alloy_actors.journal import (
    Replied,
    RequestSent,
    RunBegan,
    RunEnded,
    ToolCallEnded,
    ToolCallStarted,
)
from alloy_actors.models import facts
from alloy_actors.provider import ModelReply
from alloy_actors.testing import ScriptedProvider, cut, error, hang, reply, thinking, tool_call, tool_calls
from alloy_actors.tooldef import ToolContext, tool
from tests.checks import check_sendable
from tests.world.one_run import Scene, play_twice

if TYPE_CHECKING:
    from alloy_actors.result import Result


@tool
async def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


@tool
async def where(ctx: ToolContext) -> str:
    """Say what the context says."""
    return f"{ctx.agent} {ctx.request_id} {ctx.turn} {ctx.tool_call_id} {ctx.context['user']} {ctx.working_directory}"


@pytest.fixture(params=[False, True], ids=["plain", "streamed"])
def listen(request: pytest.FixtureRequest) -> bool:
    return request.param


SCRIPTS = {
    "text": ["hi"],
    "thinking": [thinking("hmm", "hi")],
    "tools": [tool_calls(tool_call("add", a=1, b=2), tool_call("add", a=3, b=4)), "3 and 7"],
    "text beside a call": [reply("let me see", tool_call("add", a=1, b=2)), "3"],
    "unknown tool": [tool_call("nothing"), "sorry"],
    "wrong arguments": [tool_call("add", a="x"), "sorry"],
    "turn limit": [tool_call("add", a=1, b=2)] * 3,
    "refusal": [reply("I must not", stop_reason="refusal")],
    "max_tokens": [reply("too lo", stop_reason="max_tokens")],
    "max_tokens in a call": [reply(tool_call("add", a=1), stop_reason="max_tokens")],
    "pause": [reply("wait", stop_reason="pause_turn"), "done"],
    "empty": [reply()],
    "server tools only": [
        reply(ServerToolCall("s1", "web_search", {"query": "x"}), "I searched", stop_reason="tool_use")
    ],
    "error": [error(errors.AuthError, "no such key", status=401)],
    "retried": [error(errors.OverloadedError), "hi"],
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_listener_changes_nothing_and_every_history_can_be_sent(name: str) -> None:
    result = play_twice(SCRIPTS[name], tools=[add], max_turns=3)
    if name != "pause":  # the API that pauses takes the two halves of the answer one after the other
        check_sendable(result.messages)


def test_an_answer_completes_the_run(listen: bool) -> None:
    """T1."""
    result = Scene(["hi"], listen=listen).play()
    assert (result.status, result.text, result.stop_reason, result.turns) == (
        "completed",
        "hi",
        "end_turn",
        1,
    )
    assert result.error is None
    assert result.ok


def test_tool_results_go_back_to_the_model_in_call_order(listen: bool) -> None:
    """T2, T7."""
    scene = Scene(SCRIPTS["tools"], listen=listen, tools=[add])
    result = scene.play()
    assert result.text == "3 and 7"
    assert [block.content for block in scene.provider.requests[1].messages[-1].blocks] == ["3", "7"]
    assert [(call.name, call.input, call.error) for call in result.tool_calls] == [
        ("add", {"a": 1, "b": 2}, None),
        ("add", {"a": 3, "b": 4}, None),
    ]
    assert (result.usage.input_tokens, result.usage.output_tokens) == (20, 10)
    assert result.turns == 2


def test_history_comes_before_the_new_message(listen: bool) -> None:
    """T3."""
    scene = Scene(["fine"], listen=listen, history=[user("hi"), assistant("hello")])
    assert len(scene.play().messages) == 4
    assert [message.text for message in scene.provider.requests[0].messages] == ["hi", "hello", "hello"]


def test_a_tool_learns_where_it_runs(listen: bool) -> None:
    """T42."""
    scene = Scene(
        [tool_call("where"), "ok"],
        listen=listen,
        tools=[where],
        context={"user": "u7"},
        working_directory="/srv",
    )
    (result,) = scene.play().messages[2].blocks
    assert result.content == "agent r 1 call_1 u7 /srv"


def test_the_turn_limit_keeps_what_there_is(listen: bool) -> None:
    """T5."""
    result = Scene(SCRIPTS["turn limit"], listen=listen, tools=[add], max_turns=2).play()
    assert (result.status, result.turns, result.ok) == ("max_turns", 2, True)
    assert "limit of 2 turns" in result.messages[-1].text


def test_a_provider_error_is_a_value(listen: bool) -> None:
    """T4, T30."""
    result = Scene(SCRIPTS["error"], listen=listen).play()
    assert result.status == "error"
    assert isinstance(result.error, errors.AuthError)
    assert (str(result.error), result.error.status) == ("no such key", 401)
    with pytest.raises(errors.RunError) as caught:
        result.raise_for_status()
    assert caught.value.result is result
    assert caught.value.__cause__ is result.error


def test_the_providers_words_stay_out_of_the_history(listen: bool) -> None:
    result = Scene(SCRIPTS["error"], listen=listen).play()
    assert "no such key" not in "".join(message.text for message in result.messages)


def test_what_may_help_is_tried_again(listen: bool) -> None:
    scene = Scene(SCRIPTS["retried"], listen=listen)
    assert scene.play().text == "hi"
    assert len(scene.provider.requests) == 2


def test_retries_end_with_the_last_error(listen: bool) -> None:
    scene = Scene([error(errors.OverloadedError)] * 9, listen=listen, max_retries=2)
    assert isinstance(scene.play().error, errors.OverloadedError)
    assert len(scene.provider.requests) == 3


def test_nothing_is_tried_again_after_a_delta_was_heard() -> None:
    scene = Scene([cut("half an"), "never"], listen=True)
    result = scene.play()
    assert isinstance(result.error, errors.ConnectionFailedError)
    assert result.text == "half an"
    assert result.messages[-1].text.startswith("half an\n\n[This answer was cut off")
    assert len(scene.provider.requests) == 1


def test_a_bug_of_a_provider_is_a_value_with_its_cause(listen: bool) -> None:
    result = Scene([KeyError("oops")], listen=listen).play()
    assert isinstance(result.error, errors.CrashError)
    assert isinstance(result.error.__cause__, KeyError)
    check_sendable(result.messages)


def test_a_tool_that_a_provider_cannot_declare_is_the_caller_s_mistake_and_no_bug(listen: bool) -> None:
    scene = Scene([errors.ConfigError("tool 'x': ...")] * 2, listen=listen)
    assert isinstance(scene.play().error, errors.ConfigError)
    assert len(scene.provider.requests) == 1


def test_a_refusal_is_an_error_and_not_part_of_the_history(listen: bool) -> None:
    """T33."""
    result = Scene(SCRIPTS["refusal"], listen=listen).play()
    assert result.status == "error"
    assert result.stop_reason == "refusal"
    assert "I must not" in str(result.error)
    assert "I must not" not in result.messages[-1].text


def test_a_refusal_says_what_the_provider_explains(listen: bool) -> None:
    details = {"type": "refusal", "category": "cyber", "explanation": "This goes too far."}
    refused = reply("First, ", stop_reason="refusal", metadata={"stop_details": details})
    result = Scene([refused], listen=listen).play()
    assert str(result.error) == "the model refused to answer: This goes too far."
    assert result.metadata["provider_response"]["stop_details"] == details


def test_a_call_cut_off_by_the_output_limit_is_answered_and_not_run(listen: bool) -> None:
    """T33."""
    result = Scene(SCRIPTS["max_tokens in a call"], listen=listen, tools=[add]).play()
    assert isinstance(result.error, errors.MalformedReplyError)
    assert "max_tokens" in str(result.error)
    (call,) = result.tool_calls
    assert call.error is not None
    assert call.error.startswith("Not executed")
    assert result.messages[-2].blocks[0].is_error


def test_a_truncated_answer_is_completed_and_says_so(listen: bool) -> None:
    """T33."""
    result = Scene(SCRIPTS["max_tokens"], listen=listen).play()
    assert (result.status, result.stop_reason, result.text) == ("completed", "max_tokens", "too lo")


def test_a_paused_turn_goes_on_with_the_same_history(listen: bool) -> None:
    """T33."""
    scene = Scene(SCRIPTS["pause"], listen=listen)
    result = scene.play()
    assert result.text == "done"
    assert scene.provider.requests[1].messages[-1].text == "wait"


def test_a_reply_of_tools_that_only_the_provider_ran_completes_the_run(listen: bool) -> None:
    """T34."""
    result = Scene(SCRIPTS["server tools only"], listen=listen, tools=[add]).play()
    assert (result.status, result.stop_reason, result.turns) == ("completed", "tool_use", 1)
    assert result.tool_calls == ()


def test_the_time_of_a_run_is_bounded(listen: bool) -> None:
    result = Scene([hang()], listen=listen, timeout=0.05).play()
    assert result.status == "error"
    assert isinstance(result.error, errors.TimeoutError)
    assert isinstance(result.error, TimeoutError)
    assert "timeout=0.05" in str(result.error)
    check_sendable(result.messages)


def test_a_provider_that_notices_first_that_the_time_is_up_makes_no_other_error(listen: bool) -> None:
    class Punctual:
        model = "punctual"

        async def complete(self, request: Any, on_deltas: object = None) -> ModelReply:
            while not request.deadline.expired:  # without letting the run's own timer notice it
                pass
            raise errors.ProviderTimeoutError("the time of the request was up")

    result = Scene(Punctual(), listen=listen, timeout=0.01).play()
    assert isinstance(result.error, errors.TimeoutError)


def test_thinking_is_kept_and_given_out(listen: bool) -> None:
    result = Scene(SCRIPTS["thinking"], listen=listen).play()
    assert (result.thinking, result.text) == ("hmm", "hi")


def test_a_provider_that_cannot_stream_gives_the_same_events() -> None:
    class Plain:
        model = "plain"

        async def complete(self, request: object, on_deltas: object = None) -> ModelReply:
            return thinking("hmm", "hello world")

    scene = Scene(Plain(), listen=True)
    scene.play()
    assert [
        (event.type, getattr(event, "text", None)) for event in scene.events if "delta" in event.type
    ] == [
        ("thinking_delta", "hmm"),
        ("text_delta", "hello world"),
    ]


def test_events_are_numbered_and_belong_to_their_turn() -> None:
    """T10."""
    scene = Scene(SCRIPTS["tools"], listen=True, tools=[add])
    scene.play()
    assert [event.seq for event in scene.events] == list(range(1, len(scene.events) + 1))
    turns = [event.turn for event in scene.events]
    assert turns == sorted(turns)
    assert scene.types() == [
        "run_started",
        "turn_started",
        "tool_start",
        "tool_start",
        "tool_end",
        "tool_end",
        "turn_finished",
        "turn_started",
        *["text_delta"] * 3,
        "turn_finished",
        "run_finished",
    ]
    ends = [event for event in scene.events if isinstance(event, events.ToolEnded)]
    starts = {event.id: event.seq for event in scene.events if isinstance(event, events.ToolStarted)}
    assert {event.id: event.start_seq for event in ends} == starts


def test_every_record_is_written_before_its_effect() -> None:
    seen: list[list[type]] = []

    def answer(_request: object) -> object:
        seen.append([type(record) for record in scene.store.load("agent")])
        return tool_call("add", a=1, b=2) if len(seen) == 1 else "3"

    scene = Scene(answer, listen=False, tools=[add])
    scene.play()
    assert seen[0] == [RunBegan, RequestSent]
    assert seen[1] == [RunBegan, RequestSent, Replied, ToolCallStarted, ToolCallEnded, RequestSent]
    assert isinstance(scene.store.load("agent")[-1], RunEnded)


def test_a_cancelled_run_leaves_by_the_door(listen: bool) -> None:
    scene = Scene([hang()], listen=listen)

    async def cancel() -> Result:
        task = asyncio.create_task(scene.run.execute())
        while not scene.provider.requests:
            await asyncio.sleep(0)
        task.cancel()
        return await task

    result = asyncio.run(cancel())
    assert result.status == "cancelled"
    assert isinstance(result.error, errors.CancelledError)
    check_sendable(result.messages)
    if listen:
        assert scene.types()[-1] == "run_finished"


def test_a_run_cancelled_before_its_first_step_leaves_by_the_door_too() -> None:
    scene = Scene(["never"], listen=False)

    async def cancel() -> Result:
        task = asyncio.create_task(scene.run.execute())
        asyncio.get_running_loop().call_soon(task.cancel)
        return await task

    result = asyncio.run(cancel())
    assert result.status in ("cancelled", "completed")
    check_sendable(result.messages)


def test_an_abandoned_run_writes_nothing_more() -> None:
    scene = Scene([hang()], listen=False)

    async def abandon() -> None:
        task = asyncio.create_task(scene.run.execute())
        while not scene.provider.requests:
            await asyncio.sleep(0)
        scene.run.abandoned = True
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(abandon())
    assert [type(record) for record in scene.store.load("agent")] == [RunBegan, RequestSent]


def test_a_fenced_run_stops_at_its_next_record() -> None:
    def answer(_request: object) -> str:
        scene.store.take_token("agent")
        return "never recorded"

    scene = Scene(answer, listen=False)
    with pytest.raises(errors.FencedError):
        scene.play()
    assert [type(record) for record in scene.store.load("agent")] == [RunBegan, RequestSent]


def test_a_call_whose_arguments_are_no_object_is_answered_and_the_run_goes_on(listen: bool) -> None:
    broken = ToolCall("c1", "add", {}, invalid='{"a": 1,')
    result = Scene([reply(broken), "sorry"], listen=listen, tools=[add]).play()
    assert result.status == "completed"
    answer = result.messages[2].blocks[0]
    assert answer.is_error
    assert "add" in answer.content


def test_a_providers_state_comes_with_the_result_and_goes_into_the_next_request() -> None:
    call = replace(tool_calls(tool_call("add", a=1, b=2)), provider_state={"container": "c-1"})
    scene = Scene([call, "3"], listen=False, tools=[add])
    result = scene.play()
    assert [request.provider_state for request in scene.provider.requests] == [None, {"container": "c-1"}]
    assert result.metadata["provider_state"] == {"container": "c-1"}


class Priced(ScriptedProvider):
    """A script in the place of a model whose price is known."""

    vendor = "openai"


def test_a_run_costs_what_its_requests_cost(listen: bool) -> None:
    usage = Usage(input_tokens=1000, output_tokens=100, cache_read_input_tokens=500)
    script = [tool_call("add", a=1, b=2), "3"]
    scene = Scene(Priced(script, model="gpt-5", usage=usage), listen=listen, tools=[add])
    result = scene.play()
    price = facts("openai", "gpt-5").prices
    assert result.cost_cents == pytest.approx(2 * price.cost(usage))
    assert sum(one.cost_cents for one in scene.store.load("agent") if isinstance(one, Replied)) == (
        pytest.approx(result.cost_cents)
    )


def test_a_run_whose_price_nobody_knows_has_no_cost(listen: bool) -> None:
    assert Scene(["hi"], listen=listen).play().cost_cents is None
