"""Memory in a directory: real files, that outlive the process and that people can read."""

from __future__ import annotations

import errno
import os
import re
import shutil
import stat
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from alloy_actors.errors import ConfigError, ToolError
from alloy_actors.tool_text import repaired
from alloy_actors.tools._files import open_regular, replace
from alloy_actors.tools._memory_files import (
    MemoryFiles,
    in_order,
    inserted,
    inside,
    is_directory,
    missing,
    not_directory,
    replaced,
    taken,
)
from alloy_actors.tools._memory_paths import ROOT, checked_path, is_within
from alloy_actors.tools._paths import Place, open_directory, real_path

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MAX_SIZE = 8 << 20
"""Bytes of one file: it is held in memory."""
_SESSION = re.compile(r"[A-Za-z0-9_.-]{1,128}", re.ASCII)


class DirectoryFiles(MemoryFiles):
    """Files below `root/session`.

    Links in it are not followed: what a link points to is not the model's to read. Objects of one process that are
    to share a directory must be one object: it is its lock that makes a change one step.

    Args:
        root: The directory; made, with the session's below it, when there is something to keep.
        session: Whose memory it is: a user, a project. Letters, digits, `_`, `-` and `.`; not "." and "..".

    Raises:
        ConfigError: One of them is no such name.
    """

    def __init__(self, root: str | os.PathLike[str], session: str = "default") -> None:
        given: object = root
        path = os.fspath(given) if isinstance(given, str | os.PathLike) else None
        if not isinstance(path, str) or not path or "\0" in path:
            raise ConfigError(f"DirectoryFiles: root={given!r} must be the path of a directory")
        name: object = session
        if not isinstance(name, str) or not _SESSION.fullmatch(name) or set(name) == {"."}:
            raise ConfigError(
                f"DirectoryFiles: session={name!r} must be 1 to 128 letters, digits, '_', '-' and '.', and not only dots"
            )
        self._root = os.path.abspath(os.path.join(os.path.expanduser(root), session))  # noqa: PTH100, PTH111, PTH118  (strings all the way)
        self._lock = threading.Lock()

    def view(self, path: str) -> str | list[str]:
        with self._lock, _explained(path):
            if path != ROOT:
                with self._place(path) as place:
                    if not _is_directory(place):
                        return _text(place)
            return self._listed(path)

    def create(self, path: str, text: str) -> None:
        with self._lock, _explained(path):
            self._refuse_taken(path)
            with self._new_place(path) as place:
                replace(place, _data(path, text))

    def str_replace(self, path: str, old: str, new: str) -> None:
        with self._lock, _explained(path), self._file(path) as place:
            _change(place, lambda text: replaced(path, text, repaired(old), repaired(new)))

    def insert(self, path: str, line: int, text: str) -> None:
        with self._lock, _explained(path), self._file(path) as place:
            _change(place, lambda before: inserted(path, before, line, repaired(text)))

    def delete(self, path: str) -> None:
        with self._lock, _explained(path):
            with self._place(path) as place:
                if _is_directory(place):
                    shutil.rmtree(place.name, dir_fd=place.directory)
                else:
                    os.unlink(place.name, dir_fd=place.directory)
            self._prune(path)

    def rename(self, old: str, new: str) -> None:
        with self._lock, _explained(old):
            with self._place(old) as source:
                os.stat(source.name, dir_fd=source.directory, follow_symlinks=False)
                if is_within(new, old):
                    raise inside(old, new)
                self._refuse_taken(new)
                with self._new_place(new) as target:
                    os.rename(
                        source.name, target.name, src_dir_fd=source.directory, dst_dir_fd=target.directory
                    )
            self._prune(old)

    @contextmanager
    def _place(self, path: str, *, create: bool = False) -> Iterator[Place]:
        """A name in the open directory above it, and no link on the way below the root."""
        above, _, name = self._below_root(path).rpartition("/")
        directory = open_directory(real_path(self._root) + above, create=create)
        try:
            yield Place(directory, name, path)
        finally:
            os.close(directory)

    @contextmanager
    def _new_place(self, path: str) -> Iterator[Place]:
        """Likewise, of a file to be; directories made for one that fails go again."""
        checked_path(path)
        try:
            with self._place(path, create=True) as place:
                yield place
        except BaseException:
            self._prune(path)
            raise

    def _below_root(self, path: str) -> str:
        return checked_path(path)[len(ROOT) :]  # again: not only the tool has this object

    @contextmanager
    def _file(self, path: str) -> Iterator[Place]:
        if path == ROOT:
            raise is_directory(path)
        with self._place(path) as place:
            if _is_directory(place):
                raise is_directory(path)
            yield place

    def _refuse_taken(self, path: str) -> None:
        """Look before anything is made, the directories above included."""
        parts = path.split("/")
        for end in range(3, len(parts) + 1):
            above = "/".join(parts[:end])
            try:
                with self._place(above) as place:
                    status = _is_directory(place)
            except FileNotFoundError:
                return
            if above == path:
                raise taken(path)
            if not status:
                raise not_directory(above)

    def _listed(self, path: str) -> list[str]:
        try:
            directory = open_directory(real_path(self._root) + self._below_root(path), create=False)
        except FileNotFoundError:
            if path == ROOT:
                return []
            raise
        found: list[str] = []
        try:
            for where, _, names, inner in os.fwalk(".", dir_fd=directory, follow_symlinks=False):
                above = "/".join((path, *where.split("/")[1:]))
                found += [f"{above}/{name}" for name in names if _is_regular(name, inner)]
        finally:
            os.close(directory)
        return sorted(found, key=in_order)

    def _prune(self, path: str) -> None:
        """Directories are there for the files in them: one that has become empty goes."""
        while (path := path.rpartition("/")[0]) != ROOT:
            try:
                with self._place(path) as place:
                    os.rmdir(place.name, dir_fd=place.directory)
            except OSError:
                return  # there is something left in it


@contextmanager
def _explained(path: str) -> Iterator[None]:
    """What the operating system says, without the paths of this machine."""
    try:
        yield
    except FileNotFoundError:
        raise missing(path) from None
    except OSError as error:
        if error.errno in {errno.ELOOP, errno.ENOTDIR}:
            raise ToolError(f"{path} leads through a file or a link.") from None
        raise ToolError(f"{path}: {error.strerror}.") from error


def _is_directory(place: Place) -> bool:
    return stat.S_ISDIR(os.stat(place.name, dir_fd=place.directory, follow_symlinks=False).st_mode)


def _is_regular(name: str, directory: int) -> bool:
    return stat.S_ISREG(os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode)


def _change(place: Place, change: Callable[[str], str]) -> None:
    """Bytes that are no UTF-8 stay as they are; somebody else has written them."""
    text = change(_bytes(place).decode(errors="surrogateescape"))
    data = text.encode(errors="surrogateescape")
    if len(data) > MAX_SIZE:
        raise _too_large(place.path)
    replace(place, data)


def _text(place: Place) -> str:
    """Bytes that are no UTF-8 are shown as replacement characters."""
    return _bytes(place).decode(errors="replace")


def _bytes(place: Place) -> bytes:
    with open(open_regular(place, os.O_RDONLY), "rb") as file:  # noqa: PTH123  (it is open already)
        data = file.read(MAX_SIZE + 1)
    if len(data) > MAX_SIZE:
        raise _too_large(place.path)
    return data


def _data(path: str, text: str) -> bytes:
    data = text.encode(errors="replace")
    if len(data) > MAX_SIZE:
        raise _too_large(path)
    return data


def _too_large(path: str) -> ToolError:
    return ToolError(f"{path} is, or would be, larger than {MAX_SIZE >> 20} MiB.")
