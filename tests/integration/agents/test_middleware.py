"""Middleware: what it sees, what it decides, where it runs, and what becomes of a run whose hook fails."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Sequence
from contextvars import ContextVar
from typing import Any

import pytest

import alloy_actors as alloy
from alloy_actors.testing import Gate, ScriptedProvider, error, tool_call, tool_calls
from tests.checks import check_sendable

WAIT = 5.0


@alloy.tool
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


class Recorder(alloy.Middleware):
    """Notes every hook under its own name, and decides what it was given to decide."""

    def __init__(self, log: list[str], name: str = "m", **decisions: Any) -> None:
        self.log = log
        self.name = name
        self.decisions = decisions

    def _note(self, hook: str) -> Any:
        self.log.append(f"{self.name}.{hook}")
        return self.decisions.get(hook)

    def before_completion(self, run: alloy.RunView) -> Any:
        return self._note("before_completion")

    def after_tool_request(self, run: alloy.RunView, calls: Sequence[alloy.ToolCall]) -> Any:
        return self._note("after_tool_request")

    def before_tool_call(self, run: alloy.RunView, call: alloy.ToolCall) -> Any:
        return self._note("before_tool_call")

    async def after_tool_execution(self, run: alloy.RunView, results: Sequence[alloy.ToolResult]) -> Any:
        return self._note("after_tool_execution")

    def after_completion(self, run: alloy.RunView, message: alloy.Message) -> Any:
        return self._note("after_completion")

    async def on_error(self, run: alloy.RunView, failure: alloy.AlloyError) -> Any:
        return self._note("on_error")


def calling(*answers: object) -> ScriptedProvider:
    return ScriptedProvider([tool_calls(tool_call("add", a=1, b=2), tool_call("add", a=3, b=4)), *answers])


def test_hooks_go_in_in_order_and_come_out_in_reverse() -> None:
    """T6."""
    log: list[str] = []
    middleware = [Recorder(log, "a"), Recorder(log, "b")]
    result = alloy.run("add", provider=calling("3 and 7"), tools=[add], middleware=middleware)
    assert result.text == "3 and 7"
    assert log == [
        "a.before_completion",
        "b.before_completion",
        "b.after_tool_request",
        "a.after_tool_request",
        *["a.before_tool_call", "b.before_tool_call"] * 2,
        "b.after_tool_execution",
        "a.after_tool_execution",
        "a.before_completion",
        "b.before_completion",
        "b.after_completion",
        "a.after_completion",
    ]


@pytest.mark.parametrize(
    ("hook", "turns"),
    [
        ("before_completion", 0),
        ("after_tool_request", 1),
        ("before_tool_call", 1),
        ("after_tool_execution", 1),
        ("after_completion", 2),
    ],
)
def test_every_hook_may_halt_the_run_and_every_call_is_answered(
    system: alloy.AgentSystem, hook: str, turns: int
) -> None:
    """T27 and T28."""
    middleware = [Recorder([], **{hook: alloy.Halt("enough")})]
    agent = system.spawn("a", provider=calling("3 and 7"), tools=[add], middleware=middleware)
    result = agent.chat("add")
    assert (result.status, result.turns) == ("halted", turns)
    assert isinstance(result.error, alloy.HaltedError)
    assert str(result.error) == "Halted by middleware: enough"
    with pytest.raises(alloy.RunError):
        result.raise_for_status()
    check_sendable(agent.messages())
    if hook in ("after_tool_request", "before_tool_call"):
        assert [block.content for block in agent.messages()[2].blocks] == [
            "Not executed: Halted by middleware: enough."
        ] * 2


def test_a_middleware_may_end_a_run_that_has_used_enough() -> None:
    """T12."""

    class Thrifty(alloy.Middleware):
        def before_completion(self, run: alloy.RunView) -> alloy.Halt | None:
            return alloy.Halt("enough was used") if run.usage.output_tokens >= 5 else None

    result = alloy.run("add", provider=calling("3 and 7"), tools=[add], middleware=[Thrifty()])
    assert (result.status, result.turns) == ("halted", 1)
    assert [block.content for block in result.messages[2].blocks] == ["3", "7"]
    check_sendable(result.messages)


def test_a_failing_run_may_be_made_a_halted_one() -> None:
    """T27."""
    log: list[str] = []
    halts = Recorder(log, on_error=alloy.Halt("known trouble"))
    provider = ScriptedProvider([error(alloy.AuthError)])
    assert alloy.run("hi", provider=provider, middleware=[halts]).status == "halted"
    provider = ScriptedProvider([error(alloy.AuthError)])
    result = alloy.run("hi", provider=provider, middleware=[Recorder(log)])
    assert isinstance(result.error, alloy.AuthError)
    assert log == ["m.before_completion", "m.on_error"] * 2


def test_a_blocked_call_is_answered_with_the_reason_and_the_others_run() -> None:
    """T41."""

    class Picky(alloy.Middleware):
        def before_tool_call(self, run: alloy.RunView, call: alloy.ToolCall) -> alloy.Block | None:
            return alloy.Block("threes are not added here") if call.input["a"] == 3 else None

    events: list[alloy.Event] = []
    result = alloy.stream(
        "add",
        lambda _: None,
        on_event=events.append,
        provider=calling("fine"),
        tools=[add],
        middleware=[Picky()],
    )
    answers = result.messages[2].blocks
    assert [(block.content, block.is_error) for block in answers] == [
        ("3", False),
        ("Blocked: threes are not added here", True),
    ]
    assert [call.error for call in result.tool_calls] == [None, "Blocked: threes are not added here"]
    assert [event.type for event in events].count("tool_start") == 2
    assert [event.type for event in events].count("tool_end") == 2


def test_an_edited_call_runs_with_the_new_input_and_the_model_sees_the_call_it_made() -> None:
    """T41: its id and name are kept."""

    class Doubling(alloy.Middleware):
        async def before_tool_call(self, run: alloy.RunView, call: alloy.ToolCall) -> alloy.Edit:
            return alloy.Edit({**call.input, "a": call.input["a"] * 2})

    provider = ScriptedProvider([tool_call("add", a=1, b=2), "done"])
    result = alloy.run("add", provider=provider, tools=[add], middleware=[Doubling(), Doubling()])
    assert result.messages[2].blocks[0].content == "6"
    assert result.messages[1].tool_calls[0].input == {"a": 1, "b": 2}


def test_a_hook_sees_the_run_as_it_is_at_that_moment(system: alloy.AgentSystem) -> None:
    """T8."""
    views: list[alloy.RunView] = []
    health: list[str] = []

    class Watching(alloy.Middleware):
        def before_completion(self, run: alloy.RunView) -> None:
            views.append(run)
            health.append(agent.health().status)

    context = {"tenant": 7}
    agent = system.spawn("a", provider=calling("7"), tools=[add], middleware=[Watching()], context=context)
    agent.chat("add", request_id="r1")
    first, second = views
    assert (first.agent, first.request_id, first.turn, first.model) == ("a", "r1", 0, "scripted")
    assert [message.text for message in first.messages] == ["add"]
    assert first.context["tenant"] == 7
    assert (second.turn, len(second.messages), second.usage.output_tokens) == (1, 3, 5)
    assert health == ["running", "running"]


def test_plain_hooks_run_off_the_loop_in_the_callers_context_and_async_ones_on_the_agents_loop() -> None:
    tenant: ContextVar[str] = ContextVar("tenant", default="nobody")
    seen: dict[str, object] = {}

    class Looking(alloy.Middleware):
        def before_completion(self, run: alloy.RunView) -> None:
            seen["plain"] = (threading.current_thread().name, tenant.get())

        async def after_completion(self, run: alloy.RunView, message: alloy.Message) -> None:
            seen["loop"] = asyncio.get_running_loop()

    async def main() -> None:
        tenant.set("acme")
        loop = asyncio.get_running_loop()
        await alloy.arun("hi", provider=ScriptedProvider("hello"), middleware=[Looking()], loop=loop)
        assert seen["loop"] is loop

    asyncio.run(main())
    name, who = seen["plain"]
    assert who == "acme"
    assert "alloy-loop" not in name


@pytest.mark.parametrize("kind", ["plain", "async"])
def test_a_raising_hook_crashes_the_run_which_is_taken_up_from_its_last_record(
    system: alloy.AgentSystem, kind: str
) -> None:
    ran: list[int] = []
    asked: list[int] = []

    @alloy.tool
    def count() -> str:
        """Count."""
        ran.append(1)
        return "counted"

    def fail_once() -> None:
        asked.append(1)
        if len(asked) == 1:
            raise RuntimeError("a bug in a hook")

    class Plain(alloy.Middleware):
        def after_tool_execution(self, run: alloy.RunView, results: object) -> None:
            fail_once()

    class Async(alloy.Middleware):
        async def after_tool_execution(self, run: alloy.RunView, results: object) -> None:
            fail_once()

    middleware = [Plain() if kind == "plain" else Async()]
    provider = ScriptedProvider([tool_call("count"), "fine"])
    agent = system.spawn("a", provider=provider, tools=[count], middleware=middleware)
    assert agent.chat("go", timeout=WAIT).text == "fine"
    assert (ran, asked, agent.health().restarts) == ([1], [1, 1], 1)
    check_sendable(agent.messages())


def test_a_hook_that_raises_again_ends_the_request_with_an_error(system: alloy.AgentSystem) -> None:
    class Broken(alloy.Middleware):
        def before_completion(self, run: alloy.RunView) -> None:
            raise RuntimeError("a bug in a hook")

    agent = system.spawn("a", provider=ScriptedProvider(["x"]), middleware=[Broken()])
    result = agent.chat("go", timeout=WAIT)
    assert result.status == "error"
    assert isinstance(result.error, alloy.CrashError)
    assert "a bug in a hook" in repr(result.error.__cause__)
    check_sendable(agent.messages())


def test_a_hook_that_exits_ends_neither_its_pool_nor_the_process(system: alloy.AgentSystem) -> None:
    class Exits(alloy.Middleware):
        def before_completion(self, run: alloy.RunView) -> None:
            raise SystemExit(3)

    agent = system.spawn("a", provider=ScriptedProvider(["x"]), middleware=[Exits()])
    assert isinstance(agent.chat("go", timeout=WAIT).error, alloy.CrashError)
    sibling = system.spawn("b", provider=ScriptedProvider(["fine"]), middleware=[Recorder([])])
    assert sibling.chat("go", timeout=WAIT).text == "fine"


def test_a_hanging_hook_is_ended_by_a_cancel_and_by_the_runs_time(system: alloy.AgentSystem) -> None:
    gate = Gate()

    class Hangs(alloy.Middleware):
        async def before_completion(self, run: alloy.RunView) -> None:
            await gate.wait()

    agent = system.spawn("a", provider=ScriptedProvider(["x"]), middleware=[Hangs()])
    results: queue.SimpleQueue[alloy.Result] = queue.SimpleQueue()
    agent.send_message("go", results.put)
    gate.arrived()
    agent.cancel_request()
    assert results.get(timeout=WAIT).status == "cancelled"
    timed = system.spawn("b", provider=ScriptedProvider(["x"]), middleware=[Hangs()], timeout=0.05)
    assert isinstance(timed.chat("go").error, alloy.TimeoutError)
    gate.release()


def test_a_middleware_that_returns_the_wrong_thing_is_told_what_to_return() -> None:
    """T96."""

    class Wrong(alloy.Middleware):
        def before_completion(self, run: alloy.RunView) -> Any:
            return alloy.Block("not here")

    class WrongCall(alloy.Middleware):
        def before_tool_call(self, run: alloy.RunView, call: alloy.ToolCall) -> Any:
            return alloy.Edit([1, 2])

    result = alloy.run("hi", provider=ScriptedProvider("x"), middleware=[Wrong()])
    assert isinstance(result.error, alloy.ConfigError)
    assert "before_completion returned Block: return None or Halt(reason)" in str(result.error)
    result = alloy.run("hi", provider=calling("x"), tools=[add], middleware=[WrongCall()])
    assert "before_tool_call returned an Edit whose input is a list" in str(result.error)
    check_sendable(result.messages)


@pytest.mark.parametrize(
    ("middleware", "said"),
    [
        (Recorder([]), "must be a list"),
        ("audit", "must be a list"),
        ([Recorder], "make an object of it"),
        ([print], "no alloy.Middleware object"),
    ],
)
def test_what_is_no_list_of_middleware_is_refused(middleware: object, said: str) -> None:
    with pytest.raises(alloy.ConfigError, match=said):
        alloy.run("hi", provider=ScriptedProvider("x"), middleware=middleware)


def test_a_blocked_call_waits_for_nobody_and_is_asked_about_again_after_a_crash(
    system: alloy.AgentSystem,
) -> None:
    asked: list[str] = []
    gate = Gate()

    class Asks(alloy.Middleware):
        async def before_tool_call(self, run: alloy.RunView, call: alloy.ToolCall) -> alloy.Block:
            asked.append(call.id)
            if len(asked) == 1:
                await gate.wait()
            return alloy.Block("no")

    agent = system.spawn(
        "a",
        provider=ScriptedProvider([tool_call("add", a=1, b=2), "fine"]),
        tools=[add],
        middleware=[Asks()],
    )
    results: queue.SimpleQueue[alloy.Result] = queue.SimpleQueue()
    agent.send_message("go", results.put)
    gate.arrived()
    agent.crash()
    result = results.get(timeout=WAIT)
    gate.release()
    assert (result.text, len(asked)) == ("fine", 2)
