"""The `write` tool, and how a file gets its new content."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from alloy_actors.errors import ToolError
from alloy_actors.tools import _files, edit, read, write


def names(directory: Path) -> set[str]:
    return {path.name for path in directory.iterdir()}


def test_t55_directories_that_are_missing_are_made(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "c.txt"
    assert write(str(path), "héllo\r\n") == f"Wrote 8 bytes to {path}."
    assert path.read_bytes() == "héllo\r\n".encode()
    assert names(path.parent) == {"c.txt"}


def test_t55_an_existing_file_is_replaced_and_keeps_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "script"
    path.write_text("a long old content")
    path.chmod(0o751)
    write(str(path), "new")
    assert path.read_text() == "new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o751


def test_a_new_file_has_the_mode_that_the_umask_asks_for(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write(str(tmp_path / "new"), "")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o640


def test_t55_errors_are_for_the_model(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ToolError, match="Cannot write .*Not a directory"):
        write(str(tmp_path / "file" / "below"), "")
    with pytest.raises(ToolError, match="is a directory"):
        write(str(tmp_path), "")
    with pytest.raises(ToolError, match="File name too long"):
        write(str(tmp_path / ("x" * 300)), "")
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(ToolError, match="not a regular file"):
        write(str(tmp_path / "fifo"), "")
    assert names(tmp_path) == {"file", "fifo"}


def test_t55_a_file_that_may_not_be_written_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Though its directory would let us put another in its place."""
    path = tmp_path / "file"
    path.write_text("kept")
    opened = os.open

    def read_only(name: Any, flags: int, *rest: Any, **options: Any) -> int:
        if name == "file" and flags & os.O_WRONLY:  # what the system says to all but root
            raise PermissionError(errno.EACCES, "Permission denied")
        return opened(name, flags, *rest, **options)

    monkeypatch.setattr(_files.os, "open", read_only)
    with pytest.raises(ToolError, match="Cannot write .*Permission denied"):
        write(str(path), "new")
    assert path.read_text() == "kept"
    assert names(tmp_path) == {"file"}


def test_half_a_character_is_refused_and_the_file_stays(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("kept")
    with pytest.raises(ToolError, match="content holds half a character .* at 2"):
        write(str(path), "ab\ud800")
    assert path.read_text() == "kept"


def test_a_link_is_followed_and_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("target")
    write(str(tmp_path / "link"), "new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "target").read_text() == "new"


def test_all_names_of_a_file_see_the_new_content(tmp_path: Path) -> None:
    (tmp_path / "one").write_text("a long old content")
    os.link(tmp_path / "one", tmp_path / "two")
    write(str(tmp_path / "one"), "new")
    assert (tmp_path / "two").read_text() == "new"


def test_whoever_has_the_file_open_sees_all_of_the_old_content(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    with path.open() as held:
        write(str(path), "new")
        assert held.read() == "old"


@pytest.mark.parametrize("tool_name", ["write", "edit"])
def test_a_full_disk_leaves_the_old_content_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tool_name: str
) -> None:
    path = tmp_path / "file"
    path.write_text("old")

    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(_files.os, "rename", full)
    with pytest.raises(ToolError, match=f"Cannot {tool_name} .*No space left"):
        write(str(path), "new") if tool_name == "write" else edit(str(path), "old", "new")
    assert path.read_text() == "old"
    assert names(tmp_path) == {"file"}


@pytest.mark.parametrize("code", [errno.EBUSY, errno.EACCES])
def test_a_file_that_cannot_be_swapped_is_overwritten_in_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    path = tmp_path / "file"
    path.write_text("a long old content")
    inode = path.stat().st_ino

    def refused(*_: Any, **__: Any) -> None:
        raise OSError(code, "no")

    monkeypatch.setattr(_files.os, "rename", refused)
    write(str(path), "new")
    assert path.read_text() == "new"
    assert path.stat().st_ino == inode
    assert names(tmp_path) == {"file"}


def test_a_file_with_extended_attributes_keeps_them(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    try:
        os.setxattr(path, "user.note", b"kept")
    except (AttributeError, OSError):
        pytest.skip("no extended attributes here")
    write(str(path), "new")
    assert path.read_text() == "new"
    assert os.getxattr(path, "user.note") == b"kept"


def test_what_changes_files_runs_alone_and_is_not_repeated() -> None:
    for made in (write, edit):
        assert not made.concurrent
        assert not made.idempotent
    assert write.input_schema["required"] == ["file_path", "content"]


def test_what_was_written_is_read_back(tmp_path: Path) -> None:
    write(str(tmp_path / "f"), "eins\nzwei")
    assert read(str(tmp_path / "f")) == "     1\teins\n     2\tzwei\n"
