"""What a tool returned, as what the model gets (text, or text with images and files) and as data for the caller."""

from __future__ import annotations

import inspect
import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeAlias

from pydantic_core import PydanticSerializationError, from_json, to_json, to_jsonable_python

from alloy_actors.blocks import BLOCKS, MEDIA, MediaBlock, TextBlock
from alloy_actors.errors import ToolError
from alloy_actors.tool_text import repaired, truncated

if TYPE_CHECKING:
    from collections.abc import Sequence

Part: TypeAlias = TextBlock | MediaBlock
Content: TypeAlias = str | tuple[Part, ...]
_NO_JSON = (PydanticSerializationError, ValueError, TypeError, RecursionError)


@dataclass(frozen=True, slots=True)
class ToolReturn:
    """What a tool returns where the model is to read something else than the data.

    Args:
        content: For the model, like any return value: a string, a block, a list of strings and blocks, or what has a
            JSON form.
        data: For the caller, as `data` of the call in `Result.tool_calls`: anything with a JSON form.
    """

    content: str | Part | Sequence[str | Part] | Any
    data: Any = None


def rendered(tool: str, value: object) -> tuple[Content, Any]:
    """What the model gets of a return value, and the data beside it (None for text, blocks and None).

    Raises:
        ToolError: The value has no JSON form, or holds a block that no tool result can hold.
    """
    if isinstance(value, ToolReturn):
        content = rendered(tool, value.content)[0]
        return content, None if value.data is None else _encoded(tool, value.data)[1]
    if isinstance(value, str):
        return repaired(value if type(value) is str else str.__str__(value)), None
    if value is None:
        return "", None
    if isinstance(value, BLOCKS):
        return _parts(tool, (value,)), None
    if isinstance(value, list | tuple) and any(isinstance(item, BLOCKS) for item in value):
        return _parts(tool, value), None
    if inspect.iscoroutine(value):
        value.close()  # it will never be awaited
        raise ToolError(
            f"Tool {tool} failed: it returned a coroutine; it must be declared `async def` to be awaited."
        )
    return _encoded(tool, value)


def fitted(content: Content, limit: int | None) -> Content:
    """At most `limit` characters of text, see `truncated`; images and files stay where they are."""
    if isinstance(content, str):
        return truncated(content, limit)
    texts = [part.text for part in content if isinstance(part, TextBlock)]
    total = sum(map(len, texts))
    if limit is None or total <= limit:
        return content
    head = limit * 4 // 5
    after = total - (limit - head)  # where the tail begins, in all the text together
    kept: list[Part] = []
    begin = 0
    for part in content:
        if not isinstance(part, TextBlock):
            kept.append(part)
            continue
        text, end = part.text, begin + len(part.text)
        shown = text[: max(head - begin, 0)]
        if begin <= head < end:
            shown += f"\n[... truncated: {total} characters, {limit} of them shown ...]\n"
        shown += text[max(after - begin, 0) :] if end > after else ""
        if shown:
            kept.append(TextBlock(shown))
        begin = end
    return tuple(kept)


def _encoded(tool: str, value: object) -> tuple[str, Any]:
    try:
        encoded = to_json(value)
        return encoded.decode(), from_json(encoded)
    except _NO_JSON:
        pass
    try:  # lone surrogates, as in file names: to_json refuses them, json writes them, `repaired` mends them
        text = repaired(json.dumps(to_jsonable_python(value), ensure_ascii=False, separators=(",", ":")))
        return text, from_json(text)
    except _NO_JSON:
        raise ToolError(
            f"Tool {tool} failed: it returned a {type(value).__qualname__}, which is neither text nor JSON."
        ) from None


def _parts(tool: str, values: Sequence[object]) -> tuple[Part, ...]:
    parts: list[Part] = []
    for value in values:
        if isinstance(value, str):
            parts.append(TextBlock(repaired(value)))
        elif isinstance(value, TextBlock):
            text = repaired(value.text)
            parts.append(value if text == value.text else replace(value, text=text))
        elif isinstance(value, MEDIA):
            parts.append(value)
        else:
            kind = type(value).__qualname__
            raise ToolError(
                f"Tool {tool} failed: it returned a {kind} among content blocks; a tool's result holds text, images, audio, "
                "video and documents."
            )
    return tuple(parts)
