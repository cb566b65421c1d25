"""Messages as text, for a model that is to summarise them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pydantic_core import to_json

from alloy_actors.blocks import (
    MEDIA,
    RedactedThinkingBlock,
    ServerToolCall,
    ServerToolResult,
    TextBlock,
    ThinkingBlock,
    ToolCall,
    ToolResult,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from alloy_actors.content import ContentBlock, Message

RESULT_CHARS: Final = 4_000
"""Of a tool result, more than which a summary has no use for: the beginning and the end of it."""


def serialise(messages: Iterable[Message]) -> str:
    """Labelled pieces, separated by blank lines."""
    return "\n\n".join(piece for message in messages for piece in _pieces(message))


def _pieces(message: Message) -> Iterator[str]:
    speaker = "User" if message.role == "user" else "Assistant"
    for block in message.blocks:
        text = _labelled(block, speaker)
        if text:
            yield text


def _labelled(block: ContentBlock, speaker: str) -> str:
    match block:
        case TextBlock():
            return f"[{speaker}]\n{block.text}" if block.text.strip() else ""
        case ThinkingBlock():
            return f"[{speaker} thinking]\n{block.thinking}" if block.thinking.strip() else ""
        case ToolCall() | ServerToolCall():
            arguments = to_json(block.input, fallback=str, inf_nan_mode="constants").decode()
            return f"[{speaker} tool call]\n{block.name}({arguments})"
        case ToolResult():
            label = "Tool error" if block.is_error else "Tool result"
            files = "".join(f"\n[{one.mime_type or one.type}]" for one in block.media)
            return f"[{label}]\n{_shortened(block.text)}{files}"
        case ServerToolResult():
            return f"[Tool result]\n{_shortened(block.content)}"
        case RedactedThinkingBlock():
            return ""
        case _ if isinstance(block, MEDIA):
            name = block.title or block.uri or "given as data"
            return f"[{speaker} {block.type}]\n{name} ({block.mime_type or 'of unknown type'})"
        case _:
            return f"[{speaker} {block.type}]\n{_shortened(str(getattr(block, 'raw', '')))}"


def _shortened(text: str) -> str:
    if len(text) <= RESULT_CHARS:
        return text
    tail = RESULT_CHARS // 5
    head = RESULT_CHARS - tail
    return f"{text[:head]}\n[... {len(text) - RESULT_CHARS:,} characters left out ...]\n{text[-tail:]}"
