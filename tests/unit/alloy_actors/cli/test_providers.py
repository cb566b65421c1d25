"""Which provider flags and environment come to."""

from __future__ import annotations

import os

import pytest

from alloy_actors.cli.providers import MODELS, Choice, Providers, _key, chosen, found_keys, names
from alloy_actors.errors import ConfigError
from alloy_actors.providers import model_strings

KEY = "sk-secret-123"


@pytest.fixture(autouse=True)
def _no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.endswith("_API_KEY") or name.startswith("ALLOY_"):
            monkeypatch.delenv(name)


def test_the_provider_may_be_said_in_front_of_the_model() -> None:
    choice = chosen(Choice(model="mistral:large"))
    assert (choice.provider, choice.model) == ("mistral", "large")
    choice = chosen(Choice(model="local:scripted-fast"))
    assert (choice.provider, choice.model) == ("demo", "scripted-fast")


def test_a_colon_in_a_models_own_name_is_no_provider() -> None:
    choice = chosen(Choice(model="llama3:8b", api_url="http://localhost:1"))
    assert (choice.provider, choice.model) == ("openai-compat", "llama3:8b")
    choice = chosen(Choice(provider="ollama", model="mistral:7b"))
    assert (choice.provider, choice.model) == ("ollama", "mistral:7b")


def test_the_provider_whose_key_is_set_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MISTRAL_API_KEY", KEY)
    assert chosen(Choice(model="large")).provider == "mistral"
    assert [name for name, found in found_keys().items() if found] == ["MISTRAL_API_KEY"]
    monkeypatch.setenv("DEEPSEEK_API_KEY", "")
    assert chosen(Choice(model="large")).provider == "mistral", "an empty variable is none"


def test_an_address_alone_means_any_server_and_takes_nobodys_key(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in found_keys():
        monkeypatch.setenv(variable, KEY)
    choice = chosen(Choice(api_url="http://elsewhere:8000", model="m"))
    assert choice.provider == "openai-compat"
    assert _key(choice) is None


def test_without_anything_it_says_what_to_do() -> None:
    with pytest.raises(ConfigError, match=r"--provider or --api-url.*MISTRAL_API_KEY.*--provider demo"):
        chosen(Choice())


def test_an_unknown_provider_is_named_with_a_guess() -> None:
    with pytest.raises(ConfigError, match=r"no provider 'olama' \(did you mean ollama\?\); there are demo, "):
        chosen(Choice(provider="olama"))


def test_a_provider_without_a_usual_model_asks_for_one() -> None:
    with pytest.raises(ConfigError, match="which model of ollama.*--model"):
        chosen(Choice(provider="ollama"))
    assert set(MODELS) - {"demo"} <= set(model_strings.KEYS)


def test_a_missing_key_is_one_line_that_names_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    choice = chosen(Choice(model="mistral:large"))
    with (
        Providers() as providers,
        pytest.raises(ConfigError, match="no key for mistral: set MISTRAL_API_KEY.*env"),
    ):
        providers.make(choice)
    monkeypatch.setenv("MISTRAL_API_KEY", KEY)
    assert _key(choice) == KEY


def test_another_variable_may_hold_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    choice = chosen(Choice(model="mistral:large", api_key_env="WORK_KEY"))
    monkeypatch.setenv("MISTRAL_API_KEY", "not this one")
    with pytest.raises(ConfigError, match="--api-key-env WORK_KEY: .*not set"):
        _key(choice)
    monkeypatch.setenv("WORK_KEY", KEY)
    assert _key(choice) == KEY


@pytest.mark.parametrize("name", [name for name in names() if name != "demo"])
def test_every_name_makes_a_provider(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in model_strings.key_variables(name):
        monkeypatch.setenv(variable, KEY)
    url = "http://localhost:1" if name in {"openai-compat", "azure"} else None
    with Providers() as providers:
        provider = providers.make(chosen(Choice(provider=name, model="m", api_url=url)))
    assert provider.model == "m"
    assert KEY not in repr(provider)


def test_every_variable_of_a_key_is_listed() -> None:
    listed = found_keys()
    for name in model_strings.names():
        assert set(model_strings.key_variables(name)) <= set(listed)
    assert model_strings.key_variables("ollama") == ()


def test_a_server_without_an_address_asks_for_it() -> None:
    with Providers() as providers, pytest.raises(ConfigError, match="which server.*--api-url"):
        providers.make(chosen(Choice(provider="openai-compat", model="m")))


def test_a_key_with_a_line_break_is_refused_without_being_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MISTRAL_API_KEY", f"{KEY}\n")
    with Providers() as providers, pytest.raises(ConfigError, match="api_key") as caught:
        providers.make(chosen(Choice(model="mistral:large")))
    assert KEY not in str(caught.value)


def test_the_demo_takes_no_address() -> None:
    with Providers() as providers, pytest.raises(ConfigError, match="leave --api-url out"):
        providers.make(chosen(Choice(provider="local", api_url="http://localhost:1")))


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("gpt", "--fallback gpt: write provider and model, PROVIDER:MODEL; providers are demo, .*openai"),
        (
            "anthropc:x",
            r"--fallback anthropc:x: there is no provider 'anthropc' \(did you mean anthropic\?\)",
        ),
        ("mistral", "--fallback mistral: which model of mistral"),
        ("openai:gpt-5.4", "--fallback openai:gpt-5.4: no key for openai: set OPENAI_API_KEY"),
    ],
)
def test_a_fallback_that_is_none_says_what_to_write(model: str, said: str) -> None:
    with Providers() as providers, pytest.raises(ConfigError, match=said):
        providers.make_fallback(model)
