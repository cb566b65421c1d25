"""SIGTERM under `system.run()`: what runs gets its time, what is not done is there at the next start."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import alloy_actors as alloy
from alloy_actors.journal import RunResumed, RunSuspended
from alloy_actors.local import LocalServer
from alloy_actors.store.sqlite import SqliteStore
from tests.checks import check_journal, check_sendable
from tests.faults.daemon import REQUESTS, options
from tests.faults.effects import Effects, check_effects

WAIT = 20.0


@contextmanager
def daemon(
    folder: Path, server: LocalServer, drain_timeout: float, tool: str = ""
) -> Iterator[subprocess.Popen[str]]:
    """A daemon whose run is on; the next line it says comes after the first signal."""
    gate = f"gate of {folder}"
    command = [sys.executable, "-m", "tests.faults.daemon", folder, server.url, gate, drain_timeout, tool]
    with subprocess.Popen(
        [str(part) for part in command], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        try:
            assert process.stdout.readline() == "READY\n"
            yield process
        finally:
            process.kill()


def last_words(process: subprocess.Popen[str]) -> tuple[int, set[str]]:
    """The exit code, and what it said up to its end."""
    lines = {line.strip() for line in process.stdout}
    return process.wait(WAIT), lines


def start_again(folder: Path, server: LocalServer) -> dict[str, alloy.Result]:
    """The next start goes on with what there is; the results of all requests, by id."""
    with alloy.AgentSystem(
        store=f"sqlite:///{folder / 'agents.db'}", factory=lambda _name: options(folder, server.url)
    ) as system:
        agent = system.agent("ada")
        results = {
            request_id: agent.chat(text, request_id=request_id, timeout=WAIT)
            for request_id, text in REQUESTS.items()
        }
        live = agent.messages()
    check_sendable(live)
    check_effects(Effects(folder / "effects").read(), live)
    return results


def records(folder: Path) -> list[object]:
    with SqliteStore(folder / "agents.db") as store:
        found = list(store.load("ada"))
    check_journal(found, idle=False)
    return found


def test_what_runs_gets_its_time_and_what_waits_is_there_at_the_next_start(
    tmp_path: Path, server: LocalServer
) -> None:
    with daemon(tmp_path, server, drain_timeout=20) as process:
        process.send_signal(signal.SIGTERM)
        assert process.stdout.readline() == "DRAINING\n"
        server.open_gate(f"gate of {tmp_path}")
        assert last_words(process) == (0, {"told R completed", "told Q cancelled", "left 0"})
    assert not any(isinstance(record, RunSuspended) for record in records(tmp_path))
    results = start_again(tmp_path, server)
    assert [result.status for result in results.values()] == ["completed", "completed"]
    assert [effect.what for effect in Effects(tmp_path / "effects").read()] == ["R", "Q"]


@pytest.mark.parametrize("tool", ["", "hangs"])
def test_what_does_not_end_in_time_goes_on_at_the_next_start(
    tmp_path: Path, server: LocalServer, tool: str
) -> None:
    with daemon(tmp_path, server, drain_timeout=0.2, tool=tool) as process:
        process.send_signal(signal.SIGTERM)
        code, lines = last_words(process)
        assert code == 0
        assert lines >= {"told R cancelled", "told Q cancelled"}
    assert any(isinstance(record, RunSuspended) for record in records(tmp_path))
    results = start_again(tmp_path, server)
    assert [result.status for result in results.values()] == ["completed", "completed"]
    assert [effect.what for effect in Effects(tmp_path / "effects").read()] == ["R", "Q"]
    check_attempts(tmp_path)


def check_attempts(folder: Path) -> None:
    (resumed,) = (record for record in records(folder) if isinstance(record, RunResumed))
    assert resumed.attempt == 1, "an orderly stop counts as a crash"


@pytest.mark.parametrize("tool", ["", "hangs"])
def test_a_second_signal_cuts_the_drain_short_and_nothing_is_lost(
    tmp_path: Path, server: LocalServer, tool: str
) -> None:
    with daemon(tmp_path, server, drain_timeout=600, tool=tool) as process:
        process.send_signal(signal.SIGTERM)
        assert process.stdout.readline() == "DRAINING\n"
        process.send_signal(signal.SIGTERM)
        code, lines = last_words(process)
        assert code == 0
        assert lines >= {"told R cancelled", "told Q cancelled"}
    results = start_again(tmp_path, server)
    assert [result.status for result in results.values()] == ["completed", "completed"]
    assert [effect.what for effect in Effects(tmp_path / "effects").read()] == ["R", "Q"]
    check_attempts(tmp_path)
