"""W5: what an idle agent with a three-message history holds in memory: `python -m benchmarks.idle [agents]`."""

from __future__ import annotations

import gc
import sys
import time
from typing import TYPE_CHECKING, TypeVar

import alloy_actors as alloy
from alloy_actors.local import LocalServer
from benchmarks.floor import Conversation
from benchmarks.measure import Spread
from benchmarks.report import Bar, Report, Row
from benchmarks.resident import resident
from benchmarks.work import MODEL, weather

if TYPE_CHECKING:
    from collections.abc import Callable

    from alloy_actors.content import Role

T = TypeVar("T")

AGENTS, ROUNDS = 10_000, 3
BAR = Bar(5.0, 6.0, " KiB")


def main() -> None:
    """Print the figures."""
    agents = int(sys.argv[1]) if len(sys.argv) > 1 else AGENTS
    with LocalServer() as server:
        print(measure(server.url, agents).text)


def measure(url: str, agents: int = AGENTS) -> Report:
    """Spawn that many three times over, each time on top of the others, and say what one costs."""
    floor = _grow(lambda number: _by_hand(url, number), agents)[0]
    provider = alloy.OpenAICompat(model=MODEL, api_url=url)
    tool = alloy.tool(weather)
    start = time.perf_counter()
    with alloy.AgentSystem(stop_timeout=60) as system:  # seconds: they may be a hundred thousand
        # One that has talked: connections, caches and lazy imports are not an agent's memory.
        system.spawn("warm", provider=provider, tools=[tool]).chat("Hello.").raise_for_status()

        def spawn(number: int) -> alloy.AgentRef:
            messages = [alloy.Message(role, text) for role, text in _history(number)]
            return system.spawn(f"agent-{number}", provider=provider, tools=[tool], messages=messages)

        spread, refs = _grow(spawn, agents)
        spent, total = time.perf_counter() - start, resident() / 2**20
        lengths = {len(ref.messages()) for ref in refs[:: max(1, agents // 100)]}
        if lengths != {3}:
            raise AssertionError(f"an agent has not its three messages: {lengths}")
    alloy.shutdown()
    lines = (
        f"W5 {ROUNDS} x {agents} idle agents with three messages, spawned in {spent:.2f} s; {total:.0f} MiB in all",
        f"  {'KiB each, resident memory':26}      min   median      max",
        f"  {'floor, a list of dicts':26} {floor}",
        f"  {'alloy':26} {spread}   {BAR.verdict(spread.median)}",
    )
    cells = (f"{floor.median:.1f} KiB", f"{spread.median:.1f} KiB", f"{BAR.goal:g} KiB")
    return Report("\n".join(lines), Row("W5 an idle agent with a three-message history; memory", *cells))


def _grow(make: Callable[[int], T], count: int) -> tuple[Spread, list[T]]:
    """KiB of resident memory that each of `count` things takes, `ROUNDS` times over; and all of them."""
    made: list[T] = []
    each: list[float] = []
    for _ in range(ROUNDS):
        gc.collect()
        before = resident()
        made += [make(len(made) + number) for number in range(count)]
        gc.collect()
        each.append((resident() - before) / count / 1024)
    return Spread.of(each), made


def _by_hand(url: str, number: int) -> Conversation:
    conversation = Conversation(None, url, MODEL)  # type: ignore[arg-type]  # the session that all would share
    conversation.messages += [{"role": role, "content": text} for role, text in _history(number)]
    return conversation


def _history(number: int) -> list[tuple[Role, str]]:
    return [
        ("assistant", f"Hello, this is agent {number}."),
        ("user", f"What is the number of this agent? It should be {number}."),
        ("assistant", f"It is {number}."),
    ]


if __name__ == "__main__":
    main()
