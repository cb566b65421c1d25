"""Checks that several tests share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alloy_actors.content import ToolResult

if TYPE_CHECKING:
    from collections.abc import Sequence

    from alloy_actors.content import Message


def check_sendable(messages: Sequence[Message]) -> None:
    """The strictest API would take this history plus one user message."""
    expected = "user"
    open_calls: list[str] = []
    for position, message in enumerate(messages):
        assert message.role == expected, f"message {position}: {message.role} after {message.role}"
        assert message.blocks, f"message {position} is empty"
        results = [block.tool_use_id for block in message.blocks if isinstance(block, ToolResult)]
        assert results == open_calls, f"message {position}: calls {open_calls} answered by {results}"
        open_calls = [call.id for call in message.tool_calls]
        expected = "assistant" if expected == "user" else "user"
    assert not open_calls, f"unanswered calls at the end: {open_calls}"
    assert not messages or messages[-1].role == "assistant", "the history ends with the user"
