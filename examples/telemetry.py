"""Telemetry: where the time of agents goes, counted in the process that runs them.

Run it: python examples/telemetry.py
"""

from __future__ import annotations

import threading
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any

import alloy_actors as alloy
from alloy_actors import telemetry
from alloy_actors.local import LocalServer

if TYPE_CHECKING:
    from collections.abc import Mapping


class Meter:
    """Counts and sums. Called where things happen, mostly on the loop of all agents: so it adds numbers, and no more."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.count: Counter[str] = Counter()
        self.milliseconds: defaultdict[str, float] = defaultdict(float)

    def __call__(self, name: str, measurements: Mapping[str, Any], metadata: Mapping[str, Any]) -> None:
        label = name.removeprefix("alloy.")
        match name:
            case "alloy.provider.request":
                label = f"{label} {metadata['result']}"
            case "alloy.tool.stop":
                label = f"{label} {metadata['tool_name']}"
            case "alloy.run.stop":
                label = f"{label} {metadata['status']}"
        with self._lock:
            self.count[label] += 1
            self.milliseconds[label] += measurements.get("duration_ms", 0.0)


@alloy.tool
def weather(city: str) -> str:
    """Look up the weather of a city."""
    return f"{city}: 18 degrees and clear"


def main() -> None:
    meter = Meter()
    names = ("alloy.run.stop", "alloy.provider.request", "alloy.tool.stop")
    with LocalServer() as server, alloy.AgentSystem() as system, telemetry.attach(meter, *names):
        provider = alloy.OpenAICompat(model="scripted-fast", api_url=server.url)
        agents = [system.spawn(f"guide-{n}", provider=provider, tools=[weather]) for n in range(3)]
        for agent in agents:
            agent.chat("Compare the weather in Paris and Oslo")
    alloy.shutdown()

    for label, count in sorted(meter.count.items()):
        print(f"{label}: {count} times, {meter.milliseconds[label] / count:.1f} ms each")


if __name__ == "__main__":
    main()
