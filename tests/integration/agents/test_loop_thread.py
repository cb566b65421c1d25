"""The one loop of the process: who blocks it is named, and it ends when it is told to."""

from __future__ import annotations

import asyncio
import contextvars
import threading
import time

import pytest
import structlog

import alloy_actors as alloy
from alloy_actors.actors.loop_thread import LoopThread, loop_thread, on_loop_thread
from alloy_actors.errors import AgentDownError
from alloy_actors.testing import ScriptedProvider, tool_call

WAIT = 5.0


def test_who_blocks_the_loop_is_named(system: alloy.AgentSystem) -> None:
    reported = threading.Event()
    entries: list[dict[str, object]] = []

    def capture(_logger: object, _name: str, entry: dict[str, object]) -> dict[str, object]:
        entries.append(dict(entry))
        if entry["event"] == "loop_blocked":
            reported.set()
        raise structlog.DropEvent

    @alloy.tool
    async def selfish() -> str:
        """Block the loop until it is noticed."""
        return "noticed" if reported.wait(WAIT) else "unnoticed"

    agent = system.spawn("a", provider=ScriptedProvider([tool_call("selfish"), "ok"]), tools=[selfish])
    before = structlog.get_config()
    structlog.configure(processors=[capture], cache_logger_on_first_use=False)
    try:
        result = agent.chat("go", timeout=2 * WAIT)
    finally:
        structlog.configure(**before)
    assert result.messages[2].blocks[0].content == "noticed"
    blocked = [entry for entry in entries if entry["event"] == "loop_blocked"]
    assert len(blocked) == 1
    assert "selfish" in str(blocked[0]["stack"])


def test_a_task_cancelled_before_it_began_still_takes_its_first_step() -> None:
    loop = LoopThread()
    began, ended = threading.Event(), threading.Event()

    async def work() -> None:
        began.set()
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            ended.set()

    loop.start(work, contextvars.copy_context()).cancel()
    assert ended.wait(WAIT)
    assert began.is_set()
    assert loop.stop(WAIT)


def test_stopping_cancels_what_runs_and_ends_the_thread() -> None:
    loop = LoopThread()
    began, ended = threading.Event(), threading.Event()

    async def work() -> None:
        began.set()
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            ended.set()

    loop.start(work, contextvars.copy_context())
    assert began.wait(WAIT)
    assert loop.stop(WAIT)
    assert ended.is_set()
    with pytest.raises(AgentDownError, match="shut down"):
        loop.call(lambda: None)


def test_a_new_loop_is_started_after_a_shutdown() -> None:
    first = loop_thread()
    alloy.shutdown()
    assert not first.thread.is_alive()
    second = loop_thread()
    assert second is not first
    assert not on_loop_thread()


def test_the_watch_sleeps_when_the_loop_has_nothing_to_do(system: alloy.AgentSystem) -> None:
    system.spawn("a", provider=ScriptedProvider(["hi"])).chat("hello")
    watch = loop_thread()._watch
    deadline = time.monotonic() + WAIT
    while watch._timer is not None:
        assert time.monotonic() < deadline
        threading.Event().wait(0.01)
