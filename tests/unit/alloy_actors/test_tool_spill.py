"""Large results kept in files."""

from __future__ import annotations

import asyncio
import re
import stat
import threading
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from alloy_actors.content import ImageBlock, TextBlock, ToolCall
from alloy_actors.deadline import NEVER
from alloy_actors.errors import ConfigError, ToolError
from alloy_actors.tool_runner import ToolOutcome, ToolRunner
from alloy_actors.tool_spill import Spill
from alloy_actors.tooldef import ToolContext, tool, toolbox

IMAGE = ImageBlock("image/png", "aW1hZ2U=")
LONG_TEXT = "".join(f"line {number}: äöü\n" for number in range(1000))


class Inline:
    def __init__(self) -> None:
        self.threads: list[threading.Thread] = []

    async def call(self, function: Any, *, name: str) -> object:
        self.threads.append(threading.current_thread())
        return function()


class Closed:
    async def call(self, function: Any, *, name: str) -> object:
        raise ToolError("no worker is free")


class Observer:
    async def starting(self, calls: Any) -> None: ...
    async def ended(self, outcome: ToolOutcome) -> None: ...


def outcome_of(
    function: Any, spill: Spill, working_directory: Path | str = ".", workers: Any = None, **where: Any
) -> ToolOutcome:
    made = tool(function, name="big", spill=spill)
    run = ToolRunner(workers or Inline(), **where).run(
        [ToolCall("../../call", "big", {})],
        toolbox([made]),
        lambda call, cancelled: ToolContext(
            tool_call_id=call.id, cancelled=cancelled, working_directory=str(working_directory)
        ),
        timeout=10,
        deadline=NEVER,
        observer=Observer(),
    )
    return asyncio.run(run)[0]


def kinds(value: Any) -> list[Any]:
    def plain() -> Any:
        return value

    async def awaited() -> Any:
        return value

    return [plain, awaited]


@pytest.mark.parametrize("function", kinds(LONG_TEXT), ids=["plain", "async"])
def test_a_large_result_is_in_a_file_and_the_model_reads_head_tail_and_path(
    tmp_path: Path, function: Any
) -> None:
    outcome = outcome_of(function, Spill(tmp_path / "results", over=5_000))
    (file,) = (tmp_path / "results").iterdir()
    assert file.read_text() == LONG_TEXT
    text = outcome.result.text
    left = len(LONG_TEXT) - 3_000
    assert (
        text
        == f"{LONG_TEXT[:2_000]}\n[... {left} of {len(LONG_TEXT)} characters left out; all of it is in {file} ...]\n"
        f"{LONG_TEXT[-1_000:]}"
    )
    assert not outcome.result.is_error
    assert outcome.error is None


def test_the_file_is_for_its_owner_alone_and_named_by_nobody_but_us(tmp_path: Path) -> None:
    directory = tmp_path / "results"
    for _ in range(3):
        outcome_of(kinds(LONG_TEXT)[0], Spill(directory))
    names = sorted(path.name for path in directory.iterdir())
    assert len(names) == 3
    assert all(re.fullmatch(r"big-[0-9a-f]{16}\.txt", name) for name in names)
    assert [stat.S_IMODE(path.stat().st_mode) for path in directory.iterdir()] == [0o600] * 3
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert list(tmp_path.iterdir()) == [directory]


def test_a_relative_directory_is_in_the_runs_working_directory(tmp_path: Path) -> None:
    outcome = outcome_of(kinds(LONG_TEXT)[0], Spill("results"), working_directory=tmp_path)
    (file,) = (tmp_path / "results").iterdir()
    assert str(file) in outcome.result.text


@pytest.mark.parametrize("size", [0, 1, 10_000])
def test_a_result_that_is_not_larger_stays(tmp_path: Path, size: int) -> None:
    for function in kinds("x" * size):
        assert outcome_of(function, Spill(tmp_path)).result.content == "x" * size
    assert list(tmp_path.iterdir()) == []


def test_an_error_is_never_spilled(tmp_path: Path) -> None:
    def fails() -> str:
        raise ToolError("x" * 20_000)

    outcome = outcome_of(fails, Spill(tmp_path))
    assert outcome.result.content == "x" * 20_000
    assert outcome.result.is_error
    assert list(tmp_path.iterdir()) == []


def test_data_stays_whole_and_files_in_the_result_stay(tmp_path: Path) -> None:
    rows = list(range(10_000))
    assert outcome_of(kinds(rows)[0], Spill(tmp_path)).data == rows
    content = outcome_of(kinds(["a" * 6_000, IMAGE, "b" * 6_000])[0], Spill(tmp_path)).result.content
    assert isinstance(content[0], TextBlock)
    assert content[0].text.startswith("aaa")
    assert content[0].text.endswith("bbb")
    assert content[1:] == (IMAGE,)


@pytest.mark.parametrize("function", kinds(LONG_TEXT), ids=["plain", "async"])
def test_a_file_that_cannot_be_written_is_said_and_logged_and_no_error(tmp_path: Path, function: Any) -> None:
    taken = tmp_path / "file"
    taken.write_text("")
    with capture_logs() as logs:
        outcome = outcome_of(function, Spill(taken))
    assert "the rest could not be saved: File exists" in outcome.result.text
    assert not outcome.result.is_error
    assert [entry["event"] for entry in logs] == ["spill_failed"]
    assert taken.read_text() == ""


def test_an_async_tools_file_is_written_by_a_worker(tmp_path: Path) -> None:
    workers = Inline()
    outcome_of(kinds(LONG_TEXT)[1], Spill(tmp_path), workers=workers)
    assert len(workers.threads) == 1
    with capture_logs():
        outcome = outcome_of(kinds(LONG_TEXT)[1], Spill(tmp_path), workers=Closed())
    assert "the rest could not be saved: no worker is free" in outcome.result.text
    assert not outcome.result.is_error


def test_an_async_tool_on_another_loop_leaves_the_file_to_the_workers_of_home(tmp_path: Path) -> None:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        workers = Inline()
        outcome = outcome_of(kinds(LONG_TEXT)[1], Spill(tmp_path), workers=workers, loop=loop)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()
    assert workers.threads == [threading.current_thread()]
    assert "all of it is in" in outcome.result.text


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"directory": ""}, "directory"),
        ({"directory": 3}, "directory"),
        ({"directory": "x", "over": 0}, "over"),
        ({"directory": "x", "over": 1.5}, "over"),
        ({"directory": "x", "head": -1}, "head"),
        ({"directory": "x", "tail": True}, "tail"),
        ({"directory": "x", "over": 3_000}, "head=2000 and tail=1000 must be less than over=3000"),
    ],
)
def test_a_spill_that_does_not_fit_is_refused_by_name(options: dict[str, Any], field: str) -> None:
    with pytest.raises(ConfigError, match=field):
        Spill(**options)


def test_a_tool_has_a_spill_or_a_limit() -> None:
    def big() -> str:
        return ""

    with pytest.raises(ConfigError, match="spill='x' must be an alloy.Spill"):
        tool(big, spill="x")  # type: ignore[call-overload] # the case
    with pytest.raises(ConfigError, match="spill or max_result_chars, not both"):
        tool(big, spill=Spill("x"), max_result_chars=100)
