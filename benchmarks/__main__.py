"""Print the numbers: `python -m benchmarks [w1 w2 ... store scale ...] [--rounds N] [--write README.md]`.

The exit code says whether it could be measured, not whether the bars held: a machine may be busy, a reader decides.
"""

from __future__ import annotations

import argparse
import datetime as dt
import subprocess
import sys
from pathlib import Path

from alloy_actors.local import LocalServer
from benchmarks.comparisons import COMPARISONS, compare
from benchmarks.measure import machine
from benchmarks.report import Report, table, write_into

REPORTS = {
    "w4": "from benchmarks import imports as it; report = it.measure()",
    "w5": "from benchmarks import idle as it; report = it.measure({url!r})",
    "w8": "from benchmarks import store as it; report = it.conversation({url!r})",
    "store": "from benchmarks import store as it; report = it.appends()",
    "cancel": "from benchmarks import cancel as it; report = it.measure({url!r})",
    "hooks": "from benchmarks import hooks as it; report = it.measure()",
    "scale": "from benchmarks import supervision as it; report = it.scale()",
}
"""What is not a comparison of runs: code for a process of its own, where nothing is left from the others."""

NAMES = (
    "w1",
    "w1-on",
    "w2",
    "w3",
    "w3-burst",
    "w4",
    "w5",
    "w7",
    "w8",
    "store",
    "store-w1",
    "store-w2",
    "cancel",
    "hooks",
    "scale",
)


def main() -> int:
    """Measure what was asked for, all by default."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description="Costs beside a hand-written floor."
    )
    parser.add_argument("names", nargs="*", metavar="name", help=f"{' '.join(NAMES)}; all by default")
    parser.add_argument("--rounds", type=int, default=9, help="rounds of each side that count")
    parser.add_argument("--write", type=Path, metavar="FILE", help="put the table into this file as well")
    options = parser.parse_args()
    names = options.names or list(NAMES)
    if unknown := set(names) - set(NAMES):
        parser.error(f"unknown: {', '.join(sorted(unknown))}; there are: {', '.join(NAMES)}")
    about = machine()
    print(
        f"{about}\nratio, more: median over the rounds, each beside the floor's of the same moment; wall: median"
    )
    rows = []
    with LocalServer() as server:
        for name in names:
            report = (
                _alone(name, server.url)
                if name in REPORTS
                else compare(COMPARISONS[name], server.url, options.rounds)
            )
            print(f"\n{report.text}", flush=True)
            if report.row is not None:
                rows.append(report.row)
    if len(rows) < len(names):
        return 1
    if options.write is not None:
        write_into(options.write, table(rows, about, dt.datetime.now(dt.UTC).date().isoformat()))
        print(f"\n{options.write} has the table")
    return 0


def _alone(name: str, url: str) -> Report:
    code = f"{REPORTS[name].format(url=url)}; print(report.to_json())"
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    if done.returncode:
        reason = (done.stderr.strip() or "no reason given").splitlines()[-1]
        return Report(f"{name} not measured: {reason}", None)
    return Report.from_json(done.stdout.splitlines()[-1])


if __name__ == "__main__":
    raise SystemExit(main())
