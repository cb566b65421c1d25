"""The `alloy` command as people and scripts meet it."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import structlog

from alloy_actors.cli import main
from alloy_actors.local import LocalServer, scripted_model
from tests.integration.cli.terminal import ALLOY, WAIT, Terminal

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def server() -> Iterator[LocalServer]:
    with LocalServer() as running:
        yield running


@pytest.fixture
def model(server: LocalServer) -> Callable[..., list[str]]:
    """Flags for a model of the embedded server that misbehaves as ordered."""

    def flags(base: str = "scripted-fast", **directives: object) -> list[str]:
        return ["--api-url", server.url, "--model", scripted_model(base, **directives)]

    return flags


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    """No keys, no settings, a home of its own."""
    home = tmp_path / "home"
    home.mkdir()
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.endswith(("_API_KEY", "_proxy", "_PROXY"))
        and not name.startswith(("ALLOY_", "XDG_", "PYTHON"))
    }
    return {**kept, "HOME": str(home), "TERM": "xterm-256color"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the command is called."""
    made = tmp_path / "work"
    made.mkdir()
    return made


@pytest.fixture
def alloy(env: dict[str, str], folder: Path) -> Run:
    """Run the command as a script does, and wait for its end."""

    def run(*arguments: str, env: dict[str, str] = env, **options: Any) -> subprocess.CompletedProcess[str]:
        options = {"stdin": subprocess.DEVNULL, **options} if "input" not in options else options
        return subprocess.run(
            [*ALLOY, *arguments],
            env=env,
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=WAIT,
            check=False,
            **options,
        )

    return run


@pytest.fixture
def terminal(env: dict[str, str], folder: Path) -> Iterator[Callable[..., Terminal]]:
    """Run the command as a person does."""
    opened: list[Terminal] = []

    def open_(*arguments: str, **variables: str) -> Terminal:
        opened.append(Terminal(*ALLOY, *arguments, env={**env, **variables}, cwd=folder))
        return opened[-1]

    yield open_
    for one in opened:
        one.__exit__()


@dataclass
class Said:
    """What a command came to."""

    code: int
    out: str
    err: str


@pytest.fixture
def call(
    env: dict[str, str], folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Callable[..., Said]]:
    """The command in this process, where neither pipes nor signals matter: a process of its own takes a second."""
    for name in set(os.environ) - set(env):
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", env["HOME"])
    monkeypatch.chdir(folder)

    def called(*arguments: str, stdin: bytes = b"", **variables: str) -> Said:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin), encoding="utf-8"))
        with pytest.MonkeyPatch.context() as patch:
            for name, value in variables.items():
                patch.setenv(name, value)
            code = main(list(arguments))
        out, err = capsys.readouterr()
        return Said(code, out, err)

    yield called
    structlog.reset_defaults()
