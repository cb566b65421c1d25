"""`alloy demo`: lines on a pipe, a live tree on a terminal, the same against a real server."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

from alloy_actors.local import LocalServer
from tests.integration.cli.conftest import Run, Said
from tests.integration.cli.terminal import ALLOY, CTRL_C, WAIT, Terminal

Call = Callable[..., Said]
SCENES = [
    r"guide streams an answer, token by token:\n\[scripted-.*\"What should I see in Paris",
    r"weather\(\{'city': 'Paris'\}\) ended after 0\.[56]",
    r"clerk accepted 'summary-1'.*\n.*health: running, 0 pending",
    r"callback for summary-1: \[scripted-",
    r"drill 1:.*\n.*guide ended: Crash\(DrillError",
    r"guide is up again, generation 1",
    r"guide is back with its \d messages",
    r"drill 2: .*\n(.*\n)+.*whoever waited got one result: ",
    r"weather-desk is parked for 60 s",
    r"nobody else noticed: guide is idle",
    r"all agents stopped; done",
]


def test_on_a_pipe_it_is_plain_lines(alloy: Run) -> None:
    done = alloy("demo")
    assert (done.returncode, done.stderr) == (0, "")
    position = 0
    for scene in SCENES:
        found = re.compile(scene).search(done.stdout, position)
        assert found, f"{scene!r} is not in what follows:\n{done.stdout[position:]}"
        position = found.start()
    assert "guide switches to 'scripted-fast'" in done.stdout
    assert re.search(r"guide: 3 runs, \d+ tokens, 1 restarts", done.stdout)
    assert re.search(r"weather-desk: 1 runs, \d+ tokens, 3 restarts", done.stdout)
    assert "\x1b" not in done.stdout


def row(agent: str, state: str, runs: str, restarts: int) -> str:
    return rf"{agent} +{state} +{runs} +\d+ +{restarts} +scripted-"


def test_on_a_terminal_the_tree_is_live(terminal: Callable[..., Terminal]) -> None:
    screen = terminal("demo")
    screen.wait_for(row("guide", "running", "0", 0))
    screen.wait_for(row("weather-desk", "running", "0", 0))
    screen.wait_for(r"tools \[dynamic 2\]")
    screen.wait_for(row("clerk", "running", "0", 0))
    screen.wait_for(row("guide", "idle", "3", 1))
    screen.wait_for(row("clerk", "idle", "[23]", 1))
    screen.wait_for(row("weather-desk", "parked", "1", 3))
    assert screen.wait_exit() == 0
    assert "all agents stopped; done" in screen.text()
    assert screen.text().count("alloy-1 [one_for_one") == 1, "one tree is left standing"
    assert "Traceback" not in screen.text()


def test_ctrl_c_ends_it_in_order(terminal: Callable[..., Terminal]) -> None:
    screen = terminal("demo")
    screen.wait_for(row("guide", "running", "0", 0))
    screen.type(CTRL_C)
    assert screen.wait_exit() == 130
    assert "Traceback" not in screen.text()


def test_it_runs_against_a_server_of_ones_own(alloy: Run, server: LocalServer) -> None:
    asked = server.stats().requests
    done = alloy("demo", "--api-url", server.url, "--model", "scripted-fast")
    assert (done.returncode, done.stderr) == (0, "")
    assert "scripted-fast by openai-compat answers" in done.stdout
    assert "switches to" not in done.stdout
    assert "all agents stopped; done" in done.stdout
    assert server.stats().requests >= asked + 6


def test_a_dead_server_is_one_line(call: Call) -> None:
    said = call("demo", "--api-url", "http://127.0.0.1:port", "--model", "m")
    assert (said.code, said.err.count("\n")) == (2, 1)


def test_a_server_that_refuses_is_one_line(call: Call, server: LocalServer) -> None:
    said = call("demo", "--api-url", server.url, "--model", "no-such-model")
    assert said.code == 1
    assert said.err.startswith("alloy: RunError: the run ended with status 'error'")
    assert "no-such-model" in said.err
    assert said.err.count("\n") == 1


def test_a_closed_pipe_ends_it_without_a_word(env: dict[str, str], folder: Path) -> None:
    with subprocess.Popen(
        [*ALLOY, "demo"],
        env=env,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as running:
        assert running.stdout is not None
        running.stdout.readline()
        running.stdout.close()
        _, err = running.communicate(timeout=WAIT)
    assert (running.returncode, err) == (141, b"")
