"""Measure rounds of work in processes of their own, in turns.

A side is a module with functions `name(url) -> Round`; `Side` runs one of them in a child (`python -m benchmarks.side`), a round per
request. The first round of every side warms it up (imports, connections, caches) and is thrown away.
"""

from __future__ import annotations

import gc
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True, slots=True)
class Round:
    """What one round cost: CPU seconds of the whole process (all threads, user and system) and wall seconds.

    units: What the costs are shared by: runs, or deltas.
    late: Seconds from the server's first delta to the listener, median of the round's streams.
    """

    units: int
    cpu: float
    wall: float
    late: float | None = None


class Stopwatch:
    """Holds the `Round` after the `with` block of `stopwatch`."""

    round: Round


@contextmanager
def stopwatch(units: int) -> Iterator[Stopwatch]:
    """Count the CPU and wall time of the block. The collector runs before it and stays on, the same for every side."""
    watch = Stopwatch()
    gc.collect()
    wall, cpu = time.perf_counter(), time.process_time()
    yield watch
    watch.round = Round(units, time.process_time() - cpu, time.perf_counter() - wall)


@dataclass(frozen=True, slots=True)
class Spread:
    """Lowest, middle and highest of the rounds."""

    low: float
    median: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Self:
        """Summarise at least one value."""
        return cls(min(values), statistics.median(values), max(values))

    def __str__(self) -> str:
        return f"{self.low:8.3f} {self.median:8.3f} {self.high:8.3f}"


class SideFailed(Exception):
    """A side could not do its work; the message is the last line of its traceback."""


class Side:
    """One side of a comparison in a child process.

    Args:
        module: `floor` or `subject`.
        function: Its function, for example `w1`.
        url: The model server.
    """

    def __init__(self, module: str, function: str, url: str) -> None:
        self.name = f"{module}.{function}"
        self._child = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.side", module, function, url],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=_ROOT,
        )

    def round(self) -> Round:
        """Let the child do one round.

        Raises:
            SideFailed: It raised, or ended.
        """
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        try:
            self._child.stdin.write("round\n")
            self._child.stdin.flush()
        except BrokenPipeError:
            raise SideFailed(f"{self.name} ended before its round") from None
        line = self._child.stdout.readline()
        answer = json.loads(line) if line else {"error": f"{self.name} ended in its round"}
        if "error" in answer:
            raise SideFailed(f"{self.name}: {answer['error']}")
        return Round(**answer)

    def close(self) -> None:
        """End the child."""
        if self._child.stdin is not None:
            self._child.stdin.close()
        try:
            self._child.wait(15)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()
        if self._child.stdout is not None:
            self._child.stdout.close()


def interleave(
    sides: Mapping[str, tuple[str, str]], url: str, rounds: int
) -> dict[str, list[Round] | SideFailed]:
    """Run the sides in turns, so that a noisy minute of the machine hits all of them.

    Args:
        sides: label -> (module, function).
        url: The model server.
        rounds: Rounds that count; one more warms up.

    Returns:
        label -> its rounds, or why it has none.
    """
    results: dict[str, list[Round] | SideFailed] = {label: [] for label in sides}
    children = {label: Side(module, function, url) for label, (module, function) in sides.items()}
    try:
        for number in range(rounds + 1):
            for label, side in children.items():
                done = results[label]
                if isinstance(done, SideFailed):
                    continue
                try:
                    measured = side.round()
                except SideFailed as error:
                    results[label] = error
                else:
                    if number:
                        done.append(measured)
    finally:
        for side in children.values():
            side.close()
    return results


def machine() -> str:
    """Describe what the numbers were taken on, in one line."""
    cpu = platform.processor() or platform.machine()
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                cpu = line.split(":", 1)[1].strip()
                break
    except OSError:
        pass  # not Linux
    load = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    packages = " ".join(
        f"{name} {_version(name)}" for name in ("aiohttp", "uvloop", "httpx", "pydantic", "pykka")
    )
    return f"{cpu}, {os.cpu_count()} cores{load}; {platform.system()}, Python {platform.python_version()}, {packages}"


def as_json(measured: Round) -> str:
    """Encode a round for the parent."""
    return json.dumps(asdict(measured))


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "-"
