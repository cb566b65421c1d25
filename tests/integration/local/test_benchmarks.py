"""The frame of the benchmarks does its work; what it measures is asserted nowhere."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from alloy_actors.local import LocalServer

ROOT = Path(__file__).parents[3]

SMALL_ROUND = """
import sys
from benchmarks import floor
from benchmarks.measure import as_json
floor.W1_CONVERSATIONS = floor.W2_CONVERSATIONS = 3
print(as_json(getattr(floor, sys.argv[1])(sys.argv[2])))
floor.close()
"""


@pytest.mark.parametrize(("name", "runs"), [("w1", 9), ("w2", 6)])
def test_the_floor_does_two_requests_a_run(server: LocalServer, name: str, runs: int) -> None:
    before = server.stats().requests
    done = subprocess.run(
        [sys.executable, "-c", SMALL_ROUND, name, server.url],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    measured = json.loads(done.stdout)
    assert measured["runs"] == runs
    assert measured["cpu"] > 0
    assert server.stats().requests - before == 2 * runs


def test_a_side_that_cannot_work_says_why() -> None:
    child = subprocess.run(
        [sys.executable, "-m", "benchmarks.side", "floor", "no_such", "http://127.0.0.1:9"],
        input="round\nround\n",
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    answers = [json.loads(line) for line in child.stdout.splitlines()]
    assert len(answers) == 2
    assert all("no_such" in answer["error"] for answer in answers)
