"""JSON both ways: fast where it is well-formed, forgiving where real servers are not."""

from __future__ import annotations

import json
from typing import Any

from pydantic_core import PydanticSerializationError, from_json, to_json

__all__ = ["dumps", "from_json", "loads", "mend", "object_from"]


def dumps(value: Any) -> bytes:
    """Encode compactly; a lone surrogate (undecodable bytes in a tool's output) becomes U+FFFD.

    Raises:
        TypeError: The value holds something JSON has no word for.
    """
    try:
        return to_json(value)
    except PydanticSerializationError:
        return json.dumps(_mended(value), ensure_ascii=False, separators=(",", ":")).encode()


def loads(data: bytes | str) -> Any:
    """Decode; also half of a surrogate pair, which servers that cut text by UTF-16 units send.

    Raises:
        ValueError: It is no JSON.
    """
    try:
        return from_json(data)
    except ValueError:
        return json.loads(data)


def mend(text: str) -> str:
    """The text with surrogate pairs joined and lone surrogates replaced, so that it can be encoded."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def object_from(arguments: str) -> dict[str, Any] | None:
    """A tool call's arguments; None when they are no JSON object.

    No arguments at all come as "" or "null"; some models encode the object twice.
    """
    if not arguments or arguments.isspace():
        return {}
    try:
        value = loads(arguments)
        if isinstance(value, str):
            value = loads(value) if value else {}
    except ValueError:
        return None
    if value is None:
        return {}
    return value if isinstance(value, dict) else None


def _mended(value: Any) -> Any:
    if isinstance(value, str):
        return mend(value)
    if isinstance(value, dict):
        return {mend(str(key)): _mended(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_mended(item) for item in value]
    return value
