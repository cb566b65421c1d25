"""`--tools`: built-in ones, those of a file, those of a module."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from alloy_actors.cli.toolsets import load_tools
from alloy_actors.errors import ConfigError

MINE = '''
import alloy_actors as alloy
from beside import SUFFIX

@alloy.tool
def shout(text: str) -> str:
    """Say it louder."""
    return text.upper() + SUFFIX

@alloy.tool(name="whisper")
def quietly(text: str) -> str:
    """Say it lower."""
    return text.lower()

again = shout

def plain(text: str) -> str:
    """A function that is no tool yet."""
    return text
'''


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "modules", dict(sys.modules))
    (tmp_path / "beside.py").write_text("SUFFIX = '!'\n")
    file = tmp_path / "mine.py"
    file.write_text(MINE)
    return file


def names(*given: str) -> list[str]:
    return [tool.name for tool in load_tools(given)]


def test_built_in_tools_are_separated_by_commas_or_given_one_by_one() -> None:
    assert names("read,bash") == ["read", "bash"]
    assert names("read, write", "edit", "") == ["read", "write", "edit"]
    assert names() == []
    assert names("read", "read") == ["read"]


def test_a_file_gives_all_its_tools_each_once(mine: Path) -> None:
    tools = load_tools([str(mine), "read"])
    assert [tool.name for tool in tools] == ["shout", "whisper", "read"]
    assert tools[0]("hi") == "HI!"


def test_one_of_a_file_is_named_and_a_plain_function_will_do(mine: Path) -> None:
    assert names(f"{mine}:quietly") == ["whisper"]
    assert names(f"{mine}:plain") == ["plain"]


def test_a_module_is_found_from_the_working_directory(mine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(mine.parent)
    package = mine.parent / "kit"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "voices.py").write_text(MINE)
    assert names("mine:shout") == ["shout"]
    assert names("kit.voices") == ["shout", "whisper"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("raed", r"--tools raed: no such tool \(did you mean read\?\); there are read, write, edit, bash"),
        ("nowhere.py", "--tools nowhere.py: there is no such file"),
        ("no.such.module:f", r"--tools no.such.module: it raised ModuleNotFoundError: No module named 'no'"),
        ("json", "--tools json: no such tool"),
        ("os.path", "--tools os.path: it has no tools; make them with @alloy.tool"),
        ("json:dmups", r"--tools json:dmups: there is no 'dmups' in it \(did you mean dumps\?\)"),
        ("json:__doc__", "--tools: tools holds"),
    ],
)
def test_what_cannot_be_found_is_said_in_one_line(given: str, message: str, mine: Path) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        load_tools([given])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("import sys\n1 / 0\n", r"it raised ZeroDivisionError: division by zero \(line 2 of .*broken.py\)"),
        ("def f(:\n", "it raised SyntaxError: .*broken.py"),
        ("raise SystemExit('bye')\n", r"it raised SystemExit: bye \(line 1"),
        (
            "import alloy_actors as alloy\n@alloy.tool\ndef f(x): ...\n",
            r"it raised ConfigError: .*annotation.*\(line \d+",
        ),
    ],
)
def test_a_file_that_fails_says_why_and_where(source: str, message: str, mine: Path) -> None:
    broken = mine.parent / "broken.py"
    broken.write_text(source)
    with pytest.raises(ConfigError, match=message):
        load_tools([str(broken)])


def test_two_tools_of_one_name_are_refused(mine: Path) -> None:
    other = mine.parent / "other.py"
    other.write_text(MINE)
    with pytest.raises(ConfigError, match="--tools: two tools are called 'shout'"):
        load_tools([str(mine), str(other)])
