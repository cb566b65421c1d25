"""Which provider flags and environment come to."""

from __future__ import annotations

import os

import pytest

from alloy_actors.cli.providers import VENDORS, Choice, Providers, chosen, found_keys, key_for
from alloy_actors.errors import ConfigError

KEY = "sk-secret-123"


@pytest.fixture(autouse=True)
def _no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.endswith("_API_KEY") or name.startswith("ALLOY_"):
            monkeypatch.delenv(name)


def test_the_vendor_may_be_said_in_front_of_the_model() -> None:
    choice = chosen(Choice(model="xai:grok-4"))
    assert (choice.provider, choice.model) == ("xai", "grok-4")


def test_a_colon_in_a_models_own_name_is_no_vendor() -> None:
    choice = chosen(Choice(model="llama3:8b", api_url="http://localhost:1"))
    assert (choice.provider, choice.model) == ("openai-compat", "llama3:8b")
    choice = chosen(Choice(provider="ollama", model="openai:x"))
    assert (choice.provider, choice.model) == ("ollama", "openai:x")


def test_the_vendor_whose_key_is_set_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XAI_API_KEY", KEY)
    assert chosen(Choice(model="grok-4")).provider == "xai"
    assert found_keys() == {name: name == "XAI_API_KEY" for name in found_keys()}
    monkeypatch.setenv("OPENAI_API_KEY", "")
    assert chosen(Choice(model="grok-4")).provider == "xai", "an empty variable is none"


def test_an_address_alone_means_any_server_and_takes_no_vendors_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    choice = chosen(Choice(api_url="http://elsewhere:8000", model="m"))
    assert choice.provider == "openai-compat"
    assert key_for(choice) is None


def test_without_anything_it_says_what_to_do() -> None:
    with pytest.raises(ConfigError, match=r"--provider or --api-url.*OPENAI_API_KEY.*--provider demo"):
        chosen(Choice())


def test_an_unknown_vendor_is_named_with_a_guess() -> None:
    with pytest.raises(ConfigError, match=r"no provider 'opnai' \(did you mean openai\?\); there are demo, "):
        chosen(Choice(provider="opnai"))


def test_a_vendor_without_a_usual_model_asks_for_one() -> None:
    with pytest.raises(ConfigError, match="which model of ollama.*--model"):
        chosen(Choice(provider="ollama"))


def test_a_missing_key_is_one_line_that_names_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    choice = chosen(Choice(provider="openai"))
    with pytest.raises(ConfigError, match="no key for openai: set OPENAI_API_KEY.*--api-key-env"):
        key_for(choice)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    assert key_for(choice) == KEY


def test_another_variable_may_hold_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    choice = chosen(Choice(provider="openai", api_key_env="WORK_KEY"))
    monkeypatch.setenv("OPENAI_API_KEY", "not this one")
    with pytest.raises(ConfigError, match="--api-key-env WORK_KEY: .*not set"):
        key_for(choice)
    monkeypatch.setenv("WORK_KEY", KEY)
    assert key_for(choice) == KEY


@pytest.mark.parametrize("name", [name for name in VENDORS if name != "demo"])
def test_every_vendor_of_the_table_makes_a_provider(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for key in VENDORS[name].keys:
        monkeypatch.setenv(key, KEY)
    with Providers() as providers:
        url = "http://localhost:1" if VENDORS[name].api_url is None else None
        provider = providers.make(chosen(Choice(provider=name, model="m", api_url=url)))
    assert provider.model == "m"
    assert KEY not in repr(provider)


def test_a_server_without_an_address_asks_for_it() -> None:
    with Providers() as providers, pytest.raises(ConfigError, match="which server.*--api-url"):
        providers.make(chosen(Choice(provider="openai-compat", model="m")))


def test_a_key_with_a_line_break_is_refused_without_being_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", f"{KEY}\n")
    with Providers() as providers, pytest.raises(ConfigError, match="api_key") as caught:
        providers.make(chosen(Choice(provider="openai")))
    assert KEY not in str(caught.value)


def test_the_demo_takes_no_address() -> None:
    with Providers() as providers, pytest.raises(ConfigError, match="leave --api-url out"):
        providers.make(chosen(Choice(provider="local", api_url="http://localhost:1")))
