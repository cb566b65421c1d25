"""Memory in a directory: where its files are, and what it does not follow."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

import pytest

from alloy_actors.errors import ConfigError, ToolError
from alloy_actors.tools import DirectoryFiles


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


@pytest.fixture
def files(tmp_path: Path) -> DirectoryFiles:
    return DirectoryFiles(tmp_path / "root", "ada")


def test_files_outlive_the_object_and_are_the_sessions_own(tmp_path: Path, files: DirectoryFiles) -> None:
    files.create("/memories/a/b.md", "text")
    assert (tmp_path / "root/ada/a/b.md").read_text() == "text"
    assert DirectoryFiles(tmp_path / "root", "ada").view("/memories/a/b.md") == "text"
    assert DirectoryFiles(tmp_path / "root", "bob").view("/memories") == []
    assert DirectoryFiles(tmp_path / "root").view("/memories") == []


def test_nothing_is_made_before_there_is_something_to_keep(tmp_path: Path, files: DirectoryFiles) -> None:
    assert files.view("/memories") == []
    with pytest.raises(ToolError):
        files.delete("/memories/a")
    assert list(tmp_path.iterdir()) == []


def test_directories_go_with_their_last_file(tmp_path: Path, files: DirectoryFiles) -> None:
    files.create("/memories/a/b/c.md", "")
    files.create("/memories/a/d.md", "")
    files.rename("/memories/a/b/c.md", "/memories/e/c.md")
    assert names(tmp_path / "root/ada/a") == ["d.md"]
    files.delete("/memories/a/d.md")
    assert names(tmp_path / "root/ada") == ["e"]


@pytest.mark.parametrize("session", ["", ".", "..", "...", "a/b", "../ada", "a\0", "ä", "a\n", 3, None])
def test_a_session_that_is_no_plain_name_is_refused(tmp_path: Path, session: Any) -> None:
    with pytest.raises(ConfigError, match="session="):
        DirectoryFiles(tmp_path, session)


@pytest.mark.parametrize("root", ["", 3, None, "a\0b"])
def test_a_root_that_is_no_path_is_refused(root: Any) -> None:
    with pytest.raises(ConfigError, match="root="):
        DirectoryFiles(root)


@pytest.mark.parametrize(
    "path", ["/memories/../x", "/memories_evil/x", "/memories/../../../etc/passwd", "/etc/passwd", "x"]
)
def test_paths_are_checked_again_whoever_calls(tmp_path: Path, files: DirectoryFiles, path: str) -> None:
    files.create("/memories/a", "kept")
    calls = [
        lambda: files.view(path),
        lambda: files.create(path, ""),
        lambda: files.delete(path),
        lambda: files.insert(path, 0, ""),
        lambda: files.str_replace(path, "a", "b"),
        lambda: files.rename(path, "/memories/b"),
        lambda: files.rename("/memories/a", path),
    ]
    for call in calls:
        with pytest.raises(ToolError):
            call()
    assert [str(found.relative_to(tmp_path)) for found in tmp_path.rglob("*") if found.is_file()] == [
        "root/ada/a"
    ]


@pytest.fixture
def outside(tmp_path: Path, files: DirectoryFiles) -> Path:
    """A directory with a secret, and links to both in the memory."""
    files.create("/memories/a.md", "mine")
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    (secrets / "key").write_text("secret")
    (tmp_path / "root/ada/directory").symlink_to(secrets)
    (tmp_path / "root/ada/file").symlink_to(secrets / "key")
    (tmp_path / "root/ada/dangling").symlink_to(secrets / "new")
    return secrets


def test_links_are_not_followed_whatever_is_asked(files: DirectoryFiles, outside: Path) -> None:
    calls = [
        lambda: files.view("/memories/file"),
        lambda: files.view("/memories/directory"),
        lambda: files.view("/memories/directory/key"),
        lambda: files.create("/memories/dangling", "x"),
        lambda: files.create("/memories/directory/new", "x"),
        lambda: files.str_replace("/memories/file", "secret", "x"),
        lambda: files.insert("/memories/directory/key", 0, "x"),
        lambda: files.delete("/memories/directory/key"),
        lambda: files.rename("/memories/directory/key", "/memories/stolen"),
        lambda: files.rename("/memories/a.md", "/memories/directory/a.md"),
    ]
    for call in calls:
        with pytest.raises(ToolError) as caught:
            call()
        assert str(outside) not in str(caught.value)
        assert "secret" not in str(caught.value)
    assert names(outside) == ["key"]
    assert (outside / "key").read_text() == "secret"
    assert files.view("/memories") == ["/memories/a.md"]


def test_deleting_a_directory_with_a_link_leaves_what_it_points_to(
    tmp_path: Path, files: DirectoryFiles, outside: Path
) -> None:
    files.create("/memories/d/x.md", "")
    (tmp_path / "root/ada/d/link").symlink_to(outside)
    files.delete("/memories/d")
    assert (outside / "key").read_text() == "secret"
    files.delete("/memories/directory")  # the link itself
    assert (outside / "key").read_text() == "secret"


def test_the_root_itself_may_be_a_link_of_its_owner(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    DirectoryFiles(tmp_path / "link").create("/memories/a", "x")
    assert (tmp_path / "real/default/a").read_text() == "x"


def test_what_is_no_file_is_refused_and_not_waited_for(tmp_path: Path, files: DirectoryFiles) -> None:
    files.create("/memories/a", "")
    os.mkfifo(tmp_path / "root/ada/pipe")
    with pytest.raises(ToolError, match="not a regular file"):
        files.view("/memories/pipe")
    assert files.view("/memories") == ["/memories/a"]


def test_bytes_that_are_no_text_are_shown_replaced(tmp_path: Path, files: DirectoryFiles) -> None:
    files.create("/memories/a", "")
    (tmp_path / "root/ada/a").write_bytes(b"caf\xe9")
    assert files.view("/memories/a") == "caf\ufffd"


def test_a_file_that_is_too_large_is_refused(files: DirectoryFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("alloy_actors.tools._memory_directory.MAX_SIZE", 10)
    files.create("/memories/a", "x" * 10)
    for call in (
        lambda: files.create("/memories/b", "x" * 11),
        lambda: files.insert("/memories/a", 0, "y"),
    ):
        with pytest.raises(ToolError, match="larger than"):
            call()
    assert files.view("/memories") == ["/memories/a"]


def test_the_operating_systems_word_goes_without_the_paths_of_this_machine(
    tmp_path: Path, files: DirectoryFiles
) -> None:
    with pytest.raises(ToolError, match="^/memories/x+: File name too long.$"):
        files.create("/memories/" + "x" * 300, "")


def test_a_file_that_could_not_be_made_leaves_no_directories(
    tmp_path: Path, files: DirectoryFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    files.create("/memories/kept", "")
    monkeypatch.setattr("alloy_actors.tools._memory_directory.MAX_SIZE", 10)
    for call in (
        lambda: files.create("/memories/a/" + "x" * 300, ""),
        lambda: files.create("/memories/a/b/c", "x" * 11),
        lambda: files.rename("/memories/kept", "/memories/a/b/" + "x" * 300),
    ):
        with pytest.raises(ToolError):
            call()
        assert names(tmp_path / "root/ada") == ["kept"]


def test_agents_that_share_the_files_lose_no_change(files: DirectoryFiles) -> None:
    files.create("/memories/a", "")
    start = threading.Barrier(4)

    def work(name: str) -> None:
        start.wait(10)
        for number in range(25):
            files.insert("/memories/a", 0, f"{name} {number}")

    threads = [threading.Thread(target=work, args=(name,)) for name in "wxyz"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    text = files.view("/memories/a")
    assert isinstance(text, str)
    assert len(set(text.splitlines())) == 100
