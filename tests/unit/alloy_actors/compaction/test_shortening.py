"""T61, T63: messages that are cut down where they stand."""

from __future__ import annotations

import pytest

from alloy_actors.compaction.parts import estimated
from alloy_actors.compaction.shortening import shrink, truncate, without_signed_thinking
from alloy_actors.content import (
    ImageBlock,
    Message,
    RedactedThinkingBlock,
    TextBlock,
    ThinkingBlock,
    ToolCall,
    ToolResult,
    assistant,
    tool_results,
    user,
)
from tests.checks import check_sendable

LONG = "w" * 1_000


def rounds(count: int, *blocks: object) -> list[Message]:
    messages = [user(LONG)]
    for number in range(count):
        name = f"c{number}"
        call = ToolCall(name, "look", {})
        messages += [
            Message("assistant", (*blocks, TextBlock(LONG), call), model="m", origin="o"),
            tool_results([ToolResult(name, LONG)]),
        ]
    return messages


def test_old_messages_are_cut_and_the_last_ten_stay() -> None:
    """T63: at most 203 characters of the model's text."""
    messages = rounds(10)
    new = truncate(messages)
    assert len(new) == len(messages)
    assert new[0] is messages[0]
    assert all(now is was for now, was in zip(new[11:], messages[11:], strict=True))
    for message in new[1:11:2]:
        assert message.blocks[0] == TextBlock("w" * 200 + "...")
        assert (message.model, message.origin) == ("m", "o")
    assert [message.blocks[0].content for message in new[2:11:2]] == ["[tool result compacted]"] * 5
    check_sendable([*new, assistant("then")])
    assert truncate(new) == new  # nothing is left to cut


def test_results_stay_with_their_calls_where_the_cut_falls_between() -> None:
    messages = [*rounds(10), assistant(LONG), user("more")]
    assert isinstance(messages[-10].blocks[0], ToolResult) is False
    messages = messages[:-1]
    assert isinstance(messages[-10].blocks[0], ToolResult)
    assert truncate(messages)[-11] is messages[-11]


def test_the_users_words_are_not_cut() -> None:
    messages = [user("task"), *[assistant(LONG), user(LONG)] * 10]
    new = truncate(messages)
    assert [message.text for message in new if message.role == "user"] == ["task", *[LONG] * 10]
    assert estimated(new) < estimated(messages)


def test_a_short_conversation_is_not_cut() -> None:
    messages = [assistant(LONG), user(LONG)]
    assert truncate(messages) is messages
    assert truncate([]) == []
    assert truncate([user("task"), *messages])[1].text == "w" * 200 + "..."


def test_what_goes_back_to_its_provider_as_a_whole_is_not_cut() -> None:
    """T61: the reasoning of a round is kept, and the round intact."""
    reasoning = ThinkingBlock(LONG, raw='{"type":"reasoning","encrypted_content":"x"}')
    messages = rounds(10, reasoning)
    new = truncate(messages)
    assert new[1] is messages[1]
    assert new[2].blocks[0].content == "[tool result compacted]"
    assert without_signed_thinking(new, keep_turn=False) == new


def test_unsigned_thinking_is_cut() -> None:
    new = truncate(rounds(10, ThinkingBlock(LONG)))
    assert new[1].blocks[0] == ThinkingBlock("w" * 200 + "...")


@pytest.mark.parametrize("block", [ThinkingBlock(LONG, "signed"), RedactedThinkingBlock("opaque")])
def test_signed_thinking_is_never_cut_and_goes_as_a_whole(
    block: ThinkingBlock | RedactedThinkingBlock,
) -> None:
    """T61."""
    messages = rounds(10, block)
    cut = truncate(messages)
    assert cut[1].blocks[0] is block
    new = without_signed_thinking(cut, keep_turn=False)
    assert all(block not in message.blocks for message in new)
    check_sendable([*new, assistant("then")])
    assert (new[1].model, new[1].origin) == ("m", "o")


def test_the_turn_in_progress_keeps_its_thinking_where_the_provider_insists() -> None:
    """T61: manual thinking."""
    signed = ThinkingBlock("hm", "signed")
    messages = [*rounds(2, signed), Message("assistant", (signed, TextBlock("done"))), user("next")]
    messages += rounds(1, signed)[1:]
    new = without_signed_thinking(messages, keep_turn=True)
    assert [signed in message.blocks for message in new if message.role == "assistant"] == [False] * 3 + [
        True
    ]
    assert new[-2] is messages[-2]


def test_an_answer_of_nothing_but_thinking_does_not_vanish() -> None:
    messages = [user("a"), Message("assistant", (ThinkingBlock("hm", "signed"),)), user("b")]
    new = without_signed_thinking(messages, keep_turn=False)
    check_sendable([*new, assistant("then")])


def test_a_paused_answer_stays_as_it_is() -> None:
    paused = Message("assistant", (ThinkingBlock("hm", "signed"), TextBlock("one moment")))
    messages = [user("a"), paused]
    assert without_signed_thinking(messages, keep_turn=False)[-1] is paused


def test_the_largest_results_are_cut_first_and_only_as_far_as_needed() -> None:
    """T61."""
    calls = Message("assistant", tuple(ToolCall(name, "look", {}) for name in "abc"))
    results = [ToolResult("a", "é" * 2_000), ToolResult("b", "b" * 40_000), ToolResult("c", "c" * 2_064)]
    messages = [user("task"), calls, tool_results(results)]
    new = shrink(messages, 5_000)
    assert new[0] is messages[0]
    a, b, c = new[2].blocks
    assert (a, c) == (results[0], results[2])
    assert b.content.startswith("bbb")
    assert b.content.endswith("[tool result compacted: 19936 of 40000 bytes kept]")
    assert 5_000 <= estimated(messages) - estimated(new) <= 5_010

    new = shrink(messages, 100_000)
    a, b, c = new[2].blocks
    assert a.content == "é" * 1_000 + "\n[tool result compacted: 2000 of 4000 bytes kept]"
    assert b.content == "b" * 2_000 + "\n[tool result compacted: 2000 of 40000 bytes kept]"
    assert c is results[2]
    assert shrink(new, 100_000) is new  # there is nothing left to gain


def test_a_letter_is_not_cut_in_two() -> None:
    messages = [tool_results([ToolResult("a", "x" + "日" * 2_000)])]
    (result,) = shrink(messages, 100_000)[0].blocks
    assert result.content.startswith("x" + "日" * 666 + "\n[tool result compacted: 2000 of 6001 bytes kept]")


def test_images_of_a_result_go_when_it_is_cut() -> None:
    picture = ImageBlock("image/png", data="a" * 8_000)
    messages = [tool_results([ToolResult("a", (TextBlock("see"), picture))])]
    new = shrink(messages, 900)
    assert new[0].blocks[0].content == "see\n[tool result compacted: 3 of 8003 bytes kept]"


def test_nothing_is_cut_where_everything_fits() -> None:
    messages = rounds(3)
    assert shrink(messages, 0) is messages
    assert shrink(messages, -5) is messages
