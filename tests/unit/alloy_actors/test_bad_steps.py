"""Bad input to the helpers for tests: a script that cannot be played is refused where it is written."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest

import alloy_actors as alloy
from alloy_actors.testing import (
    FakeClock,
    Gate,
    ScriptedProvider,
    assert_tool_called,
    delayed,
    error,
    held,
    paced,
    refute_tool_called,
)

untyped: Any = None  # for callers without a type checker


def a_function(_request: object) -> str:
    return "x"


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: ScriptedProvider(untyped), "script must be a list of steps, or a function, got None"),
        (lambda: ScriptedProvider(alloy.ToolCall("", "x", {})), "script must be a list of steps"),  # type: ignore[arg-type]
        (lambda: ScriptedProvider(["x", 3]), "step 2 holds 3: give text"),  # type: ignore[list-item]
        (lambda: ScriptedProvider([["x", 3]]), "step 1 holds 3: give text"),  # type: ignore[list-item]
        (lambda: ScriptedProvider([untyped]), "step 1 holds None"),
        (lambda: ScriptedProvider([alloy.RateLimitError]), r"step 1 is the class .*error\(RateLimitError\)"),  # type: ignore[list-item]
        (lambda: ScriptedProvider([a_function]), "step 1 is a function.*without a list"),  # type: ignore[list-item]
        (lambda: ScriptedProvider([held(Gate(), delayed(1, untyped))]), "step 1 holds None"),
        (lambda: ScriptedProvider("x", model=untyped), "model must be a non-empty string, got None"),
        (lambda: ScriptedProvider("x", output_schemas="sometimes"), "output_schemas must be one of 'always'"),  # type: ignore[arg-type]
        (lambda: delayed(-1, "x"), "delayed: seconds must be a number of seconds, 0 or more, got -1"),
        (lambda: delayed(math.nan, "x"), "delayed: seconds must be .* got nan"),
        (lambda: delayed(True, "x"), "delayed: seconds must be .* got True"),
        (lambda: paced("x", math.inf), "paced: every must be a number of seconds, 0 or more, got inf"),
        (lambda: paced(untyped, 1), "paced: content must be text, got None"),
        (lambda: held(untyped, "x"), "held: gate must be a Gate, got None"),
        (lambda: error(untyped), "error: kind must be a class such as alloy.RateLimitError, got None"),
        (lambda: FakeClock().advance(-1), "advance: seconds must be a number, 0 or more, got -1"),
        (lambda: FakeClock().advance(math.nan), "advance: seconds must be .* got nan"),
        (lambda: FakeClock().advance("1"), "advance: seconds must be .* got a str"),  # type: ignore[arg-type]
        (
            lambda: assert_tool_called(untyped, "x"),
            "assert_tool_called: result must be the Result of a run, got None",
        ),
        (lambda: refute_tool_called(untyped, "x"), "refute_tool_called: result must be the Result"),
    ],
)
def test_what_cannot_be_played_or_looked_at_is_refused(make: Callable[[], object], said: str) -> None:
    with pytest.raises(alloy.ConfigError, match=said):
        make()


def test_what_is_a_step_stays_one() -> None:
    steps = [
        "x",
        alloy.ToolCall("", "x", {}),
        ["a", alloy.TextBlock("b")],
        ValueError("x"),
        (word for word in "ab"),
    ]
    assert ScriptedProvider(steps).remaining == len(steps)
