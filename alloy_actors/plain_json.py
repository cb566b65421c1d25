"""JSON of whatever a run holds: tool inputs that a middleware edited, results, half characters. It always succeeds."""

from __future__ import annotations

import math
from dataclasses import fields, is_dataclass
from typing import Any

from pydantic import BaseModel
from pydantic_core import to_json

DEEPEST = 100
"""Levels of nesting that are written out; what is below stands there as its type."""


def plain_json(value: object) -> bytes:
    """UTF-8 JSON on one line.

    Dataclasses and pydantic models are objects; what JSON has no word for is its `str`; NaN and infinity are null; half
    a surrogate pair is U+FFFD.
    """
    try:
        return to_json(value, inf_nan_mode="null", fallback=word)
    except Exception:  # text that is no Unicode, bytes that are no text, a circle: item by item then
        return to_json(_plain(value, ()))


def _plain(value: object, above: tuple[int, ...]) -> Any:
    """`above` are the ids of what it is in, outermost first."""
    if len(above) == DEEPEST or id(value) in above:
        return f"<{type(value).__name__}>"
    inside = (*above, id(value))
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
            return {_plain(word(key), ()): _plain(item, inside) for key, item in value.items()}
        case list() | tuple() | set() | frozenset():
            return [_plain(item, inside) for item in value]
    if is_dataclass(value) and not isinstance(value, type):
        return {item.name: _plain(getattr(value, item.name), inside) for item in fields(value)}
    if isinstance(value, BaseModel):
        return {name: _plain(getattr(value, name), inside) for name in type(value).model_fields}
    return _plain(word(value), ())


def word(value: object) -> str:
    """What it calls itself; its type where it cannot."""
    try:
        return str(value)
    except Exception:  # somebody else's __str__
        return f"<{type(value).__name__}>"
