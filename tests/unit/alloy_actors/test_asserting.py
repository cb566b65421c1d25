"""Asserts for users' tests: what they accept, and what their failure says."""

import pytest

from alloy_actors import events
from alloy_actors.errors import ConfigError
from alloy_actors.result import Result, ToolCallRecord
from alloy_actors.testing import EventLog, assert_events, assert_tool_called, refute_tool_called

CALLS = (
    ToolCallRecord("c1", "add", {"a": 1, "b": 2}, 0.0),
    ToolCallRecord("c2", "add", {"a": 3, "result": "x"}, 0.0, error="no"),
)
RESULT = Result(request_id="r", status="completed", text="done", tool_calls=CALLS)


def test_a_call_is_found_by_name_and_by_a_part_of_its_input() -> None:
    assert assert_tool_called(RESULT, "add") is CALLS[0]
    assert assert_tool_called(RESULT, "add", b=2, a=1) is CALLS[0]
    assert assert_tool_called(RESULT, "add", result="x") is CALLS[1]


def test_a_call_that_is_missing_is_said_beside_those_that_were_made() -> None:
    with pytest.raises(AssertionError) as caught:
        assert_tool_called(RESULT, "add", a=2)
    assert str(caught.value) == (
        "add(a=2) was not called. The run's calls: add(a=1, b=2), add(a=3, result='x') (status 'completed', text 'done')"
    )
    with pytest.raises(AssertionError, match=r"sub\(\) was not called. The run's calls: none"):
        assert_tool_called(Result(request_id="r", status="error"), "sub")


def test_a_member_that_is_not_there_is_not_none() -> None:
    refute_tool_called(RESULT, "add", c=None)
    refute_tool_called(RESULT, "sub")
    with pytest.raises(AssertionError, match=r"add\(a=3\) was called"):
        refute_tool_called(RESULT, "add", a=3)


def heard() -> EventLog:
    log = EventLog()
    facts = {"request_id": "r", "turn": 1}
    log(events.TurnStarted(seq=1, model="m", **facts))
    log(events.TextDelta(seq=2, text="one ", **facts))
    log(events.TextDelta(seq=3, text="two", **facts))
    log(events.RunFinished(seq=4, result=RESULT, **facts))
    return log


def test_events_are_found_in_order_by_type_and_by_class() -> None:
    log = heard()
    started, text, again, end = assert_events(
        log, "turn_started", events.TextDelta, "text_delta", events.RunFinished
    )
    assert [started.seq, text.seq, again.seq, end.seq] == [1, 2, 3, 4]
    assert assert_events(list(log)) == []


def test_an_event_that_is_missing_is_said_beside_those_that_came() -> None:
    with pytest.raises(AssertionError) as caught:
        assert_events(heard(), "text_delta", events.TurnStarted)
    assert str(caught.value) == (
        "event 2, TurnStarted, did not come after text_delta (seq 2). "
        "What came: turn_started, text_delta, text_delta, run_finished"
    )
    with pytest.raises(AssertionError, match="event 1, tool_start, did not come. What came: nothing"):
        assert_events([], "tool_start")


def test_what_is_no_kind_of_event_is_refused() -> None:
    with pytest.raises(ConfigError, match="expected a type or a class of events, got 3"):
        assert_events([], 3)
    with pytest.raises(ConfigError, match="there is no event 'tool_started': use one of .*tool_start"):
        assert_events([], "tool_started")


def test_a_log_knows_what_it_heard() -> None:
    log = heard()
    assert log.types == ["turn_started", "text_delta", "text_delta", "run_finished"]
    assert log.text == "one two"
    assert len(log) == 4
    assert [event.result for event in log.of(events.RunFinished)] == [RESULT]
    assert EventLog(log).types == log.types
