"""run, arun, stream, astream: a run without an agent."""

from __future__ import annotations

import asyncio
import threading

import pytest

import alloy_actors as alloy
from alloy_actors.testing import Gate, ScriptedProvider, hang, held, tool_call


@alloy.tool
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


def test_run_gives_the_result() -> None:
    result = alloy.run("add", provider=ScriptedProvider([tool_call("add", a=1, b=2), "3"]), tools=[add])
    assert (result.text, result.status, result.turns) == ("3", "completed", 2)


def test_run_goes_on_from_messages_alone() -> None:
    """T3."""
    provider = ScriptedProvider(["hi"])
    assert alloy.run(None, provider=provider, messages=[alloy.Message("user", "hello")]).text == "hi"
    with pytest.raises(alloy.ConfigError, match="messages="):
        alloy.run(None, provider=provider)


def test_stream_calls_back_and_equals_run() -> None:
    """T9."""
    chunks: list[str] = []
    heard: list[alloy.Event] = []
    result = alloy.stream("go", chunks.append, on_event=heard.append, provider=ScriptedProvider(["one two"]))
    assert "".join(chunks) == result.text == alloy.run("go", provider=ScriptedProvider(["one two"])).text
    assert [event.text for event in heard if event.type == "text_delta"] == chunks


@pytest.mark.parametrize("callbacks", [{"on_event": 3}, {"on_chunk": "print"}])
def test_what_cannot_be_called_is_refused_before_anything_is_asked(callbacks: dict[str, object]) -> None:
    """T9."""
    provider = ScriptedProvider(["one"])
    with pytest.raises(alloy.ConfigError, match=next(iter(callbacks))):
        alloy.stream("go", **{"on_chunk": print, **callbacks}, provider=provider)
    assert provider.requests == ()


def test_arun_and_astream_are_the_same_for_coroutines() -> None:
    async def main() -> None:
        assert (await alloy.arun("go", provider=ScriptedProvider(["one"]))).text == "one"
        events = [event async for event in alloy.astream("go", provider=ScriptedProvider(["one two"]))]
        assert [event.text for event in events if isinstance(event, alloy.TextDelta)] == ["one ", "two"]
        assert isinstance(events[-1], alloy.RunFinished)

    asyncio.run(main())


def test_cancelling_arun_cancels_the_run() -> None:
    cancelled = threading.Event()

    class Watched:
        model = "watched"

        async def complete(self, request: object, on_deltas: object = None) -> alloy.ModelReply:
            arrived.set_result(None) if not arrived.done() else None
            try:
                await asyncio.get_running_loop().create_future()
            finally:
                cancelled.set()
            raise AssertionError

    import concurrent.futures

    arrived: concurrent.futures.Future[None] = concurrent.futures.Future()

    async def main() -> None:
        task = asyncio.create_task(alloy.arun("go", provider=Watched()))
        await asyncio.wrap_future(arrived)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert cancelled.wait(5)


def test_leaving_astream_cancels_the_run() -> None:
    cancelled = threading.Event()

    class Endless:
        model = "endless"

        async def complete(self, request: object, on_deltas: object = None) -> alloy.ModelReply:
            on_deltas([alloy.Delta("text", "word ")])
            try:
                await asyncio.get_running_loop().create_future()
            finally:
                cancelled.set()
            raise AssertionError

    async def main() -> None:
        async for event in alloy.astream("go", provider=Endless()):
            if isinstance(event, alloy.TextDelta):
                break

    asyncio.run(main())
    assert cancelled.wait(5)


def test_a_bug_in_the_loop_is_a_result_with_its_cause(monkeypatch: pytest.MonkeyPatch) -> None:
    from alloy_actors import completion

    async def broken(*_args: object, **_facts: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(completion.Completion, "ask", broken)
    result = alloy.run("go", provider=ScriptedProvider(["hi"]))
    assert result.status == "error"
    assert isinstance(result.error, alloy.CrashError)
    assert isinstance(result.error.__cause__, RuntimeError)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({}, "provider is required"),
        ({"provider": ScriptedProvider("x"), "max_turn": 1}, "did you mean 'max_turns'"),
        ({"provider": ScriptedProvider("x"), "tools": [add, add]}, "add"),
        ({"provider": ScriptedProvider("x"), "max_pending": 1}, "unknown option 'max_pending' .*of agents"),
    ],
)
def test_mistakes_are_found_before_anything_is_asked(options: dict[str, object], match: str) -> None:
    """T14."""
    with pytest.raises(alloy.ConfigError, match=match):
        alloy.run("go", **options)


def test_a_time_limit_ends_a_hanging_run() -> None:
    result = alloy.run("go", provider=ScriptedProvider([hang()]), timeout=0.05)
    assert isinstance(result.error, TimeoutError)


def test_runs_may_be_nested_in_tools() -> None:
    gate = Gate()
    gate.release()

    @alloy.tool
    def delegate(task: str) -> str:
        """Let another model do it."""
        return alloy.run(task, provider=ScriptedProvider([held(gate, f"did {task}")])).text

    result = alloy.run(
        "go", provider=ScriptedProvider([tool_call("delegate", task="it"), "ok"]), tools=[delegate]
    )
    assert result.messages[2].blocks[0].content == "did it"


def test_an_agent_of_the_default_system_is_started_from_a_coroutine() -> None:
    async def main() -> str:
        agent = await alloy.Agent.astart("a", provider=ScriptedProvider(["hi"]))
        return (await agent.achat("hello")).text

    assert asyncio.run(main()) == "hi"


def test_a_stream_may_be_heard_by_events_alone() -> None:
    heard: list[str] = []
    result = alloy.stream(
        "hi", on_event=lambda event: heard.append(event.type), provider=ScriptedProvider("hello")
    )
    assert result.text == "hello"
    assert heard[-1] == "run_finished"
