"""The `edit` tool: what is found, what is put in its place, and what stays."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alloy_actors.errors import ToolError
from alloy_actors.tool_input import ToolInputError
from alloy_actors.tools import edit
from alloy_actors.tools._edit import MAX_SIZE, _Text


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "file.txt"


def test_t54_a_piece_that_occurs_once_is_replaced(file: Path) -> None:
    file.write_text("one\ntwo\nthree\n")
    assert edit(str(file), "two", "2") == f"Replaced 1 occurrence in {file} (line 2)."
    assert file.read_text() == "one\n2\nthree\n"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("", "x", "old_string is empty"),
        ("x", "x", "are the same"),
        ("a\r\nb", "a\nb", "are the same"),
        ("four", "x", "does not occur"),
        ("t", "x", r"ambiguous: it occurs 2 times .*\(lines 2, 3\).*replace_all"),
        ("\ud800", "x", "old_string holds half a character"),
        ("two", "\ud800", "new_string holds half a character"),
    ],
)
def test_t54_an_edit_that_cannot_be_made_changes_nothing(
    file: Path, old: str, new: str, message: str
) -> None:
    file.write_text("one\ntwo\nthree\n")
    with pytest.raises(ToolError, match=message):
        edit(str(file), old, new)
    assert file.read_text() == "one\ntwo\nthree\n"


@pytest.mark.parametrize("wrong", [{"old_string": 5}, {"new_string": None}, {"replace_all": "maybe"}])
def test_t54_arguments_of_another_type_are_refused(wrong: dict) -> None:
    with pytest.raises(ToolInputError, match=next(iter(wrong))):
        edit.arguments.bind({"file_path": "f", "old_string": "a", "new_string": "b", **wrong}, None)


def test_t54_pieces_that_overlap_are_ambiguous(file: Path) -> None:
    file.write_text("aaa")
    with pytest.raises(ToolError, match="2 times"):
        edit(str(file), "aa", "b")


def test_t54_replace_all_replaces_every_occurrence(file: Path) -> None:
    file.write_text("a-a-a\nb\na aaa")
    assert edit(str(file), "a", "xy", replace_all=True) == (
        f"Replaced 7 occurrences in {file} (line 1, 1, 1, 3, 3 ...)."
    )
    assert file.read_text() == "xy-xy-xy\nb\nxy xyxyxy"


def test_t54_crlf_is_kept_whatever_the_model_sends(file: Path) -> None:
    for old, new in (("two\nthree", "2\n\n3"), ("two\r\nthree", "2\r\n\r\n3")):
        file.write_bytes(b"one\r\ntwo\r\nthree\r\nfour")
        edit(str(file), old, new)
        assert file.read_bytes() == b"one\r\n2\r\n\r\n3\r\nfour"


def test_t54_lf_is_kept_whatever_the_model_sends(file: Path) -> None:
    file.write_bytes(b"one\ntwo\n")
    edit(str(file), "one\r\ntwo", "1\r\n2")
    assert file.read_bytes() == b"1\n2\n"


@pytest.mark.parametrize(
    ("content", "old", "new", "result"),
    [
        (b"a\r\nb", "a\n", "x\n", b"x\r\nb"),
        (b"a\r\nb", "\nb", "\ny", b"a\r\ny"),
        (b"a\r\nb", "\n", "\n\n", b"a\r\n\r\nb"),
        (b"a\r\nb", "a", "x\ny", b"x\r\ny\r\nb"),  # nothing of its own: the file's first
        (b"a\r\nb", "\n", "", b"ab"),
        (b"ab", "b", "x\ny", b"ax\ny"),
    ],
)
def test_t54_line_ends_at_the_edges_of_a_piece(
    file: Path, content: bytes, old: str, new: str, result: bytes
) -> None:
    file.write_bytes(content)
    edit(str(file), old, new)
    assert file.read_bytes() == result


def test_a_file_with_both_line_ends_changes_only_where_it_is_edited(file: Path) -> None:
    file.write_bytes(b"a\r\nb\nc\r\nd\ne\rf\n")
    edit(str(file), "b\nc", "B\nC")
    assert file.read_bytes() == b"a\r\nB\nC\r\nd\ne\rf\n"
    edit(str(file), "C\nd", "x\ny\nz")
    assert file.read_bytes() == b"a\r\nB\nx\r\ny\r\nz\ne\rf\n"


def test_t54_a_byte_order_mark_stays(file: Path) -> None:
    file.write_bytes(b"\xef\xbb\xbfone\r\n")
    edit(str(file), "one\n", "two\n")
    assert file.read_bytes() == b"\xef\xbb\xbftwo\r\n"


def test_bytes_that_are_no_utf_8_stay(file: Path) -> None:
    file.write_bytes(b"caf\xe9 one \xff\n")
    edit(str(file), "one", "zwölf")
    assert file.read_bytes() == b"caf\xe9 " + "zwölf".encode() + b" \xff\n"


def test_t54_a_binary_a_missing_and_a_huge_file_are_refused(file: Path, tmp_path: Path) -> None:
    with pytest.raises(ToolError, match="Cannot edit .*No such file"):
        edit(str(file), "a", "b")
    with pytest.raises(ToolError, match="is a directory"):
        edit(str(tmp_path), "a", "b")
    file.write_bytes(b"a\0b")
    with pytest.raises(ToolError, match="binary"):
        edit(str(file), "a", "b")
    file.write_bytes(b"a" * (MAX_SIZE + 1))
    with pytest.raises(ToolError, match="larger than 8 MiB"):
        edit(str(file), "a", "b")


def test_an_edit_cannot_blow_a_file_up(file: Path) -> None:
    file.write_bytes(b"a" * 100_000)
    with pytest.raises(ToolError, match="would be, larger"):
        edit(str(file), "a", "b" * 100_000, replace_all=True)
    assert file.stat().st_size == 100_000


@given(
    lines=st.lists(st.tuples(st.text("ab", max_size=2), st.sampled_from(["\n", "\r\n", ""])), max_size=8),
    old=st.text("ab\n", min_size=1, max_size=3),
    new=st.text("xy\n", max_size=3),
)
def test_apart_from_line_ends_an_edit_is_what_replace_does(
    lines: list[tuple[str, str]], old: str, new: str
) -> None:
    data = "".join(text + end for text, end in lines).encode()
    text = _Text(data)
    found = text.find(old.encode(), every=True)
    edited = text.replaced(found, len(old), new.encode())
    plain = data.replace(b"\r\n", b"\n").replace(old.encode(), new.encode())
    assert edited.replace(b"\r\n", b"\n") == plain.replace(b"\r\n", b"\n")
    if b"\n" not in data.replace(b"\r\n", b"") and b"\r\n" in data and "\n" not in old:
        assert edited.count(b"\n") == edited.count(b"\r\n")
