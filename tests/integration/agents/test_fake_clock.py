"""Runs under a fake clock: no pause takes time, and the test sees them all."""

from __future__ import annotations

import queue

import pytest

import alloy_actors as alloy
from alloy_actors.local import LocalServer, scripted_model
from alloy_actors.pauses import pause
from alloy_actors.testing import FakeClock, ScriptedProvider, delayed, error, paced, tool_call

BUSY = error(alloy.OverloadedError)


def test_retries_wait_for_nothing_and_are_seen() -> None:
    with FakeClock() as clock:
        limited = error(alloy.RateLimitError, retry_after=30.0)
        result = alloy.run("go", provider=ScriptedProvider([BUSY, limited, "at last"]), retry_backoff=10.0)
    assert result.text == "at last"
    first, second = clock.pauses
    assert 0 <= first <= 20
    assert 30 <= second <= 40
    assert clock.now() == pytest.approx(first + second)


def test_a_cool_down_that_agents_share_is_not_waited_for_either() -> None:
    with LocalServer() as server, FakeClock() as clock:
        model = scripted_model("scripted-fast", status=429, retry_after=50)
        provider = alloy.OpenAICompat(model=model, api_url=server.url, api_key="a key that cools down")
        result = alloy.run("go", provider=provider, max_retries=1)
    assert isinstance(result.error, alloy.RateLimitError)
    (waited,) = clock.pauses
    assert 49 < waited < 51


def test_an_agent_that_was_started_before_has_the_clock_of_the_call(system: alloy.AgentSystem) -> None:
    agent = system.spawn(provider=ScriptedProvider([BUSY, "one", "two"]), retry_backoff=10.0)
    with FakeClock() as clock:
        assert agent.chat("go").text == "one"
        assert agent.chat("go").text == "two"
    assert len(clock.pauses) == 1


def test_a_tool_that_pauses_and_a_slow_model_take_no_time() -> None:
    @alloy.tool
    async def poll() -> str:
        """Ask again and again."""
        for _ in range(3):
            await pause(20.0)
        return "ready"

    script = [delayed(40.0, tool_call("poll")), paced("it is ready", 5.0)]
    chunks: list[str] = []
    with FakeClock() as clock:
        result = alloy.stream("go", chunks.append, provider=ScriptedProvider(script), tools=[poll])
    assert result.text == "".join(chunks) == "it is ready"
    assert clock.pauses == (40.0, 20.0, 20.0, 20.0, 5.0, 5.0, 5.0)


def test_a_wait_that_outlasts_the_run_is_given_up_as_ever() -> None:
    provider = ScriptedProvider([error(alloy.RateLimitError, retry_after=500.0), "never"])
    with FakeClock() as clock:
        assert isinstance(alloy.run("go", provider=provider, timeout=120).error, alloy.RateLimitError)
    assert clock.pauses == ()


def test_a_still_clock_ends_a_pause_when_time_has_moved_beyond_it(system: alloy.AgentSystem) -> None:
    results: queue.Queue[alloy.Result] = queue.Queue()
    with FakeClock(still=True) as clock:
        agent = system.spawn(provider=ScriptedProvider([delayed(60.0, "late"), "next"]))
        agent.send_message("go", on_result=results.put)
        clock.arrived(1)
        clock.advance(59.0)
        assert clock.pending() == [1.0]
        assert agent.health().status == "running"
        clock.advance(1.0)
        assert results.get(timeout=5).text == "late"
        assert (clock.pending(), clock.now()) == ([], 60.0)


def test_who_is_cancelled_in_a_pause_is_pending_no_more(system: alloy.AgentSystem) -> None:
    results: queue.Queue[alloy.Result] = queue.Queue()
    with FakeClock(still=True) as clock:
        agent = system.spawn(provider=ScriptedProvider([BUSY, "never"]), retry_backoff=10.0)
        agent.send_message("go", on_result=results.put, request_id="r1")
        clock.arrived(1)
        agent.cancel_request("r1")
        assert results.get(timeout=5).status == "cancelled"
        assert clock.pending() == []
        clock.advance(100.0)


def test_a_pause_that_does_not_come_is_said() -> None:
    with pytest.raises(TimeoutError, match=r"0 of 1 pauses began within 0 s"):
        FakeClock().arrived(1, timeout=0)
    with pytest.raises(alloy.ConfigError, match="must be a number, 0 or more, got -1"):
        FakeClock().advance(-1)
