"""`alloy chat` as a script meets it."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.integration.cli.conftest import Run
from tests.integration.cli.terminal import ALLOY, WAIT

Model = Callable[..., list[str]]


def test_lines_are_answered_one_after_the_other(alloy: Run, model: Model, folder: Path) -> None:
    done = alloy("chat", *model(), input="hello\n\n/usage\nand\\\nmore\n/save talk.json\n/nope\n//slash")
    assert done.stdout == "".join(
        f'[scripted-fast: a script, not a model] You said: "{said}". This is user turn {turn} of our conversation.\n'
        for turn, said in enumerate(["hello", "and\nmore", "/slash"], 1)
    )
    assert "tokens (" in done.stderr
    assert "saved 4 messages to talk.json" in done.stderr
    assert "alloy chat: there is no command /nope" in done.stderr
    assert done.returncode == 0, "the last request went well"


@pytest.mark.parametrize(
    ("directives", "code"), [({}, 0), ({"status": 500}, 1), ({"calls": 1, "rounds": 9}, 3)]
)
def test_the_exit_code_is_that_of_the_last_request(
    directives: dict[str, object], code: int, alloy: Run, model: Model
) -> None:
    flags = ["--max-retries", "0", "--max-turns", "2", "--tools", "read", "--quiet"]
    done = alloy("chat", *flags, *model(**directives), input="hello\n")
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr


def test_input_may_be_a_file_or_nothing_at_all(alloy: Run, model: Model, folder: Path) -> None:
    (folder / "lines.txt").write_bytes(b"hello\r\nbad \xff byte")
    with (folder / "lines.txt").open("rb") as lines:
        done = alloy("chat", *model(), stdin=lines)
    assert (done.returncode, done.stderr) == (0, "")
    assert 'You said: "hello"' in done.stdout
    assert 'You said: "bad \ufffd byte"' in done.stdout
    assert alloy("chat", *model(), stdin=subprocess.DEVNULL).returncode == 0


def test_a_closed_pipe_ends_it_without_a_word(model: Model, env: dict[str, str], folder: Path) -> None:
    with subprocess.Popen(
        [*ALLOY, "chat", *model(deltas=50)],
        env=env,
        cwd=folder,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as running:
        assert running.stdout is not None
        running.stdout.close()
        _, err = running.communicate(b"hello\nmore\n", timeout=WAIT)
    assert (running.returncode, err) == (141, b"")


@pytest.mark.parametrize(
    ("flags", "line"),
    [
        ([], "alloy: which provider?"),
        (["--model", "mistral:large"], "alloy: no key for mistral"),
        (["--modle", "x"], "alloy chat: No such option: --modle"),
        (["--provider", "demo", "--session", "/no/such/x.json"], "alloy: /no/such/x.json: "),
    ],
)
def test_a_mistake_on_the_command_line_is_one_line(flags: list[str], line: str, alloy: Run) -> None:
    done = alloy("chat", *flags, input="hello\n")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert done.stderr.startswith(line)
