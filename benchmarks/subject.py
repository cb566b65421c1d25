"""The subject: alloy-actors through its public names, doing the work of `floor.py`."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import alloy_actors as alloy
from benchmarks.measure import Round, stopwatch
from benchmarks.work import (
    DELTAS,
    MODEL,
    OLD_ANSWER,
    OLD_EXCHANGES,
    QUESTION,
    SLOW_MODEL,
    STREAMS,
    W1_CONVERSATIONS,
    W1_RUNS,
    W2_CONVERSATIONS,
    W2_RUNS,
    W7_CONVERSATIONS,
    W7_RUNS,
    Listened,
    check_answer,
    plain_weather,
    streaming_model,
    weather,
)

try:
    from uvloop import new_event_loop
except ImportError:  # Windows
    from asyncio import new_event_loop

_async_tool = alloy.tool(weather)
_plain_tool = alloy.tool(plain_weather)
_runner = asyncio.Runner(loop_factory=new_event_loop)

HOOKS = 5
"""Of `Watching`, asked in a run."""


def w1(url: str) -> Round:
    """`agent.chat()` from the main thread, `async def` tools."""
    return _w1(url, _async_tool)


def w1_plain(url: str) -> Round:
    """The same with a `def` tool, which runs on tool workers."""
    return _w1(url, _plain_tool)


def w1_off(url: str) -> Round:
    """W1 with nothing that could be left away."""
    return _w1(url, _async_tool, compaction=False)


def w1_on(url: str) -> Round:
    """W1 with async middleware, compaction and both budgets; none of them has to act."""
    watching = Watching()
    measured = _w1(
        url,
        _async_tool,
        middleware=[watching],
        max_tokens=100_000,
        max_budget_cents=100.0,
        lifetime_budget_cents=1000.0,
        model_metadata_overrides={MODEL: {"dollars_per_million": {"input": 3, "output": 15}}},
    )
    if watching.asked != HOOKS * W1_CONVERSATIONS * W1_RUNS:
        raise AssertionError(f"{watching.asked} hooks in {W1_CONVERSATIONS * W1_RUNS} runs")
    return measured


def w2(url: str) -> Round:
    """500 agents, all asked at once from a loop of the caller's own."""
    return _runner.run(_w2(url))


def w3(url: str) -> Round:
    """`agent.stream_chat(question, on_chunk)` from the main thread, a server that writes each delta by itself."""
    return _w3(url, burst=False)


def w3_burst(url: str) -> Round:
    """The same, a server that writes all deltas at once."""
    return _w3(url, burst=True)


def w3_async(url: str) -> Round:
    """`async for event in agent.astream_chat(question)` on a loop of the caller's own."""
    return _runner.run(_aw3(url, burst=False))


def w3_async_burst(url: str) -> Round:
    """The same, a server that writes all deltas at once."""
    return _runner.run(_aw3(url, burst=True))


def w7_none(url: str) -> Round:
    """`agent.chat()` with agents that have answered once."""
    return _w7(url, old=False, runs=W7_RUNS)


def w7(url: str) -> Round:
    """The same on top of 400 old messages."""
    return _w7(url, old=True, runs=W7_RUNS)


def w7_first(url: str) -> Round:
    """The first run of agents that begin with 400 old messages: all of them are encoded."""
    return _w7(url, old=True, runs=0)


def close() -> None:
    """End everything."""
    alloy.shutdown()
    _runner.close()


class Watching(alloy.Middleware):
    """Async hooks that look at what they are shown and let everything go on."""

    def __init__(self) -> None:
        self.asked = 0

    async def before_completion(self, run: alloy.RunView) -> None:
        """Twice a run."""
        self.asked += run.messages[-1].role == "user"

    async def before_tool_call(self, run: alloy.RunView, call: alloy.ToolCall) -> None:
        """Twice a run."""
        self.asked += (run.turn, call.name) == (1, "weather")

    async def after_completion(self, run: alloy.RunView, message: alloy.Message) -> None:
        """Once a run."""
        self.asked += run.messages[-1] is message


def _w1(url: str, tool: object, **options: Any) -> Round:
    provider = alloy.OpenAICompat(model=MODEL, api_url=url)
    agents = [alloy.Agent.start(provider=provider, tools=[tool], **options) for _ in range(W1_CONVERSATIONS)]
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


def _w3(url: str, *, burst: bool) -> Round:
    provider = alloy.OpenAICompat(model=streaming_model(burst=burst), api_url=url)
    agents = [alloy.Agent.start(provider=provider) for _ in range(STREAMS)]
    listened = Listened()
    try:
        with stopwatch(STREAMS * DELTAS) as watch:
            for agent in agents:
                listened.begin()
                agent.stream_chat(QUESTION, listened.hear).raise_for_status()
    finally:
        for agent in agents:
            agent.stop()
    return replace(watch.round, late=listened.late())


async def _aw3(url: str, *, burst: bool) -> Round:
    provider = alloy.OpenAICompat(model=streaming_model(burst=burst), api_url=url)
    agents = [await alloy.Agent.astart(provider=provider) for _ in range(STREAMS)]
    listened = Listened()
    try:
        with stopwatch(STREAMS * DELTAS) as watch:
            for agent in agents:
                listened.begin()
                async for event in agent.astream_chat(QUESTION):
                    if isinstance(event, alloy.TextDelta):
                        listened.hear(event.text)
    finally:
        for agent in agents:
            await agent.astop()
    return replace(watch.round, late=listened.late())


def _w7(url: str, *, old: bool, runs: int) -> Round:
    provider = alloy.OpenAICompat(model=MODEL, api_url=url)
    agents = [
        alloy.Agent.start(provider=provider, tools=[_async_tool], messages=_old_messages() if old else [])
        for _ in range(W7_CONVERSATIONS)
    ]
    try:
        with stopwatch(W7_CONVERSATIONS) as watch:
            results = [agent.chat(QUESTION) for agent in agents]
        if runs:
            with stopwatch(W7_CONVERSATIONS * runs) as watch:
                results = [agent.chat(QUESTION) for agent in agents for _ in range(runs)]
    finally:
        for agent in agents:
            agent.stop()
    for result in results:
        check_answer(result.raise_for_status().text)
    return watch.round


def _old_messages() -> list[alloy.Message]:
    """Made anew for each agent: a message keeps its encoded form."""
    messages = []
    for number in range(OLD_EXCHANGES):
        names = {f"call-{number}-{city}": city for city in ("Paris", "Oslo")}
        messages += [
            alloy.Message("user", QUESTION),
            alloy.Message(
                "assistant", [alloy.ToolCall(name, "weather", {"city": city}) for name, city in names.items()]
            ),
            alloy.Message(
                "user", [alloy.ToolResult(name, f"sunny in {city}") for name, city in names.items()]
            ),
            alloy.Message("assistant", OLD_ANSWER),
        ]
    return messages
