"""W5: what an idle agent with a three-message history holds in memory: `python -m benchmarks.idle [agents]`."""

from __future__ import annotations

import gc
import sys
import time

from alloy_actors.local import LocalServer
from benchmarks.measure import resident
from benchmarks.work import MODEL, weather

AGENTS = 10_000
BAR = 5.0  # KiB an agent
BAR_NOW = 6.0


def main() -> None:
    """Print the figures."""
    agents = int(sys.argv[1]) if len(sys.argv) > 1 else AGENTS
    with LocalServer() as server:
        print(measure(server.url, agents))


def measure(url: str, agents: int = AGENTS) -> str:
    """Spawn the agents and say what they cost; resident memory before and after, collector run at both ends."""
    import alloy_actors as alloy

    provider = alloy.OpenAICompat(model=MODEL, api_url=url)
    tool = alloy.tool(weather)
    with alloy.AgentSystem() as system:
        # One that has talked: connections, caches and lazy imports are not an agent's memory.
        system.spawn("warm", provider=provider, tools=[tool]).chat("Hello.").raise_for_status()
        gc.collect()
        before, start = resident(), time.perf_counter()
        refs = [
            system.spawn(f"agent-{number}", provider=provider, tools=[tool], messages=_history(alloy, number))
            for number in range(agents)
        ]
        spent = time.perf_counter() - start
        gc.collect()
        each = (resident() - before) / agents / 1024
        lengths = {len(ref.messages()) for ref in refs[:: max(1, agents // 100)]}
        if lengths != {3}:
            raise AssertionError(f"an agent has not its three messages: {lengths}")
    alloy.shutdown()
    verdict = "within" if each <= BAR else "within the bar of now" if each <= BAR_NOW else "OVER"
    return f"W5 {agents} idle agents: {each:.2f} KiB each, spawned in {spent:.2f} s; bar {BAR:g} KiB (now {BAR_NOW:g}): {verdict}"


def _history(alloy: object, number: int) -> list[object]:
    message = alloy.Message  # type: ignore[attr-defined]  # imported by the caller, late
    return [
        message("assistant", f"Hello, this is agent {number}."),
        message("user", f"What is the number of this agent? It should be {number}."),
        message("assistant", f"It is {number}."),
    ]


if __name__ == "__main__":
    main()
