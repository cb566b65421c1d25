"""How many tokens something will be, before anybody has counted them: a quarter of its bytes.

Source: section 7.2 of the description of the reference system. Bytes and not characters, or Chinese and Japanese would
count a third of what they are. A provider's own count is better wherever there is one: see
`Conversation.prompt_tokens`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pydantic_core import to_json

from alloy_actors.blocks import (
    AudioBlock,
    ContentBlock,
    DocumentBlock,
    ImageBlock,
    ServerToolCall,
    TextBlock,
    ThinkingBlock,
    ToolCall,
    ToolResult,
    VideoBlock,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from alloy_actors.tooldef import Tool

BYTES_PER_TOKEN: Final = 4

_MEDIA: Final[dict[type[object], int]] = {
    ImageBlock: 1000,
    AudioBlock: 500,
    VideoBlock: 2000,
    DocumentBlock: 3000,
}
"""Tokens of a block whose size says nothing about them."""


def tokens_of_text(text: str) -> int:
    """Of a piece of text."""
    return (len(text) if text.isascii() else len(text.encode(errors="replace"))) // BYTES_PER_TOKEN


def tokens_of_block(block: ContentBlock) -> int:
    """Of one content block."""
    match block:
        case TextBlock():
            return tokens_of_text(block.text)
        case ToolCall() | ServerToolCall():
            return tokens_of_text(block.name) + _tokens_of_json(block.input)
        case ToolResult():
            if isinstance(block.content, str):
                return tokens_of_text(block.content)
            return sum(map(tokens_of_block, block.content))
        case ThinkingBlock():
            return tokens_of_text(block.thinking) + tokens_of_text(block.signature or "")
        case _:
            known = _MEDIA.get(type(block))
            return _tokens_of_json(block) if known is None else known


def overhead(system_prompt: str, tools: Iterable[Tool]) -> int:
    """Of what goes with every request beside its messages."""
    return tokens_of_text(system_prompt) + sum(tool.estimated_tokens for tool in tools)


def tokens_of_tool(tool: Tool) -> int:
    """Of a tool's definition."""
    return tokens_of_text(tool.name) + tokens_of_text(tool.description) + _tokens_of_json(tool.input_schema)


def _tokens_of_json(value: Any) -> int:
    return len(to_json(value, fallback=str)) // BYTES_PER_TOKEN
