"""The `read` tool: numbers, parts of files, and files that are none."""

from __future__ import annotations

import os
import tracemalloc
from pathlib import Path

import pytest

from alloy_actors.errors import ToolError
from alloy_actors.tool_input import ToolInputError
from alloy_actors.tooldef import Cancelled, ToolContext
from alloy_actors.tools import read
from alloy_actors.tools._read import LINE, MAX_RESULT_CHARS, SHOWN


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "file.txt"


def test_t53_lines_are_numbered_from_one_and_padded_to_six(file: Path) -> None:
    file.write_text("first\n\n  third")
    assert read(str(file)) == "     1\tfirst\n     2\t\n     3\t  third\n"


def test_t53_numbers_grow_beyond_six_digits(file: Path) -> None:
    file.write_bytes(b"\n" * 1_000_000 + b"last")
    assert read(str(file), offset=1_000_000) == "1000000\t\n1000001\tlast\n"


def test_t53_offset_and_limit_choose_a_part_and_the_last_line_says_how_to_go_on(file: Path) -> None:
    file.write_text("".join(f"line {number}\n" for number in range(1, 11)))
    assert read(str(file), offset=3, limit=2) == (
        "     3\tline 3\n     4\tline 4\n[lines 3 to 4 of 10; go on with offset=5]\n"
    )
    assert read(str(file), offset=9, limit=2) == "     9\tline 9\n    10\tline 10\n"
    assert read(str(file), offset=10, limit=2_000) == "    10\tline 10\n"


def test_t53_two_thousand_lines_are_read_unless_asked_otherwise(file: Path) -> None:
    file.write_text("x\n" * 2_001)
    assert read(str(file)).endswith("  2000\tx\n[lines 1 to 2000 of 2001; go on with offset=2001]\n")


@pytest.mark.parametrize(
    "arguments", [{"offset": 0}, {"offset": -1}, {"limit": 0}, {"limit": "many"}, {"offset": 1.5}]
)
def test_t53_offset_and_limit_must_be_whole_numbers_from_one(file: Path, arguments: dict) -> None:
    with pytest.raises(ToolInputError, match=next(iter(arguments))):
        read.arguments.bind({"file_path": str(file), **arguments}, None)


def test_t53_offset_and_limit_are_checked_for_callers_from_python_too(file: Path) -> None:
    file.write_text("x")
    for arguments in ({"offset": 0}, {"limit": -1}):
        with pytest.raises(ToolError, match="at least 1"):
            read(str(file), **arguments)


@pytest.mark.parametrize(("content", "lines"), [("a\nb\n", 2), ("a\nb", 2), ("", 0)])
def test_t53_an_offset_behind_the_end_is_an_error_with_the_number_of_lines(
    file: Path, content: str, lines: int
) -> None:
    file.write_text(content)
    for offset in (lines + 1, lines + 2, lines + 50):
        if offset > 1:
            with pytest.raises(ToolError, match=f"has {lines} lines; offset {offset} is behind its end"):
                read(str(file), offset=offset)


def test_t53_an_empty_file_is_an_empty_string(file: Path) -> None:
    file.touch()
    assert read(str(file)) == ""


def test_t53_a_nul_near_the_start_means_binary(file: Path) -> None:
    file.write_bytes(b"x" * 8_191 + b"\0")
    with pytest.raises(ToolError, match="binary"):
        read(str(file))
    file.write_bytes(b"x" * 8_192 + b"\0")
    assert "\0" in read(str(file))


def test_t53_a_directory_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ToolError, match="is a directory"):
        read(str(tmp_path))


def test_a_fifo_and_a_device_are_errors_and_keep_nobody_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for path in (tmp_path / "fifo", "/dev/zero"):
        with pytest.raises(ToolError, match="not a regular file"):
            read(str(path))


def test_a_missing_file_is_an_error_that_names_the_path(file: Path) -> None:
    with pytest.raises(ToolError, match=f"Cannot read {file}: No such file or directory."):
        read(str(file))


def test_t53_latin_1_is_shown_with_replacements(file: Path) -> None:
    file.write_bytes("café\nsüß\n".encode("latin-1"))
    assert read(str(file)) == "     1\tcaf\ufffd\n     2\ts\ufffd\ufffd\n"


def test_line_ends_and_the_byte_order_mark_are_not_shown(file: Path) -> None:
    file.write_bytes(b"\xef\xbb\xbfone\r\ntwo\r\n\r\nlone\rcr")
    assert read(str(file)) == "     1\tone\n     2\ttwo\n     3\t\n     4\tlone\rcr\n"


def test_a_result_stops_at_a_whole_line_before_the_executor_would_cut_it(file: Path) -> None:
    file.write_text("".join(f"{'é' * 100} {number}\n" for number in range(1, 1_001)))
    text = read(str(file))
    *lines, hint = text.splitlines()
    assert len(text.encode()) - len(hint) - 1 <= SHOWN
    assert len(text) <= MAX_RESULT_CHARS == read.max_result_chars
    last = len(lines)
    assert lines[-1] == f"{last:>6}\t{'é' * 100} {last}"
    assert hint == f"[lines 1 to {last} of 1000; go on with offset={last + 1}]"
    assert read(str(file), offset=last + 1).startswith(f"{last + 1:>6}\t")


def test_the_first_line_is_shown_even_if_it_is_too_long(file: Path) -> None:
    file.write_text("€" * 100_000 + "\n" + "x" * 5_000)
    text = read(str(file))
    first, hint = text.splitlines()
    shown = LINE // 3
    assert first == f"     1\t{'€' * shown} [... {3 * (100_000 - shown)} more bytes in this line]"
    assert hint == "[lines 1 to 1 of 2; go on with offset=2]"
    assert len(text) <= MAX_RESULT_CHARS


@pytest.mark.parametrize("size", [LINE - 1, LINE, LINE + 1])
def test_a_line_about_as_long_as_the_limit_loses_nothing_unsaid(file: Path, size: int) -> None:
    for end in ("", "\n", "\r\n"):
        file.write_text("x" * size + end, newline="")
        (line,) = read(str(file)).splitlines()
        shown = line.count("x")
        note = "" if shown == size else f" [... {size - shown} more bytes in this line]"
        assert line == f"     1\t{'x' * shown}{note}"
        assert shown >= LINE - 2


def test_a_large_file_takes_no_memory(file: Path) -> None:
    """One line of 64 MiB, then as much in lines: neither is ever held."""
    with file.open("wb") as out:
        for _ in range(64):
            out.write(b"x" * (1 << 20))
        for _ in range(64):
            out.write(b"\n" + (b"y" * 1_023 + b"\n") * 1_023 + b"y" * 1_023)
    tracemalloc.start()
    try:
        assert read(str(file), limit=1).endswith("[lines 1 to 1 of 65537; go on with offset=2]\n")
        assert read(str(file), offset=65_537).startswith(" 65537\ty")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 8 << 20


def test_a_cancelled_read_ends(file: Path) -> None:
    file.write_text("x\n" * 10)
    cancelled = Cancelled()
    cancelled.set()
    with pytest.raises(ToolError, match="cancelled"):
        read(str(file), ctx=ToolContext(cancelled=cancelled))


def test_reading_may_run_beside_other_calls_and_again() -> None:
    assert read.concurrent
    assert read.idempotent
    assert set(read.input_schema["properties"]) == {"file_path", "offset", "limit"}
    assert read.input_schema["required"] == ["file_path"]
