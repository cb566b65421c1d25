"""The door of the command: help, version, completion, what is missing."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib import metadata

import pytest

import alloy_actors
from alloy_actors import cli
from tests.integration.cli.conftest import Run, Said
from tests.integration.cli.terminal import ALLOY, WAIT

Call = Callable[..., Said]

COMMANDS = ["chat", "run", "demo", "doctor", "models", "store"]


def test_help_without_being_asked(call: Call) -> None:
    said = call()
    assert (said.code, said.err) == (0, "")
    for command in COMMANDS:
        assert f"\n  {command} " in said.out
    assert call("--help") == said
    assert call("-h") == said


@pytest.mark.parametrize("command", [[name] for name in COMMANDS] + [["store", "export"]], ids=" ".join)
def test_every_command_has_help_with_examples(command: list[str], call: Call) -> None:
    said = call(*command, "--help")
    assert (said.code, said.err) == (0, "")
    assert said.out.startswith(f"Usage: alloy {' '.join(command)}")
    if command != ["store", "export"]:
        assert "Examples:" in said.out
        assert "xit code" in said.out
        assert f"  alloy {command[0]}" in said.out
    assert max(map(len, said.out.splitlines())) <= 100


def test_the_version_is_that_of_the_package(call: Call) -> None:
    assert call("--version") == Said(0, f"alloy-actors {alloy_actors.__version__}\n", "")


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["chta"], "alloy: No such command 'chta'."),
        (["--flag"], "alloy: No such option: --flag"),
        (["store"], "alloy store: Missing command."),
        (["store", "list"], "alloy store list: Missing argument 'PATH'."),
        (["store", "list", "nowhere.db"], "store: there is no file "),
        (["doctor", "--aks"], "alloy doctor: No such option: --aks"),
        (["demo", "--provider", "nobody"], "alloy: there is no provider 'nobody'"),
        (["demo", "extra"], "alloy demo: Got unexpected extra argument"),
    ],
)
def test_a_wrong_word_is_one_line(arguments: list[str], line: str, call: Call) -> None:
    said = call(*arguments)
    assert (said.code, said.out) == (2, "")
    assert said.err.startswith(line)
    assert said.err.count("\n") == 1


def test_the_entry_point_and_the_module_are_the_same_door() -> None:
    (script,) = [point for point in metadata.entry_points(group="console_scripts") if point.name == "alloy"]
    assert script.load() is cli.main


@pytest.mark.parametrize("missing", cli.NEEDED)
def test_without_the_extra_one_line_says_what_to_install(
    missing: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == missing else find(name))
    assert cli.main(["demo"]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert "pip install 'alloy-actors[cli]'" in err


def test_help_loads_neither_transport_nor_screen() -> None:
    probe = (
        "import sys\nfrom alloy_actors.cli import main\nmain(['--help'])\n"
        "print([n for n in ('rich.live', 'prompt_toolkit', 'aiohttp', 'httpx', 'sqlite3') if n in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", probe], capture_output=True, text=True, timeout=WAIT, check=True
    )
    assert done.stderr.strip() == "[]"


@pytest.mark.parametrize("command", [["--help"], ["--version"], ["run", "--help"]])
def test_a_closed_pipe_ends_even_the_help_without_a_word(command: list[str], env: dict[str, str]) -> None:
    with subprocess.Popen(
        [*ALLOY, *command], env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as running:
        assert running.stdout is not None
        running.stdout.close()
        _, err = running.communicate(timeout=WAIT)
    assert (running.returncode, err) == (141, b"")


@pytest.mark.parametrize(
    ("typed", "completed"),
    [
        ("alloy do", "doctor"),
        ("alloy run --mod", "--model"),
        ("alloy run --provider op", "openrouter"),
        ("alloy chat --tools ba", "bash"),
        ("alloy store ba", "backup"),
    ],
)
def test_the_shell_completes(typed: str, completed: str, alloy: Run, env: dict[str, str]) -> None:
    words = {
        "COMP_WORDS": typed,
        "COMP_CWORD": str(len(typed.split()) - 1),
        "_ALLOY_COMPLETE": "complete_bash",
    }
    done = alloy(env={**env, **words})
    assert (done.returncode, done.stderr) == (0, "")
    assert completed in done.stdout.split()


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_completion_can_be_shown_for_bash(env: dict[str, str]) -> None:
    # The command goes by the shell that it was called from, so that has to be bash, whatever the tests run under.
    call = ["bash", "-c", '"$@"; exit $?', "bash", *ALLOY, "--show-completion"]
    done = subprocess.run(call, env=env, capture_output=True, text=True, timeout=WAIT, check=False)
    assert done.returncode == 0, done.stderr
    assert "_ALLOY_COMPLETE=complete_bash" in done.stdout
