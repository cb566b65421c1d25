"""The `read` tool: some lines of a file, numbered; the file may be of any size."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated, NamedTuple

from pydantic import Field

from alloy_actors.errors import ToolError
from alloy_actors.tooldef import Tool, ToolContext, tool
from alloy_actors.tools._files import SNIFFED, open_regular
from alloy_actors.tools._output import whole_end
from alloy_actors.tools._paths import located

if TYPE_CHECKING:
    from typing import BinaryIO

    from alloy_actors.tooldef import Cancelled

MAX_RESULT_CHARS = 50_000
SHOWN = 49_800
"""Bytes of whole lines in one result; the first line is shown in any case."""

LINE = 45_000
"""Bytes shown of one line."""

BOM = b"\xef\xbb\xbf"
_CHUNK = 1 << 20


def make_read(roots: tuple[str, ...] | None) -> Tool:
    """Make the tool; `roots` are the allowed directories, None are the context's."""

    @tool(idempotent=True, max_result_chars=MAX_RESULT_CHARS)
    def read(
        file_path: str,
        offset: Annotated[int, Field(ge=1)] = 1,
        limit: Annotated[int, Field(ge=1)] = 2_000,
        ctx: ToolContext | None = None,
    ) -> str:
        """Read a text file and return its lines, each behind its number and a tab. Long files are read in parts.

        Args:
            file_path: The file; relative paths start at the working directory.
            offset: The first line to return; lines count from 1.
            limit: How many lines to return at most.
            ctx: Of the call.
        """
        ctx = ctx or ToolContext()
        if offset < 1 or limit < 1:  # a model's were checked; this is for callers from Python
            raise ToolError(f"offset={offset} and limit={limit} must be at least 1.")
        with located(file_path, ctx, roots, verb="read") as place:
            file = open_regular(place, os.O_RDONLY)
            with open(file, "rb") as content:  # noqa: PTH123  (it is open already)
                if b"\0" in content.read(SNIFFED):
                    raise ToolError(f"{place.path} is a binary file.")
                content.seek(0)
                return _Reader(content, place.path, ctx.cancelled).part(offset, limit)

    return read


class _Line(NamedTuple):
    text: str
    size: int  # bytes of the text


class _Reader:
    """Goes through a file once; holds one line, or one chunk, at a time."""

    def __init__(self, content: BinaryIO, path: str, cancelled: Cancelled) -> None:
        self._content = content
        self._path = path
        self._cancelled = cancelled

    def part(self, offset: int, limit: int) -> str:
        """Up to `limit` lines from line `offset` on, and a last line that says what is left."""
        passed = self._skip(offset - 1)
        lines: list[str] = []
        size = 0
        more = 0
        while len(lines) < limit and (line := self._line(offset + len(lines))) is not None:
            if lines and size + line.size > SHOWN:
                more = 1
                break
            lines.append(line.text)
            size += line.size
        last = passed + len(lines)
        total = last + more + self._skip(None)
        if not lines and offset > 1:
            raise ToolError(f"{self._path} has {total} lines; offset {offset} is behind its end.")
        if total > last:
            lines.append(f"[lines {offset} to {last} of {total}; go on with offset={last + 1}]\n")
        return "".join(lines)

    def _line(self, number: int) -> _Line | None:
        self._check()
        raw = self._content.readline(LINE)
        if not raw:
            return None
        omitted = 0
        if not raw.endswith(b"\n") and len(raw) == LINE:
            omitted = self._skip_rest()
        if omitted:
            shown = whole_end(raw)
            omitted += len(raw) - len(shown)
            raw = shown
        if number == 1:
            raw = raw.removeprefix(BOM)
        text = raw.removesuffix(b"\n").removesuffix(b"\r").decode(errors="replace")
        if omitted:
            text += f" [... {omitted} more bytes in this line]"
        text = f"{number:>6}\t{text}\n"
        return _Line(text, len(text.encode()))

    def _skip_rest(self) -> int:
        """Pass the rest of a line; how many bytes it had, its end not counted."""
        size = 0
        while rest := self._content.readline(_CHUNK):
            self._check()
            if rest.endswith(b"\n"):
                return size + len(rest.removesuffix(b"\n").removesuffix(b"\r"))
            size += len(rest)
        return size

    def _skip(self, count: int | None) -> int:
        """Pass `count` lines, None for all; how many there were."""
        passed = 0
        open_line = False
        while count is None or passed < count:
            self._check()
            chunk = self._content.read(_CHUNK)
            if not chunk:
                return passed + open_line
            ends = chunk.count(b"\n")
            if count is not None and passed + ends >= count:
                at = 0
                for _ in range(count - passed):
                    at = chunk.index(b"\n", at) + 1
                self._content.seek(at - len(chunk), os.SEEK_CUR)
                return count
            passed += ends
            open_line = not chunk.endswith(b"\n")
        return passed

    def _check(self) -> None:
        if self._cancelled.is_set():
            raise ToolError("cancelled")
