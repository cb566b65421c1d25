"""Folding records: one code for live runs and restarts."""

from __future__ import annotations

import pytest

from alloy_actors import journal as log
from alloy_actors.content import (
    DROPPED,
    History,
    Message,
    TextBlock,
    ToolCall,
    ToolResult,
    Usage,
    assistant,
    user,
)
from alloy_actors.conversation import Conversation


def replied(*blocks: object, stop_reason: str = "end_turn", usage: Usage = Usage(1, 2)) -> log.Replied:
    return log.Replied("r", Message("assistant", blocks), stop_reason, usage)


def asked(*ids: str) -> log.Replied:
    return replied(*(ToolCall(call_id, "look", {}) for call_id in ids), stop_reason="tool_use")


def folded(*records: log.Record) -> Conversation:
    conversation = Conversation()
    conversation.replay(records)
    return conversation


BEGAN = log.RunBegan("r", user("hello"))


def test_a_run_adds_the_question_and_the_answer() -> None:
    conversation = folded(BEGAN, replied(TextBlock("hi")), log.RunEnded("r", "completed"))
    assert [message.role for message in conversation.messages] == ["user", "assistant"]
    assert conversation.running is None


def test_tool_results_become_one_message_in_call_order_whatever_order_they_ended_in() -> None:
    conversation = folded(
        BEGAN,
        asked("a", "b"),
        log.ToolCallEnded("r", ToolResult("b", "second")),
        log.ToolCallEnded("r", ToolResult("a", "first")),
    )
    answer = conversation.messages[-1]
    assert answer.role == "user"
    assert [block.content for block in answer.blocks] == ["first", "second"]


def test_usage_adds_up_over_runs_and_starts_anew_for_each_run() -> None:
    first = (BEGAN, replied(TextBlock("hi")), log.RunEnded("r", "completed"))
    conversation = folded(*first, *first)
    assert conversation.usage == Usage(2, 4)
    assert conversation.run_usage == Usage(1, 2)
    assert conversation.turns == 1


def test_a_refused_answer_is_counted_but_not_kept() -> None:
    conversation = folded(BEGAN, replied(TextBlock("no"), stop_reason="refusal"))
    assert len(conversation.messages) == 1
    assert conversation.usage == Usage(1, 2)


def test_an_accepted_request_waits_until_it_begins_or_is_withdrawn() -> None:
    conversation = folded(
        log.Accepted("a", user("1")), log.Accepted("b", user("2")), log.Accepted("c", user("3"))
    )
    conversation.apply(log.RunBegan("a", user("1")))
    conversation.apply(log.Withdrawn("c"))
    assert list(conversation.waiting) == ["b"]


def test_a_reset_forgets_the_messages_and_keeps_the_usage() -> None:
    conversation = folded(BEGAN, replied(TextBlock("hi")), log.RunEnded("r", "completed"), log.WasReset())
    assert conversation.messages == []
    assert conversation.usage == Usage(1, 2)


def test_a_finished_run_needs_no_closing() -> None:
    assert folded(BEGAN, replied(TextBlock("hi"))).closing("r", "it was cancelled") is None


def test_a_question_without_an_answer_is_closed_by_a_marked_one() -> None:
    conversation = folded(BEGAN)
    closing = conversation.closing("r", "the request was cancelled")
    assert closing is not None
    assert closing.message == assistant("[No answer: the request was cancelled.]")


def test_partial_text_is_kept_and_marked() -> None:
    closing = folded(BEGAN).closing("r", "the request was cancelled", "The answer is")
    assert closing is not None
    assert closing.message == assistant(
        "The answer is\n\n[This answer was cut off: the request was cancelled.]"
    )


@pytest.mark.parametrize(
    ("started", "text"),
    [(True, "outcome of this call is unknown"), (False, "Not executed: the agent crashed")],
)
def test_an_open_call_is_answered_with_what_is_known_of_it(started: bool, text: str) -> None:
    conversation = folded(BEGAN, asked("a"))
    if started:
        conversation.apply(log.ToolCallStarted("r", "a"))
    closing = conversation.closing("r", "the agent crashed")
    assert closing is not None
    (result,) = closing.results
    assert text in result.content
    assert result.is_error


def test_finished_results_are_kept_when_the_others_are_closed() -> None:
    conversation = folded(BEGAN, asked("a", "b"), log.ToolCallEnded("r", ToolResult("b", "done")))
    closing = conversation.closing("r", "the agent crashed")
    assert closing is not None
    conversation.apply(closing)
    answer = conversation.messages[-2]
    assert [block.tool_use_id for block in answer.blocks] == ["a", "b"]
    assert answer.blocks[1].content == "done"
    assert conversation.messages[-1].role == "assistant"


def test_a_fork_appends_and_what_was_seen_before_stays_as_it_was() -> None:
    conversation = folded(BEGAN, replied(TextBlock("hi")))
    before = History(conversation.messages)
    copy = conversation.fork()
    copy.apply(log.RunBegan("r2", user("more")))
    assert len(before) == 2
    assert before[-1].text == "hi"
    assert before[:1] == (user("hello"),)
    assert list(before) == copy.messages[:2]
    assert before == copy.messages[:2]
    assert before != copy.messages
    with pytest.raises(IndexError):
        before[2]


def test_a_reset_leaves_what_others_hold() -> None:
    conversation = folded(BEGAN, replied(TextBlock("hi")))
    before = History(conversation.messages)
    conversation.apply(log.WasReset())
    assert [message.text for message in before] == ["hello", "hi"]


def with_state(state: dict | None, origin: str | None = "here") -> log.Replied:
    return log.Replied("r", Message("assistant", "hi", origin=origin), "end_turn", Usage(), state)


def test_a_providers_state_goes_back_to_its_origin_alone() -> None:
    conversation = folded(BEGAN, with_state({"container": "c"}), with_state(None))
    assert conversation.state_for("here") == {"container": "c"}
    assert conversation.fork().state_for("here") == {"container": "c"}
    assert conversation.state_for("there") is None
    assert folded(BEGAN, with_state({"id": "1"}), with_state({"id": "2"})).state_for("here") == {"id": "2"}


def test_a_providers_state_is_dropped_on_a_switch() -> None:
    conversation = folded(BEGAN, with_state({"id": "1"}), log.ModelChanged("m-2"))
    assert conversation.state_for("here") is None


@pytest.mark.parametrize("reset", [log.WasReset(), log.Seeded((), Usage(), DROPPED)])
def test_after_a_reset_a_provider_is_told_that_its_state_was_dropped(reset: log.Record) -> None:
    conversation = folded(BEGAN, with_state({"id": "1"}), reset)
    assert conversation.state_for("here") == {}
    assert conversation.state_for("there") == {}
