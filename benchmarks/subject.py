"""The subject: alloy-actors through its public names, doing the work of `floor.py`."""

from __future__ import annotations

import asyncio

import alloy_actors as alloy
from benchmarks.measure import Round, stopwatch
from benchmarks.work import (
    MODEL,
    QUESTION,
    SLOW_MODEL,
    W1_CONVERSATIONS,
    W1_RUNS,
    W2_CONVERSATIONS,
    W2_RUNS,
    check_answer,
    plain_weather,
    weather,
)

try:
    from uvloop import new_event_loop
except ImportError:  # Windows
    from asyncio import new_event_loop

_async_tool = alloy.tool(weather)
_plain_tool = alloy.tool(plain_weather)
_runner = asyncio.Runner(loop_factory=new_event_loop)


def w1(url: str) -> Round:
    """`agent.chat()` from the main thread, `async def` tools."""
    return _w1(url, _async_tool)


def w1_plain(url: str) -> Round:
    """The same with a `def` tool, which runs on tool workers."""
    return _w1(url, _plain_tool)


def w2(url: str) -> Round:
    """500 agents, all asked at once from a loop of the caller's own."""
    return _runner.run(_w2(url))


def close() -> None:
    """End everything."""
    alloy.shutdown()
    _runner.close()


def _w1(url: str, tool: object) -> Round:
    provider = alloy.OpenAICompat(model=MODEL, api_url=url)
    agents = [alloy.Agent.start(provider=provider, tools=[tool]) for _ in range(W1_CONVERSATIONS)]
    try:
        with stopwatch(W1_CONVERSATIONS * W1_RUNS) as watch:
            results = [agent.chat(QUESTION) for agent in agents for _ in range(W1_RUNS)]
    finally:
        for agent in agents:
            agent.stop()
    for result in results:
        check_answer(result.raise_for_status().text)
    return watch.round


async def _w2(url: str) -> Round:
    provider = alloy.OpenAICompat(model=SLOW_MODEL, api_url=url)
    system = await asyncio.to_thread(alloy.AgentSystem)
    try:
        agents = [
            await system.aspawn(f"agent-{number}", provider=provider, tools=[_async_tool])
            for number in range(W2_CONVERSATIONS)
        ]

        async def talk(agent: alloy.AgentRef) -> list[alloy.Result]:
            return [await agent.achat(QUESTION) for _ in range(W2_RUNS)]

        with stopwatch(W2_CONVERSATIONS * W2_RUNS) as watch:
            results = await asyncio.gather(*map(talk, agents))
    finally:
        await system.astop()
    for result in (result for pair in results for result in pair):
        check_answer(result.raise_for_status().text)
    return watch.round
