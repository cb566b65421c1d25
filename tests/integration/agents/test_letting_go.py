"""What a run that is over leaves behind: nothing that only the collector could find.

With hundreds of runs on, every pass of the collector walks all of them: rings of dead runs make such passes frequent.
"""

from __future__ import annotations

import asyncio
import contextvars
import gc
import weakref

import pytest

import alloy_actors as alloy
from alloy_actors.actors.loop_thread import loop_thread
from alloy_actors.local import LocalServer
from alloy_actors.testing import ScriptedProvider, text, tool_call
from alloy_actors.turn import Run


@alloy.tool
async def weather(city: str) -> str:
    """Tell the weather of a city."""
    return f"sunny in {city}"


class Watching(alloy.Middleware):
    async def before_completion(self, run: alloy.RunView) -> None:
        """Let it go on."""


def nothing(_: str) -> None:
    """Listen."""


def let_loop_rest() -> None:
    """Return when the loop has done what it was at."""
    asyncio.run_coroutine_threadsafe(asyncio.sleep(0), loop_thread().loop).result()


def runs_alive(agent: alloy.AgentRef) -> int:
    """How many there are when the actor and the loop have come to rest."""
    agent.messages()
    let_loop_rest()
    return sum(isinstance(each, Run) for each in gc.get_objects())


@pytest.mark.parametrize("options", [{}, {"middleware": [Watching()], "max_tokens": 50_000}])
def test_runs_that_are_over_are_gone_without_the_collector(
    system: alloy.AgentSystem, options: dict[str, object]
) -> None:
    script = [tool_call("weather", city="Paris"), text("sunny"), *[text("fine")] * 4]
    agent = system.spawn("a", provider=ScriptedProvider(script), tools=[weather], **options)
    agent.chat("warm up").raise_for_status()
    gc.collect()
    before = runs_alive(agent)
    gc.disable()
    try:
        agent.chat("one").raise_for_status()
        agent.stream_chat("two", nothing).raise_for_status()
        agent.chat("three").raise_for_status()
        assert runs_alive(agent) == before
    finally:
        gc.enable()


class Mine:
    """Something of a caller's."""


MINE: contextvars.ContextVar[Mine] = contextvars.ContextVar("mine")


def test_a_kept_connection_keeps_nothing_of_the_caller_whose_request_opened_it(
    system: alloy.AgentSystem,
) -> None:
    mine = Mine()
    kept = weakref.ref(mine)
    context = contextvars.Context()
    context.run(MINE.set, mine)
    with LocalServer() as server:
        provider = alloy.OpenAICompat(model="scripted-fast", api_url=server.url)
        agent = system.spawn("a", provider=provider)
        context.run(agent.chat, "hello").raise_for_status()
        agent.stop()
        let_loop_rest()
        del mine, context, agent
        gc.collect()
        assert kept() is None
        assert server.stats().connections == 1
