"""`health()`: what it says, and that it says it at once, whatever the agent does."""

from __future__ import annotations

import asyncio
import dataclasses
import queue

import pytest

import alloy_actors as alloy
from alloy_actors.testing import USAGE, Gate, ScriptedProvider, held, tool_call

WAIT = 5.0


@alloy.tool
async def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


def test_t75_an_idle_agent_says_what_it_has_done(system: alloy.AgentSystem) -> None:
    provider = ScriptedProvider([tool_call("add", a=1, b=2), "3"], model="first")
    agent = system.spawn("a", provider=provider, tools=[add], max_pending=7)
    fresh = agent.health()
    assert (fresh.status, fresh.turns, fresh.message_count, fresh.usage) == ("idle", 0, 0, alloy.Usage())
    agent.chat("1 + 2?")
    health = agent.health()
    assert (health.status, health.busy, health.model) == ("idle", False, "first")
    assert (health.turns, health.message_count) == (2, 4)
    assert health.usage == USAGE + USAGE
    assert (health.pending_count, health.max_pending, health.restarts) == (0, 7, 0)
    assert health.uptime > fresh.uptime >= 0.0
    assert health.loop_lag >= 0.0
    assert health == dataclasses.replace(health), "a value"
    assert asyncio.run(agent.ahealth()).status == "idle"


def test_t75_a_busy_agent_says_so_and_how_many_wait(system: alloy.AgentSystem) -> None:
    gate = Gate()
    agent = system.spawn("a", provider=ScriptedProvider([held(gate, "1"), "2", "3"]))
    told: queue.SimpleQueue[alloy.Result] = queue.SimpleQueue()
    for number in "123":
        agent.send_message(number, told.put)
    gate.arrived()
    health = agent.health()
    assert (health.status, health.busy, health.pending_count) == ("running", True, 2)
    assert health.message_count == 1, "the question, and not what the run has come to"
    gate.release()
    for _ in range(3):
        told.get(timeout=WAIT)
    assert (agent.health().pending_count, agent.health().message_count) == (0, 6)


def test_t75_an_agent_that_is_away_still_answers(system: alloy.AgentSystem) -> None:
    agent = system.spawn("a", provider=ScriptedProvider("hi"))
    with pytest.raises(alloy.AgentDownError):
        while True:
            agent.crash()
            assert agent.health().status in ("idle", "restarting", "parked")
            agent.messages()
    health = agent.health()
    assert (health.status, health.busy, health.uptime) == ("parked", False, 0.0)
    assert health.restarts == 3
    agent.stop()
    assert agent.health().status == "stopped"


def test_t78_between_two_chats_an_agent_is_idle_however_the_first_ended(system: alloy.AgentSystem) -> None:
    """T76 as well: a request that was sent leaves it idle too."""
    agent = system.spawn("a", provider=ScriptedProvider(["fine", alloy.AuthError("no key"), "fine again"]))
    assert agent.chat("1").status == "completed"
    assert agent.health().status == "idle"
    assert agent.chat("2").status == "error"
    assert agent.health().status == "idle"
    told: queue.SimpleQueue[alloy.Result] = queue.SimpleQueue()
    agent.send_message("3", told.put)
    assert told.get(timeout=WAIT).status == "completed"
    assert agent.health().status == "idle"
