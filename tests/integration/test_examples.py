"""Every example runs offline, ends well and leaves nothing behind."""

from __future__ import annotations

import http.client
import os
import re
import shutil
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from alloy_actors.local import LocalServer, scripted_model

if TYPE_CHECKING:
    from collections.abc import Iterator

EXAMPLES = Path(__file__).parents[2] / "examples"

SAYS = {
    "one_shot.py": ["Paris: 18 degrees", "Oslo: 18 degrees", "2 turns"],
    "supervised_agent.py": ["ticket-0: ", "ticket-2: ", "user turn 4", "8 messages, restarted 1 time(s)"],
    "custom_provider.py": ["Certainly: 42 (2 turns, desk 3)", "Well, |lovely |weather |today| 2 messages"],
    "structured_output.py": [
        "delivery, urgency 4, orders ['4711'], 3 turns",
        "'no. 4711' is no order number",
        "Ticket(topic='billing', urgency=1, orders=[])",
    ],
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
    "streaming.py": [
        "-- turn 2 of scripted-thinking",
        "nobody thought here",
        "-- weather({'city': 'Oslo'}) ended: well",
        "-- completed: ",
        'You said: "And tomorrow?"',
        "-- cancelled, and the history says so: ",
        "This answer was cut off: the request was cancelled.",
    ],
    "telemetry.py": [
        "provider.request ok: 6 times, ",
        "run.stop completed: 3 times, ",
        "tool.stop weather: 6 times, ",
    ],
    "testing_agents.py": [
        "a small refund is given: passed",
        "a large refund is blocked and the model told: passed",
        "a busy model costs patience and no time: passed",
        "a real exchange is played back without its server: passed",
    ],
    "memory_tool.py": [
        "Created /memories/ada.md.",
        "     1\tAda drinks tea.",
        "/memories is empty.",
        "Passwords are not kept here.",
    ],
    "own_tools.py": [
        "price({'item': 'tea'}) -> 4.5",
        "price({'item': 'gold'}) -> There is no 'gold'; there are: tea, coffee.",
        "for Ada: [Line(item='tea', count=2)]",
        "-> {'total': 9.0, 'lines': 1}",
        "lines.0.count: Input should be less than or equal to 20",
    ],
    "budget.py": [
        "run: max_budget_cents: no price is known for the model 'scripted-fast",
        "budget_exceeded after 7 turns and 7 tool calls",
        "spent 17.4 of 20 cents",
        "ada answered 3 requests: lifetime_budget_cents=20 would be used up",
        "a reset keeps what was spent: True",
        "halted after 4 turns: Halted by middleware: 146 tokens were used",
    ],
    "approval.py": [
        "clerk wants remove({'name': 'draft.txt'})? yes",
        "  remove: Blocked: the notes are still needed",
        "bob has got 'The draft is gone.'",
        "halted: Halted by middleware: the person in charge has had enough",
        "left: ['notes.txt']",
    ],
    "compaction.py": [
        "turn 9: 5 messages are about to lose something",
        "turn 9: cleared, 17 messages are now 17",
        "turn 1: summarised, 23 messages are now 3",
        "[Summary of the earlier conversation, which was removed to save space.]",
    ],
    "approval_later.py": [
        "today the clerk wants pay({'invoice': 7, 'euros': 120}): this moves the money",
        "waiting: 1; nothing has run",
        "tomorrow it asks again about invoice-7",
        "100 euros are paid for invoice 7",
        "completed: ['done', 'done']",
    ],
    "switching_providers.py": [
        "large: ",
        "small: error, ConnectionFailedError",
        "user turn 4",
        "answered by: scripted-fast, scripted-thinking, scripted-thinking",
    ],
    "fallback.py": [
        "provider_cooling_down",
        "ada was answered by scripted-thinking",
        "cleo was answered by scripted-thinking",
        "requests that the large one has seen: 1\n",
        "dora: error, RateLimitError: not sent: the key is cooling down for ",
        "malformed: error, InvalidRequestError\n",
    ],
    "starlette_service.py": [
        'ada: [scripted-fast: a script, not a model] You said: "I am Ada."',
        'grace: [scripted-fast: a script, not a model] You said: "I am Grace.". This is user turn 1',
        'You said: "Who am I?". This is user turn 2',
        "later: {'status': 'completed'",
        "another one's: 404",
        "a stranger: 401",
    ],
    "job_queue.py": ["[##############################] 40/40, 0 failed", "40 summaries", "user turn 1 "],
    "plain_actors.py": [
        "the parser is down: Crash(ValueError(",
        "attempt 1 in 0.0",
        "the ledger, which lived on, says 42",
        "stopped, in reverse order",
    ],
    "supervisors_tasks.py": [
        "text of https://a.example/4",
        "https://slow.example/2 failed: TimedOut",
        "https://broken.example/3 failed: Crash",
        "no page: no route to host",
        "the circuit broken.example is open",
    ],
}
SERVES = {"daemon.py"}
"""Do not end by themselves; they have tests of their own."""


@contextmanager
def serving(*arguments: str, **environment: str) -> Iterator[subprocess.Popen[str]]:
    """An example that runs until a signal."""
    command = [sys.executable, "-W", "error", *arguments]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, env=os.environ | environment, text=True, **pipes) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()


def line_with(process: subprocess.Popen[str], words: str) -> str:
    """Read on to the line that holds `words`; the time limit of the test bounds the wait."""
    for line in process.stdout:
        if words in line:
            return line
    raise AssertionError(f"it ended without {words!r}: {process.stderr.read()}")


def end(process: subprocess.Popen[str], number: int) -> None:
    """It must end well, and in silence."""
    process.send_signal(number)
    _, stderr = process.communicate(timeout=30)
    assert (process.returncode, stderr) == (0, "")


@pytest.mark.parametrize(
    "example",
    [path for path in sorted(EXAMPLES.rglob("*.py")) if path.name not in SERVES],
    ids=lambda path: path.name,
)
def test_the_example_runs_and_says_what_it_promises(example: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", str(example)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    for words in SAYS[example.name]:
        assert words in done.stdout


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_daemon_answers_letters_until_a_signal(tmp_path: Path, number: int) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "ada-1.txt").write_text("I am Ada.")
    with serving(str(EXAMPLES / "daemon.py"), str(tmp_path)) as daemon:
        line_with(daemon, "postman  running")
        line_with(daemon, "answered ada-1.txt: completed")
        (tmp_path / "in" / "ada-2.txt").write_text("Who am I?")
        line_with(daemon, "answered ada-2.txt: completed")
        end(daemon, number)
    assert "user turn 2" in (tmp_path / "out" / "ada-2.txt").read_text()
    assert list((tmp_path / "in").iterdir()) == []


def test_the_daemon_survives_that_its_folder_is_away_for_a_while(tmp_path: Path) -> None:
    with serving(str(EXAMPLES / "daemon.py"), str(tmp_path)) as daemon:
        line_with(daemon, "looking into")
        (tmp_path / "in").rename(tmp_path / "away")
        line_with(daemon, "child_restarts")
        (tmp_path / "away" / "ada-1.txt").write_text("I am back.")
        (tmp_path / "away").rename(tmp_path / "in")
        line_with(daemon, "answered ada-1.txt: completed")
        end(daemon, signal.SIGTERM)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_daemon_that_ends_in_the_middle_of_an_answer_gives_it_after_its_next_start(
    tmp_path: Path, number: int
) -> None:
    (tmp_path / "in").mkdir()
    letter, answer = tmp_path / "in" / "ada-2.txt", tmp_path / "out" / "ada-2.txt"
    with LocalServer() as server:
        # The second answer waits behind a gate until the daemon has been started again.
        model = scripted_model(gate="second-start", after=1)
        environment = {"ALLOY_API_URL": server.url, "ALLOY_MODEL": model}
        (tmp_path / "in" / "ada-1.txt").write_text("I am Ada.")
        with serving(str(EXAMPLES / "daemon.py"), str(tmp_path), **environment) as daemon:
            line_with(daemon, "answered ada-1.txt: completed")
            letter.write_text("Who am I?")
            server.wait_stats(requests=2, active=1)
            daemon.send_signal(number)
            daemon.communicate(timeout=30)
        assert letter.exists()
        assert not answer.exists()
        server.open_gate("second-start")
        with serving(str(EXAMPLES / "daemon.py"), str(tmp_path), **environment) as daemon:
            line_with(daemon, "answered ada-2.txt: completed")
            end(daemon, signal.SIGTERM)
    assert 'You said: "Who am I?". This is user turn 2' in answer.read_text()
    assert not letter.exists()


def test_the_unit_of_the_daemon_is_one_that_systemd_takes(tmp_path: Path) -> None:
    if (verify := shutil.which("systemd-analyze")) is None:
        pytest.skip("there is no systemd to ask")
    unit = (EXAMPLES / "daemon.service").read_text()
    start = re.search(r"^ExecStart=.*/daemon.py \S+$", unit, re.MULTILINE)
    assert start is not None
    (tmp_path / "letters.service").write_text(unit.replace(start[0], "ExecStart=/bin/sh"))
    done = subprocess.run(
        [verify, "verify", "--man=no", str(tmp_path / "letters.service")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_the_service_stays_until_ctrl_c(tmp_path: Path) -> None:
    with serving(str(EXAMPLES / "starlette_service.py"), "serve") as service:
        token, url = re.search(r"Bearer (\S+)' .* (http://\S+)/chat", line_with(service, "curl")).groups()
        connection = http.client.HTTPConnection(urlsplit(url).hostname, urlsplit(url).port, timeout=20)
        connection.request("POST", "/chat", "Hello", {"authorization": f"Bearer {token}"})
        response = connection.getresponse()
        stream = response.read().decode()
        connection.close()
        assert response.getheader("content-type").startswith("text/event-stream")
        assert stream.startswith("event: run_started\n")
        assert stream.count("event: text_delta\n") > 5
        assert '"status": "completed"' in stream.rsplit("event: run_finished\n", 1)[1]
        end(service, signal.SIGINT)
