"""What the limits of a key cost a request: `python -m benchmarks.limits [--rounds N]`.

The provider answers at once and does nothing, so that nothing else is measured: CPU of this process, user and system.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from typing import TYPE_CHECKING

from alloy_actors.content import assistant, user
from alloy_actors.provider import ModelReply, ModelRequest
from alloy_actors.providers.retry import complete_with_retry
from benchmarks.measure import Spread, machine

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from alloy_actors.provider import OnDeltas

REQUESTS = 20_000
"""Of one round, one after the other."""
AGENTS, EACH = 500, 20
"""At once, and requests of each."""
PLACES = 50
"""In flight, where they have to take turns."""
REQUEST = ModelRequest((user("hi"),))
REPLY = ModelReply(assistant("hello"))


class Instant:
    """Answers at once; with a key it has limits."""

    model = "instant"

    def __init__(self, origin: str | None, max_in_flight: int | None = None, pauses: int = 0) -> None:
        self.origin = origin
        self.max_in_flight = max_in_flight
        self._pauses = pauses

    async def complete(self, request: ModelRequest, on_deltas: OnDeltas | None = None) -> ModelReply:  # noqa: ARG002  (the protocol)
        """Let others run in between, if told to."""
        for _ in range(self._pauses):
            await asyncio.sleep(0)
        return REPLY


async def _alone(provider: Instant) -> int:
    for _ in range(REQUESTS):
        await complete_with_retry(provider, REQUEST)
    return REQUESTS


async def _together(provider: Instant) -> int:
    async def agent(name: str) -> None:
        for _ in range(EACH):
            await complete_with_retry(provider, REQUEST, asker=name)

    await asyncio.gather(*(agent(f"a{number}") for number in range(AGENTS)))
    return AGENTS * EACH


CASES: dict[str, Callable[[], Coroutine[None, None, int]]] = {
    "alone, no key": lambda: _alone(Instant(None)),
    "alone, with a key": lambda: _alone(Instant("key")),
    f"{AGENTS} agents, no key": lambda: _together(Instant(None, pauses=3)),
    f"{AGENTS} agents, with a key": lambda: _together(Instant("key", pauses=3)),
    f"{AGENTS} agents, {PLACES} places": lambda: _together(Instant("key", PLACES, pauses=3)),
}


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.limits", description="CPU of a key's limits.")
    parser.add_argument("--rounds", type=int, default=9, help="rounds that count")
    rounds: int = parser.parse_args().rounds
    print(f"{machine()}\n{'us a request':28}      min   median      max")
    for name, case in CASES.items():
        costs = []
        for _ in range(rounds):
            began = time.process_time()
            requests = asyncio.run(case())
            costs.append((time.process_time() - began) * 1e6 / requests)
        print(f"{name:28} {Spread.of(costs)}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
