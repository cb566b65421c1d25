"""Ten seconds of `tests/stress` in a process of its own; `make stress` runs it for minutes."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
SECONDS = 10


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_under_threads_that_race_every_ask_is_answered_and_nothing_is_left() -> None:
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-m", "tests.stress", "--seconds", str(SECONDS)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )

    assert done.stdout, done.stderr
    said = json.loads(done.stdout)
    assert said["wrong"] == [], said
    assert (done.returncode, done.stderr) == (0, "")
    expected = {
        "answered",
        "dead",
        "down",
        "failed ask",
        "failed start",
        "linked",
        "operated",
        "start",
        "terminated",
    }
    assert expected <= said.keys(), said
