"""T94: what a result is before anybody has said more of it, and how it is asked."""

from __future__ import annotations

import pytest

from alloy_actors.content import NO_USAGE
from alloy_actors.errors import CrashError, RunError
from alloy_actors.result import Result, summary


def test_t94_a_result_that_says_nothing_more_is_empty() -> None:
    result = Result(request_id="r", status="completed")
    assert (result.text, result.thinking, result.messages, result.usage) == ("", None, (), NO_USAGE)
    assert (result.cost_cents, result.tool_calls, result.metadata, result.turns) == (None, (), {}, 0)
    assert (result.stop_reason, result.error, result.output) == (None, None, None)
    assert Result(request_id="s", status="completed").metadata is not result.metadata


@pytest.mark.parametrize(
    ("status", "ok"),
    [
        ("completed", True),
        ("max_turns", True),
        ("budget_exceeded", False),
        ("halted", False),
        ("cancelled", False),
        ("error", False),
    ],
)
def test_t94_a_result_is_ok_or_raises_with_itself(status: str, ok: bool) -> None:
    result = Result(request_id="r", status=status, error=None if ok else CrashError("a bug"))
    assert result.ok is ok
    if ok:
        assert result.raise_for_status() is result
    else:
        with pytest.raises(RunError, match=f"the run ended with status '{status}': a bug") as caught:
            result.raise_for_status()
        assert caught.value.result is result


def test_t94_what_is_written_down_of_a_result_is_all_but_the_history_and_the_providers_facts() -> None:
    left_out = {"request_id", "messages", "metadata"}
    assert set(summary(Result(request_id="r", status="error"))) == set(Result.__slots__) - left_out
