"""A run with every feature on leaves nothing behind, however it ended."""

from __future__ import annotations

import asyncio
import gc
from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING

import alloy_actors as alloy
from alloy_actors import telemetry
from alloy_actors.actors.loop_thread import loop_thread
from alloy_actors.errors import ServerError
from alloy_actors.local import LocalServer
from alloy_actors.provider import ModelRequest
from alloy_actors.providers import limits
from alloy_actors.testing import ScriptedProvider, error, hang, tool_call
from supervisors.clock import _Entry as Timer

if TYPE_CHECKING:
    from collections.abc import Mapping

FACTS = {"limit": 4_000, "dollars_per_million": {"input": 1.0, "output": 1.0}}


@alloy.tool
async def add(a: int, b: int) -> str:
    """Add two numbers, and talk about it."""
    return f"{a + b} " + "in many words " * 200


class Asking(alloy.Middleware):
    async def before_completion(self, run: alloy.RunView) -> None:
        """Let it go on."""

    def before_tool_call(self, run: alloy.RunView, call: alloy.ToolCall) -> alloy.RequireApproval | None:
        return alloy.RequireApproval("is that so?") if call.input["a"] == 0 else None


def answer(request: ModelRequest) -> object:
    """What the model says, by what it was asked."""
    last = request.messages[-1]
    if not request.tools:
        return "a summary"
    if not last.text:
        return "so it is"
    match last.text.split()[0]:
        case "hang":
            return hang()
        case "fail":
            return error(ServerError)
        case "ask":
            return tool_call("add", a=0, b=0)
        case _:
            return tool_call("add", a=1, b=1)


async def cancel_at(agent: alloy.AgentRef, said: str, moment: type[alloy.Event]) -> None:
    """A request that is cancelled when an event has come."""
    last: alloy.Event | None = None
    async for event in agent.astream_chat(said, request_id=said):
        if isinstance(event, moment):
            await agent.acancel_request(said)
        last = event
    assert isinstance(last, alloy.RunFinished)
    assert last.result.status == "cancelled"


async def live(system: alloy.AgentSystem, server: LocalServer, names: Iterable[str]) -> None:
    """Agents one after the other: answers, compactions, a fallback, cancels, an approval that nobody gives, an end."""
    served = alloy.OpenAICompat(model="scripted-fast", api_url=server.url)
    for name in names:
        agent = await system.aspawn(
            name,
            provider=ScriptedProvider(answer, usage=alloy.Usage()),  # nobody counts, so estimates do
            fallback_providers=[served],
            model_metadata_overrides={"scripted": FACTS, "scripted-fast": FACTS},
            max_budget_cents=50,
            lifetime_budget_cents=500,
            max_retries=0,
            tools=[add],
            middleware=[Asking()],
        )
        for number in range(4):
            (await agent.achat(f"add {number} {'please ' * 500}")).raise_for_status()
        assert "a summary" in agent.messages()[1].text
        (await agent.achat("fail")).raise_for_status()
        await cancel_at(agent, "hang", alloy.TurnStarted)
        await cancel_at(agent, "ask", alloy.ApprovalRequested)
        await agent.astop()


def ours() -> Mapping[str, int]:
    """How many objects of our classes there are, by name; without the cancelled timers, which their clock drops in bulk."""
    asyncio.run_coroutine_threadsafe(asyncio.sleep(0), loop_thread().loop).result()
    gc.collect()
    found = Counter(
        type(each).__qualname__
        for each in gc.get_objects()
        if str(type(each).__module__).startswith(("alloy_actors", "supervisors"))
    )
    del found[Timer.__qualname__]
    return found


def test_agents_with_everything_on_leave_nothing_behind(server: LocalServer) -> None:
    heard: Counter[str] = Counter()
    with (
        telemetry.attach(lambda name, _measured, _facts: heard.update([name])),
        alloy.AgentSystem() as system,
    ):
        asyncio.run(live(system, server, [f"first-{number}" for number in range(5)]))
        before = ours()
        asyncio.run(live(system, server, [f"then-{number}" for number in range(20)]))
        assert ours() == before
        assert heard["alloy.compaction.done"] >= 25
        server.wait_stats(active=0)
    assert not telemetry._attached
    assert not any(limits._limiters.values())
