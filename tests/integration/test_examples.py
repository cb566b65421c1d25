"""Every example runs offline, ends well and leaves nothing behind."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))

SAYS = {
    "one_shot.py": ["Paris: 18 degrees", "Oslo: 18 degrees", "2 turns"],
    "supervised_agent.py": ["ticket-0: ", "ticket-2: ", "user turn 4", "8 messages, restarted 1 time(s)"],
    "custom_provider.py": ["Certainly: 42 (2 turns, desk 3)", "Well, |lovely |weather |today| 2 messages"],
    "from_asyncio.py": ["agent-0: ", "agent-2: ", "completed after 1 turn(s)"],
    "supervisors_names.py": [
        "balance: 100",
        "the account crashed: Crash(ValueError('overdrawn'))",
        "'account': nobody has that name now",
        "balance of the new one: 5",
        "Ada has read: the books are closed",
        "Ben has read: the books are closed",
        "told nobody: False",
    ],
    "supervisors_strategies.py": [
        "hello, says connection 0",
        "the connection ended: Crash(ConnectionError('the peer went away'))",
        "the session ended with it: Shutdown(detail=None)",
        "hello again, says connection 1",
        "the job before it is the same: True",
        "the tree ended: Shutdown(detail=None)",
    ],
    "supervisors_tasks.py": [
        "text of https://a.example/4",
        "https://slow.example/2 failed: TimedOut",
        "https://broken.example/3 failed: Crash",
        "no page: no route to host",
        "the circuit broken.example is open",
    ],
}


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_the_example_runs_and_says_what_it_promises(example: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", str(example)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    for words in SAYS[example.name]:
        assert words in done.stdout
