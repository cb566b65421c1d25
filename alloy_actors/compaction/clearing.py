"""Tool results without their content: the cheapest way to make room, as no model is asked."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final, NamedTuple

from alloy_actors.content import Message, ToolResult

if TYPE_CHECKING:
    from collections.abc import Sequence

_CLEARED: Final = "[tool result cleared: "


class Cleared(NamedTuple):
    """What clearing came to.

    Args:
        messages: The list it was given where `results` is 0.
        results: Results that were emptied.
        bytes: What they held.
    """

    messages: list[Message]
    results: int
    bytes: int


def clear(messages: list[Message], start: int, stop: int, keep: int) -> Cleared:
    """Empty the tool results of `messages[start:stop]`.

    All in one go, so that a prompt cache is broken once. A result that is empty already, or shorter than what would
    stand there, stays as it is; so does what a provider's own tools have found, which no provider takes back altered.

    Args:
        messages: In order.
        start: Where what is old begins.
        stop: Where it ends.
        keep: The newest results of the whole conversation, which stay.
    """
    newest = _newest(messages, keep)
    new, results, total = list(messages), 0, 0
    for position in range(start, stop):
        message = messages[position]
        if isinstance(message.content, str) or message.role != "user":
            continue
        blocks = list(message.blocks)
        for index, block in enumerate(blocks):
            if not isinstance(block, ToolResult) or (position, index) in newest:
                continue
            held = size(block)
            marker = f"{_CLEARED}{held} bytes]"
            if held > len(marker) and not is_cleared(block):
                blocks[index] = replace(block, content=marker)
                results, total = results + 1, total + held
        if any(now is not was for now, was in zip(blocks, message.blocks, strict=True)):
            new[position] = Message("user", tuple(blocks))
    return Cleared(new if results else messages, results, total)


def is_cleared(result: ToolResult) -> bool:
    """Whether there is nothing left in it."""
    return isinstance(result.content, str) and result.content.startswith(_CLEARED)


def size(result: ToolResult) -> int:
    """Bytes of a result, files included."""
    if isinstance(result.content, str):
        return len(result.content.encode(errors="replace"))
    files = sum(len(one.data or one.uri or "") for one in result.media)
    return len(result.text.encode(errors="replace")) + files


def _newest(messages: Sequence[Message], keep: int) -> set[tuple[int, int]]:
    """The positions of the newest results, as (message, block)."""
    found: set[tuple[int, int]] = set()
    for position in range(len(messages) - 1, -1, -1):
        if len(found) >= keep:
            break
        blocks = messages[position].blocks if messages[position].role == "user" else ()
        for index in range(len(blocks) - 1, -1, -1):
            if isinstance(blocks[index], ToolResult) and len(found) < keep:
                found.add((position, index))
    return found
