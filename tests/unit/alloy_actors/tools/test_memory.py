"""The `memory` tool: paths, commands, order, schema; T93."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from structlog.testing import capture_logs

from alloy_actors.content import ToolCall
from alloy_actors.deadline import NEVER
from alloy_actors.errors import ConfigError, ToolError
from alloy_actors.tool_runner import ToolOutcome, ToolRunner
from alloy_actors.tooldef import Tool, ToolContext, toolbox
from alloy_actors.tools import DirectoryFiles, InMemoryFiles, MemoryFiles, memory
from alloy_actors.tools._memory_paths import checked_path


@pytest.fixture(params=["in_memory", "directory"])
def files(request: pytest.FixtureRequest, tmp_path: Any) -> MemoryFiles:
    return InMemoryFiles() if request.param == "in_memory" else DirectoryFiles(tmp_path)


@pytest.fixture
def notes(files: MemoryFiles) -> Tool:
    return memory(files)


class Inline:
    async def call(self, function: Any, *, name: str) -> object:
        return function()


class Observer:
    def __init__(self) -> None:
        self.batches: list[int] = []

    async def starting(self, calls: Any) -> None:
        self.batches.append(len(calls))

    async def ended(self, outcome: ToolOutcome) -> None: ...


def run(made: Tool, *inputs: dict[str, Any], observer: Observer | None = None) -> list[tuple[str, bool]]:
    calls = [ToolCall(str(number), "memory", given) for number, given in enumerate(inputs)]
    runner = ToolRunner(Inline())
    outcomes = asyncio.run(
        runner.run(
            calls,
            toolbox([made]),
            lambda call, cancelled: ToolContext(),
            timeout=10,
            deadline=NEVER,
            observer=observer or Observer(),
        )
    )
    return [(outcome.result.text, outcome.result.is_error) for outcome in outcomes]


def ask(made: Tool, **given: Any) -> str:
    """The text of a success."""
    ((text, is_error),) = run(made, given)
    assert not is_error, text
    return text


def refused(made: Tool, **given: Any) -> str:
    """The text of an error."""
    ((text, is_error),) = run(made, given)
    assert is_error, text
    return text


def test_t93_the_commands_in_a_row(notes: Tool) -> None:
    assert ask(notes, command="view", path="/memories") == "/memories is empty."
    assert (
        ask(notes, command="create", path="/memories/a/b.md", file_text="one\ntwo\n")
        == "Created /memories/a/b.md."
    )
    assert ask(notes, command="view", path="/memories/a/b.md") == "     1\tone\n     2\ttwo"
    ask(notes, command="str_replace", path="/memories/a/b.md", old_str="two", new_str="2")
    ask(notes, command="insert", path="/memories/a/b.md", insert_line=1, insert_text="middle")
    assert ask(notes, command="view", path="/memories/a/b.md").split() == [
        "1",
        "one",
        "2",
        "middle",
        "3",
        "2",
    ]
    ask(notes, command="create", path="/memories/a.md", file_text="")
    assert (
        ask(notes, command="view", path="/memories")
        == "Files below /memories:\n/memories/a/b.md\n/memories/a.md"
    )
    ask(notes, command="rename", old_path="/memories/a", new_path="/memories/c/d")
    assert ask(notes, command="view", path="/memories/c") == "Files below /memories/c:\n/memories/c/d/b.md"
    ask(notes, command="delete", path="/memories/c")
    ask(notes, command="delete", path="/memories/a.md")
    assert ask(notes, command="view", path="/memories") == "/memories is empty."


@pytest.mark.parametrize(
    ("path", "clean"),
    [
        ("/memories", "/memories"),
        ("/memories/", "/memories"),
        ("//memories//a/./b/", "/memories/a/b"),
        ("/memories/..a/b..", "/memories/..a/b.."),
        ("/memories/ä b.md", "/memories/ä b.md"),
    ],
)
def test_t93_a_path_is_cleaned(path: str, clean: str) -> None:
    assert checked_path(path) == clean


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/",
        "memories/a",
        "/memories_evil",
        "/memories_evil/a",
        "/memoriesa",
        "/etc/passwd",
        "/memories/..",
        "/memories/../etc",
        "/memories/a/../../etc",
        "/memories..",
        "/memories../a",
        "/memories/%2e%2e/a",
        "/memories/a%00",
        "/memories\\..\\a",
        "/memories/a\\b",
        "/memories/a\0b",
        "/memories/a\nb",
        "/memories/\x7f",
        "/memories/\ud83d",
        "/Memories/a",
        "/memories/./../memories/a",
    ],
)
def test_t93_a_path_that_leads_elsewhere_is_refused(path: str) -> None:
    with pytest.raises(ToolError):
        checked_path(path)


@pytest.mark.parametrize(
    "given",
    [
        {"command": "view", "path": "/memories/../x"},
        {"command": "create", "path": "/memories_evil", "file_text": ""},
        {"command": "create", "path": "/memories", "file_text": ""},
        {"command": "str_replace", "path": "/memories/%2e%2e", "old_str": "a"},
        {"command": "insert", "path": "/etc/passwd", "insert_line": 0, "insert_text": "x"},
        {"command": "delete", "path": "/memories"},
        {"command": "delete", "path": "/memories/"},
        {"command": "rename", "old_path": "/memories", "new_path": "/memories/a"},
        {"command": "rename", "old_path": "/memories/a.md", "new_path": "/memories"},
        {"command": "rename", "old_path": "/memories/a.md", "new_path": "/memories/../a"},
    ],
    ids=str,
)
def test_t93_no_command_leaves_the_memory_or_loses_its_root(notes: Tool, given: dict[str, Any]) -> None:
    ask(notes, command="create", path="/memories/a.md", file_text="kept")
    refused(notes, **given)
    assert ask(notes, command="view", path="/memories") == "Files below /memories:\n/memories/a.md"


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"command": "view"}, "view needs path; path is missing (given: nothing)"),
        (
            {"command": "create", "path": "/memories/a"},
            "create needs path, file_text; file_text is missing (given: path)",
        ),
        ({"command": "insert", "path": "/memories/a", "insert_line": 0}, "insert_text is missing"),
        ({"command": "rename", "path": "/memories/a"}, "old_path, new_path is missing"),
        ({"command": "forget"}, "command: "),
        ({}, "command: required, but missing"),
        ({"command": "view", "path": 3}, "path: "),
        ({"command": "view", "path": "/memories/none"}, "/memories/none does not exist"),
    ],
)
def test_t93_a_wrong_shape_is_named(notes: Tool, given: dict[str, Any], says: str) -> None:
    assert says in refused(notes, **given)


def test_t93_create_does_not_overwrite(notes: Tool) -> None:
    ask(notes, command="create", path="/memories/a", file_text="first")
    assert "exists already" in refused(notes, command="create", path="/memories/a", file_text="second")
    assert "first" in ask(notes, command="view", path="/memories/a")


@pytest.mark.parametrize(
    ("old", "says"),
    [
        ("x", "more than once in /memories/a (first in lines 1 and 3)"),
        ("xx", "more than once"),
        ("nope", "does not occur"),
        ("", "old_str is empty"),
    ],
)
def test_t93_a_replacement_that_is_not_of_one_place_is_refused(notes: Tool, old: str, says: str) -> None:
    text = "x\ny\nxxx\n" if old != "x" else "x\ny\nx\n"
    ask(notes, command="create", path="/memories/a", file_text=text)
    before = ask(notes, command="view", path="/memories/a")
    assert says in refused(notes, command="str_replace", path="/memories/a", old_str=old, new_str="z")
    assert ask(notes, command="view", path="/memories/a") == before


@pytest.mark.parametrize("more", [{}, {"new_str": None}, {"new_str": ""}])
def test_t93_a_replacement_by_nothing_deletes(notes: Tool, more: dict[str, Any]) -> None:
    ask(notes, command="create", path="/memories/a", file_text="one two")
    ask(notes, command="str_replace", path="/memories/a", old_str=" two", **more)
    assert ask(notes, command="view", path="/memories/a") == "     1\tone"


@pytest.mark.parametrize(
    ("view_range", "lines"),
    [([1, 1], "1"), ([2, 3], "23"), ([2, -1], "234"), ([1, 99], "1234"), ([4, 4], "4")],
)
def test_t93_a_range_of_lines(notes: Tool, view_range: list[int], lines: str) -> None:
    ask(notes, command="create", path="/memories/a", file_text="1\n2\n3\n4\n")
    shown = ask(notes, command="view", path="/memories/a", view_range=view_range)
    assert shown.splitlines() == [f"     {line}\t{line}" for line in lines]


@pytest.mark.parametrize("view_range", [[0, 1], [3, 2], [1], [1, 2, 3], [1, -2], [5, -1], [5, 6]])
def test_t93_a_range_that_is_none_is_refused(notes: Tool, view_range: list[int]) -> None:
    ask(notes, command="create", path="/memories/a", file_text="1\n2\n3\n4\n")
    text = refused(notes, command="view", path="/memories/a", view_range=view_range)
    assert ("has 4 lines" in text) == (view_range[0] == 5)
    assert "directory" in refused(notes, command="view", path="/memories", view_range=[1, 1])


@pytest.mark.parametrize(
    ("text", "line", "piece", "after"),
    [
        ("", 0, "new", "new\n"),
        ("a\nb", 0, "new", "new\na\nb"),
        ("a\nb", 2, "new", "a\nb\nnew\n"),
        ("a\nb\n", 1, "x\ny\n", "a\nx\ny\nb\n"),
        ("a\u2028b\x0bc", 1, "new", "a\u2028b\x0bc\nnew\n"),
    ],
)
def test_t93_text_is_inserted_as_lines(
    files: MemoryFiles, text: str, line: int, piece: str, after: str
) -> None:
    files.create("/memories/a", text)
    files.insert("/memories/a", line, piece)
    assert files.view("/memories/a") == after


@pytest.mark.parametrize("line", [-1, 3])
def test_t93_a_line_that_is_not_there_is_refused(notes: Tool, line: int) -> None:
    ask(notes, command="create", path="/memories/a", file_text="1\n2\n")
    text = refused(notes, command="insert", path="/memories/a", insert_line=line, insert_text="x")
    assert "has 2 lines; give 0 to 2" in text


def test_t93_calls_of_one_reply_happen_in_their_order(notes: Tool) -> None:
    observer = Observer()
    replies = run(
        notes,
        {"command": "create", "path": "/memories/a", "file_text": "1"},
        {"command": "str_replace", "path": "/memories/a", "old_str": "1", "new_str": "2"},
        {"command": "view", "path": "/memories/a"},
        observer=observer,
    )
    assert observer.batches == [1, 1, 1]
    assert replies[-1] == ("     1\t2", False)


def test_t93_the_schema_has_the_commands_and_asks_for_one(notes: Tool) -> None:
    assert (notes.name, notes.concurrent, notes.native_types) == (
        "memory",
        False,
        {"anthropic": "memory_20250818"},
    )
    assert notes.input_schema["required"] == ["command"]
    assert notes.input_schema["properties"]["command"]["enum"] == [
        "view",
        "create",
        "str_replace",
        "insert",
        "delete",
        "rename",
    ]
    assert "view a file" in notes.input_schema["properties"]["command"]["description"]


class Broken(MemoryFiles):
    def view(self, path: str) -> Any:
        return {path: 1}

    def delete(self, path: str) -> None:
        raise RuntimeError("the disk is gone")


def test_t93_files_that_raise_are_an_error_result() -> None:
    notes = memory(Broken())
    with capture_logs() as logs:
        assert "RuntimeError: the disk is gone" in refused(notes, command="delete", path="/memories/a")
    assert [entry["event"] for entry in logs] == ["tool_crashed"]
    assert "view returned a dict" in refused(notes, command="view", path="/memories/a")


@pytest.mark.parametrize("given", [None, {}, object(), InMemoryFiles])
def test_what_has_not_the_methods_is_refused(given: Any) -> None:
    with pytest.raises(ConfigError, match="give an object with the methods of MemoryFiles"):
        memory(given)


def test_files_of_ones_own_need_not_inherit() -> None:
    class Mine:
        def view(self, path: str) -> list[str]:
            return ["/memories/mine"]

        create = str_replace = insert = delete = rename = view

    assert "/memories/mine" in ask(memory(Mine()), command="view", path="/memories")
