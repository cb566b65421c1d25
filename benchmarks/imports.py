"""W4: what `import alloy_actors` costs and does, in a fresh interpreter each time, bytecode already there."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass

from benchmarks.measure import Spread
from benchmarks.report import Bar, Report, Row

CPU, MEMORY = Bar(250.0, 300.0, " ms"), Bar(45.0, 48.0, " MiB")
ROUNDS = 9
SIDES = {
    "Python alone": "sys",
    "floor, aiohttp": "aiohttp, pydantic_core",  # what the loops of floor.py need
    "supervisors": "supervisors",
    "alloy_actors": "alloy_actors",
}

PROBE = """
import sys, time
effects = []
def watch(name, arguments):
    if name == "open":
        if (arguments[2] or 0) & 3:  # O_WRONLY, O_RDWR
            effects.append(f"wrote {{arguments[0]}}")
    elif name.startswith(("socket.", "subprocess.", "os.mkdir", "os.remove", "os.rename", "os.fork", "os.exec")):
        effects.append(name)
sys.addaudithook(watch)
before = time.process_time()
import {modules}
spent = time.process_time() - before
seen = list(effects)
threads = len(sys._current_frames()) - 1
from benchmarks.resident import resident
memory = resident() / 2**20
import json
print(json.dumps([spent * 1000, memory, seen + ["thread"] * threads]))
"""


@dataclass(frozen=True, slots=True)
class Import:
    """One import: CPU milliseconds, resident MiB of the whole process after it, and what it did beside."""

    cpu: float
    memory: float
    effects: list[str]


def measure(rounds: int = ROUNDS) -> Report:
    """Import in turns, and say what it took."""
    seen: dict[str, list[Import]] = {label: [] for label in SIDES}
    for number in range(rounds + 1):
        for label, modules in SIDES.items():
            once = fresh(modules)
            if number:  # the first may still write bytecode
                seen[label].append(once)
    lines = ["W4 importing", f"  {'CPU ms, user + sys':26}      min   median      max      MiB"]
    for label, done in seen.items():
        memory = Spread.of([each.memory for each in done]).median
        lines.append(f"  {label:26} {Spread.of([each.cpu for each in done])} {memory:8.1f}")
    ours, floor = seen["alloy_actors"], seen["floor, aiohttp"]
    cpu, memory = (
        Spread.of([each.cpu for each in ours]).median,
        Spread.of([each.memory for each in ours]).median,
    )
    lines[-1] += f"   {CPU.verdict(cpu)}; {MEMORY.verdict(memory)}"
    effects = sorted({effect for each in ours for effect in each.effects})
    lines.append(
        f"  files written, sockets, processes, threads by the import: {', '.join(effects) or 'none'}"
    )
    by_hand = (
        Spread.of([each.cpu for each in floor]).median,
        Spread.of([each.memory for each in floor]).median,
    )
    row = Row(
        "W4 `import alloy_actors`; CPU, memory of the process",
        f"{by_hand[0]:.0f} ms, {by_hand[1]:.0f} MiB",
        f"{cpu:.0f} ms, {memory:.0f} MiB",
        f"{CPU.goal:g} ms, {MEMORY.goal:g} MiB",
    )
    return Report("\n".join(lines), row if not effects else None)


def fresh(modules: str) -> Import:
    """Import in a new interpreter."""
    code = PROBE.format(modules=modules)
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return Import(*json.loads(done.stdout))
