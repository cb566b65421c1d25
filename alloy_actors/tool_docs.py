"""What a function's docstring says of a tool: its first paragraph, and its Google-style `Args:`."""

from __future__ import annotations

import functools
import inspect
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

_SECTION = re.compile(r"^(Args|Arguments|Parameters|Params):\s*$")
_ENTRY = re.compile(r"^\*{0,2}(\w+)\s*(?:\([^)]*\))?\s*:\s*(.*)$")


def first_paragraph(function: object) -> str:
    """The first paragraph of the docstring in one line; "" without one."""
    text = _doc(function)
    return " ".join(text.split("\n\n", 1)[0].split())


def parameter_descriptions(function: Callable[..., Any]) -> dict[str, str]:
    """The entries of a Google-style `Args:` section, each in one line."""
    found: dict[str, str] = {}
    inside, indent, current = False, 0, ""
    for line in _doc(function).splitlines():
        text = line.strip()
        if not inside:
            inside = bool(_SECTION.match(line))
            continue
        depth = len(line) - len(line.lstrip())
        if text and depth == 0:  # the next section, or prose
            if not _SECTION.match(line):
                inside = False
            continue
        entry = _ENTRY.match(text)
        if entry and (not found or depth <= indent):
            current, indent = entry[1], depth
            found[current] = entry[2]
        elif text and current:
            found[current] = f"{found[current]} {text}".strip()
    return found


def _doc(function: object) -> str:
    """Partials and callable objects have their class's docstring, and classes their base's; neither is of the tool."""
    while isinstance(function, functools.partial):
        function = function.func
    if isinstance(function, type):
        return inspect.cleandoc(function.__doc__ or "")
    if inspect.isroutine(function):
        return inspect.getdoc(function) or ""
    if not callable(function):
        return ""
    call = type(function).__call__
    return inspect.getdoc(call if call.__doc__ else type(function)) or ""
