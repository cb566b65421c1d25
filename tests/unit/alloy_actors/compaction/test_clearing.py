"""T60: tool results that are emptied."""

from __future__ import annotations

from alloy_actors.compaction.clearing import clear
from alloy_actors.content import (
    ImageBlock,
    Message,
    ServerToolResult,
    TextBlock,
    ToolCall,
    ToolResult,
    assistant,
    tool_results,
    user,
)

LONG = "y" * 100


def rounds(count: int, text: str = LONG) -> list[Message]:
    messages = [user("task")]
    for number in range(count):
        name = f"c{number}"
        messages += [
            Message("assistant", (ToolCall(name, "look", {}),)),
            tool_results([ToolResult(name, text)]),
        ]
    return messages


def contents(messages: list[Message]) -> list[object]:
    return [
        block.content for message in messages for block in message.blocks if isinstance(block, ToolResult)
    ]


def test_old_results_are_emptied_and_the_newest_stay() -> None:
    """T60: keep 3, of the whole conversation."""
    messages = rounds(6)
    new, results, size = clear(messages, 1, len(messages), 3)
    assert (results, size) == (3, 300)
    assert contents(new) == ["[tool result cleared: 100 bytes]"] * 3 + [LONG] * 3
    assert all(
        now is was for at, (now, was) in enumerate(zip(new, messages, strict=True)) if at not in (2, 4, 6)
    )
    assert contents(messages) == [LONG] * 6  # others hold views of it


def test_only_what_is_old_is_emptied() -> None:
    messages = rounds(6)
    assert clear(messages, 1, 5, 3).results == 2
    assert clear(messages, 1, 5, 6).results == 0
    assert clear(messages, 1, len(messages), 0).results == 6


def test_what_was_emptied_is_not_touched_again() -> None:
    """T60: its size would be lost, and the cache with it."""
    once = clear(rounds(6), 1, 13, 3).messages
    again = clear(once, 1, 13, 3)
    assert (again.results, again.bytes) == (0, 0)
    assert again.messages is once
    more = clear(once, 1, 13, 0)
    assert more.results == 3
    assert more.messages[2] is once[2]


def test_bytes_are_counted_and_not_characters() -> None:
    new, results, size = clear(rounds(1, "日本" * 20), 1, 3, 0)
    assert (results, size) == (1, 120)
    assert contents(new) == ["[tool result cleared: 120 bytes]"]


def test_errors_stay_errors_images_go_and_short_results_stay() -> None:
    call = Message("assistant", tuple(ToolCall(name, "look", {}) for name in "abc"))
    picture = ImageBlock("image/png", data="a" * 400)
    answers = tool_results(
        [
            ToolResult("a", LONG, is_error=True),
            ToolResult("b", (TextBlock("see"), picture)),
            ToolResult("c", "ok"),
        ]
    )
    new, results, size = clear([user("task"), call, answers], 1, 3, 0)
    assert (results, size) == (2, 503)
    assert new[2].blocks == (
        ToolResult("a", "[tool result cleared: 100 bytes]", is_error=True),
        ToolResult("b", "[tool result cleared: 403 bytes]"),
        ToolResult("c", "ok"),
    )


def test_what_the_providers_own_tools_found_stays_whole() -> None:
    found = ServerToolResult("s", LONG, raw='{"type":"web_search_tool_result"}')
    messages = [user("task"), Message("assistant", (found, TextBlock("see"))), user("go on"), assistant(LONG)]
    assert clear(messages, 1, 4, 0).messages is messages
