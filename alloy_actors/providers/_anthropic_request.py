"""The Messages API, outgoing: our messages and tools as the JSON of `POST /v1/messages`.

Source: Anthropic API reference, Messages; what it refuses beyond that (blank text, an answer that ends in thinking,
an error without a word) is written in its error messages.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from typing_extensions import override

from alloy_actors.blocks import (
    MEDIA,
    DocumentBlock,
    ImageBlock,
    RawBlock,
    RedactedThinkingBlock,
    ServerToolCall,
    TextBlock,
    ThinkingBlock,
    ToolCall,
    ToolResult,
)
from alloy_actors.content import Message
from alloy_actors.errors import InvalidRequestError
from alloy_actors.providers._anthropic_files import document, image
from alloy_actors.providers._anthropic_tools import definition_of
from alloy_actors.providers._json import from_json
from alloy_actors.providers._wire import WireFormat, notice

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from alloy_actors.blocks import MediaBlock
    from alloy_actors.content import ContentBlock
    from alloy_actors.tooldef import Tool

    Wire = dict[str, Any]

THINKING = ("thinking", "redacted_thinking")
SILENT_FAILURE = "The tool failed and said nothing."


class MessagesFormat(WireFormat):
    """Messages for this API; one with nothing in it that the API takes is left out.

    Args:
        origin: See `WireFormat`.
        citations: Ask for citations of the user's documents.
    """

    __slots__ = ("_citations",)

    def __init__(self, origin: str, citations: bool = False) -> None:  # noqa: FBT001, FBT002  (by `of`, in order)
        super().__init__(origin)
        self._citations = citations

    @override
    def messages(self, messages: Iterable[Message]) -> list[bytes]:
        return super().messages(_settled(list(messages)))

    @override
    def items(self, message: Message, answers: Sequence[ToolCall]) -> Iterable[Wire]:
        content: str | list[Wire]
        if isinstance(message.content, str):
            content = message.content if message.content.strip() else ""
        elif message.role == "user":
            content = self._user(message.content)
        else:
            content = _assistant(message.content)
        return ({"role": message.role, "content": content},) if content else ()

    @override
    def tool(self, definition: Tool) -> Wire:
        return definition_of(definition)

    def _user(self, blocks: Iterable[ContentBlock]) -> list[Wire]:
        """The results first, as the API asks."""
        results: list[Wire] = []
        parts: list[Wire] = []
        for block in blocks:
            if isinstance(block, ToolResult):
                results.append(_result(block, citations=self._citations))
            elif isinstance(block, TextBlock):
                parts.append({"type": "text", "text": block.text})
            elif isinstance(block, ImageBlock):
                parts.append(image(block))
            elif isinstance(block, DocumentBlock):
                parts.append(document(block, citations=self._citations))
            elif isinstance(block, RawBlock):
                parts.append(from_json(block.raw))
            elif isinstance(block, MEDIA):
                parts.append({"type": "text", "text": notice(block)})
        return results + _readable(parts)


def encoded(block: ContentBlock) -> Wire | None:
    """One block of an answer; None for what no answer may hold."""
    raw = getattr(block, "raw", None)
    if raw is not None:
        wire: Wire = from_json(raw)
        return wire
    match block:
        case TextBlock():
            cited: Wire = {"citations": list(block.annotations)} if block.annotations else {}
            return {"type": "text", "text": block.text, **cited}
        case ThinkingBlock(signature=None | ""):  # not the model's own any more
            return {"type": "text", "text": block.thinking} if block.thinking.strip() else None
        case ThinkingBlock():
            return {"type": "thinking", "thinking": block.thinking, "signature": block.signature}
        case RedactedThinkingBlock():
            return {"type": "redacted_thinking", "data": block.data}
        case ToolCall():
            caller: Wire = {} if block.caller is None else {"caller": block.caller}
            return {"type": "tool_use", "id": block.id, "name": block.name, "input": block.input, **caller}
        case ServerToolCall():
            return {"type": "server_tool_use", "id": block.id, "name": block.name, "input": block.input}
        case _:
            return {"type": "text", "text": notice(block)} if isinstance(block, MEDIA) else None


def _settled(messages: list[Message]) -> list[Message]:
    """Without calls of the provider's own tools that have no result and, as the user has gone on, get none.

    An answer that was cut at its limit, or that paused in a run that was then cancelled, ends with such a call.
    """
    for at, message in enumerate(messages[:-1]):
        blocks = message.content
        if isinstance(blocks, str) or not blocks or not isinstance(blocks[-1], ServerToolCall):
            continue
        following = messages[at + 1]
        if following.role == "user" and not any(isinstance(block, ToolResult) for block in following.blocks):
            while blocks and isinstance(blocks[-1], ServerToolCall):
                blocks = blocks[:-1]
            messages[at] = Message(message.role, blocks, message.model, message.origin)
    return messages


def _assistant(blocks: Iterable[ContentBlock]) -> list[Wire]:
    wire = _readable([part for part in map(encoded, blocks) if part is not None])
    while wire and wire[-1].get("type") in THINKING:
        wire.pop()
    return wire


def _readable(parts: list[Wire]) -> list[Wire]:
    """Without empty text, and without blank text where no other is more than that."""
    texts = [part.get("text", "") for part in parts if part.get("type") == "text"]
    if all(text and not text.isspace() for text in texts):
        return parts
    blank = all(not text or text.isspace() for text in texts)
    kept = [text for text in texts if text and not (blank and text.isspace())]
    return [part for part in parts if part.get("type") != "text" or part.get("text") in kept]


def _result(result: ToolResult, *, citations: bool) -> Wire:
    wire: Wire = {"type": "tool_result", "tool_use_id": result.tool_use_id}
    if isinstance(result.content, str):
        wire["content"] = result.content
        silent = not result.content.strip()
    else:
        wire["content"] = parts = _readable([_shown(part, citations=citations) for part in result.content])
        silent = not parts
    if result.is_error:
        wire["is_error"] = True
        if silent:
            wire["content"] = SILENT_FAILURE
    return wire


def _shown(block: TextBlock | MediaBlock, *, citations: bool) -> Wire:
    """A part of a tool's result. What cannot be shown is no mistake of the caller's, and no reason to end the run."""
    if isinstance(block, TextBlock):
        return {"type": "text", "text": block.text}
    try:
        if isinstance(block, ImageBlock):
            return image(block)
        if isinstance(block, DocumentBlock):
            return document(block, citations=citations)
    except InvalidRequestError:
        pass
    return {"type": "text", "text": notice(block)}
