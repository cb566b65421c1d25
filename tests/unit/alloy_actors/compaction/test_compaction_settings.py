"""T19: what a user may say about compaction, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

import alloy_actors as alloy
from alloy_actors.compaction.settings import Limits, read_compaction
from alloy_actors.config import AgentConfig, RunConfig, make_config
from alloy_actors.testing import ScriptedProvider


@pytest.mark.parametrize(
    ("budget", "limits"),
    [
        (80, Limits(72, 10)),
        (5, Limits(4, 1)),
        (1, Limits(0, 1)),
        (200_000, Limits(183_616, 20_000)),
        (1_000_000, Limits(983_616, 20_000)),
    ],
)
def test_the_defaults_follow_from_the_budget(budget: int, limits: Limits) -> None:
    """T19."""
    assert alloy.Compaction().within(budget) == limits


def test_numbers_that_were_given_do_not_follow_the_budget() -> None:
    settings = alloy.Compaction(reserve_tokens=100, keep_recent_tokens=50)
    assert settings.within(1_000) == Limits(900, 50)
    assert settings.within(100_000) == Limits(99_900, 50)


@pytest.mark.parametrize(
    ("given", "settings"),
    [
        (True, alloy.Compaction()),
        (False, None),
        ({}, alloy.Compaction()),
        ({"keep_recent_tool_results": 0, "fallback": "none"}, None),
        (alloy.Compaction(reserve_tokens=7), alloy.Compaction(reserve_tokens=7)),
    ],
)
def test_compaction_is_on_off_a_mapping_or_settings(given: Any, settings: Any) -> None:
    """T18: False turns it off; there is no list of middleware in which it could have a place of its own."""
    if given == {"keep_recent_tool_results": 0, "fallback": "none"}:
        settings = alloy.Compaction(keep_recent_tool_results=0, fallback="none")
    for cls in (RunConfig, AgentConfig):
        config = make_config(cls, {"provider": ScriptedProvider(), "compaction": given}, where="test")
        assert config.compaction == settings


def test_settings_show_what_is_not_the_default() -> None:
    assert repr(alloy.Compaction()) == "Compaction()"
    assert repr(alloy.Compaction(reserve_tokens=7, fallback="none")) == (
        "Compaction(reserve_tokens=7, fallback='none')"
    )


def test_compaction_is_on_where_nobody_speaks_of_it() -> None:
    config = make_config(RunConfig, {"provider": ScriptedProvider()}, where="test")
    assert config.compaction == alloy.Compaction()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"keep": 3}, "unknown key 'keep'; valid keys: reserve_tokens, keep_recent_tokens"),
        ({3: 3}, "unknown key 3"),
        ({"reserve_tokens": -1}, "reserve_tokens must be a whole number of at least 0, got -1"),
        ({"reserve_tokens": 1.5}, "reserve_tokens must be a whole number"),
        ({"reserve_tokens": True}, "reserve_tokens must be a whole number of at least 0, got True"),
        ({"keep_recent_tokens": 0}, "keep_recent_tokens must be a whole number of at least 1"),
        ({"keep_recent_tool_results": None}, "keep_recent_tool_results must be a whole number"),
        ({"clear_tool_results": 1}, "clear_tool_results must be True or False, got 1"),
        ({"summary_prompt": ""}, "summary_prompt must be text"),
        (
            {"summary_system_prompt": b"secret"},
            "summary_system_prompt must be text, and not empty, got a bytes",
        ),
        ({"fallback": "drop"}, "fallback must be 'truncate' or 'none', got a str"),
        ("on", "compaction must be True, False, a Compaction"),
        (None, "compaction must be True, False, a Compaction"),
        (1, "compaction must be True, False, a Compaction"),
    ],
)
def test_what_is_wrong_is_refused_by_name(given: Any, said: str) -> None:
    """T19."""
    with pytest.raises(alloy.ConfigError, match=said):
        read_compaction(given, None, "run")


def test_what_does_not_fit_the_window_is_refused_naming_both() -> None:
    with pytest.raises(
        alloy.ConfigError, match=r"reserve_tokens=2,000 .* budget of 1,000 tokens \(max_tokens\)"
    ):
        alloy.run(
            "hi", provider=ScriptedProvider("x"), max_tokens=1_000, compaction={"reserve_tokens": 2_000}
        )
    with pytest.raises(alloy.ConfigError, match=r"keep_recent_tokens=950 .* of 1,000 .* reserve_tokens=100"):
        alloy.run(
            "hi", provider=ScriptedProvider("x"), max_tokens=1_000, compaction={"keep_recent_tokens": 950}
        )


@pytest.mark.parametrize("max_tokens", [0, -1, True, 1.5, "many"])
def test_a_budget_that_is_no_number_of_tokens_is_refused(max_tokens: Any) -> None:
    with pytest.raises(alloy.ConfigError, match="max_tokens"):
        make_config(RunConfig, {"provider": ScriptedProvider(), "max_tokens": max_tokens}, where="test")


def test_a_callback_that_cannot_be_called_is_refused() -> None:
    with pytest.raises(alloy.ConfigError, match="on_compaction"):
        make_config(RunConfig, {"provider": ScriptedProvider(), "on_compaction": 3}, where="test")
