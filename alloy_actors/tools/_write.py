"""The `write` tool: a file as a whole."""

from __future__ import annotations

from alloy_actors.errors import ToolError
from alloy_actors.tooldef import Tool, ToolContext, tool
from alloy_actors.tools._files import replace
from alloy_actors.tools._paths import located


def make_write(roots: tuple[str, ...] | None) -> Tool:
    """Make the tool; `roots` are the allowed directories, None are the context's."""

    @tool(concurrent=False)
    def write(file_path: str, content: str, ctx: ToolContext | None = None) -> str:
        """Write a file; replace it if it exists, and create directories that are missing.

        Args:
            file_path: The file; relative paths start at the working directory.
            content: All that the file shall hold.
            ctx: Of the call.
        """
        data = encoded("content", content)
        with located(file_path, ctx or ToolContext(), roots, verb="write", create=True) as place:
            replace(place, data)
            return f"Wrote {len(data)} bytes to {place.path}."

    return write


def encoded(name: str, text: str) -> bytes:
    """The text as UTF-8.

    Raises:
        ToolError: It holds half a character, which no file of text can.
    """
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise ToolError(f"{name} holds half a character (a lone surrogate) at {error.start}.") from None
