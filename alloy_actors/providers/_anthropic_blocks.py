"""One block of an answer of the Messages API in neutral words."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from alloy_actors.blocks import (
    RawBlock,
    RedactedThinkingBlock,
    ServerToolCall,
    ServerToolResult,
    TextBlock,
    ThinkingBlock,
    ToolCall,
)
from alloy_actors.providers._anthropic_request import encoded
from alloy_actors.providers._json import dumps, mend, object_from

if TYPE_CHECKING:
    from alloy_actors.content import ContentBlock

    Wire = dict[str, Any]

Kept = TypeVar("Kept", TextBlock, ThinkingBlock, RedactedThinkingBlock, ToolCall, ServerToolCall)

READABLE = ("text", "stdout", "stderr", "title", "url", "error_code")
"""Where a server tool's result has something to read; encrypted content, file ids and the like are for the model."""


def content_of(wire: Wire, arguments: str | None) -> ContentBlock:
    """The neutral block; its `raw` is set where the neutral fields cannot rebuild what came.

    Args:
        wire: The block as it stands in a whole message.
        arguments: Of a call whose input was streamed: JSON text, perhaps broken.
    """
    match wire.get("type"):
        case "text":
            citations = tuple(item for item in wire.get("citations") or () if isinstance(item, dict))
            return _kept(TextBlock(_text(wire.get("text")), citations or None), wire)
        case "thinking":
            block = ThinkingBlock(_text(wire.get("thinking")), _text(wire.get("signature")) or None)
            return _kept(block, wire) if block.signature else block
        case "redacted_thinking":
            return _kept(RedactedThinkingBlock(_text(wire.get("data"))), wire)
        case "tool_use":
            return _call(wire, arguments)
        case "server_tool_use" | "mcp_tool_use":
            wire["input"] = _arguments(wire, arguments)[0] or {}
            call = ServerToolCall(_text(wire.get("id")), _text(wire.get("name")), wire["input"])
            return _kept(call, wire)
        case str() as kind if kind.endswith("_tool_result"):
            return ServerToolResult(
                _text(wire.get("tool_use_id")),
                "\n".join(_readable(wire.get("content"))),
                bool(wire.get("is_error")) or _is_failure(wire.get("content")),
                dumps(wire).decode(),
            )
        case _:
            return RawBlock(dumps(wire).decode())


def _call(wire: Wire, arguments: str | None) -> ToolCall:
    given, broken = _arguments(wire, arguments)
    caller = wire.get("caller")
    call = ToolCall(
        _text(wire.get("id")),
        _text(wire.get("name")),
        {} if given is None else given,
        invalid=broken,
        caller=caller if isinstance(caller, dict) else None,
    )
    if given is None:
        return call
    wire["input"] = given
    return _kept(call, wire)


def _arguments(wire: Wire, streamed: str | None) -> tuple[Wire | None, str | None]:
    """The arguments; or None, and what came in their place."""
    given = wire.get("input")
    if streamed is not None and streamed.strip():
        given = streamed
    if given is None:
        return {}, None
    if isinstance(given, dict):
        return given, None
    text = given if isinstance(given, str) else dumps(given).decode()
    found = object_from(text)
    return (found, None) if found is not None else (None, mend(text))


def _kept(block: Kept, wire: Wire) -> Kept:
    """The block, with what came beside it where that is more than its fields say."""
    said = {
        name: value for name, value in wire.items() if value is not None and (name != "citations" or value)
    }
    return block if encoded(block) == said else replace(block, raw=dumps(wire).decode())


def _text(value: Any) -> str:
    return mend(value) if isinstance(value, str) else ""


def _readable(content: Any) -> list[str]:
    if isinstance(content, str):
        return [content] if content else []
    if isinstance(content, list):
        return [line for item in content for line in _readable(item)]
    if isinstance(content, dict):
        found = [content[name] for name in READABLE if isinstance(content.get(name), str) and content[name]]
        return found + _readable(content.get("content"))
    return []


def _is_failure(content: Any) -> bool:
    return isinstance(content, dict) and str(content.get("type", "")).endswith("_error")
