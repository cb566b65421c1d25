"""What ends a run beside an answer: `until_tool`, `halt_on_tool`, `final_answer`, and the stop reasons."""

from __future__ import annotations

from typing import Any

import pytest

from alloy_actors import errors
from alloy_actors import journal as log
from alloy_actors.config import RunConfig, make_config
from alloy_actors.content import Message, TextBlock
from alloy_actors.middleware import Block, Halt, Middleware, RunView
from alloy_actors.testing import error, reply, tool_call, tool_calls
from alloy_actors.tooldef import tool
from tests.checks import check_sendable
from tests.world.one_run import Scene, play_twice


@tool
async def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


@tool
async def finish(answer: str) -> dict[str, str]:
    """Say the answer."""
    if answer == "fail":
        raise errors.ToolError("that is no answer")
    return {"answer": answer}


@tool
async def silent() -> None:
    """Say nothing."""


TOOLS = [add, finish, silent]
ADD = tool_call("add", a=1, b=2)
FINISH = tool_call("finish", answer="42")
FAIL = tool_call("finish", answer="fail")

SCENES: dict[str, tuple[list[Any], dict[str, Any]]] = {
    "until: called": ([FINISH, "done"], {"until_tool": "finish"}),
    "until: reminded": (["done?", FINISH, "done"], {"until_tool": "finish"}),
    "until: never": (["done?"] * 3, {"until_tool": "finish"}),
    "until: failed": ([FAIL, "done?", FINISH, "done"], {"until_tool": "finish"}),
    "until: empty answer": ([reply(), FINISH, "done"], {"until_tool": "finish"}),
    "until: cut answer": ([reply("do", stop_reason="max_tokens"), FINISH, "done"], {"until_tool": "finish"}),
    "halt": ([ADD, FINISH, "never"], {"halt_on_tool": "finish"}),
    "halt: among others": ([tool_calls(ADD, FINISH, ADD), "never"], {"halt_on_tool": "finish"}),
    "halt: not on a failure": ([FAIL, FINISH], {"halt_on_tool": "finish"}),
    "halt: at the limit": ([ADD, ADD, FINISH], {"halt_on_tool": "finish"}),
    "halt: nothing said": ([tool_call("silent")], {"halt_on_tool": ["finish", "silent"]}),
    "halt and until": (["done?", FINISH], {"halt_on_tool": "finish", "until_tool": "finish"}),
    "final": ([ADD, ADD, ADD, "about 3"], {"final_answer": True}),
    "final: not needed": ([ADD, "3"], {"final_answer": True}),
    "final: calls again": ([ADD, ADD, ADD, reply("well", ADD)], {"final_answer": True}),
    "final: pauses": ([ADD, ADD, ADD, reply("well", stop_reason="pause_turn")], {"final_answer": True}),
    "final: cut": ([ADD, ADD, ADD, reply("we", stop_reason="max_tokens")], {"final_answer": True}),
    "final: fails": ([ADD, ADD, ADD, error(errors.AuthError)], {"final_answer": True}),
    "final and until": (["done?"] * 3, {"final_answer": True, "until_tool": "finish"}),
}


@pytest.fixture(params=[False, True], ids=["plain", "streamed"])
def listen(request: pytest.FixtureRequest) -> bool:
    return request.param


def scene(name: str, *, listen: bool = False, **more: Any) -> Scene:
    script, options = SCENES[name]
    return Scene(script, listen=listen, tools=TOOLS, max_turns=3, **options, **more)


@pytest.mark.parametrize("name", SCENES)
def test_a_listener_changes_nothing_and_every_history_can_be_sent(name: str) -> None:
    script, options = SCENES[name]
    result = play_twice(script, tools=TOOLS, max_turns=3, **options)
    if name != "final: pauses":
        check_sendable(result.messages)
    assert result.status == ("error" if name == "final: fails" else result.status)


# -- until_tool ----------------------------------------------------------------------------------------------------


def test_an_answer_without_the_tool_is_followed_by_a_reminder_that_names_it(listen: bool) -> None:
    """T31."""
    played = scene("until: reminded", listen=listen)
    result = played.play()
    assert (result.status, result.text, result.turns) == ("completed", "done", 3)
    said = played.provider.requests[1].messages[-1]
    assert said.role == "user"
    assert "finish" in said.text
    assert [one.about for one in played.store.load("agent") if isinstance(one, log.Reminded)] == [
        "until_tool"
    ]


def test_a_tool_that_was_called_before_the_answer_needs_no_reminder(listen: bool) -> None:
    """T31."""
    result = scene("until: called", listen=listen).play()
    assert (result.status, result.turns) == ("completed", 2)


@pytest.mark.parametrize(
    "first", [FAIL, tool_call("finish"), tool_call("nothing")], ids=["failed", "wrong arguments", "unknown"]
)
def test_a_call_that_failed_or_of_an_unknown_tool_does_not_count(first: Any, listen: bool) -> None:
    """T31."""
    played = Scene([first, "done?", FINISH, "done"], listen=listen, tools=TOOLS, until_tool="finish")
    assert played.play().turns == 4


def test_a_blocked_call_does_not_count(listen: bool) -> None:
    """T31."""

    class Once(Middleware):
        def __init__(self) -> None:
            self.blocked = False

        def before_tool_call(self, view: RunView, call: Any) -> Block | None:
            if self.blocked:
                return None
            self.blocked = True
            return Block("not yet")

    played = Scene(
        [FINISH, "done?", FINISH, "done"],
        listen=listen,
        tools=TOOLS,
        until_tool="finish",
        middleware=[Once()],
    )
    assert played.play().turns == 4


def test_the_limit_of_turns_wins_over_the_tool_and_keeps_the_last_answer(listen: bool) -> None:
    """T31."""
    played = scene("until: never", listen=listen)
    result = played.play()
    assert (result.status, result.text, result.turns, result.ok) == ("max_turns", "done?", 3, True)
    assert result.messages[-1].text == "done?"  # no reminder that nobody would read


def test_none_asks_for_no_tool() -> None:
    """T31."""
    assert Scene(["done"], listen=False, tools=TOOLS, until_tool=None).play().turns == 1


def test_the_hook_for_final_answers_does_not_see_one_that_is_not_final(listen: bool) -> None:
    seen = []

    class Watch(Middleware):
        def after_completion(self, view: RunView, message: Message) -> None:
            seen.append(message.text)

    scene("until: reminded", listen=listen, middleware=[Watch()]).play()
    assert seen == ["done"]


# -- halt_on_tool --------------------------------------------------------------------------------------------------


def test_a_tools_result_is_the_answer_and_no_further_request_is_sent(listen: bool) -> None:
    played = scene("halt", listen=listen)
    result = played.play()
    assert (result.status, result.stop_reason, result.turns) == ("completed", "tool_use", 2)
    assert result.text == '{"answer":"42"}'
    assert result.tool_calls[-1].data == {"answer": "42"}
    assert len(played.provider.requests) == 2
    assert result.messages[-1].role == "assistant"
    assert result.messages[-1].text == result.text


def test_the_calls_beside_it_have_their_results(listen: bool) -> None:
    result = scene("halt: among others", listen=listen).play()
    assert [block.text for block in result.messages[-2].blocks] == ["3", '{"answer":"42"}', "3"]
    assert result.text == '{"answer":"42"}'


def test_a_failed_call_does_not_halt(listen: bool) -> None:
    result = scene("halt: not on a failure", listen=listen).play()
    assert (result.turns, result.text) == (2, '{"answer":"42"}')


def test_a_tool_that_says_nothing_ends_the_run_as_well() -> None:
    result = scene("halt: nothing said").play()
    assert (result.status, result.text) == ("completed", "[The call of silent ended the run.]")


def test_halting_on_the_tool_saves_the_turn_that_until_tool_costs(listen: bool) -> None:
    result = scene("halt and until", listen=listen).play()
    assert (result.status, result.turns) == ("completed", 2)


def test_middleware_sees_the_result_that_is_the_answer_and_may_halt(listen: bool) -> None:
    class Judge(Middleware):
        def after_completion(self, view: RunView, message: Message) -> Halt | None:
            return Halt("not so") if "42" in message.text else None

    result = scene("halt", listen=listen, middleware=[Judge()]).play()
    assert result.status == "halted"
    check_sendable(result.messages)


# -- final_answer --------------------------------------------------------------------------------------------------


def test_at_the_limit_one_more_answer_is_asked_for_without_calls(listen: bool) -> None:
    """T5."""
    played = scene("final", listen=listen)
    result = played.play()
    assert (result.status, result.text, result.turns, result.ok) == ("max_turns", "about 3", 4, True)
    last = played.provider.requests[-1]
    assert last.tool_choice == "none"
    assert [one.name for one in last.tools] == ["add", "finish", "silent"]  # the history has calls of them
    assert isinstance(last.messages[-1].blocks[-1], TextBlock)
    assert "final answer" in last.messages[-1].text
    assert [request.tool_choice for request in played.provider.requests[:-1]] == ["auto"] * 3


def test_a_run_within_its_limit_is_not_asked_again() -> None:
    assert scene("final: not needed").play().status == "completed"


def test_calls_in_the_last_answer_are_answered_and_not_run(listen: bool) -> None:
    result = scene("final: calls again", listen=listen).play()
    assert (result.status, result.turns, result.text) == ("max_turns", 4, "well")
    assert result.tool_calls[-1].error is not None
    assert result.tool_calls[-1].error.startswith("Not executed")
    assert [call.error for call in result.tool_calls[:-1]] == [None] * 3


def test_an_answer_at_the_limit_is_the_last_one_although_a_tool_is_missing() -> None:
    assert scene("final and until").play().turns == 3


def test_without_time_there_is_no_last_request() -> None:
    async def late(request: Any) -> Any:
        while not request.deadline.expired:
            pass
        return ADD

    played = Scene(late, listen=False, tools=TOOLS, max_turns=1, final_answer=True, timeout=0.02)
    assert played.play().status in ("max_turns", "error")  # whether the timer has come before the limit
    assert len(played.provider.requests) == 1


def test_middleware_is_asked_before_the_last_request_too(listen: bool) -> None:
    class Stop(Middleware):
        def before_completion(self, view: RunView) -> Halt | None:
            return Halt("enough") if view.turn == 3 else None

    result = scene("final", listen=listen, middleware=[Stop()]).play()
    assert (result.status, result.turns) == ("halted", 3)
    check_sendable(result.messages)


# -- stop reasons --------------------------------------------------------------------------------------------------


def test_a_stop_reason_that_nobody_knows_ends_the_run_and_is_named(listen: bool) -> None:
    """T33."""
    odd = reply("hm", stop_reason="because")  # type: ignore[arg-type]
    result = Scene([odd], listen=listen).play()
    assert result.status == "error"
    assert isinstance(result.error, errors.CrashError)
    assert "'because'" in str(result.error)
    check_sendable(result.messages)


# -- options -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"until_tool": "fnish"}, r"until_tool='fnish' .* one of tools: add, finish, silent"),
        ({"until_tool": 3}, "until_tool=3 "),
        ({"until_tool": "add", "tools": []}, "there are none"),
        ({"halt_on_tool": "fnish"}, r"halt_on_tool='fnish' .* one of tools: add, finish, silent"),
        ({"halt_on_tool": ["add", "fnish"]}, "halt_on_tool='fnish'"),
        ({"halt_on_tool": 3}, "halt_on_tool must be"),
        ({"final_answer": "yes"}, "final_answer"),
        ({"final_answer": 1}, "final_answer"),
        ({"output_retries": -1, "output": int}, "output_retries"),
        ({"output_retries": True, "output": int}, "output_retries"),
    ],
)
def test_a_mistake_is_named_before_the_run(options: dict[str, Any], complaint: str) -> None:
    """T14."""
    with pytest.raises(errors.ConfigError, match=complaint):
        make_config(RunConfig, {"provider": scene("halt").provider, "tools": TOOLS, **options}, where="run")


def test_the_words_of_a_reminder_join_what_the_user_said_last() -> None:
    result = scene("until: empty answer").play()
    said, reminded = (block.text for block in result.messages[0].blocks)
    assert said == "hello"
    assert "finish" in reminded
