"""Budgets of runs and of agents: at every call, across restarts, sessions, resets and compacted logs."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

import alloy_actors as alloy
from alloy_actors.provider import ModelReply
from alloy_actors.store import upkeep
from alloy_actors.testing import ScriptedProvider, error, reply, tool_call

CENT_A_TOKEN = {"scripted": {"dollars_per_million": {"input": 100, "output": 10_000}}}  # of its answers
UNPRICED = "no price is known for the model 'scripted'"


@alloy.tool
async def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


def costing(cents: int) -> ModelReply:
    """An answer that costs so many cents."""
    return reply("done", usage=alloy.Usage(0, cents))


def options(*script: object, **more: object) -> dict[str, Any]:
    return {"provider": ScriptedProvider(list(script)), "model_metadata_overrides": CENT_A_TOKEN, **more}


def check_over(result: alloy.Result, option: str) -> None:
    assert (result.status, result.ok, result.turns) == ("budget_exceeded", False, 0)
    assert isinstance(result.error, alloy.BudgetExceededError)
    assert option in str(result.error)


def test_an_agents_run_ends_at_its_budget_and_the_next_one_has_its_own(system: alloy.AgentSystem) -> None:
    call = reply(tool_call("add", a=1, b=2), usage=alloy.Usage(0, 100))
    agent = system.spawn("a", **options(call, costing(9), max_budget_cents=100, tools=[add]))
    over = agent.chat("1 + 2?")
    assert (over.status, over.turns, over.cost_cents) == ("budget_exceeded", 1, pytest.approx(100))
    assert agent.chat("again").ok
    assert agent.health().cost_cents == pytest.approx(109)


def test_a_lifetime_budget_holds_for_all_runs_and_is_not_cleared_by_a_reset(
    system: alloy.AgentSystem,
) -> None:
    agent = system.spawn("a", **options(costing(60), costing(60), lifetime_budget_cents=100))
    assert agent.health().cost_cents is None
    assert agent.chat("one").ok
    assert agent.chat("two").ok, "the overshoot is one reply"
    assert agent.health().cost_cents == pytest.approx(120)
    check_over(agent.chat("three"), "lifetime_budget_cents=100")
    agent.reset()
    assert agent.health().cost_cents == pytest.approx(120)
    check_over(agent.chat("four"), "lifetime_budget_cents=100")
    provider = ScriptedProvider([])
    agent.set_model(provider)
    check_over(agent.chat("five"), "lifetime_budget_cents=100")
    assert provider.requests == ()


def test_a_lifetime_budget_survives_a_crash_of_the_actor(system: alloy.AgentSystem) -> None:
    agent = system.spawn("a", **options(costing(120), lifetime_budget_cents=100))
    assert agent.chat("one").ok
    agent.crash()
    check_over(agent.chat("two"), "lifetime_budget_cents")


@pytest.mark.parametrize("between", ["restart", "reset", "compacted"])
def test_a_lifetime_budget_survives_the_process(tmp_path: Path, between: str) -> None:
    path = tmp_path / "agents.db"
    with alloy.AgentSystem(store=f"sqlite:///{path}") as system:
        agent = system.spawn("a", **options(costing(120), lifetime_budget_cents=100))
        assert agent.chat("one").ok
        if between == "reset":
            agent.reset()
    if between == "compacted":
        upkeep.compact(path)
    assert upkeep.export(path, "a").cost_cents == pytest.approx(120)
    with alloy.AgentSystem(store=f"sqlite:///{path}") as system:
        agent = system.spawn("a", **options(lifetime_budget_cents=100))
        assert agent.health().cost_cents == pytest.approx(120)
        check_over(agent.chat("two"), "lifetime_budget_cents")
        assert len(agent.messages()) == (2 if between == "reset" else 4)


def test_a_session_brings_its_cost_along(system: alloy.AgentSystem) -> None:
    agent = system.spawn("a", **options(costing(120)))
    assert agent.chat("one").ok
    session = alloy.Session.from_json(agent.export_session().to_json())
    assert session.cost_cents == pytest.approx(120)
    agent.stop()
    again = system.spawn(session=session, **options(lifetime_budget_cents=100))
    check_over(again.chat("two"), "lifetime_budget_cents")
    with pytest.raises(alloy.ConfigError, match="cost_cents"):
        system.spawn("b", session=session, cost_cents=3.0, **options())
    with pytest.raises(alloy.ConfigError, match="spawn: cost_cents"):
        system.spawn("b", **options(cost_cents=-1.0))


def test_t86_the_last_session_says_what_was_spent(system: alloy.AgentSystem) -> None:
    told: list[alloy.Session] = []
    agent = system.spawn("a", **options(costing(120), on_shutdown=told.append))
    assert agent.chat("one").ok
    agent.stop()
    assert [session.cost_cents for session in told] == [pytest.approx(120)]


class Recipe(alloy.Middleware):
    """A budget as middleware, priced by hand."""

    def __init__(self, cents: float) -> None:
        self.cents = cents

    def before_completion(self, run: alloy.RunView) -> alloy.Halt | None:
        spent = run.usage.input_tokens * 0.01 + run.usage.output_tokens * 1.0
        return alloy.Halt(f"{spent:g} cents were spent") if spent >= self.cents else None


def test_t12_a_budget_may_also_be_middleware_that_halts_before_the_next_request() -> None:
    call = reply("so far", tool_call("add", a=1, b=2), usage=alloy.Usage(100, 9))
    provider = ScriptedProvider([call, "never said"])
    result = alloy.run("1 + 2?", provider=provider, tools=[add], middleware=[Recipe(10)])
    assert (result.status, result.turns, result.text) == ("halted", 1, "so far")
    assert str(result.error) == "Halted by middleware: 10 cents were spent"
    assert len(provider.requests) == 1


# -- a budget on a model without a price ---------------------------------------------------------------------------


def test_a_budget_on_a_model_without_a_price_is_refused_by_every_call_before_anything_starts(
    system: alloy.AgentSystem,
) -> None:
    given: dict[str, Any] = {"provider": ScriptedProvider("no"), "max_budget_cents": 5}

    async def read() -> None:
        async for _ in alloy.astream("hi", **given):
            pass

    calls = {
        "run": lambda: alloy.run("hi", **given),
        "arun": lambda: asyncio.run(alloy.arun("hi", **given)),
        "stream": lambda: alloy.stream("hi", print, **given),
        "astream": lambda: asyncio.run(read()),
        "spawn": lambda: system.spawn("a", **given),
        "spawn ": lambda: asyncio.run(system.aspawn("a", **given)),
    }
    for name, call in calls.items():
        with pytest.raises(alloy.ConfigError, match=f"{name.strip()}: max_budget_cents: {UNPRICED}"):
            call()
    assert given["provider"].requests == ()
    assert system.agents() == []


def test_under_a_budget_no_other_model_comes_in_without_a_price(system: alloy.AgentSystem) -> None:
    agent = system.spawn("a", **options("hi", lifetime_budget_cents=100))
    other = ScriptedProvider("hi", model="other")
    words = "lifetime_budget_cents: no price is known for the model 'other'"
    with pytest.raises(alloy.ConfigError, match=f"^set_model: {words}"):
        agent.set_model(other)
    with pytest.raises(alloy.ConfigError, match=f"^aset_model: {words}"):
        asyncio.run(agent.aset_model(other))
    assert agent.health().model == "scripted"
    free = system.spawn("b", **options("hi"))
    free.set_model(other)


def test_a_free_model_runs_under_a_budget() -> None:
    free = {"scripted": {"dollars_per_million": {"input": 0, "output": 0}}}
    provider = ScriptedProvider("hi")
    result = alloy.run("hi", provider=provider, model_metadata_overrides=free, max_budget_cents=1)
    assert (result.text, result.cost_cents) == ("hi", 0.0)


def test_a_fallback_needs_a_price_as_well_and_its_reply_costs_its_own() -> None:
    first = ScriptedProvider([error(alloy.OverloadedError)])
    second = ScriptedProvider([costing(7)], model="second")
    given = {
        **options(max_retries=0),
        "provider": first,
        "fallback_providers": [second],
        "max_budget_cents": 100,
    }
    with pytest.raises(
        alloy.ConfigError, match="run: max_budget_cents: no price is known for the model 'second'"
    ):
        alloy.run("hi", **given)
    assert (first.requests, second.requests) == ((), ())
    dearer = {**CENT_A_TOKEN, "second": {"dollars_per_million": {"input": 0, "output": 30_000}}}
    result = alloy.run("hi", **{**given, "model_metadata_overrides": dearer})
    assert (result.status, result.cost_cents) == ("completed", pytest.approx(21))


def test_a_fallback_that_would_cost_too_much_is_not_asked() -> None:
    first = ScriptedProvider([error(alloy.OverloadedError)])
    second = ScriptedProvider([], model="second")
    dear = {**CENT_A_TOKEN, "second": {"dollars_per_million": {"input": 10_000_000, "output": 0}}}
    result = alloy.run(
        "a long question",
        provider=first,
        fallback_providers=[second],
        max_retries=0,
        model_metadata_overrides=dear,
        max_budget_cents=10,
    )
    check_over(result, "max_budget_cents=10")
    assert "'second'" in str(result.error)
    assert (len(first.requests), second.requests) == (1, ())
