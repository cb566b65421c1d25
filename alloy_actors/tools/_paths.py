"""Where a file tool may go, and how it gets there without being led astray.

A path is first resolved to its real one, without links and "..", and compared with the allowed directories. Then the
directories of the real path are opened one below the other, from "/" on, and none of them through a link. Whoever
replaces a directory or the file by a link in between is noticed: what is opened in the end has exactly the path that
was compared.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Collection
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from alloy_actors.errors import ConfigError, ToolError
from alloy_actors.tooldef import ToolContext

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_LINKS = 40
"""Links followed in one path; as many as Linux follows."""

_ATTEMPTS = 3  # a path that changes under our eyes is resolved anew this often
_NOT_A_LINK = {
    errno.EINVAL,
    errno.ENOENT,
    errno.ENOTDIR,
}  # readlink's: an ordinary file, nothing, below a file


@dataclass(frozen=True, slots=True)
class Place:
    """A name in an open directory.

    Args:
        directory: Open for as long as the place is in use; names are looked up in it and nowhere else.
        name: Of the file, which may not exist.
        path: What the model is told: the real path when paths are restricted, else the one it gave made absolute.
    """

    directory: int
    name: str
    path: str


def checked_roots(allowed_paths: object) -> tuple[str, ...] | None:
    """The allowed directories as strings; None allows everything, an empty list nothing.

    Raises:
        ConfigError: It is not a list of paths.
    """
    if allowed_paths is None:
        return None
    if isinstance(allowed_paths, (str, bytes)) or not isinstance(allowed_paths, Collection):
        raise ConfigError(
            f"allowed_paths={allowed_paths!r}: give a list of directories, for example ['/srv/app']"
        )
    roots = tuple(os.fspath(path) if isinstance(path, os.PathLike) else path for path in allowed_paths)
    for root in roots:
        if not isinstance(root, str) or not root or "\0" in root:
            raise ConfigError(f"allowed_paths holds {root!r}: give paths of directories, as strings or Path")
    return roots


def resolve_path(
    path: str, ctx: ToolContext | None = None, allowed_paths: Collection[str | os.PathLike[str]] | None = None
) -> str:
    """The path a file tool would use, for tools of your own.

    A guard and no sandbox: what is there may be replaced by a link between this call and the next. The built-in tools
    do not have that gap.

    Args:
        path: Relative to the working directory, absolute, or with a leading `~`.
        ctx: Has the working directory and, under `context["allowed_paths"]`, the allowed directories.
        allowed_paths: Used instead of the context's.

    Returns:
        The real path if paths are restricted, else the absolute one with its links as they are.

    Raises:
        ToolError: The path is outside of the allowed directories, a loop of links, or no path at all.
        ConfigError: `allowed_paths` is not a list of paths.
    """
    with explained("resolve", path):
        return _resolve(path, ctx or ToolContext(), checked_roots(allowed_paths))[0]


@contextmanager
def located(
    path: str, ctx: ToolContext, roots: tuple[str, ...] | None, *, verb: str, create: bool = False
) -> Iterator[Place]:
    """Open the directory of a file, for as long as the block runs.

    Args:
        path: See `resolve_path`.
        ctx: See `resolve_path`.
        roots: The allowed directories; None are the context's.
        verb: What is about to be done, for the text of errors.
        create: Make directories that are missing.

    Raises:
        ToolError: As of `resolve_path`; also instead of any OSError here and in the block.
    """
    with explained(verb, path):
        shown, real, directory = _enter(path, ctx, roots, create=create)
        try:
            yield Place(directory, os.path.basename(real) or ".", shown)  # noqa: PTH119  (a name, not a file)
        finally:
            os.close(directory)


@contextmanager
def explained(verb: str, path: str) -> Iterator[None]:
    """Let the model know what the operating system said."""
    try:
        yield
    except OSError as error:
        raise ToolError(f"Cannot {verb} {path}: {error.strerror or error}.") from error


def _enter(
    path: str, ctx: ToolContext, roots: tuple[str, ...] | None, *, create: bool
) -> tuple[str, str, int]:
    """The path to show, the real path, and the open directory of the latter."""
    for attempt in range(1, _ATTEMPTS + 1):
        shown, real = _resolve(path, ctx, roots)
        try:
            return shown, real, open_directory(os.path.dirname(real), create=create)  # noqa: PTH120  (no file)
        except OSError as error:  # a link where there was none a moment ago, or a file amid the path
            if error.errno not in {errno.ELOOP, errno.ENOTDIR} or attempt == _ATTEMPTS:
                raise
    raise AssertionError


def _resolve(path: str, ctx: ToolContext, roots: tuple[str, ...] | None) -> tuple[str, str]:
    """The path to show and the real path.

    Raises:
        ToolError: The real path is outside of the roots.
    """
    if roots is None:
        roots = checked_roots(ctx.context.get("allowed_paths"))
    full = absolute(path, ctx.working_directory)
    real = real_path(full)
    if roots is None:
        return full, real
    allowed = [real_path(absolute(root, ctx.working_directory)) for root in roots]
    if not any(_is_within(real, root) for root in allowed):
        raise ToolError(
            f"{path} is outside of the allowed directories. Allowed: {', '.join(allowed) or 'none'}."
        )
    return real, real


def _is_within(path: str, root: str) -> bool:
    return path == root or path.startswith(root if root == "/" else root + "/")


def absolute(path: str, working_directory: str) -> str:
    """The path from "/" on, with its links and ".."; a leading `~` is somebody's home.

    Raises:
        ToolError: It is no path.
    """
    if not path or "\0" in path:
        raise ToolError(f"{path!r} is no path of a file.")
    try:
        os.fsencode(path)
    except UnicodeEncodeError:
        raise ToolError(f"{path!r} is no path of a file: it holds half a character.") from None
    parts = (os.getcwd(), os.path.expanduser(working_directory), os.path.expanduser(path))  # noqa: PTH109, PTH111  (text, joined below)
    joined = os.path.join(*parts)  # noqa: PTH118  (strings all the way)
    # ".." stays: after a link it means the parent of where the link leads.
    return "/" + "/".join(part for part in joined.split("/") if part not in {"", "."})


def real_path(path: str) -> str:
    """An absolute path without links, "." and ".."; what is missing is taken as it is.

    Raises:
        ToolError: More than `MAX_LINKS` links: they form a loop.
        OSError: A directory on the way may not be looked into.
    """
    left = path.split("/")[::-1]
    done = ""
    links = 0
    while left:
        part = left.pop()
        if part in {"", "."}:
            continue
        if part == "..":
            done = done.rpartition("/")[0]
            continue
        try:
            target = os.readlink(f"{done}/{part}")  # noqa: PTH115  (strings all the way)
        except OSError as error:
            if error.errno not in _NOT_A_LINK:
                raise
            done = f"{done}/{part}"
            continue
        links += 1
        if links > MAX_LINKS:
            raise ToolError(f"{path}: too many symbolic links; they may form a loop.")
        if target.startswith("/"):
            done = ""
        left.extend(target.split("/")[::-1])
    return done or "/"


def open_directory(real: str, *, create: bool) -> int:
    """Open a directory by a path without links, refusing links at every step.

    Raises:
        OSError: ELOOP or ENOTDIR: there is a link now, or a file.
    """
    # O_PATH, where it exists, asks for no more than the right to pass through.
    flags = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    directory = os.open("/", flags)
    try:
        for part in real.split("/"):
            if not part:
                continue
            try:
                below = os.open(part, flags, dir_fd=directory)
            except FileNotFoundError:
                if not create:
                    raise
                try:
                    os.mkdir(part, dir_fd=directory)
                except FileExistsError:
                    pass  # somebody was quicker
                below = os.open(part, flags, dir_fd=directory)
            os.close(directory)
            directory = below
    except BaseException:
        os.close(directory)
        raise
    return directory
