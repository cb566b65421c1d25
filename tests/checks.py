"""Checks that several tests share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alloy_actors.content import ToolResult
from alloy_actors.journal import (
    Accepted,
    ApprovalAsked,
    ApprovalDecided,
    Charged,
    Reminded,
    Replied,
    RequestSent,
    RunBegan,
    RunEnded,
    RunResumed,
    RunSuspended,
    Seeded,
    Steered,
    ToolCallEnded,
    ToolCallStarted,
    WasCompacted,
    Withdrawn,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from alloy_actors.content import Message
    from alloy_actors.journal import Record


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


def check_consent(records: Sequence[Record]) -> None:
    """What was asked for has not begun before it was approved."""
    asked, approved = set(), set()
    for record in records:
        match record:
            case ApprovalAsked():
                asked.add(record.call_id)
            case ApprovalDecided():
                assert record.call_id in asked
                if record.approved:
                    approved.add(record.call_id)
            case ToolCallStarted():
                assert record.call_id not in asked - approved, f"{record} without an approval"


def check_journal(records: Sequence[Record], *, idle: bool = True) -> set[str]:
    """Every request was accepted once and ended once; the requests that have ended.

    Args:
        records: A whole log, oldest first.
        idle: Whether nothing is left to do.
    """
    waiting: set[str] = set()
    ended: set[str] = set()
    run: str | None = None
    joined: set[str] = set()
    again: set[str] = set()
    for record in records:
        match record:
            case Seeded():  # the log began anew: what waits was accepted again
                ended |= {one for one in (run, *joined) if one is not None}
                again, waiting, run, joined = waiting, set(), None, set()
                ended |= again
            case Accepted() if record.request_id in again:
                again.remove(record.request_id)
                ended.remove(record.request_id)
                waiting.add(record.request_id)
            case Accepted():
                assert record.request_id not in waiting | ended | joined | {run}, f"accepted twice: {record}"
                waiting.add(record.request_id)
            case RunBegan():
                assert run is None, f"{record} while {run!r} is on"
                waiting.remove(record.request_id)
                run = record.request_id
            case Steered():
                assert record.request_id == run, f"{record} while {run!r} is on"
                waiting.remove(record.steering_id)
                joined.add(record.steering_id)
            case (
                RunResumed()
                | RunSuspended()
                | Reminded()
                | RequestSent()
                | Replied()
                | ApprovalAsked()
                | ApprovalDecided()
                | ToolCallStarted()
                | ToolCallEnded()
                | Charged()
                | WasCompacted()
            ):
                assert record.request_id == run, f"{record} while {run!r} is on"
            case RunEnded():
                assert record.request_id == run, f"{record} while {run!r} is on"
                ended |= {run, *joined}
                run, joined = None, set()
            case Withdrawn():
                waiting.remove(record.request_id)
                ended.add(record.request_id)
    if idle:
        assert (run, waiting) == (None, set()), "not everything accepted has ended"
    return ended
