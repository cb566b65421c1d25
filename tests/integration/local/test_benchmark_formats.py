"""The benchmark of the wire formats does its work; what it measures is asserted nowhere."""

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow


def test_every_format_streams_to_a_listener_and_to_an_agent() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "benchmarks.formats", "--rounds", "1"],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[3],
        timeout=50,
    )
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    lines = {tuple(line.split()[:2]) for line in done.stdout.splitlines()[2:]}
    names = ("chat", "anthropic", "gemini")
    assert lines >= {(name, way) for name in names for way in ("provider", "stream_chat")}
