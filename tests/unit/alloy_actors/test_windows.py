"""The context budget: from the option, the overrides, the catalogue."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
import threading

import pytest

import alloy_actors as alloy
from alloy_actors import models
from alloy_actors.config import RunConfig, make_config
from alloy_actors.content import Usage
from alloy_actors.testing import ScriptedProvider
from alloy_actors.windows import DEFAULT_WINDOW, context_budget


class Model:
    """A provider of a model that is never asked."""

    def __init__(self, model: str, vendor: str | None = None) -> None:
        self.model = model
        self.vendor = vendor

    async def complete(self, *_: object) -> object:
        raise NotImplementedError


def budget_of(model: str, vendor: str | None = None, **options: object) -> int:
    provider = Model(model, vendor)
    return asyncio.run(
        context_budget(provider, make_config(RunConfig, {"provider": provider, **options}, where="run"))
    )


def test_t13_the_window_is_the_models_else_200000_and_an_option_or_an_override_comes_first() -> None:
    assert budget_of("claude-opus-5", "anthropic") == 1_000_000
    assert budget_of("no-such-model", "anthropic") == 200_000
    assert budget_of("house-model") == 200_000
    assert budget_of("claude-opus-5", "anthropic", model_metadata_overrides={"claude-opus-5": 50}) == 50
    assert (
        budget_of("claude-opus-5", "anthropic", max_tokens=7, model_metadata_overrides={"claude-opus-5": 50})
        == 7
    )


def test_t16_another_provider_has_its_own_window_unless_the_option_says_one() -> None:
    def budgets(**options: object) -> list[int]:
        first, other = Model("gpt-5", "openai"), Model("claude-opus-5", "anthropic")
        config = make_config(RunConfig, {"provider": first, **options}, where="run")
        return [asyncio.run(context_budget(provider, config)) for provider in (first, other)]

    assert budgets() == [400_000, 1_000_000]
    assert budgets(model_metadata_overrides={"gpt-5": 272_000}) == [272_000, 1_000_000]
    assert budgets(max_tokens=5) == [5, 5]


@pytest.mark.parametrize(
    ("vendor", "model", "window"),
    [
        ("anthropic", "claude-opus-4-5", 200_000),
        ("anthropic", "claude-opus-4-5-20251101", 200_000),
        ("anthropic", "claude-sonnet-5-5", 1_000_000),
        ("openai", "gpt-5-2025-08-07", 400_000),
        ("google", "gemini-2.5-flash", 1_048_576),
        ("x-ai", "grok-4.7", 500_000),
        ("x-ai", "grok-build-0.1", 256_000),
    ],
)
def test_t88_a_model_of_the_catalogue_has_its_window(vendor: str, model: str, window: int) -> None:
    assert budget_of(model, vendor) == window


@pytest.mark.parametrize(
    ("vendor", "model"),
    [
        ("anthropic", "claude-opus-4-9"),
        ("openai", "gpt-5.4-mini-pro"),
        ("google", "gemini-3.8-flash-tts"),  # known, but nobody says how long its input may be
        ("openai", "claude-opus-5"),  # of another vendor
    ],
)
def test_t88_a_look_alike_has_no_window_of_its_own(vendor: str, model: str) -> None:
    assert budget_of(model, vendor) == DEFAULT_WINDOW


@pytest.mark.parametrize(
    ("model", "vendor", "override", "matches"),
    [
        ("gpt-5", "openai", 1, True),
        ("gpt-5-2025-08-07", "openai", 1, True),  # a snapshot of a model that the catalogue knows
        ("gpt-5-2031-01-01", "openai", 1, True),
        ("gpt-5-mini", "openai", 1, False),
        ("gpt-5-2025-08-07", None, 1, False),  # nobody's model: the name alone
        ("gpt-5", None, 1, True),
        ("gpt-5", "openai", {"limit": 1, "suffix_patterns": ["-mini"]}, False),
        ("gpt-5-mini", "openai", {"limit": 1, "suffix_patterns": ["-mini"]}, True),
        ("gpt-5-mini-pro", "openai", {"limit": 1, "suffix_patterns": ["-mini"]}, False),
        ("gpt-5-2025-08-07", "openai", {"limit": 1, "suffix_patterns": ["", "-mini"]}, False),
        ("gpt-5-v12", None, {"limit": 1, "suffix_patterns": [re.compile(r"-v\d+")]}, True),
        ("gpt-5-v12-tts", None, {"limit": 1, "suffix_patterns": [re.compile(r"-v\d+")]}, False),
        ("gpt-5-v12", None, [("limit", 1), ("suffix_patterns", ("-v12",))], True),
        ("my-gpt-5", "openai", 1, False),
    ],
)
def test_t88_an_override_holds_for_its_name_and_suffixes(
    model: str, vendor: str | None, override: object, matches: bool
) -> None:
    for overrides in ({"gpt-5": override}, [("gpt-5", override)]):
        found = budget_of(model, vendor, model_metadata_overrides=overrides)
        assert found == (1 if matches else budget_of(model, vendor)), overrides


def test_t88_of_two_overrides_that_match_the_first_holds() -> None:
    overrides = [("m", {"limit": 1, "suffix_patterns": [re.compile(".*")]}), ("m-2", 2)]
    assert budget_of("m-2", model_metadata_overrides=overrides) == 1
    assert budget_of("m-2", model_metadata_overrides=overrides[::-1]) == 2


@pytest.mark.parametrize(
    ("overrides", "what"),
    [
        (5, r"must be a map, or a list of pairs, got 5"),
        ("gpt-5", r"must be a map, or a list of pairs, got a str"),
        ([("gpt-5",)], r"must be a map, or a list of pairs"),
        ({5: 1}, r"must be named by models .*got 5"),
        ({"": 1}, r"must be named by models .*got a str"),
        ({"m": 0}, r"\['m'\] must be a whole number of tokens above 0, got 0"),
        ({"m": True}, r"\['m'\] must be a whole number of tokens above 0, got True"),
        ({"m": "big"}, r"\['m'\] must be a whole number of tokens above 0, got a str"),
        ({"m": {"limit": 1.5}}, r"\['m'\].limit must be a whole number of tokens above 0, got 1.5"),
        ({"m": {}}, r"\['m'\] needs a limit"),
        ({"m": {"suffix_patterns": [""]}}, r"\['m'\] needs a limit"),
        ({"m": {"limits": 1}}, r"\['m'\]: unknown field 'limits'; valid fields: limit, suffix_patterns"),
        ({"m": {"limit": 1, "suffix_patterns": "-x"}}, r"\['m'\].suffix_patterns must be a list"),
        ({"m": {"limit": 1, "suffix_patterns": []}}, r"\['m'\].suffix_patterns must be a list.*at least one"),
        ({"m": {"limit": 1, "suffix_patterns": [5]}}, r"\['m'\].suffix_patterns must be a list.*got a list"),
        ({"m": {"limit": 1, "suffix_patterns": [re.compile(b"x")]}}, r"suffix_patterns must be a list"),
        ({"m": {"dollars_per_million": 3}}, r"\['m'\].dollars_per_million must be a map"),
        ({"m": {"dollars_per_million": {"input": 3}}}, r"dollars_per_million needs 'output'"),
        ({"m": {"dollars_per_million": {"in": 3}}}, r"dollars_per_million: unknown field 'in'"),
        (
            {"m": {"dollars_per_million": {"input": -1, "output": 1}}},
            r"dollars_per_million\['input'\] must be a number of dollars per million tokens, 0 to 1,000,000,000, got -1",
        ),
        (
            {"m": {"dollars_per_million": {"input": 1, "output": float("nan")}}},
            r"\['output'\] must be a number",
        ),
        ({"m": {"dollars_per_million": {"input": 1, "output": True}}}, r"\['output'\] must be a number"),
    ],
)
def test_a_bad_override_is_refused_with_its_field_named(overrides: object, what: str) -> None:
    with pytest.raises(alloy.ConfigError, match=rf"run: model_metadata_overrides.*{what}"):
        alloy.run("hi", provider=ScriptedProvider(["no"]), model_metadata_overrides=overrides)


@pytest.mark.parametrize("limit", [0, -1, True, 1.5, "many"])
def test_a_context_budget_that_is_none_is_refused(limit: object) -> None:
    with pytest.raises(alloy.ConfigError, match="max_tokens"):
        alloy.run("hi", provider=ScriptedProvider(["no"]), max_tokens=limit)


def test_an_override_brings_prices_and_leaves_what_it_does_not_name() -> None:
    config = make_config(
        RunConfig,
        {
            "provider": Model("gpt-5", "openai"),
            "model_metadata_overrides": {
                "gpt-5": {"dollars_per_million": {"input": 0.075, "output": 3, "cache_read": 0.01}}
            },
        },
        where="run",
    )
    facts = models.facts_for_now(config.provider, config.model_metadata_overrides)
    assert facts == asyncio.run(models.facts_for(config.provider, config.model_metadata_overrides))
    assert facts.context_window == 400_000
    assert facts.prices is not None
    million = 1_000_000
    assert facts.prices.cost(Usage(million)) == pytest.approx(7.5)  # T89: a fraction of a cent is not lost
    assert facts.prices.cost(Usage(0, million)) == pytest.approx(300)
    assert facts.prices.cost(Usage(0, 0, cache_read_input_tokens=million)) == pytest.approx(1)
    assert facts.prices.cost(Usage(0, 0, cache_creation_input_tokens=million)) == pytest.approx(7.5)


def test_the_catalogue_is_asked_off_the_loop_once_for_a_model(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, str, str]] = []

    def look_up(vendor: str, model: str) -> models.ModelFacts | None:
        asked.append((vendor, model, threading.current_thread().name))
        return None

    monkeypatch.setattr(models, "_known", {})
    monkeypatch.setattr(models, "_look_up", look_up)
    for _ in range(2):
        budget_of("gpt-5-2031-01-01", "openai", model_metadata_overrides={"gpt-5": 1})
    assert asked == [
        ("openai", "gpt-5-2031-01-01", "alloy-catalogue"),
        ("openai", "gpt-5", "alloy-catalogue"),
    ]


def test_an_explicit_budget_loads_no_catalogue() -> None:
    code = """
import asyncio, sys
from alloy_actors.config import RunConfig, make_config
from alloy_actors.providers.anthropic import Anthropic
from alloy_actors.windows import context_budget
provider = Anthropic(model="claude-opus-5", api_key="k")
config = make_config(RunConfig, {"provider": provider, "max_tokens": 5}, where="run")
assert asyncio.run(context_budget(provider, config)) == 5
assert "genai_prices" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
