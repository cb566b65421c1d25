"""Paths of the `memory` tool: `/memories`, and what is below it."""

from __future__ import annotations

from alloy_actors.errors import ToolError

ROOT = "/memories"
MAX_LENGTH = 1_000
"""Characters of a path: each directory on the way is opened, and taken away again when it is empty."""


def checked_path(path: str) -> str:
    """The path without what means nothing: doubled slashes, ".", a slash at its end.

    Raises:
        ToolError: It is not below `/memories`, or is written in a way that another reader of it could take for somewhere
            else: "..", a backslash, a percent sign (an encoded one), NUL and other control characters.
    """
    if len(path) > MAX_LENGTH:
        raise ToolError(f"path {path[:40]!r}... is longer than {MAX_LENGTH} characters.")
    if any(sign in path for sign in "%\\") or any(ord(sign) < 0x20 or ord(sign) == 0x7F for sign in path):
        raise ToolError(f"path {path!r}: '%', backslashes and control characters have no place in a path.")
    try:
        path.encode()
    except UnicodeEncodeError:
        raise ToolError(f"path {path!r} holds half a character.") from None
    parts = path.split("/")
    if ".." in parts:
        raise ToolError(f"path {path!r}: '..' is not allowed.")
    clean = "/" + "/".join(part for part in parts if part not in {"", "."})
    if not path.startswith("/") or not is_within(clean, ROOT):
        raise ToolError(f"path {path!r} must be {ROOT} or below it, for example {ROOT}/notes.md.")
    return clean


def checked_name(path: str, what: str) -> str:
    """Likewise, of something that is not the root itself.

    Raises:
        ToolError: Also for the root.
    """
    clean = checked_path(path)
    if clean == ROOT:
        raise ToolError(f"Cannot {what} {ROOT} itself.")
    return clean


def is_within(path: str, directory: str) -> bool:
    """Whether it is the directory or below it; both clean."""
    return path == directory or path.startswith(directory + "/")
