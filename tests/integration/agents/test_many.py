"""Two hundred agents against the embedded server over real HTTP; nothing is left behind."""

from __future__ import annotations

import asyncio
import queue
import threading
from pathlib import Path

import pykka
import pytest

import alloy_actors as alloy
from alloy_actors.local import LocalServer, scripted_model
from alloy_actors.testing import ScriptedProvider


def open_sockets() -> int:
    """Sockets of this process; only where the system says."""
    links = []
    for entry in Path("/proc/self/fd").iterdir():
        try:
            links.append(str(entry.readlink()))
        except OSError:
            continue
    return sum(link.startswith("socket:") for link in links)


@alloy.tool
def weather(city: str) -> str:
    """Look up the weather of a city."""
    return f"{city} is fine"


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="counts sockets through /proc")
def test_two_hundred_agents_chat_at_once_and_leave_nothing_behind() -> None:
    alloy.shutdown()
    threads_before = {thread.name for thread in threading.enumerate()}
    with LocalServer() as server:
        sockets_before = open_sockets()
        most = 0

        async def chat_all(system: alloy.AgentSystem) -> list[list[alloy.Result]]:
            nonlocal most
            provider = alloy.OpenAICompat(
                model=scripted_model("scripted-fast", delay=0.02), api_url=server.url
            )
            agents = [await system.aspawn(f"a{n}", provider=provider, tools=[weather]) for n in range(200)]

            async def talk(agent: alloy.AgentRef) -> list[alloy.Result]:
                nonlocal most
                first = asyncio.create_task(
                    agent.achat(f"{agent.name}: weather in Paris and Oslo", timeout=60)
                )
                second = asyncio.create_task(agent.achat("What did I ask?", timeout=60))
                results = [await first, await second]
                most = max(most, threading.active_count())
                return results

            return await asyncio.gather(*(talk(agent) for agent in agents))

        with alloy.AgentSystem() as system:
            answers = asyncio.run(chat_all(system))
        for first, second in answers:
            assert first.raise_for_status().turns == 2
            assert [call.input["city"] for call in first.tool_calls] == ["Paris", "Oslo"]
            assert "user turn 2" in second.raise_for_status().text
        assert most <= 50
        alloy.shutdown()
        assert open_sockets() <= sockets_before
    assert {thread.name for thread in threading.enumerate()} <= threads_before


def test_agents_that_come_and_go_leave_nothing_in_the_system(system: alloy.AgentSystem) -> None:
    told: queue.SimpleQueue[alloy.Result] = queue.SimpleQueue()
    for number in range(200):
        agent = system.spawn(f"a{number}", provider=ScriptedProvider(["hi"]))
        agent.send_message("hello", told.put)
        told.get(timeout=5)
        agent.stop()
    assert system.agents() == []
    assert system._store.agents() == []
    actors = [ref.actor_class.__name__ for ref in pykka.ActorRegistry.get_all()]
    assert sorted(actors) == ["DynamicSupervisor", "Supervisor", "ToolWorkers"]
