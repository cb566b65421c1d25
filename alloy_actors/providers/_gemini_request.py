"""GenerateContent, outgoing: our messages and tools as the JSON of `POST .../models/M:generateContent`.

The results of a reply's calls make one content of their own, with nothing beside them: the API counts its parts
against those of the calls. Text and images that came with them are the content after it.

Source: Gemini API reference, Content and Part; its guides on function calling and thought signatures.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from alloy_actors.blocks import (
    MEDIA,
    ImageBlock,
    RawBlock,
    RedactedThinkingBlock,
    ServerToolCall,
    ServerToolResult,
    TextBlock,
    ThinkingBlock,
    ToolCall,
    ToolResult,
)
from alloy_actors.errors import InvalidRequestError
from alloy_actors.providers._gemini_schema import declaration
from alloy_actors.providers._json import from_json
from alloy_actors.providers._wire import WireFormat, notice

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from alloy_actors.blocks import MediaBlock
    from alloy_actors.content import ContentBlock, Message
    from alloy_actors.tooldef import Tool

    Wire = dict[str, Any]

MADE_UP = "gemini_call_"
"""How the ids begin that we gave to calls that came without one; they are not sent."""
PLACEHOLDER = "skip_thought_signature_validator"
"""What stands for the signature of a call that another model made: Gemini 3 refuses a first call without one."""
IMAGES = ("image/png", "image/jpeg", "image/webp", "image/heic", "image/heif")
MEGABYTE = 1024 * 1024
LIMITS = {"application/pdf": 50 * MEGABYTE}  # bytes in one file inside of a request
MAX_BYTES = 100 * MEGABYTE
_WIDE_NUMBER = re.compile(r"\d{16}|[eE]\+?\d{3}")  # the API keeps numbers as doubles


class ContentsFormat(WireFormat):
    """Contents; each block is one part of them, with the signature it came with."""

    __slots__ = ()

    @override
    def items(self, message: Message, answers: Sequence[ToolCall]) -> Iterable[Wire]:
        if message.role == "user":
            return _user(message, answers)
        return _contents("model", _said(message.blocks))

    @override
    def tool(self, definition: Tool) -> Wire:
        return declaration(definition)


def _contents(role: str, parts: list[Wire]) -> tuple[Wire, ...]:
    return ({"role": role, "parts": parts},) if parts else ()


def _user(message: Message, answers: Sequence[ToolCall]) -> Iterable[Wire]:
    names = {call.id: call.name for call in answers}
    results: list[Wire] = []
    beside: list[Wire] = []
    for block in message.blocks:
        if isinstance(block, ToolResult):
            results.append(_result(block, names.get(block.tool_use_id, "unknown_tool")))
            beside += map(_shown, block.media)
        elif isinstance(block, RawBlock):
            beside.append(from_json(block.raw))
        elif isinstance(block, TextBlock):
            if block.text:  # the API refuses a part that says nothing
                beside.append({"text": block.text})
        elif isinstance(block, MEDIA):
            beside.append(_file(block))
    return (*_contents("user", results), *_contents("user", beside))


def _said(blocks: Iterable[ContentBlock]) -> list[Wire]:
    """The parts of the model's own content; its first call has a signature, whoever made it."""
    parts: list[Wire] = []
    signed = False
    for block in blocks:
        part = _part(block)
        if part is None:
            continue
        if isinstance(block, ToolCall) and not signed:
            signed = True
            part.setdefault("thoughtSignature", PLACEHOLDER)
        parts.append(part)
    return parts


def _part(block: ContentBlock) -> Wire | None:
    part: Wire
    raw = getattr(block, "raw", None)
    if raw is not None:
        part = from_json(raw)
        return part
    match block:
        case TextBlock():
            if not block.text and block.signature is None:
                return None
            part = {"text": block.text}
        case ThinkingBlock():
            if not block.thinking and block.signature is None:
                return None
            part = {"text": block.thinking, "thought": True}
        case ToolCall():
            part = {"functionCall": _named(block.id, {"name": block.name, "args": block.input})}
        case RedactedThinkingBlock() | ServerToolCall() | ServerToolResult():
            return None  # made by hand: there is no part for it
        case _:
            assert isinstance(block, MEDIA)
            part = _shown(block)
    signature = getattr(block, "signature", None)
    if signature is not None:
        part["thoughtSignature"] = signature
    return part


def _named(call_id: str, value: Wire) -> Wire:
    return value if call_id.startswith(MADE_UP) else {"id": call_id, **value}


def _result(result: ToolResult, name: str) -> Wire:
    if result.is_error:
        response = {"error": result.text}
    else:
        response = _object_in(result.text) or {"output": result.text}
    return {"functionResponse": _named(result.tool_use_id, {"name": name, "response": response})}


def _object_in(text: str) -> Wire | None:
    """A JSON object that the API takes as it is: `output` and `error` have a meaning of their own there."""
    if text[:1] != "{" or _WIDE_NUMBER.search(text):
        return None
    try:
        value: Wire = from_json(text, allow_inf_nan=False)
    except ValueError:
        return None
    return None if "output" in value or "error" in value else value


def _shown(block: MediaBlock) -> Wire:
    """A file that a tool or another model made: the caller cannot help its type, and the run goes on."""
    try:
        return _file(block)
    except InvalidRequestError:
        return {"text": notice(block)}


def _file(block: MediaBlock) -> Wire:
    """A file, inside or elsewhere.

    Raises:
        InvalidRequestError: Of a type, or a size, that the API does not take.
    """
    if block.data is None:
        uri = block.uri or ""
        if ":" not in uri and not uri.startswith("files/"):
            return {"text": notice(block)}  # the id of another provider's store
        where = {"fileUri": uri}
        return {"fileData": {"mimeType": _kind(block), **where} if block.mime_type else where}
    name = type(block).__name__
    if isinstance(block, ImageBlock) and _kind(block) not in IMAGES:
        raise InvalidRequestError(
            f"{name}: mime_type {block.mime_type!r} is none that Gemini takes; "
            f"convert the image to one of {', '.join(IMAGES)}"
        )
    size, limit = len(block.data) * 3 // 4, LIMITS.get(block.mime_type, MAX_BYTES)
    if size > limit:
        raise InvalidRequestError(
            f"{name}: data is {size:,} bytes, Gemini takes {limit:,} of {block.mime_type} inside a request; "
            "upload the file and pass its uri"
        )
    return {"inlineData": {"mimeType": _kind(block), "data": block.data}}


def _kind(block: MediaBlock) -> str:
    return "image/jpeg" if block.mime_type == "image/jpg" else block.mime_type
