"""Where features of the loop meet, and where what a user gives keeps no rule: providers and hooks of all kinds."""

from __future__ import annotations

import asyncio
import builtins
from typing import TYPE_CHECKING, Any

import pytest

import alloy_actors as alloy
from alloy_actors.testing import reply
from tests.checks import check_sendable
from tests.world.one_run import Scene, play_twice

if TYPE_CHECKING:
    from alloy_actors.provider import ModelRequest, StopReason


@alloy.tool
async def look(n: int = 0) -> str:
    """Look."""
    return f"seen {n}"


CALL = alloy.ToolCall("c1", "look", {})


@pytest.mark.parametrize("stop_reason", ["end_turn", "pause_turn"])
@pytest.mark.parametrize("options", [{}, {"until_tool": "look"}, {"halt_on_tool": "look"}])
def test_calls_are_run_whatever_stop_reason_stands_beside_them(
    stop_reason: StopReason, options: dict[str, Any]
) -> None:
    result = play_twice([reply(CALL, stop_reason=stop_reason), "done"], tools=[look], **options)

    check_sendable(result.messages)
    assert result.ok, result.error
    assert [call.error for call in result.tool_calls] == [None]
    assert result.text == ("seen 0" if "halt_on_tool" in options else "done")


def test_a_reply_with_one_id_for_two_calls_is_a_bug_of_its_provider() -> None:
    result = play_twice([reply(CALL, alloy.ToolCall("c1", "look", {"n": 1})), "done"], tools=[look])

    assert isinstance(result.error, alloy.CrashError)
    assert "two tool calls of one reply the same id: c1, c1" in str(result.error)
    check_sendable(result.messages)


class Raising(alloy.Middleware):
    """Raises at one hook."""

    def __init__(self, hook: str, error: BaseException) -> None:
        async def fail(*_facts: object) -> None:
            raise error

        setattr(self, hook, fail)


@pytest.mark.parametrize("hook", ["before_completion", "on_error"])
def test_a_timeout_of_a_hooks_own_is_a_crash_and_not_the_end_of_the_runs_time(hook: str) -> None:
    middleware = [Raising(hook, builtins.TimeoutError("the database"))]

    with pytest.raises(builtins.TimeoutError, match="the database"):
        Scene([alloy.AuthError("no")], listen=False, middleware=middleware).play()


def test_a_cancellation_of_a_hooks_own_is_a_crash_and_not_a_cancelled_run() -> None:
    middleware = [Raising("before_completion", asyncio.CancelledError())]

    with pytest.raises(alloy.CrashError, match="nobody has cancelled"):
        Scene(["hi"], listen=False, middleware=middleware).play()


class Cancelling:
    """A provider whose own machinery was cancelled."""

    model = "of-its-own"

    async def complete(self, request: ModelRequest, on_deltas: object = None) -> Any:
        raise asyncio.CancelledError


def test_a_cancellation_of_a_providers_own_is_a_bug_of_its_and_not_a_cancelled_run() -> None:
    result = play_twice(Cancelling())

    assert result.status == "error"
    assert "provider Cancelling raised CancelledError" in str(result.error)


class Strict(alloy.Middleware):
    """Has everything looked at."""

    async def before_tool_call(self, _run: alloy.RunView, _call: alloy.ToolCall) -> Any:
        return alloy.RequireApproval("everything")


def test_nobody_is_asked_about_a_call_that_cannot_run_as_its_arguments_are_no_json() -> None:
    broken = alloy.ToolCall("c1", "look", {}, invalid='{"n": ')
    scene = Scene([reply(broken), "done"], listen=True, tools=[look], middleware=[Strict()])

    result = scene.play()  # whoever asks needs an agent

    assert result.text == "done", result.error
    assert "must be one JSON object" in str(result.tool_calls[0].error)
