"""What the `memory` tool keeps its files in: the protocol, for files of your own, and files in this process."""

from __future__ import annotations

import re
import threading
from typing import Protocol

from alloy_actors.errors import ToolError
from alloy_actors.tools._memory_paths import ROOT, is_within

_LINE = re.compile(r"[^\n]*\n|[^\n]+")


class MemoryFiles(Protocol):
    """Where the memory of an agent is kept; inherit from it, or write all six methods.

    Paths are strings that the tool has checked: `/memories` or `/memories/a/b`, without "..", doubled slashes or a
    slash at the end. Whose memory it is, is up to whoever makes the object. Methods are called on tool workers, one
    call of an agent after the other; several agents may share one object. Whatever a method raises becomes an error
    result: of a `ToolError` the model reads the text.
    """

    def view(self, path: str) -> str | list[str]:
        """The text of a file; or the paths of all files below a directory, in order ([] for a root without any).

        Raises:
            ToolError: There is nothing of that name.
        """

    def create(self, path: str, text: str) -> None:
        """Make a file, and the directories above it.

        Raises:
            ToolError: There is something of that name already, or a file where a directory would have to be.
        """

    def str_replace(self, path: str, old: str, new: str) -> None:
        """Replace the one place where `old` occurs.

        Raises:
            ToolError: It occurs nowhere, or more than once.
        """

    def insert(self, path: str, line: int, text: str) -> None:
        """Insert text behind a line; 0 is the top.

        Raises:
            ToolError: There is no such line.
        """

    def delete(self, path: str) -> None:
        """Delete a file, or a directory with all that is in it.

        Raises:
            ToolError: There is nothing of that name.
        """

    def rename(self, old: str, new: str) -> None:
        """Rename a file, or a directory with all that is in it.

        Raises:
            ToolError: There is nothing of the old name, something of the new one, or the new one is below the old.
        """


class InMemoryFiles(MemoryFiles):
    """Files that last as long as this object; for tests, and for what only has to outlive a conversation."""

    def __init__(self) -> None:
        self._files: dict[str, str] = {}
        self._lock = threading.Lock()

    def view(self, path: str) -> str | list[str]:
        with self._lock:
            if path in self._files:
                return self._files[path]
            found = self._below(path)
        if not found and path != ROOT:
            raise missing(path)
        return found

    def create(self, path: str, text: str) -> None:
        with self._lock:
            self._refuse_taken(path)
            self._files[path] = text

    def str_replace(self, path: str, old: str, new: str) -> None:
        with self._lock:
            self._files[path] = replaced(path, self._text(path), old, new)

    def insert(self, path: str, line: int, text: str) -> None:
        with self._lock:
            self._files[path] = inserted(path, self._text(path), line, text)

    def delete(self, path: str) -> None:
        with self._lock:
            for name in self._all_of(path):
                del self._files[name]

    def rename(self, old: str, new: str) -> None:
        with self._lock:
            names = self._all_of(old)
            if is_within(new, old):
                raise inside(old, new)
            self._refuse_taken(new)
            for name in names:
                self._files[new + name[len(old) :]] = self._files.pop(name)

    def _below(self, path: str) -> list[str]:
        return sorted((name for name in self._files if name.startswith(path + "/")), key=in_order)

    def _all_of(self, path: str) -> list[str]:
        found = [path] if path in self._files else self._below(path)
        if not found:
            raise missing(path)
        return found

    def _text(self, path: str) -> str:
        if path not in self._files:
            raise is_directory(path) if path == ROOT or self._below(path) else missing(path)
        return self._files[path]

    def _refuse_taken(self, path: str) -> None:
        if path in self._files or self._below(path):
            raise taken(path)
        above = path
        while (above := above.rpartition("/")[0]) != ROOT:
            if above in self._files:
                raise not_directory(above)


def in_order(path: str) -> list[str]:
    """The key that sorts paths as one walks through directories."""
    return path.split("/")


def replaced(path: str, text: str, old: str, new: str) -> str:
    """The text with `new` in the one place of `old`.

    Raises:
        ToolError: There is no such place, or more than one.
    """
    count = text.count(old) if old else 0
    if not old:
        raise ToolError("old_str is empty; say which text to replace.")
    if count == 0:
        raise ToolError(f"old_str does not occur in {path}; view the file, and copy it exactly.")
    if count > 1 or text.find(old, text.find(old) + 1) >= 0:
        first = text.find(old)
        lines = [text.count("\n", 0, at) + 1 for at in (first, text.find(old, first + 1))]
        raise ToolError(
            f"old_str occurs more than once in {path} (first in lines {lines[0]} and {lines[1]}); add lines around it."
        )
    return text.replace(old, new)


def inserted(path: str, text: str, line: int, piece: str) -> str:
    """The text with a piece behind a line; the piece is whole lines afterwards.

    Raises:
        ToolError: There is no such line.
    """
    lines = _LINE.findall(text)
    if not 0 <= line <= len(lines):
        raise ToolError(f"insert_line {line}: {path} has {len(lines)} lines; give 0 to {len(lines)}.")
    if line and not lines[line - 1].endswith("\n"):
        lines[line - 1] += "\n"
    if piece and not piece.endswith("\n"):
        piece += "\n"
    return "".join((*lines[:line], piece, *lines[line:]))


def missing(path: str) -> ToolError:
    """There is nothing of that name."""
    return ToolError(f"{path} does not exist; view {ROOT} to see what there is.")


def taken(path: str) -> ToolError:
    """There is something of that name."""
    return ToolError(f"{path} exists already; use str_replace or insert to change a file, or another name.")


def is_directory(path: str) -> ToolError:
    """It is no file."""
    return ToolError(f"{path} is a directory.")


def not_directory(path: str) -> ToolError:
    """It is a file, and cannot hold others."""
    return ToolError(f"{path} is a file, not a directory.")


def inside(old: str, new: str) -> ToolError:
    """A directory cannot move into itself."""
    return ToolError(f"Cannot rename {old} to {new}, which is the same or below it.")
