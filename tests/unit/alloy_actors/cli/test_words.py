"""How the command says things."""

from __future__ import annotations

import pytest

from alloy_actors.cli.output import one_line, printable
from alloy_actors.cli.words import call_text, end_text, ended_text, money_text, usage_text
from alloy_actors.content import Usage
from alloy_actors.errors import ServerError
from alloy_actors.events import ToolEnded
from alloy_actors.result import Result


def test_a_call_is_written_as_one_would_write_it() -> None:
    assert call_text("read", {"file_path": "a b.txt", "limit": 2}) == 'read(file_path="a b.txt", limit=2)'
    assert call_text("say", {"text": "é"}) == 'say(text="é")'
    long = call_text("write", {"content": "x" * 10_000})
    assert len(long) < 150
    assert long.endswith("...)")


def ended(error: str | None) -> ToolEnded:
    return ToolEnded(
        request_id="r", seq=2, turn=1, id="c", name="f", input={}, duration=0.5, error=error, start_seq=1
    )


def test_a_tool_that_crashed_is_told_by_the_last_line_of_its_traceback() -> None:
    assert ended_text(ended(None)) == "f() 0.50 s"
    assert ended_text(ended("Traceback (most recent call last):\n  ...\nValueError: no\n")) == (
        "f() 0.50 s: ValueError: no"
    )


@pytest.mark.parametrize(
    ("cents", "text"), [(0.0, "0 ct"), (0.01234, "0.012 ct"), (3.4, "3.4 ct"), (125.0, "$1.25")]
)
def test_money_is_said_with_as_many_digits_as_matter(cents: float, text: str) -> None:
    assert money_text(cents) == text


def test_the_cache_is_mentioned_where_there_was_one() -> None:
    assert usage_text(Usage(1, 2)) == "3 tokens (1 in, 2 out)"
    assert usage_text(Usage(1, 2, 3, 4)) == "10 tokens (1 in, 2 out, 3 from the cache, 4 into the cache)"


def test_an_end_is_explained_unless_it_is_the_usual_one() -> None:
    def end(**facts: object) -> str | None:
        return end_text(Result(request_id="r", **facts), max_turns=7)

    assert end(status="completed", stop_reason="end_turn") is None
    assert "output limit" in (end(status="completed", stop_reason="max_tokens") or "")
    assert end(status="max_turns") == "stopped after 7 turns: --max-turns allows more"
    once = Result(request_id="r", status="max_turns")
    assert end_text(once, max_turns=1) == "stopped after 1 turn: --max-turns allows more"
    assert end(status="cancelled") == "cancelled"
    assert end(status="error", error=ServerError("it broke")) == "ServerError: it broke"


def test_what_a_terminal_would_obey_is_left_out() -> None:
    assert printable("a\x1b]0;title\x07b\tc\nd\x9b31me\r") == "a]0;titleb\tc\nd31me"
    assert printable("naïve ☔ 文字") == "naïve ☔ 文字"
    assert one_line(" a\n\n  b\tc ") == "a b c"
