"""How long a cancel takes, from the call to the Result, at every point of a run: `python -m benchmarks cancel`."""

from __future__ import annotations

import asyncio
import logging
import os
import queue
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import structlog

import alloy_actors as alloy
from alloy_actors.local import scripted_model
from alloy_actors.testing import ScriptedProvider, hang, tool_call
from alloy_actors.tools import bash_tool
from benchmarks.measure import Spread
from benchmarks.report import Bar, Report, Row

ROUNDS = 30
BAR = Bar(100.0, 100.0, " ms")


def measure(url: str) -> Report:
    """Cancel at each point, `ROUNDS` times, one after the other."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))  # of retries
    points = {
        "waiting for the model": _waiting(url),
        "in the middle of a stream": _streaming(url),
        "in the pause of a retry": _pausing,
        "in an async tool": _in_async_tool,
        "in a plain tool": _in_plain_tool,
        "waiting for an approval": _waiting_for_approval,
        "in a shell command": _in_command,
        "in the queue": _queued,
    }
    lines = [
        f"cancel, from the call to the Result, {ROUNDS} times at each point",
        f"  {'ms':26}      min   median      max",
    ]
    slowest = 0.0
    with alloy.AgentSystem() as system:
        for name, begin in points.items():
            spread = Spread.of([_cancel(system, begin) for _ in range(ROUNDS)])
            slowest = max(slowest, spread.high)
            lines.append(f"  {name:26} {spread}   {BAR.verdict(spread.high)}")
    alloy.shutdown()
    row = Row("Cancel at any point of a run, slowest of all", "-", f"{slowest:.1f} ms", f"{BAR.goal:g} ms")
    return Report("\n".join(lines), row)


def _cancel(system: alloy.AgentSystem, begin: Any) -> float:
    """Milliseconds."""
    told: queue.SimpleQueue[alloy.Result] = queue.SimpleQueue()
    agent = begin(system, told)
    start = time.perf_counter()
    agent.cancel_request("R")
    result = told.get(timeout=10)
    took = time.perf_counter() - start
    if (result.request_id, result.status) != ("R", "cancelled"):
        raise AssertionError(f"it ended with {result.status}")
    agent.stop()
    return took * 1000


def _send(
    system: alloy.AgentSystem, told: queue.SimpleQueue[alloy.Result], provider: Any, **options: Any
) -> alloy.AgentRef:
    agent = system.spawn(provider=provider, **options)
    agent.send_message("Hello.", told.put, request_id="R")
    return agent


class _Watched:
    """A provider that says when it has been asked."""

    def __init__(self, provider: Any) -> None:
        self._provider = provider
        self.asked = threading.Event()

    @property
    def model(self) -> str:
        return self._provider.model

    async def complete(self, request: alloy.ModelRequest, on_deltas: Any = None) -> alloy.ModelReply:
        self.asked.set()
        return await self._provider.complete(request, on_deltas)


def _waiting(url: str) -> Any:
    model = scripted_model("scripted-fast", fault="hang")

    def begin(system: alloy.AgentSystem, told: queue.SimpleQueue[alloy.Result]) -> alloy.AgentRef:
        provider = _Watched(alloy.OpenAICompat(model=model, api_url=url))
        agent = _send(system, told, provider)
        provider.asked.wait(10)
        time.sleep(0.005)  # until the request is on the wire
        return agent

    return begin


def _streaming(url: str) -> Any:
    model = scripted_model("scripted-fast", fault="stall", deltas=20)

    def begin(system: alloy.AgentSystem, told: queue.SimpleQueue[alloy.Result]) -> alloy.AgentRef:
        agent = system.spawn(provider=alloy.OpenAICompat(model=model, api_url=url))
        with agent.subscribe("events") as events:
            agent.send_message("Hello.", told.put, request_id="R")
            while not isinstance(events.get(10), alloy.TextDelta):
                pass
        return agent

    return begin


def _pausing(system: alloy.AgentSystem, told: queue.SimpleQueue[alloy.Result]) -> alloy.AgentRef:
    provider = _Watched(ScriptedProvider([alloy.OverloadedError("later", retry_after=60.0)]))
    agent = _send(system, told, provider)
    provider.asked.wait(10)
    return agent


class _Careful(alloy.Middleware):
    def before_tool_call(self, run: alloy.RunView, call: alloy.ToolCall) -> alloy.RequireApproval:
        return alloy.RequireApproval(f"{run.agent} wants {call.name}")


def _waiting_for_approval(system: alloy.AgentSystem, told: queue.SimpleQueue[alloy.Result]) -> alloy.AgentRef:
    provider = ScriptedProvider([tool_call("wait")])
    agent = system.spawn(provider=provider, middleware=[_Careful()])
    with agent.subscribe("events") as events:
        agent.send_message("Hello.", told.put, request_id="R")
        while not isinstance(events.get(10), alloy.ApprovalRequested):
            pass
    return agent


def _in_async_tool(system: alloy.AgentSystem, told: queue.SimpleQueue[alloy.Result]) -> alloy.AgentRef:
    started = threading.Event()

    @alloy.tool
    async def wait() -> str:
        """Wait."""
        started.set()
        await asyncio.get_running_loop().create_future()
        return ""

    agent = _send(system, told, ScriptedProvider([tool_call("wait")]), tools=[wait])
    started.wait(10)
    return agent


def _in_plain_tool(system: alloy.AgentSystem, told: queue.SimpleQueue[alloy.Result]) -> alloy.AgentRef:
    started = threading.Event()

    @alloy.tool
    def wait(context: alloy.ToolContext) -> str:
        """Wait."""
        started.set()
        context.cancelled.wait(10)
        return ""

    agent = _send(system, told, ScriptedProvider([tool_call("wait")]), tools=[wait])
    started.wait(10)
    return agent


def _in_command(system: alloy.AgentSystem, told: queue.SimpleQueue[alloy.Result]) -> alloy.AgentRef:
    with tempfile.TemporaryDirectory() as folder:
        pipe = Path(folder) / "started"
        os.mkfifo(pipe)
        script = ScriptedProvider([tool_call("bash", command=f"echo yes > {pipe}; sleep 100")])
        agent = _send(system, told, script, tools=[bash_tool(restricted=False)])
        pipe.read_text()
    return agent


def _queued(system: alloy.AgentSystem, told: queue.SimpleQueue[alloy.Result]) -> alloy.AgentRef:
    agent = system.spawn(provider=ScriptedProvider([hang()]))
    agent.send_message("Hello.")
    agent.send_message("Hello.", told.put, request_id="R")
    return agent
