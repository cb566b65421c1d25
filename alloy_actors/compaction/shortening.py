"""Old messages cut down where they stand: what is left to do where no summary can be had, or where it is not enough."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from alloy_actors.blocks import RedactedThinkingBlock, TextBlock, ThinkingBlock
from alloy_actors.compaction.clearing import size
from alloy_actors.compaction.parts import body_of, head_of, turn_in_progress
from alloy_actors.content import Message, ToolResult
from alloy_actors.estimate import BYTES_PER_TOKEN, tokens_of_block

if TYPE_CHECKING:
    from collections.abc import Callable

    from alloy_actors.content import ContentBlock

KEPT_MESSAGES: Final = 10
TEXT_CHARS: Final = 200
SMALLEST: Final = 2_064
"""Bytes of a tool result below which it is not worth cutting."""
LEAST_KEPT: Final = 2_000
"""Bytes of a tool result that stay in any case."""
_COMPACTED: Final = "[tool result compacted]"
_NOTHING_LEFT: Final = "[The reasoning that stood here was removed.]"


def truncate(messages: list[Message]) -> list[Message]:
    """Cut down all but the first message, a summary, the user's words and the last messages.

    Tool results become a marker, the model's text and its unsigned thinking 200 characters. Signed thinking and what goes
    back to its provider unchanged are never cut, only `without_signed_thinking` takes the former out as a whole.
    """
    keep = min(KEPT_MESSAGES, max(1, len(messages) - 2))
    recent = len(messages) - keep
    while recent > 0 and _holds_results(messages[recent]):
        recent -= 1  # they stay with their calls
    old = range(body_of(messages, head_of(messages)), recent)
    if not old:
        return messages
    return [_cut(message) if at in old else message for at, message in enumerate(messages)]


def without_signed_thinking(messages: list[Message], *, keep_turn: bool) -> list[Message]:
    """Take out what a provider recognises by its signature: the messages before it are not those it was made after.

    Thinking without one stays: some providers refuse an answer that has lost it. So does what a message that paused
    has come to.

    Args:
        messages: In order.
        keep_turn: Whether the turn in progress keeps its own, because the provider insists on it.
    """
    last = turn_in_progress(messages) if keep_turn else len(messages)
    while last > 0 and last == len(messages) and messages[-1].role == "assistant":
        last -= 1
    return [
        _map(message, _unless_signed) if at < last and message.role == "assistant" else message
        for at, message in enumerate(messages)
    ]


def shrink(messages: list[Message], excess: int) -> list[Message]:
    """Cut the largest tool results, largest first, until they hold about so many estimated tokens less.

    Nothing goes below what there is to read in 2,000 bytes.
    """
    new = list(messages)
    found = [
        (tokens_of_block(block) * BYTES_PER_TOKEN, position, index)
        for position, message in enumerate(messages)
        if message.role == "user"
        for index, block in enumerate(message.blocks)
        if isinstance(block, ToolResult) and tokens_of_block(block) * BYTES_PER_TOKEN > SMALLEST
    ]
    needed = excess * BYTES_PER_TOKEN
    for weight, position, index in sorted(found, key=lambda one: -one[0]):
        if needed <= 0:
            break
        blocks = list(new[position].blocks)
        result = blocks[index]
        assert isinstance(result, ToolResult)
        marked = 64  # about what the marker takes
        kept = result.text.encode(errors="replace")[: max(LEAST_KEPT, weight - needed - marked)]
        text = kept.decode(errors="ignore")
        marker = f"\n[tool result compacted: {len(kept)} of {size(result)} bytes kept]"
        blocks[index] = replace(result, content=text + marker)
        new[position] = Message("user", tuple(blocks))
        needed -= weight - len(kept) - len(marker)
    return new if found and excess > 0 else messages


def _cut(message: Message) -> Message:
    if message.role == "user":
        return _map(message, _shorter_result)
    if any(getattr(block, "raw", None) is not None for block in message.blocks):
        return message  # parts of one whole to their provider
    return _map(message, _shorter_text)


def _map(message: Message, change: Callable[[ContentBlock], ContentBlock | None]) -> Message:
    """The message with other blocks; itself where none has changed."""
    blocks = message.blocks
    new = tuple(block for block in map(change, blocks) if block is not None)
    if len(new) == len(blocks) and all(now is was for now, was in zip(new, blocks, strict=True)):
        return message
    return Message(message.role, new or (TextBlock(_NOTHING_LEFT),), message.model, message.origin)


def _shorter_result(block: ContentBlock) -> ContentBlock:
    if isinstance(block, ToolResult) and size(block) > len(_COMPACTED):
        return replace(block, content=_COMPACTED)
    return block


def _shorter_text(block: ContentBlock) -> ContentBlock:
    if isinstance(block, TextBlock) and len(block.text) > TEXT_CHARS:
        return TextBlock(_shorter(block.text), phase=block.phase)
    if isinstance(block, ThinkingBlock) and not block.signature and len(block.thinking) > TEXT_CHARS:
        return ThinkingBlock(_shorter(block.thinking))
    return block


def _unless_signed(block: ContentBlock) -> ContentBlock | None:
    signed = isinstance(block, RedactedThinkingBlock) or (
        isinstance(block, ThinkingBlock) and bool(block.signature)
    )
    return None if signed else block


def _shorter(text: str) -> str:
    return f"{text[:TEXT_CHARS]}..."


def _holds_results(message: Message) -> bool:
    return any(isinstance(block, ToolResult) for block in message.blocks)
