"""Text of tools for the model: mended, cut to a length, and what is said of a call that failed."""

from __future__ import annotations

import os
import traceback
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType

_SHOWN_MESSAGE = 500  # characters of an exception's message


def repaired(text: str) -> str:
    """The text as valid Unicode: one lone surrogate would make every later request fail."""
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


def truncated(text: str, limit: int | None) -> str:
    """At most `limit` characters of the text, four fifths of them from its head, and a line that says so."""
    if limit is None or len(text) <= limit:
        return text
    head = limit * 4 // 5
    tail = limit - head
    return f"{text[:head]}\n[... truncated: {len(text)} characters, {limit} of them shown ...]\n{text[len(text) - tail :]}"


def crash_text(tool: str, crash: BaseException) -> str:
    """One line about an exception that is not a `ToolError`."""
    if isinstance(crash, SystemExit):
        return f"Tool {tool} crashed during execution: it tried to exit the process (code {crash.code!r})."
    kind, message = type(crash).__name__, " ".join(str(crash).split())
    if len(message) > _SHOWN_MESSAGE:
        message = message[:_SHOWN_MESSAGE] + "..."
    what = f"{kind}: {message}" if message else kind
    if not isinstance(crash, Exception):
        return f"Tool {tool} crashed during execution: {what}."
    return f"Tool {tool} crashed: {what}{_place(crash.__traceback__)}. Check the input, or try another way."


def _place(trace: TracebackType | None) -> str:
    frames = traceback.extract_tb(trace)
    if not frames:
        return ""
    last = frames[-1]
    return f" ({last.name} at {os.path.basename(last.filename)}:{last.lineno})"  # noqa: PTH119  (a name, not a file)


def timeout_text(tool: str, seconds: float, why: str = "") -> str:
    """What is said of a call that took too long."""
    return f"Tool {tool} timed out after {seconds:.3g}s{why}. Try a smaller input, or raise tool_timeout."
