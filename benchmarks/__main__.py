"""Print the table: `python -m benchmarks [w1 w2 w5 w8 store scale ...] [--rounds N]`.

The exit code says whether it could be measured, not whether the bars held: a machine may be busy, a reader decides.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from dataclasses import dataclass

from alloy_actors.local import LocalServer
from benchmarks.measure import SideFailed, Spread, interleave, machine


@dataclass(frozen=True, slots=True)
class Comparison:
    """One line of the design's table of numbers.

    sides: label -> (module, function); the first is the floor.
    goal, now: Ratio to the floor that is aimed at, and that must hold today; they judge the first subject.
    wall: Seconds a round may take.
    """

    title: str
    sides: dict[str, tuple[str, str]]
    goal: float
    now: float
    wall: float | None = None


COMPARISONS = {
    "w1": Comparison(
        "W1 one agent at a time: user -> 2 tool calls -> answer, 0 ms server",
        {
            "floor, bare aiohttp": ("floor", "w1"),
            "alloy, async def tools": ("subject", "w1"),
            "alloy, def tools": ("subject", "w1_plain"),
        },
        goal=3.0,
        now=4.0,
    ),
    "w2": Comparison(
        "W2 500 agents at once, 2 runs each, 20 ms server",
        {"floor, bare aiohttp": ("floor", "w2"), "alloy, async def tools": ("subject", "w2")},
        goal=2.5,
        now=3.0,
        wall=2.5,
    ),
    "store-w1": Comparison(
        "W1 with the journal on disk: a lone agent waits for every commit itself",
        {"MemoryStore": ("store", "w1_memory"), "SqliteStore": ("store", "w1_sqlite")},
        goal=2.0,
        now=4.0,
    ),
    "store-w2": Comparison(
        "W2 with the journal on disk: 500 agents share commits",
        {"MemoryStore": ("store", "w2_memory"), "SqliteStore": ("store", "w2_sqlite")},
        goal=2.0,
        now=2.0,
    ),
}

TEXTS = {
    "w5": "from benchmarks import idle; print(idle.measure({url!r}))",
    "w8": "from benchmarks import store; print(store.conversation({url!r}))",
    "store": "from benchmarks import store; print(store.appends())",
    "scale": "from benchmarks import supervision; print(supervision.scale())",
}
"""What is not a comparison of runs: code for a process of its own, where nothing is left from the others."""

NAMES = ("w1", "w2", "w5", "w8", "store", "store-w1", "store-w2", "scale")


def main() -> int:
    """Measure what was asked for, all by default."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description="Costs beside a hand-written floor."
    )
    parser.add_argument("names", nargs="*", metavar="name", help=f"{' '.join(NAMES)}; all by default")
    parser.add_argument("--rounds", type=int, default=9, help="rounds of each side that count")
    options = parser.parse_args()
    names = options.names or list(NAMES)
    if unknown := set(names) - set(NAMES):
        parser.error(f"unknown: {', '.join(sorted(unknown))}; there are: {', '.join(NAMES)}")
    print(
        f"{machine()}\nratio: median over the rounds, each beside the floor's of the same moment; wall: median of the rounds"
    )
    failed = False
    with LocalServer() as server:
        for name in names:
            print()
            if name in TEXTS:
                failed |= not _print_text(name, server.url)
            else:
                failed |= not _print_comparison(COMPARISONS[name], server.url, options.rounds)
    return int(failed)


def _print_comparison(comparison: Comparison, url: str, rounds: int) -> bool:
    results = interleave(comparison.sides, url, rounds)
    print(comparison.title)
    print(f"  {'CPU ms a run, user + sys':26}      min   median      max   ratio   wall s")
    labels = list(comparison.sides)
    floor = results[labels[0]]
    complete = True
    for label in labels:
        done = results[label]
        if isinstance(done, SideFailed):
            print(f"  {label:26} not measured: {done}")
            complete = False
            continue
        spread, wall = (
            Spread.of([each.cpu_ms for each in done]),
            Spread.of([each.wall for each in done]).median,
        )
        line = f"  {label:26} {spread}"
        if label == labels[0] or isinstance(floor, SideFailed):
            print(f"{line}       -  {wall:7.2f}")
            continue
        # Round by round: what slowed the machine down for a while slowed both neighbours down.
        pairs = zip(done, floor, strict=True)
        ratio = Spread.of([mine.cpu_ms / beside.cpu_ms for mine, beside in pairs]).median
        verdict = f"   {_verdict(comparison, ratio, wall)}" if label == labels[1] else ""
        print(f"{line} {ratio:6.2f}x {wall:7.2f}{verdict}")
    return complete


def _verdict(comparison: Comparison, ratio: float, wall: float) -> str:
    held = (
        "within"
        if ratio <= comparison.goal
        else "within the bar of now"
        if ratio <= comparison.now
        else "OVER"
    )
    text = f"bar {comparison.goal:g}x (now {comparison.now:g}x): {held}"
    if comparison.wall is not None:
        text += f"; wall <= {comparison.wall:g} s: {'within' if wall <= comparison.wall else 'OVER'}"
    return text


def _print_text(name: str, url: str) -> bool:
    code = TEXTS[name].format(url=url)
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    if done.returncode:
        reason = (done.stderr.strip() or "no reason given").splitlines()[-1]
        print(f"{name} not measured: {reason}")
        return False
    print(done.stdout.strip())
    return True


if __name__ == "__main__":
    raise SystemExit(main())
