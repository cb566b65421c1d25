"""What a restart reads out of a log."""

from __future__ import annotations

import time

from alloy_actors import errors
from alloy_actors import journal as log
from alloy_actors.actors.restoring import fold
from alloy_actors.content import Message, TextBlock, ToolCall, ToolResult, Usage, user

CALL = ToolCall("c1", "look", {"at": "it"})


def replied(*blocks: object, request: str = "r", stop_reason: str = "end_turn") -> log.Replied:
    return log.Replied(request, Message("assistant", blocks), stop_reason, Usage(3, 2))


def began(name: str) -> list[log.Record]:
    return [log.Accepted(name, user(name)), log.RunBegan(name, user(name)), log.RequestSent(name, 1, "m")]


def test_a_result_is_read_back_with_all_the_log_knows() -> None:
    now = time.time()
    records = [
        *began("r"),
        replied(CALL, stop_reason="tool_use"),
        log.ToolCallStarted("r", "c1"),
        log.ToolCallEnded("r", ToolResult("c1", "seen"), 0.5, None, {"n": 1}),
        log.RequestSent("r", 2, "m"),
        replied(TextBlock("done")),
        log.RunEnded("r", "completed", now - 10),
    ]
    conversation, (finished,) = fold(records, 60)
    result = finished.result
    assert (result.request_id, result.status, result.text, result.turns) == ("r", "completed", "done", 2)
    assert (result.usage, result.stop_reason, result.error) == (Usage(6, 4), "end_turn", None)
    (call,) = result.tool_calls
    assert (call.name, call.input, call.duration, call.data) == ("look", {"at": "it"}, 0.5, {"n": 1})
    assert 9 < finished.age < 60
    assert finished.message == user("r")
    assert conversation.run is None


def test_a_result_has_the_history_of_its_own_end_and_not_of_what_came_later() -> None:
    now = time.time()
    records = [*began("a"), replied(TextBlock("one")), log.RunEnded("a", "completed", now)]
    records += [
        *began("b"),
        replied(TextBlock("two"), request="b"),
        log.RunEnded("b", "error", now, "ServerError", "it broke"),
    ]
    _, (first, second) = fold(records, 60)
    assert [message.text for message in first.result.messages] == ["a", "one"]
    assert len(second.result.messages) == 4
    assert isinstance(second.result.error, errors.ServerError)
    assert str(second.result.error) == "it broke"


def test_an_error_of_a_class_that_is_not_ours_is_still_an_error_of_ours() -> None:
    for name in ("Unheard", "RunError", "builtins", "annotations"):
        _, (finished,) = fold([*began("r"), log.RunEnded("r", "error", time.time(), name, "why")], 60)
        assert type(finished.result.error) is errors.AlloyError
        assert str(finished.result.error) == "why"


def test_what_was_withdrawn_and_what_had_joined_have_results_too() -> None:
    now = time.time()
    records = [
        *began("run"),
        log.Accepted("joins", user("more"), "steer"),
        log.Accepted("left", user("never mind")),
        replied(TextBlock("one"), request="run"),
        log.Steered("run", "joins", user("more")),
        log.Withdrawn("left", now),
        log.RequestSent("run", 2, "m"),
        replied(TextBlock("two"), request="run"),
        log.RunEnded("run", "completed", now),
    ]
    conversation, finished = fold(records, 60)
    assert [(one.result.request_id, one.result.status) for one in finished] == [
        ("left", "cancelled"),
        ("run", "completed"),
        ("joins", "completed"),
    ]
    assert finished[2].message == user("more")
    assert finished[2].result.text == "two"
    assert conversation.waiting == {}


def test_what_is_too_old_is_not_read_back() -> None:
    records = [*began("r"), replied(TextBlock("x")), log.RunEnded("r", "completed", time.time() - 100)]
    assert fold(records, 60)[1] == []
    assert (
        fold([*began("r"), log.RunEnded("r", "completed")], 3600)[1] == []
    )  # of a time before times were kept


def test_what_was_over_with_an_error_before_its_run_began_has_that_error() -> None:
    records = [
        log.Accepted("r", user("hi")),
        log.Withdrawn("r", time.time(), "AgentDownError", "it is parked"),
    ]
    _, (finished,) = fold(records, 60)
    assert finished.result.status == "error"
    assert isinstance(finished.result.error, errors.AgentDownError)
    assert str(finished.result.error) == "it is parked"
