"""Which paths are allowed, and that what is opened is what was compared."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from alloy_actors.errors import ConfigError, ToolError
from alloy_actors.tooldef import ToolContext
from alloy_actors.tools import _paths, edit, file_tools, read, resolve_path, write


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """An allowed directory `root` beside `root-secrets`, which is not allowed."""
    (tmp_path / "root" / "sub").mkdir(parents=True)
    (tmp_path / "root" / "a.txt").write_text("allowed")
    (tmp_path / "root" / "sub" / "b.txt").write_text("below")
    (tmp_path / "root-secrets").mkdir()
    (tmp_path / "root-secrets" / "key").write_text("secret")
    return Path(os.path.realpath(tmp_path)) / "root"


def within(*roots: object, directory: Path) -> ToolContext:
    return ToolContext(working_directory=str(directory), context={"allowed_paths": list(roots)})


@pytest.mark.parametrize(
    "path",
    [
        "../root-secrets/key",
        "sub/../../root-secrets/key",
        "missing/../../root-secrets/key",
        "../root-secrets",
        "..",
        "/",
        "/etc/passwd",
        "../missing",
    ],
)
def test_t56_a_path_outside_of_the_allowed_directories_is_refused(root: Path, path: str) -> None:
    with pytest.raises(ToolError, match=f"outside of the allowed directories. Allowed: {root}"):
        resolve_path(path, within(root, directory=root))


@pytest.mark.parametrize(
    ("path", "real"),
    [
        ("a.txt", "a.txt"),
        ("./sub//b.txt", "sub/b.txt"),
        ("sub/../a.txt", "a.txt"),
        ("../root/a.txt", "a.txt"),
        ("new/file", "new/file"),
        (".", ""),
    ],
)
def test_t56_a_path_inside_is_returned_as_the_real_one(root: Path, path: str, real: str) -> None:
    assert Path(resolve_path(path, within(root, directory=root))) == root / real


def test_t56_a_directory_whose_name_starts_like_the_root_is_not_inside(root: Path) -> None:
    with pytest.raises(ToolError, match="outside"):
        resolve_path(f"{root}-secrets/key", within(root, directory=root))


@pytest.mark.parametrize("target", ["../root-secrets", "{parent}/root-secrets", "sub/../../root-secrets"])
def test_t56_a_link_that_leads_outside_is_refused_for_every_tool(root: Path, target: str) -> None:
    (root / "link").symlink_to(target.format(parent=root.parent))
    ctx = within(root, directory=root)
    for attempt in (
        lambda: read("link/key", ctx=ctx),
        lambda: write("link/key", "mine", ctx=ctx),
        lambda: write("link/deep/new", "mine", ctx=ctx),
        lambda: edit("link/key", "secret", "mine", ctx=ctx),
    ):
        with pytest.raises(ToolError, match="outside"):
            attempt()
    assert [path.name for path in root.parent.joinpath("root-secrets").iterdir()] == ["key"]
    assert (root.parent / "root-secrets" / "key").read_text() == "secret"


def test_t56_a_dangling_link_is_no_way_to_create_a_file_outside(root: Path) -> None:
    (root / "link").symlink_to("../root-secrets/new")
    with pytest.raises(ToolError, match="outside"):
        write("link", "mine", ctx=within(root, directory=root))
    assert not (root.parent / "root-secrets" / "new").exists()


def test_t56_dots_after_a_link_mean_the_parent_of_where_it_leads(root: Path) -> None:
    (root / "link").symlink_to("/usr/bin")
    with pytest.raises(ToolError, match="outside"):
        resolve_path("link/../a.txt", within(root, directory=root))


def test_t56_a_link_that_stays_inside_is_followed(root: Path) -> None:
    (root / "link").symlink_to("sub")
    (root / "sub" / "back").symlink_to("../a.txt")
    ctx = within(root, directory=root)
    assert resolve_path("link/b.txt", ctx) == str(root / "sub" / "b.txt")
    assert read("link/back", ctx=ctx) == "     1\tallowed\n"
    assert write("link/back", "new", ctx=ctx) == f"Wrote 3 bytes to {root / 'a.txt'}."
    assert (root / "a.txt").read_text() == "new"
    assert (root / "sub" / "back").is_symlink()


def test_t56_a_loop_of_links_is_an_error(root: Path) -> None:
    (root / "one").symlink_to("two")
    (root / "two").symlink_to("one")
    for ctx in (within(root, directory=root), ToolContext(working_directory=str(root))):
        with pytest.raises(ToolError, match="too many symbolic links"):
            read("one", ctx=ctx)


def test_t56_forty_links_are_followed_and_no_more(root: Path) -> None:
    (root / "link0").symlink_to("a.txt")
    for number in range(1, 41):
        (root / f"link{number}").symlink_to(f"link{number - 1}")
    ctx = within(root, directory=root)
    assert resolve_path("link39", ctx) == str(root / "a.txt")
    with pytest.raises(ToolError, match="too many"):
        resolve_path("link40", ctx)


def test_t56_a_root_that_is_a_link_allows_where_it_leads(root: Path) -> None:
    (root.parent / "alias").symlink_to("root")
    for ctx in (
        within(root.parent / "alias", directory=root.parent),
        within("alias", directory=root.parent),
    ):
        assert resolve_path("alias/a.txt", ctx) == str(root / "a.txt")
        assert resolve_path(str(root / "a.txt"), ctx) == str(root / "a.txt")


def test_t56_without_allowed_paths_a_path_is_only_made_absolute(root: Path) -> None:
    (root / "link").symlink_to("sub")
    ctx = ToolContext(working_directory=str(root))
    assert resolve_path("link/b.txt", ctx) == str(root / "link" / "b.txt")
    assert resolve_path("/etc/passwd", ctx) == "/etc/passwd"
    assert write("link/c.txt", "", ctx=ctx) == f"Wrote 0 bytes to {root / 'link' / 'c.txt'}."
    assert (root / "sub" / "c.txt").exists()


def test_a_relative_working_directory_is_one_of_the_process(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(root)
    assert read("b.txt", ctx=ToolContext(working_directory="sub")) == "     1\tbelow\n"
    assert read("sub/b.txt") == "     1\tbelow\n"


def test_a_tilde_is_the_home_directory(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(root))
    assert read("~/a.txt") == "     1\tallowed\n"


def test_the_root_directory_as_a_root_allows_everything(root: Path) -> None:
    assert read(str(root / "a.txt"), ctx=within("/", directory=root)) == "     1\tallowed\n"
    with pytest.raises(ToolError, match="directory"):
        read("/", ctx=within("/", directory=root))


def test_an_empty_list_allows_nothing(root: Path) -> None:
    with pytest.raises(ToolError, match="Allowed: none"):
        read("a.txt", ctx=within(directory=root))


@pytest.mark.parametrize("paths", ["/srv", 5, [""], [5], ["a\0b"], b"/srv", iter(["/srv"])])
def test_allowed_paths_that_are_no_list_of_paths_refuse_everything(root: Path, paths: Any) -> None:
    with pytest.raises(ConfigError, match="allowed_paths"):
        file_tools(allowed_paths=paths)
    with pytest.raises(ConfigError, match="allowed_paths"):
        read("a.txt", ctx=ToolContext(working_directory=str(root), context={"allowed_paths": paths}))


@pytest.mark.parametrize("path", ["", "a\0b", "\ud800"])
def test_what_is_no_path_is_an_error(root: Path, path: str) -> None:
    for made in (lambda: read(path), lambda: write(path, ""), lambda: edit(path, "a", "b")):
        with pytest.raises(ToolError, match="is no path"):
            made()


def test_tools_of_the_constructor_keep_to_their_directories_whatever_the_context_says(root: Path) -> None:
    bound_read, bound_write, bound_edit = file_tools(allowed_paths=[root / "sub"])
    assert [bound_read.name, bound_write.name, bound_edit.name] == ["read", "write", "edit"]
    ctx = within("/", directory=root)
    assert bound_read("sub/b.txt", ctx=ctx) == "     1\tbelow\n"
    for attempt in (
        lambda: bound_read("a.txt", ctx=ctx),
        lambda: bound_write("a.txt", "", ctx=ctx),
        lambda: bound_edit("a.txt", "allowed", "", ctx=ctx),
    ):
        with pytest.raises(ToolError, match="outside"):
            attempt()


def test_the_constructor_makes_read_alone_and_leaves_the_rest_to_the_context_when_told_so(root: Path) -> None:
    (only_read,) = file_tools(allowed_paths=None, read_only=True)
    assert only_read.name == "read"
    with pytest.raises(ToolError, match="outside"):
        only_read("a.txt", ctx=within(root / "sub", directory=root))


def swapping(monkeypatch: pytest.MonkeyPatch, swap: Callable[[], None]) -> list[str]:
    """Let `swap` happen each time a path has been resolved and before anything is opened."""
    resolve, resolved = _paths._resolve, []

    def resolve_and_swap(*args: Any) -> tuple[str, str]:
        found = resolve(*args)
        resolved.append(found[1])
        swap()
        return found

    monkeypatch.setattr(_paths, "_resolve", resolve_and_swap)
    return resolved


def test_t56_a_directory_replaced_by_a_link_after_the_check_is_not_entered(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (root / "sub" / "key").write_text("public")

    def swap() -> None:
        if not (root / "sub").is_symlink():
            (root / "sub").rename(root / "moved")
            (root / "sub").symlink_to("../root-secrets")

    ctx = within(root, directory=root)
    resolved = swapping(monkeypatch, swap)
    with pytest.raises(ToolError, match="outside"):  # resolved anew, and refused
        read("sub/key", ctx=ctx)
    assert len(resolved) == 1


@pytest.mark.parametrize("target", ["../root-secrets/key", "/etc/passwd"])
def test_t56_a_file_replaced_by_a_link_after_the_check_is_not_opened(
    root: Path, monkeypatch: pytest.MonkeyPatch, target: str
) -> None:
    def swap() -> None:
        (root / "a.txt").unlink(missing_ok=True)
        (root / "a.txt").symlink_to(target)

    ctx = within(root, directory=root)
    for attempt in (
        lambda: read("a.txt", ctx=ctx),
        lambda: write("a.txt", "mine", ctx=ctx),
        lambda: edit("a.txt", "secret", "mine", ctx=ctx),
    ):
        (root / "a.txt").unlink()
        (root / "a.txt").write_text("allowed")
        with monkeypatch.context() as patch:
            swapping(patch, swap)
            with pytest.raises(ToolError, match="became a symbolic link"):
                attempt()
    assert (root.parent / "root-secrets" / "key").read_text() == "secret"


def test_a_path_that_never_stops_changing_is_given_up(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each time it is looked at it is a directory, each time it is opened it is a link."""
    resolve = _paths._resolve

    def changing(*args: Any) -> tuple[str, str]:
        (root / "sub").unlink(missing_ok=True)
        (root / "moved").rename(root / "sub")
        found = resolve(*args)
        (root / "sub").rename(root / "moved")
        (root / "sub").symlink_to("../root-secrets")
        return found

    (root / "sub").rename(root / "moved")
    monkeypatch.setattr(_paths, "_resolve", changing)
    with pytest.raises(ToolError, match="Cannot read sub/b.txt: "):
        read("sub/b.txt", ctx=within(root, directory=root))


def test_no_descriptor_is_left_open_whatever_happens(root: Path) -> None:
    (root / "link").symlink_to("/etc")
    ctx = within(root, directory=root)
    before = sum(1 for _ in Path("/dev/fd").iterdir())
    for path in ("a.txt", "missing", "a.txt/b", "link/passwd", "sub", "missing/deep/file"):
        for attempt in (
            lambda path=path: read(path, ctx=ctx),
            lambda path=path: edit(path, "x", "y", ctx=ctx),
        ):
            try:
                attempt()
            except ToolError:
                pass
    write("new/deep/file", "x", ctx=ctx)
    assert sum(1 for _ in Path("/dev/fd").iterdir()) == before
