"""The `edit` tool: a piece of text for another, and not a byte beside it.

Pieces are found whatever line endings the file has, and the new text gets those of the place it goes to. Nothing is
decoded, so a byte order mark and bytes that are no UTF-8 stay as they are.
"""

from __future__ import annotations

import os
from array import array
from bisect import bisect_left

from alloy_actors.errors import ToolError
from alloy_actors.tooldef import Tool, ToolContext, tool
from alloy_actors.tools._files import SNIFFED, open_regular, replace
from alloy_actors.tools._paths import located
from alloy_actors.tools._write import encoded

MAX_SIZE = 8 << 20
"""Bytes of a file that is edited, before and after: it is held in memory."""


def make_edit(roots: tuple[str, ...] | None) -> Tool:
    """Make the tool; `roots` are the allowed directories, None are the context's."""

    @tool(concurrent=False)
    def edit(
        file_path: str,
        old_string: str,
        new_string: str,
        replace_all: bool = False,  # noqa: FBT001, FBT002  (the model passes it by name)
        ctx: ToolContext | None = None,
    ) -> str:
        """Replace a piece of text in a file. It must occur exactly once, unless replace_all is set.

        Args:
            file_path: The file; relative paths start at the working directory.
            old_string: The text to replace, exactly as it is in the file, without line numbers.
            new_string: The text to put in its place.
            replace_all: Replace every occurrence.
            ctx: Of the call.
        """
        old, new = _unix(encoded("old_string", old_string)), _unix(encoded("new_string", new_string))
        if not old:
            raise ToolError("old_string is empty; use write to fill a file.")
        if old == new:
            raise ToolError("old_string and new_string are the same: there is nothing to change.")
        with located(file_path, ctx or ToolContext(), roots, verb="edit") as place:
            with open(open_regular(place, os.O_RDONLY), "rb") as file:  # noqa: PTH123  (it is open already)
                data = file.read(MAX_SIZE + 1)
            _refuse_large(place.path, len(data))
            if b"\0" in data[:SNIFFED]:
                raise ToolError(f"{place.path} is a binary file.")
            text = _Text(data)
            found = text.find(old, every=replace_all)
            if not found:
                raise ToolError(
                    f"old_string does not occur in {place.path}; read the file, and copy it exactly."
                )
            if len(found) > 1 and not replace_all:
                raise ToolError(
                    f"old_string is ambiguous: it occurs {len(found)} times in {place.path} (lines "
                    f"{text.lines(found)}). Add lines around it, or set replace_all."
                )
            _refuse_large(place.path, len(data) + len(found) * (len(new) - len(old)))
            replace(place, text.replaced(found, len(old), new))
            what = "1 occurrence" if len(found) == 1 else f"{len(found)} occurrences"
            return f"Replaced {what} in {place.path} (line {text.lines(found)})."

    return edit


def _refuse_large(path: str, size: int) -> None:
    if size > MAX_SIZE:
        raise ToolError(f"{path} is, or would be, larger than {MAX_SIZE >> 20} MiB: too large for edit.")


def _unix(text: bytes) -> bytes:
    return text.replace(b"\r\n", b"\n")


class _Text:
    """A file's bytes, searched as if every line ended in LF; positions are those of that view."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._view = _unix(data)
        self._long = array("I")  # positions of the line ends that are CRLF in the file
        at = data.find(b"\r\n")
        while at >= 0:
            self._long.append(at - len(self._long))
            at = data.find(b"\r\n", at + 2)

    def find(self, piece: bytes, *, every: bool) -> array[int]:
        """Where it is. With `every` those to replace, one after the other; else also those that overlap."""
        step = len(piece) if every else 1
        found = array("I")
        at = self._view.find(piece)
        while at >= 0:
            found.append(at)
            at = self._view.find(piece, at + step)
        return found

    def lines(self, found: array[int], shown: int = 5) -> str:
        """The numbers of the lines of the first few places."""
        numbers = [str(self._view.count(b"\n", 0, at) + 1) for at in found[:shown]]
        return ", ".join(numbers) + (" ..." if len(found) > shown else "")

    def replaced(self, found: array[int], length: int, new: bytes) -> bytes:
        """The file with `new` in these places of `length` bytes each."""
        result = bytearray()
        done = 0
        for at in found:
            result += self._data[done : self._in_file(at)]
            result += self._with_ends(new, at, length)
            done = self._in_file(at + length)
        result += self._data[done:]
        return bytes(result)

    def _in_file(self, at: int) -> int:
        return at + bisect_left(self._long, at)

    def _with_ends(self, new: bytes, at: int, length: int) -> bytes:
        """The line ends of what is replaced; where it has none, those of the file's first line."""
        first = self._view.find(b"\n", at, at + length)
        if first < 0:
            first = self._view.find(b"\n")
        index = bisect_left(self._long, first)
        is_long = index < len(self._long) and self._long[index] == first
        return new.replace(b"\n", b"\r\n") if is_long else new
