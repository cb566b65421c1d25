"""`alloy models`: the catalogue as people and scripts read it."""

from __future__ import annotations

import json
from collections.abc import Callable
from types import SimpleNamespace

import pytest

from alloy_actors import models as catalogue_of
from alloy_actors.cli import models as listing
from alloy_actors.models import ModelFacts, catalogue
from alloy_actors.prices import Prices, Rate
from alloy_actors.providers import model_strings
from tests.integration.cli.conftest import Said

Call = Callable[..., Said]


def rows(said: Said) -> list[list[str]]:
    assert (said.code, said.err) == (0, "")
    return [line.split() for line in said.out.splitlines()]


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    """A catalogue of three, so that prices can be checked by hand."""
    facts = [
        ModelFacts(
            "mistral",
            "large",
            1_000_000,
            Prices(Rate(0.0003, ((200_000, 0.0006),)), Rate(0.0015), Rate(0.00003), Rate(0.000375)),
        ),
        ModelFacts("mistral", "mystery", None, None),
        ModelFacts("nowhere", "else", 8_000, Prices(Rate(0.0), Rate(0.00001), Rate(0.0), Rate(0.0))),
    ]

    def found(vendor: str | None = None) -> list[ModelFacts]:
        return [one for one in facts if vendor in {None, one.vendor}]

    monkeypatch.setattr(listing, "catalogue", found)


@pytest.mark.usefixtures("known")
def test_a_line_is_a_model_string_its_window_and_dollars_per_million(call: Call) -> None:
    assert rows(call("models", "--provider", "mistral"))[1:] == [
        ["mistral:large", "1,000,000", "3+", "15", "0.3", "3.75"],
        ["mistral:mystery", "-", "-", "-", "-", "-"],
    ]
    assert rows(call("models"))[-1] == ["nowhere", "/", "else", "8,000", "0", "0.1", "0", "0"]
    assert rows(call("models", "-p", "nowhere"))[1:] == [
        ["nowhere", "/", "else", "8,000", "0", "0.1", "0", "0"]
    ]


@pytest.mark.usefixtures("known")
def test_json_says_all_of_it(call: Call) -> None:
    said = call("models", "--json")
    large, mystery, other = json.loads(said.out)
    assert large == {
        "vendor": "mistral",
        "provider": "mistral",
        "model": "large",
        "context_window": 1_000_000,
        "dollars_per_million": {
            "input": {"price": 3.0, "tiers": [{"above_tokens": 200_000, "price": 6.0}]},
            "output": {"price": 15.0, "tiers": []},
            "cache_read": {"price": 0.3, "tiers": []},
            "cache_write": {"price": 3.75, "tiers": []},
        },
    }
    assert mystery["context_window"] is mystery["dollars_per_million"] is None
    assert other["provider"] is None


def test_every_model_of_the_catalogue_is_listed(call: Call) -> None:
    listed = json.loads(call("models", "--json").out)
    assert [(one["vendor"], one["model"]) for one in listed] == [(one.vendor, one.id) for one in catalogue()]
    assert len(rows(call("models"))) == len(listed) + 1
    assert len(listed) > 500


def test_a_listed_model_string_is_one(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    for line in rows(call("models", "-p", "groq"))[1:]:
        provider = model_strings.provider_from(line[0], api_key="none")
        assert catalogue_of.facts(str(provider.vendor), provider.model) is not None


def test_the_providers_are_those_of_model_strings_and_keys_are_never_shown(call: Call) -> None:
    said = call("models", "--providers", MISTRAL_API_KEY="sk-very-secret")
    lines = rows(said)[1:]
    assert [line[0] for line in lines] == model_strings.names()
    assert "sk-very-secret" not in said.out
    by_name = {line[0]: line[1:] for line in lines}
    assert by_name["mistral"][:3] == ["MISTRAL_API_KEY", "(set)", str(len(catalogue("mistral")))]
    assert by_name["groq"][1:3] == ["(not", "set)"]
    assert by_name["ollama"] == ["none", "needed", "0", "http://localhost:11434"]
    assert by_name["azure"][-1] == "yours"
    document = json.loads(call("models", "--providers", "--json", GROQ_API_KEY="sk-very-secret").out)
    groq = next(one for one in document if one["name"] == "groq")
    assert groq == {
        "name": "groq",
        "key_variables": ["GROQ_API_KEY"],
        "key_set": True,
        "models": len(catalogue("groq")),
        "api_url": "https://api.groq.com/openai",
    }


def test_a_vendors_own_class_is_listed_with_its_address(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    made = SimpleNamespace(api_url="https://api.new.example")
    cls = type("New", (), {"vendor": "x-ai", "__new__": lambda _, **__: made})
    monkeypatch.setitem(model_strings.CLASSES, "new", ("new", "New"))
    monkeypatch.setattr(model_strings, "_class", lambda *_: cls)
    line = next(line for line in rows(call("models", "--providers")) if line[0] == "new")
    assert line == ["new", "none", "needed", str(len(catalogue("x-ai"))), "https://api.new.example"]


def test_a_server_of_ones_own_is_said_to_be_unknown(call: Call) -> None:
    said = call("models", "--provider", "ollama")
    assert (said.code, said.out) == (0, "")
    assert "knows no models of ollama" in said.err
    assert json.loads(call("models", "--provider", "ollama", "--json").out) == []


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (
            ["--provider", "mistrall"],
            "alloy: there is no provider 'mistrall' (did you mean mistral?); there are ",
        ),
        (["--providers", "-p", "groq"], "alloy models: Invalid value: --provider and --providers"),
    ],
)
def test_a_mistake_is_one_line(call: Call, arguments: list[str], line: str) -> None:
    said = call("models", *arguments)
    assert (said.code, said.out, said.err.count("\n")) == (2, "", 1)
    assert said.err.startswith(line)
