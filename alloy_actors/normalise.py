"""A history made by one provider, put so that another one takes it.

What only its origin understands is taken out of a foreign message: signatures and raw forms are dropped, thinking
becomes text, what has no neutral words goes. Messages of the same origin, of none, and the user's stay as they are.
All of it is a pure function of the messages: the same history is the same bytes for every request.

Source: design section 1 (switching providers in mid-conversation); the portable ids are those that Anthropic and
OpenAI both accept.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import replace
from typing import TYPE_CHECKING

from alloy_actors.blocks import MEDIA, TextBlock, ThinkingBlock, ToolCall, ToolResult
from alloy_actors.content import Message

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from alloy_actors.content import ContentBlock

_PORTABLE = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_NOT_PORTABLE = re.compile(r"[^a-zA-Z0-9_-]")


def normalise(messages: Iterable[Message], origin: str | None) -> tuple[Message, ...]:
    """The history as the provider with this origin is to see it; messages that need no change are the same objects."""
    found: list[Message] = []
    answers: Message | None = None
    for message in messages:
        seen = normalised(message, origin, answers)
        if seen is not None:
            found.append(seen)
        if message.role == "assistant":
            answers = message
    return tuple(found)


def normalised(message: Message, origin: str | None, answers: Message | None = None) -> Message | None:
    """One message of it; None when nothing of it can be said elsewhere.

    Args:
        message: As it is in the history.
        origin: Of the provider that will read it.
        answers: The assistant message before it, whose tool calls its results answer.
    """
    if isinstance(message.content, str):
        return message
    if message.role == "user":
        if answers is None or not is_foreign(answers, origin):
            return message
        blocks = tuple(_answer(block) for block in message.blocks)
        return message if blocks == message.content else Message("user", blocks)
    if not is_foreign(message, origin):
        return message
    blocks = tuple(_portable_blocks(message.blocks))
    return Message("assistant", blocks, model=message.model, origin=message.origin) if blocks else None


def is_foreign(message: Message, origin: str | None) -> bool:
    """Whether another origin made it; a message made by hand has none and is at home everywhere."""
    return message.origin is not None and message.origin != origin


def portable_id(name: str) -> str:
    """A tool call's id that every provider accepts: itself, or a readable part of it with a hash of the whole."""
    if _PORTABLE.fullmatch(name):
        return name
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{_NOT_PORTABLE.sub('_', name)[:55]}_{digest}"


def _answer(block: ContentBlock) -> ContentBlock:
    if isinstance(block, ToolResult):
        name = portable_id(block.tool_use_id)
        if name != block.tool_use_id:
            return replace(block, tool_use_id=name)
    return block


def _portable_blocks(blocks: Iterable[ContentBlock]) -> Iterator[ContentBlock]:
    for block in blocks:
        if isinstance(block, TextBlock):
            if block.text.strip():
                yield TextBlock(block.text)
        elif isinstance(block, ThinkingBlock):
            if block.thinking.strip():
                yield TextBlock(block.thinking)
        elif isinstance(block, ToolCall):
            yield ToolCall(portable_id(block.id), block.name, block.input, block.invalid)
        elif isinstance(block, MEDIA):
            yield replace(block, signature=None, raw=None)
