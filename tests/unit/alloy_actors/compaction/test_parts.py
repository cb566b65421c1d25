"""T62: where a conversation is cut, and what a summary stands between."""

from __future__ import annotations

from alloy_actors.compaction.parts import (
    BRIDGE,
    SUMMARY,
    Parts,
    split,
    summarised,
    summary_of,
    turn_in_progress,
)
from alloy_actors.content import Message, TextBlock, ToolCall, ToolResult, assistant, tool_results, user
from tests.checks import check_sendable

TEN = "x" * 40  # tokens by estimate


def asks(name: str) -> Message:
    return Message("assistant", (TextBlock(TEN), ToolCall(name, "look", {})))


def found(name: str, text: str = TEN) -> Message:
    return tool_results([ToolResult(name, text)])


def test_what_is_recent_begins_with_the_users_words_after_so_many_tokens() -> None:
    """T62."""
    messages = [user("task"), assistant(TEN), user(TEN), assistant(TEN), user(TEN), assistant(TEN), user(TEN)]
    assert split(messages, 25) == Parts(1, 1, 4)
    assert split(messages, 1) == Parts(1, 1, 6)


def test_a_single_prompt_is_cut_before_an_answer_and_never_before_a_result() -> None:
    """T62: the tail begins with the assistant's words where the user has said nothing in it."""
    messages = [user("task"), asks("a"), found("a"), asks("b"), found("b"), asks("c"), found("c")]
    assert split(messages, 12) == Parts(1, 1, 5)
    assert split(messages, 5) == Parts(
        1, 1, 5
    )  # the threshold is the last result; the call before it is the last place
    assert split(messages, 30) == Parts(1, 1, 5)
    assert split(messages, 35) == Parts(1, 1, 3)


def test_a_short_conversation_has_nothing_old() -> None:
    messages = [user("task"), assistant("hi"), user("more")]
    assert split(messages, 1000) == Parts(1, 1, 1)
    assert split([user("task")], 1000) == Parts(1, 1, 1)
    assert split([], 1) == Parts(0, 0, 0)


def test_words_that_joined_results_are_no_place_to_cut() -> None:
    joined = Message("user", (ToolResult("a", TEN), TextBlock("and hurry")))
    messages = [user("task"), asks("a"), joined, asks("b"), found("b")]
    assert split(messages, 30).cut == 3
    assert turn_in_progress(messages) == 1


def test_a_summary_stands_second_and_roles_alternate() -> None:
    """T58, T62: before the user's words, and before an answer."""
    messages = [user("task"), assistant(TEN), user(TEN), assistant(TEN), user(TEN), assistant(TEN), user(TEN)]
    new = summarised(messages, split(messages, 25), "so far so good")
    assert new[0] is messages[0]
    assert new[1].role == "assistant"
    assert new[1].text == f"{SUMMARY}\n\nso far so good"
    assert new[2:] == messages[4:]
    check_sendable([*new, assistant("then")])

    loop = [user("task"), asks("a"), found("a"), asks("b"), found("b"), asks("c"), found("c")]
    new = summarised(loop, split(loop, 35), "looked at a")
    assert [message.text for message in new[1:3]] == [f"{SUMMARY}\n\nlooked at a", BRIDGE]
    assert new[3:] == loop[3:]
    check_sendable([*new, assistant("then")])


def test_a_second_summary_takes_the_place_of_the_first() -> None:
    """T62: one summary only, with and without what stands between it and an answer."""
    loop = [user("task"), asks("a"), found("a"), asks("b"), found("b"), asks("c"), found("c")]
    once = summarised(loop, split(loop, 35), "first")
    assert summary_of(once, 1) == "first"
    parts = split(once, 12)
    assert parts == Parts(1, 3, 5)
    twice = summarised(once, parts, "second")
    assert [message.text for message in twice[:3]] == ["task", f"{SUMMARY}\n\nsecond", BRIDGE]
    assert twice[3:] == loop[5:]
    check_sendable([*twice, assistant("then")])

    chat = [user("task"), *[assistant(TEN), user(TEN)] * 4]
    once = summarised(chat, split(chat, 25), "first")
    twice = summarised(once, split(once, 5), "second")
    assert sum(SUMMARY in message.text for message in twice) == 1
    assert twice[2:] == chat[-1:]
    check_sendable([*twice, assistant("then")])


def test_a_conversation_that_the_assistant_began_keeps_its_beginning() -> None:
    messages = [asks("a"), found("a"), assistant(TEN), user(TEN), assistant(TEN), user(TEN)]
    parts = split(messages, 5)
    assert parts == Parts(2, 2, 5)
    new = summarised(messages, parts, "s")
    assert new[:2] == messages[:2]
    assert [message.role for message in new] == ["assistant", "user", "assistant", "user"]


def test_nothing_of_compactions_own_is_what_the_user_said() -> None:
    messages = [user("task"), assistant(f"{SUMMARY}\n\ns"), user(BRIDGE), asks("a"), found("a")]
    assert turn_in_progress(messages) == 1
