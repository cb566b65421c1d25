"""Tool calls through whole agents: what tools return, where it is kept, and who waits for whom."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

import alloy_actors as alloy
from alloy_actors.testing import ScriptedProvider, tool_call, tool_calls
from alloy_actors.tools import DirectoryFiles, InMemoryFiles, memory, read

LONG = 20.0
IMAGE = alloy.ImageBlock("image/png", "aW1hZ2U=")


@alloy.tool
def plot(title: str) -> list[str | alloy.ImageBlock]:
    """Draw a plot."""
    return [f"{title} {'x' * 10}", IMAGE]


def answers(result: alloy.Result) -> list[alloy.ToolResult]:
    return [
        block
        for message in result.messages
        for block in message.blocks
        if isinstance(block, alloy.ToolResult)
    ]


def test_t43_text_for_the_model_and_data_for_the_caller(system: alloy.AgentSystem) -> None:
    @alloy.tool
    def query(table: str) -> alloy.ToolReturn:
        return alloy.ToolReturn(f"2 rows of {table}", data=[{"id": 1}, {"id": 2}])

    agent = system.spawn("a", provider=ScriptedProvider([tool_call("query", table="t"), "ok"]), tools=[query])
    result = agent.chat("go")
    assert [answer.content for answer in answers(result)] == ["2 rows of t"]
    assert result.tool_calls[0].data == [{"id": 1}, {"id": 2}]


def test_images_in_a_result_are_stored_and_go_out_again(tmp_path: Path) -> None:
    store = f"sqlite:///{tmp_path / 'agents.db'}"
    short = alloy.tool(plot.function, max_result_chars=5)
    with alloy.AgentSystem(store=store) as system:
        provider = ScriptedProvider([tool_call("plot", title="Sales"), "nice"])
        result = system.spawn("a", provider=provider, tools=[short]).chat("draw")
    content = (
        alloy.TextBlock("Sale\n[... truncated: 16 characters, 5 of them shown ...]\nx"),
        IMAGE,
    )
    assert [answer.content for answer in answers(result)] == [content]
    again = ScriptedProvider(["as I said"])
    with alloy.AgentSystem(store=store) as system:
        agent = system.spawn("a", provider=again, tools=[short])
        agent.chat("and?")
        exported = alloy.Session.from_json(agent.export_session().to_json())
    seen = [block for message in again.requests[0].messages for block in message.blocks]
    assert alloy.ToolResult(result.tool_calls[0].id, content) in seen
    assert [
        block.content
        for message in exported.messages
        for block in message.blocks
        if block.type == "tool_result"
    ] == [content]


def test_a_spilled_result_can_be_read_with_the_read_tool(system: alloy.AgentSystem, tmp_path: Path) -> None:
    def dump() -> str:
        return "\n".join(f"row {number}" for number in range(5_000))

    def script(request: Any) -> Any:
        if len(request.messages) != 3:
            return tool_call("dump") if len(request.messages) == 1 else "done"
        text = request.messages[-1].blocks[0].content
        path = text.partition("all of it is in ")[2].partition(" ...]")[0]
        return tool_call("read", file_path=path, offset=2_501, limit=1)

    provider = ScriptedProvider(script)
    agent = system.spawn(
        "a",
        provider=provider,
        tools=[alloy.tool(dump, spill=alloy.Spill("results")), read],
        working_directory=tmp_path,
        context={"allowed_paths": [tmp_path]},
    )
    preview, line = answers(agent.chat("go"))
    assert len(preview.text) < 3_500
    assert "row 2500" in line.text


def test_tools_of_every_kind_serve_one_agent(system: alloy.AgentSystem) -> None:
    class Order(BaseModel):
        item: str

    class Shop:
        def price(self, item: str) -> int:
            return len(item)

        async def __call__(self, item: str) -> str:
            return f"called for {item}"

    schema = {"type": "object", "properties": {"item": {"type": "string"}}, "required": ["item"]}
    tools = [
        Order,
        Shop().price,
        alloy.tool(Shop(), name="shop"),
        alloy.Tool("given", "Given.", schema, lambda **arguments: arguments),
    ]
    names = ("Order", "price", "shop", "given")
    provider = ScriptedProvider([tool_calls(*(tool_call(name, item="tea") for name in names)), "ok"])
    result = system.spawn("a", provider=provider, tools=tools).chat("go")
    assert [answer.content for answer in answers(result)] == [
        '{"item":"tea"}',
        "3",
        "called for tea",
        '{"item":"tea"}',
    ]


def test_a_slow_plain_tool_never_stalls_other_agents(system: alloy.AgentSystem) -> None:
    """Not one of them, and not its own agent's mailbox."""
    begun, release = threading.Semaphore(0), threading.Event()

    @alloy.tool
    def blocks() -> str:
        begun.release()
        release.wait(LONG)
        return "at last"

    @alloy.tool
    def quick() -> str:
        return "quick"

    slow = [
        system.spawn(f"slow{n}", provider=ScriptedProvider([tool_call("blocks"), "slow"]), tools=[blocks])
        for n in range(8)
    ]
    done: list[alloy.Result] = []
    waiting = threading.Semaphore(0)

    def on_result(result: alloy.Result) -> None:
        done.append(result)
        waiting.release()

    for agent in slow:
        agent.send_message("go", on_result=on_result)
    assert all(begun.acquire(timeout=LONG) for _ in slow)
    for n in range(8):
        agent = system.spawn(f"q{n}", provider=ScriptedProvider([tool_call("quick"), "ok"]), tools=[quick])
        assert agent.chat("go", timeout=LONG).text == "ok"
    assert all(agent.health().status == "running" for agent in slow)
    assert not done
    release.set()
    assert all(waiting.acquire(timeout=LONG) for _ in slow)
    assert [result.text for result in done] == ["slow"] * 8


def test_t44_calls_that_failed_have_both_events_in_order_and_their_real_duration(
    system: alloy.AgentSystem,
) -> None:
    @alloy.tool(timeout=0.05)
    async def slow() -> None:
        await asyncio.Event().wait()

    @alloy.tool
    def fine() -> str:
        return "fine"

    class Picky(alloy.Middleware):
        def before_tool_call(self, run: alloy.RunView, call: alloy.ToolCall) -> alloy.Block | None:
            return alloy.Block("no") if call.input else None

    script = [
        tool_calls(tool_call("slow"), tool_call("fine", x=1), tool_call("none"), tool_call("fine")),
        "ok",
    ]
    events: list[alloy.Event] = []
    agent = system.spawn("a", provider=ScriptedProvider(script), tools=[slow, fine], middleware=[Picky()])
    result = agent.stream_chat("go", on_event=events.append)
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    started = {event.id: event.seq for event in events if isinstance(event, alloy.ToolStarted)}
    ended = {event.id: event for event in events if isinstance(event, alloy.ToolEnded)}
    assert len(result.tool_calls) == len(started) == len(ended) == 4
    for call in result.tool_calls:
        end = ended[call.id]
        assert (end.error, end.duration) == (call.error, pytest.approx(call.duration, abs=1e-6))
        assert end.start_seq == started[call.id] < end.seq
    errors = {(call.name, call.error is None) for call in result.tool_calls}
    assert errors == {("slow", False), ("fine", False), ("none", False), ("fine", True)}
    assert result.tool_calls[0].duration > 0
    assert result.tool_calls[1].duration == 0  # blocked: it never ran


@pytest.mark.parametrize("kind", ["in_memory", "directory"])
def test_t93_what_one_agent_writes_down_another_remembers(
    system: alloy.AgentSystem, tmp_path: Path, kind: str
) -> None:
    files = InMemoryFiles() if kind == "in_memory" else DirectoryFiles(tmp_path, "ada")
    notes = memory(files)
    script = [
        [
            tool_call("memory", command="create", path="/memories/ada.md", file_text="likes tea\n"),
            tool_call("memory", command="view", path="/memories/../etc/passwd"),
        ],
        "noted",
    ]
    first = system.spawn("first", provider=ScriptedProvider(script), tools=[notes])
    stored, refused = answers(first.chat("I like tea"))
    assert (stored.is_error, refused.is_error) == (False, True)
    script = [tool_call("memory", command="view", path="/memories/ada.md"), "tea"]
    second = system.spawn("second", provider=ScriptedProvider(script), tools=[notes])
    assert [answer.content for answer in answers(second.chat("what do I like?"))] == ["     1\tlikes tea"]


def test_t93_a_tool_of_ones_own_cannot_be_called_memory_beside_it(system: alloy.AgentSystem) -> None:
    mine = alloy.tool(lambda: "", name="memory")
    with pytest.raises(alloy.ConfigError, match="two tools are called 'memory'"):
        system.spawn("a", provider=ScriptedProvider([]), tools=[memory(InMemoryFiles()), mine])


def test_a_switch_to_a_provider_that_refuses_a_tool_is_refused(system: alloy.AgentSystem) -> None:
    schema = {"type": "object", "properties": {}, "anyOf": [{}]}
    odd = alloy.Tool("odd", "", schema, lambda: 1)
    provider = ScriptedProvider(["still here"])
    agent = system.spawn("a", provider=provider, tools=[odd])
    with pytest.raises(alloy.ConfigError, match="tool 'odd': Anthropic takes no 'anyOf'"):
        agent.set_model(alloy.Anthropic("m", "k"))
    assert agent.chat("hi").text == "still here"
    with pytest.raises(alloy.ConfigError, match="tool 'odd': Anthropic takes no 'anyOf'"):
        alloy.run("hi", provider=provider, fallback_providers=[alloy.Anthropic("m", "k")], tools=[odd])
