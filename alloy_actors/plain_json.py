"""JSON of whatever a run holds: tool inputs that a middleware edited, results, half characters. It always succeeds."""

from __future__ import annotations

import math
from dataclasses import fields, is_dataclass
from typing import Any

from pydantic_core import to_json

DEEPEST = 100
"""Levels of nesting that are written out; what is below stands there as its type."""


def plain_json(value: object) -> bytes:
    """UTF-8 JSON on one line.

    Dataclasses and pydantic models are objects; what JSON has no word for is its `str`; NaN and infinity are null; half
    a surrogate pair is U+FFFD.
    """
    try:
        return to_json(value, inf_nan_mode="null", fallback=_word)
    except Exception:  # text that is no Unicode, bytes that are no text, a circle: item by item then
        return to_json(_plain(value, DEEPEST))


def _plain(value: object, depth: int) -> Any:
    if depth == 0:
        return f"<{type(value).__name__}>"
    match value:
        case None | bool() | int():
            return value
        case float():
            return value if math.isfinite(value) else None
        case str():
            return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        case bytes() | bytearray():
            return value.decode("utf-8", "replace")
        case dict():
            return {_plain(_word(key), depth): _plain(item, depth - 1) for key, item in value.items()}
        case list() | tuple() | set() | frozenset():
            return [_plain(item, depth - 1) for item in value]
    if is_dataclass(value) and not isinstance(value, type):
        return {item.name: _plain(getattr(value, item.name), depth - 1) for item in fields(value)}
    return _plain(_word(value), depth)


def _word(value: object) -> str:
    try:
        return str(value)
    except Exception:  # somebody else's __str__
        return f"<{type(value).__name__}>"
