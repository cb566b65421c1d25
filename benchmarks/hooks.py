"""What a middleware hook costs each time it is asked: `python -m benchmarks hooks`.

Agents that differ in their middleware alone answer in turns. Each asks `HOOKS` hooks a run, or none, and what a run costs
more is shared by them.
"""

from __future__ import annotations

import alloy_actors as alloy
from alloy_actors.testing import ScriptedProvider
from benchmarks.measure import Spread, stopwatch
from benchmarks.report import Bar, Report, Row

HOOKS, RUNS, ROUNDS = 20, 50, 15
BAR = Bar(150.0, 150.0, " µs")


class Plain(alloy.Middleware):
    """A `def` hook, which runs on the callback pool."""

    def before_completion(self, run: alloy.RunView) -> None:
        """Let it go on."""


class Async(alloy.Middleware):
    """An `async def` hook, which runs on the runtime's loop."""

    async def before_completion(self, run: alloy.RunView) -> None:
        """Let it go on."""


def measure() -> Report:
    """CPU microseconds a hook, beside the same agent without middleware."""
    kinds: dict[str, type[alloy.Middleware] | None] = {
        "none": None,
        "hooks nobody overrides": alloy.Middleware,
        "async hook": Async,
        "plain hook": Plain,
    }
    agents = {
        name: alloy.Agent.start(
            provider=ScriptedProvider(lambda _request: "fine"),
            middleware=[kind() for _ in range(HOOKS)] if kind else [],
        )
        for name, kind in kinds.items()
    }
    costs: dict[str, list[float]] = {name: [] for name in agents}
    try:
        for number in range(ROUNDS + 1):
            for name, agent in agents.items():
                spent = _round(agent)
                if number:  # the first warms up
                    costs[name].append(spent)
    finally:
        alloy.shutdown()
    base = costs.pop("none")
    lines = [
        f"middleware, CPU each time a hook is asked; {HOOKS} of them a run, {RUNS} runs a round, {ROUNDS} rounds",
        f"  {'µs':26}      min   median      max",
    ]
    medians = {}
    for name, spent in costs.items():
        spread = Spread.of([(one - bare) / HOOKS for one, bare in zip(spent, base, strict=True)])
        medians[name] = spread.median
        verdict = f"   {BAR.verdict(spread.median)}" if name == "plain hook" else ""
        lines.append(f"  {name:26} {spread}{verdict}")
    row = Row(
        "Middleware, CPU each time a hook is asked: plain, async, not overridden",
        "-",
        f"{medians['plain hook']:.0f} µs, {medians['async hook']:.0f} µs, {max(medians['hooks nobody overrides'], 0.0):.1f} µs",
        f"{BAR.goal:g} µs, -, 0 µs",
    )
    return Report("\n".join(lines), row)


def _round(agent: alloy.AgentRef) -> float:
    """CPU microseconds a run."""
    agent.reset()  # so that the history stays short
    with stopwatch(RUNS) as watch:
        for _ in range(RUNS):
            agent.chat("go").raise_for_status()
    return watch.round.cpu / RUNS * 1e6
