"""A hook that raises is a bug of the run: taken up again once, ended with an error the second time, and the history
can always be sent again. Every hook of a run, plain and async, with an agent and without one."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

import alloy_actors as alloy
from alloy_actors.compaction.parts import SUMMARY
from alloy_actors.middleware import HOOKS, Middleware
from alloy_actors.testing import ScriptedProvider, error, tool_call
from tests.checks import check_sendable
from tests.world.talks import chat

if TYPE_CHECKING:
    from collections.abc import Callable

WAIT = 5.0
IN_A_RUN = [name for name in HOOKS if not name.startswith("session_")]
OF_COMPACTION = {"on_context_overflow", "after_compaction"}


def raising(hook: str, kind: str, fail: Callable[[], None]) -> Middleware:
    """A middleware whose one hook calls `fail`."""

    def plain(self: Middleware, *_facts: object) -> None:
        fail()

    async def coroutine(self: Middleware, *_facts: object) -> None:
        fail()

    made: type[Middleware] = type("Buggy", (Middleware,), {hook: plain if kind == "plain" else coroutine})
    return made()


class Bug:
    """Raises the first `times` times."""

    def __init__(self, times: int) -> None:
        self.times = times
        self.asked = 0

    def __call__(self) -> None:
        self.asked += 1
        if self.asked <= self.times:
            raise RuntimeError("a bug in a hook")


def too_long(request: alloy.ModelRequest) -> Any:
    """The conversation is too long until it has been summarised."""
    if not request.tools:  # asked for the summary
        return "so far"
    if not any(message.text.startswith(SUMMARY) for message in request.messages):
        return error(alloy.ContextOverflowError)
    return "fine" if isinstance(request.messages[-1].blocks[-1], alloy.ToolResult) else tool_call("count")


def script(hook: str) -> Any:
    """What reaches every hook; `on_error` has its own end, however often the run is tried."""
    if hook in OF_COMPACTION:
        return too_long
    last = error(alloy.AuthError) if hook == "on_error" else "fine"
    return [tool_call("count"), *[last] * 3]


@pytest.fixture
def counted() -> list[int]:
    return []


@pytest.fixture
def count(counted: list[int]) -> alloy.Tool:
    @alloy.tool
    def count() -> str:
        """Count."""
        counted.append(1)
        return "counted"

    return count


HOOK = pytest.mark.parametrize("hook", IN_A_RUN)
KIND = pytest.mark.parametrize("kind", ["plain", "async"])


@HOOK
@KIND
def test_a_run_whose_hook_raises_is_taken_up_once_from_its_last_record(
    system: alloy.AgentSystem, hook: str, kind: str, count: alloy.Tool, counted: list[int]
) -> None:
    bug = Bug(1)
    agent = system.spawn(
        "a",
        provider=ScriptedProvider(script(hook)),
        tools=[count],
        messages=chat(4),
        middleware=[raising(hook, kind, bug)],
    )
    result = agent.chat("go", timeout=WAIT)
    if hook == "on_error":
        assert isinstance(result.error, alloy.AuthError)
    else:
        assert (result.status, result.text) == ("completed", "fine")
    assert agent.health().restarts == 1
    # That the conversation was made shorter is recorded before this hook is asked: it is not made shorter again.
    assert bug.asked == 1 if hook == "after_compaction" else bug.asked >= 2
    assert counted == [1], "an effect was repeated, or did not happen"
    check_sendable(agent.messages())


@pytest.mark.parametrize("hook", [name for name in IN_A_RUN if name != "after_compaction"])
@KIND
def test_a_hook_that_raises_again_ends_the_request_and_the_conversation_goes_on(
    system: alloy.AgentSystem, hook: str, kind: str, count: alloy.Tool, counted: list[int]
) -> None:
    bug = Bug(2)
    steps = script(hook)
    if hook not in OF_COMPACTION:
        steps = [*steps[: 4 if hook == "on_error" else 2], *["fine"] * 3]
    agent = system.spawn(
        "a",
        provider=ScriptedProvider(steps),
        tools=[count],
        messages=chat(4),
        middleware=[raising(hook, kind, bug)],
    )
    result = agent.chat("go", timeout=WAIT)
    assert result.status == "error"
    assert isinstance(result.error, alloy.CrashError)
    assert "a bug in a hook" in repr(result.error.__cause__)
    assert len(counted) <= 1
    check_sendable(agent.messages())
    assert agent.chat("and now?", timeout=WAIT).request_id != result.request_id
    check_sendable(agent.messages())


@HOOK
@KIND
def test_a_one_shot_run_whose_hook_raises_ends_with_a_crash_error(
    hook: str, kind: str, count: alloy.Tool, counted: list[int]
) -> None:
    bug = Bug(1)
    result = alloy.run(
        "go",
        provider=ScriptedProvider(script(hook)),
        tools=[count],
        messages=chat(4),
        middleware=[raising(hook, kind, bug)],
    )
    assert result.status == "error"
    assert isinstance(result.error, alloy.CrashError)
    assert str(result.error) == "the run crashed: RuntimeError: a bug in a hook"
    assert bug.asked == 1
    assert len(counted) <= 1


@HOOK
def test_plain_hooks_of_two_agents_run_side_by_side_and_those_of_one_never(
    system: alloy.AgentSystem, hook: str, count: alloy.Tool
) -> None:
    """Both agents are inside their hook at the same time."""
    both = threading.Barrier(2)
    inside: dict[str, int] = {}

    class Meets(Middleware):
        pass

    def meet(_self: Middleware, run: alloy.RunView, *_facts: object) -> None:
        inside[run.agent] = inside.get(run.agent, 0) + 1
        assert inside[run.agent] == 1
        both.wait(WAIT)
        inside[run.agent] -= 1

    setattr(Meets, hook, meet)
    for name in ("a", "b"):
        provider = ScriptedProvider(script(hook))
        system.spawn(name, provider=provider, tools=[count], messages=chat(4), middleware=[Meets()])
    ids = [agent.send_message("go") for agent in system.agents()]
    results = [
        agent.chat("go", request_id=request_id, timeout=WAIT)
        for agent, request_id in zip(system.agents(), ids, strict=True)
    ]
    assert {result.status for result in results} == {"error" if hook == "on_error" else "completed"}
    assert not any(isinstance(result.error, alloy.CrashError) for result in results)
