"""The frame of the benchmarks does its work, in tiny sizes; what it measures is asserted nowhere."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from alloy_actors.local import LocalServer
from benchmarks import imports
from benchmarks.report import BEGIN, END

ROOT = Path(__file__).parents[3]

SMALL_ROUND = """
import importlib, sys
from benchmarks import work
from benchmarks.measure import as_json
module, function, url = sys.argv[1:]
work.W1_CONVERSATIONS = work.W2_CONVERSATIONS = work.W7_CONVERSATIONS = work.STREAMS = 3
work.OLD_EXCHANGES, work.W7_RUNS = 4, 2
work.DELTAS = 50
side = importlib.import_module(f"benchmarks.{module}")
print(as_json(getattr(side, function)(url)))
side.close()
"""
SMALL_REPORT = """
import sys
from benchmarks import cancel, hooks, idle, imports, store
store.AGENTS, store.APPENDS, store.LONE_APPENDS, store.ROUNDS = 5, 2, 3, 1
store.CONVERSATIONS, store.RUNS, store.WINDOW = 1, 8, 2
cancel.ROUNDS = 2
hooks.HOOKS, hooks.RUNS, hooks.ROUNDS = 2, 2, 2
url = sys.argv[1]
for report in (imports.measure(1), idle.measure(url, 20), store.appends(), store.conversation(url), cancel.measure(url), hooks.measure()):
    print(report.row.what)
"""


def python(code: str, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    ("function", "units", "requests"),
    [
        ("w1", 9, 18),
        ("w2", 6, 12),
        ("w3", 150, 3),
        ("w3_burst", 150, 3),
        ("w7_none", 6, 18),
        ("w7", 6, 18),
    ],
)
@pytest.mark.parametrize("module", ["floor", "subject"])
def test_floor_and_subject_do_the_same_work(
    server: LocalServer, module: str, function: str, units: int, requests: int
) -> None:
    before = server.stats().requests
    measured = json.loads(python(SMALL_ROUND, module, function, server.url))
    assert measured["units"] == units
    assert measured["cpu"] > 0
    assert (measured["late"] is not None) == function.startswith("w3")
    assert server.stats().requests - before == requests


@pytest.mark.parametrize(
    "function", ["w1_plain", "w1_off", "w1_on", "w3_async", "w3_async_burst", "w7_first"]
)
def test_what_is_printed_beside_the_judged_side_is_measured_too(server: LocalServer, function: str) -> None:
    assert json.loads(python(SMALL_ROUND, "subject", function, server.url))["cpu"] > 0


@pytest.mark.slow
def test_the_reports_of_their_own_processes_have_a_row_each(server: LocalServer) -> None:
    lines = python(SMALL_REPORT, server.url).splitlines()
    assert [line.split()[0] for line in lines] == ["W4", "W5", "Durable", "W8", "Cancel", "Middleware,"]


@pytest.mark.slow
def test_the_command_prints_and_writes_the_table(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"{BEGIN}\n{END}\n", encoding="utf-8")
    command = [sys.executable, "-m", "benchmarks", "w3-burst", "w7", "--rounds", "1", "--write", str(page)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert "floor, 400 messages" in done.stdout
    rows = [line for line in page.read_text(encoding="utf-8").splitlines() if line.startswith("| W")]
    assert [row.split()[1] for row in rows] == ["W3", "W7"]


def test_an_unknown_name_is_refused_with_the_list() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", "w9"], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert done.returncode == 2
    assert "unknown: w9; there are: w1, w1-on, w2" in done.stderr


def test_importing_writes_nothing_and_opens_no_socket() -> None:
    imports.fresh("alloy_actors")  # may write its bytecode
    assert imports.fresh("alloy_actors").effects == []


@pytest.mark.parametrize(
    ("statement", "effect"),
    [
        ("os; open(os.devnull, 'w').close()", "wrote /dev/null"),
        ("socket; socket.socket().close()", "socket.__new__"),
        ("threading; threading.Thread(target=threading.Event().wait, daemon=True).start()", "thread"),
    ],
)
def test_what_an_import_does_is_seen(statement: str, effect: str) -> None:
    assert imports.fresh(statement).effects == [effect]


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
