"""The benchmark of a key's limits does its work; what it measures is asserted nowhere."""

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow


def test_requests_with_and_without_a_key_are_measured() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "benchmarks.limits", "--rounds", "1"],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[3],
        timeout=50,
    )
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    assert [line[:28].strip() for line in done.stdout.splitlines()[2:]] == [
        "alone, no key",
        "alone, with a key",
        "500 agents, no key",
        "500 agents, with a key",
        "500 agents, 50 places",
    ]
