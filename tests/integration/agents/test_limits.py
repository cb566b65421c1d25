"""A rate limit that one agent meets holds for all; many agents on one key, against the embedded server."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs

import alloy_actors as alloy
from alloy_actors.actors.guard import asker_here
from alloy_actors.local import LocalServer, scripted_model
from alloy_actors.testing import ScriptedProvider, tool_call

if TYPE_CHECKING:
    from collections.abc import Iterator

KEY = "sk-a-key-that-is-in-no-line"


@pytest.fixture
def server() -> Iterator[LocalServer]:
    with LocalServer() as server:
        yield server


def provider(server: LocalServer, key: str = KEY, /, max_in_flight: int | None = None, **directives: object):
    model = scripted_model("scripted-fast", **directives)
    return alloy.OpenAICompat(model, key, server.url, max_in_flight=max_in_flight)


@pytest.mark.parametrize("status", [429, 529])
def test_the_server_hears_of_nobody_while_its_key_cools_down(
    system: alloy.AgentSystem, server: LocalServer, status: int
) -> None:
    limited = provider(server, gate="all", status=status, retry_after=1.5, times=50)
    other_model, other_key = provider(server), provider(server, "another key", text="not limited")
    agents = [system.spawn(f"a{n}", provider=limited, retry_backoff=0.01) for n in range(50)]
    late = [system.spawn(f"late{n}", provider=other_model) for n in range(10)]
    free = system.spawn("free", provider=other_key)

    async def main() -> list[alloy.Result]:
        waiting = asyncio.gather(*(agent.achat("Hello", timeout=30) for agent in agents))
        # All of them are there before the first is refused, so whoever comes later comes too early.
        await asyncio.to_thread(server.wait_stats, active=50)
        await asyncio.to_thread(server.open_gate, "all")
        await asyncio.to_thread(cooling.wait, 10)
        more = asyncio.gather(*(agent.achat("Hello", timeout=30) for agent in late))
        assert (await free.achat("Hello", timeout=30)).text.startswith("not limited")
        return [*(await waiting), *(await more)]

    cooling = threading.Event()

    def watch(_logger: object, _method: str, line: dict) -> dict:
        if line["event"] == "provider_cooling_down":
            cooling.set()
        return line

    with capture_logs(processors=[watch]) as lines:
        results = asyncio.run(main())
    assert {result.status for result in results} == {"completed"}
    stats = server.stats()
    assert stats.refused == 50
    assert stats.early == 0
    assert stats.requests == 111
    downs = [line for line in lines if line["event"] == "provider_cooling_down"]
    assert len(downs) == 1
    assert downs[0]["status"] == status
    assert KEY not in repr(lines)


def test_no_more_requests_are_in_flight_than_the_provider_says(
    system: alloy.AgentSystem, server: LocalServer
) -> None:
    capped = provider(server, max_in_flight=3, delay=0.01)
    agents = [system.spawn(provider=capped) for _ in range(30)]

    async def main() -> list[alloy.Result]:
        return await asyncio.gather(*(agent.achat("Hello", timeout=30) for agent in agents))

    assert {result.status for result in asyncio.run(main())} == {"completed"}
    assert server.stats().peak_active == 3


def test_a_cancelled_agent_gives_its_place_to_the_next(
    system: alloy.AgentSystem, server: LocalServer
) -> None:
    held = system.spawn("held", provider=provider(server, max_in_flight=1, gate="never"))
    queued = system.spawn("queued", provider=provider(server, max_in_flight=1))
    gone = system.spawn("gone", provider=provider(server, max_in_flight=1))

    async def main() -> list[alloy.Result]:
        first = asyncio.create_task(held.achat("Hello"))
        await asyncio.to_thread(server.wait_stats, active=1)
        second, third = asyncio.create_task(gone.achat("Hello")), asyncio.create_task(queued.achat("Hello"))
        while not gone.health().busy:
            await asyncio.sleep(0)
        gone.cancel_request()
        cancelled = await second
        held.cancel_request()
        return [cancelled, await first, await third]

    assert [result.status for result in asyncio.run(main())] == ["cancelled", "cancelled", "completed"]
    server.wait_stats(active=0, requests=2)


@pytest.mark.parametrize("streamed", [False, True])
def test_a_silent_server_is_asked_again_while_nothing_was_heard(
    system: alloy.AgentSystem, server: LocalServer, *, streamed: bool
) -> None:
    model = scripted_model("scripted-fast", fault="hang", times=1, text=f"at last {streamed}")
    silent = alloy.OpenAICompat(model, api_url=server.url, first_byte_timeout=0.2)
    agent = system.spawn(provider=silent, retry_backoff=0.001)
    heard: list[str] = []
    result = agent.stream_chat("Hello", heard.append) if streamed else agent.chat("Hello")
    assert result.text.startswith("at last")
    assert "".join(heard) == (result.text if streamed else "")
    assert server.stats().requests == 2


def test_a_stream_that_falls_silent_is_neither_asked_again_nor_elsewhere(
    system: alloy.AgentSystem, server: LocalServer
) -> None:
    """T25."""
    model = scripted_model("scripted-fast", fault="stall", deltas=8)
    stalling = alloy.OpenAICompat(model, api_url=server.url, idle_timeout=0.2)
    fallback = ScriptedProvider("never")
    agent = system.spawn(provider=stalling, fallback_providers=[fallback], retry_backoff=0.001)
    heard: list[str] = []
    result = agent.stream_chat("Hello", heard.append)
    assert isinstance(result.error, alloy.ProviderTimeoutError)
    assert "sent nothing more for 0.2 s" in str(result.error)
    assert "".join(heard)
    assert result.text.startswith("".join(heard))
    assert (server.stats().requests, fallback.requests) == (1, ())


def test_set_model_keeps_the_fallbacks(system: alloy.AgentSystem, server: LocalServer) -> None:
    """T26, T72."""
    fallback = provider(server, "another key", text="the fallback")
    dead = provider(server, status=401)
    agent = system.spawn(provider=dead, fallback_providers=[fallback])
    assert agent.chat("Hello").text.startswith("the fallback")
    agent.set_model(provider(server, status=503, retry_after=60))
    result = agent.chat("Hello", timeout=30)
    assert result.text.startswith("the fallback")
    assert agent.health().model != fallback.model
    agent.set_model(provider(server, text="the primary"))
    assert agent.chat("Hello").text.startswith("the primary")


def test_a_run_inside_of_an_agents_tool_takes_turns_as_that_agent(system: alloy.AgentSystem) -> None:
    askers: list[str] = []

    @alloy.tool
    async def look() -> str:
        """Look."""
        askers.append(asker_here())
        return "done"

    @alloy.tool
    async def delegate() -> str:
        """Ask somebody else."""
        script = ScriptedProvider([tool_call("look"), "seen"])
        return (await alloy.arun("look", provider=script, tools=[look])).text

    agent = system.spawn("boss", provider=ScriptedProvider([tool_call("delegate"), "ok"]), tools=[delegate])
    assert agent.chat("go").text == "ok"
    assert askers == ["boss"]
    assert asker_here() == ""
