"""What was cancelled leaves nothing behind: no socket, no task, no worker, no memory."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from contextlib import aclosing
from pathlib import Path

import pytest

import alloy_actors as alloy
from alloy_actors.actors.loop_thread import loop_thread
from alloy_actors.local import LocalServer, scripted_model

STREAMS = 500
ROOT = Path(__file__).parents[2]


async def leave_early(provider: alloy.OpenAICompat) -> None:
    """A one-shot stream whose consumer goes away."""
    async with aclosing(alloy.astream("go", provider=provider)) as events:
        async for event in events:
            if isinstance(event, alloy.TextDelta):
                return


async def cancel(agent: alloy.AgentRef) -> None:
    """A stream of an agent whose request is cancelled."""
    last = None
    async for event in agent.astream_chat("go", request_id="R"):
        if isinstance(event, alloy.TextDelta) and event.seq <= 4:
            await agent.acancel_request("R")
        last = event
    assert isinstance(last, alloy.RunFinished)
    assert last.result.status == "cancelled"


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def tasks_left() -> int:
    return len(asyncio.all_tasks()) - 1


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="only where /proc lists descriptors")
def test_five_hundred_cancelled_streams_leave_no_socket_no_task_and_no_worker(server: LocalServer) -> None:
    model = scripted_model("scripted-fast", fault="stall", deltas=20)
    provider = alloy.OpenAICompat(model=model, api_url=server.url)

    async def all_of_them(system: alloy.AgentSystem, count: int) -> None:
        agents = [await system.aspawn(provider=provider) for _ in range(count // 2)]
        await asyncio.gather(
            *(cancel(agent) for agent in agents), *(leave_early(provider) for _ in range(count // 2))
        )
        for agent in agents:
            await agent.astop()

    with alloy.AgentSystem() as system:
        asyncio.run(all_of_them(system, 2))  # what is made at first use is no leak
        server.wait_stats(active=0, connections=0)
        before = descriptors()
        abandoned = server.stats().abandoned
        asyncio.run(all_of_them(system, STREAMS))
        stats = server.wait_stats(active=0, connections=0)
        assert stats.abandoned - abandoned == STREAMS
        assert descriptors() == before
        loop = loop_thread().loop
        assert asyncio.run_coroutine_threadsafe(tasks_left(), loop).result(10) == 0
        assert not loop_thread().busy
        tools = system._tools.statistics()
        assert (tools.busy, tools.stuck, tools.queued) == (0, 0, 0)
        assert system.agents() == []


def check_soak(server: LocalServer, first: int, last: int) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.faults.soak", server.url, str(first), str(last)],
        check=False,
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    growth = found["after"] / found["before"] - 1
    print(f"{first} to {last} cancelled runs: {found['before']} to {found['after']} bytes, {growth:+.1%}")
    assert growth < 0.05
    assert (found["tasks"], found["busy"], found["stuck"]) == (0, 0, 0)


def test_memory_after_two_thousand_cancelled_runs_is_that_after_one_thousand(server: LocalServer) -> None:
    check_soak(server, 1000, 2000)


@pytest.mark.heavy
@pytest.mark.timeout(300)
def test_memory_after_ten_thousand_cancelled_runs_is_that_after_one_thousand(server: LocalServer) -> None:
    """The results of the last thousand requests are kept, so it is flat only from there on."""
    check_soak(server, 1000, 10_000)
