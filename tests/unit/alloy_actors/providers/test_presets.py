"""Servers people use, by name: address, key, and where they differ from the others."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import alloy_actors as alloy
from alloy_actors.content import ThinkingBlock, ToolCall, ToolResult, assistant, tool_results, user
from alloy_actors.models import catalogue
from alloy_actors.provider import ModelRequest
from alloy_actors.providers._dialects import PRESETS
from alloy_actors.providers.model_strings import key_variables, names, provider_from, vendor_of

VARIABLES = {preset.variable for preset in PRESETS.values() if preset.variable is not None}


@pytest.fixture(autouse=True)
def _keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in VARIABLES:
        monkeypatch.setenv(variable, f"key-of-{variable.lower()}")


def made(preset: str, **options: object) -> alloy.OpenAICompat:
    if PRESETS[preset].api_url is None:
        options.setdefault("api_url", "https://mine.example.com")
    return alloy.OpenAICompat(model="m", preset=preset, **options)


def body(provider: alloy.OpenAICompat, *, streamed: bool = False) -> dict[str, object]:
    call = ToolCall("call_0123456789abcdef", "look", {"at": 1})
    history = (
        user("look"),
        alloy.Message("assistant", [ThinkingBlock("hm"), call], origin=provider.origin),
        tool_results([ToolResult(call.id, "seen")]),
        assistant("done"),
        user("again"),
    )
    start = provider._streamed_start if streamed else provider._plain_start
    return json.loads(provider._body(ModelRequest(history), start, {}))


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_is_enough_to_ask_its_server(preset: str) -> None:
    provider = made(preset)
    assert provider._endpoint.where
    assert provider._api_url.startswith(("http://localhost:", "https://"))
    headers = provider._headers(provider._key and provider._key.reveal(), streaming=False)
    variable = PRESETS[preset].variable
    carried = [headers.get("authorization"), headers.get("api-key")]
    if variable is None:
        assert carried == [None, None]
    else:
        assert sum(value is not None and value.endswith(variable.lower()) for value in carried) == 1


@pytest.mark.parametrize("preset", [name for name, known in PRESETS.items() if known.variable is not None])
def test_a_missing_key_is_said_with_the_name_of_its_variable(
    preset: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    variable = PRESETS[preset].variable
    monkeypatch.delenv(variable)
    with pytest.raises(alloy.ConfigError, match=f"set {variable} in the environment"):
        made(preset)
    monkeypatch.setenv(variable, " ")
    with pytest.raises(alloy.ConfigError, match=variable):
        made(preset)
    assert made(preset, api_key="given") is not None


def test_the_environment_is_not_read_for_a_server_that_needs_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-not-for-you")
    for provider in (made("ollama"), alloy.OpenAICompat(model="m", api_url="http://localhost:1")):
        assert provider._key is None


@pytest.mark.parametrize(
    ("preset", "echo", "short", "limit"),
    [
        ("deepseek", "reasoning_content", False, "max_tokens"),
        ("openrouter", "reasoning", False, "max_tokens"),
        ("vllm", "reasoning", False, "max_tokens"),
        ("ollama", "reasoning", False, "max_tokens"),
        ("llamacpp", "reasoning_content", False, "max_tokens"),
        ("groq", None, False, "max_completion_tokens"),
        ("mistral", None, True, "max_tokens"),
        ("azure", None, False, "max_completion_tokens"),
    ],
)
def test_a_server_is_sent_what_it_understands(preset: str, echo: str | None, short: bool, limit: str) -> None:
    sent = body(made(preset, max_tokens=7))
    assert sent[limit] == 7
    _, asked, result, *_ = sent["messages"]
    said = {name: asked[name] for name in ("reasoning_content", "reasoning") if name in asked}
    assert said == ({} if echo is None else {echo: "hm"})
    (call,) = asked["tool_calls"]
    assert call["id"] == result["tool_call_id"]
    assert (len(call["id"]) == 9 and call["id"].isalnum()) == short


def test_usage_in_a_stream_is_asked_of_servers_that_know_how() -> None:
    assert "stream_options" not in body(made("mistral"), streamed=True)
    assert body(made("mistral", stream_options=True), streamed=True)["stream_options"]
    assert body(made("groq"), streamed=True)["stream_options"] == {"include_usage": True}


@pytest.mark.parametrize(
    ("preset", "url"),
    [
        ("deepseek", "https://api.deepseek.com/chat/completions"),
        ("openrouter", "https://openrouter.ai/api/v1/chat/completions"),
        ("mistral", "https://api.mistral.ai/v1/chat/completions"),
        ("groq", "https://api.groq.com/openai/v1/chat/completions"),
        ("together", "https://api.together.ai/v1/chat/completions"),
        ("azure", "https://mine.example.com/openai/v1/chat/completions"),
        ("ollama", "http://localhost:11434/v1/chat/completions"),
        ("llamacpp", "http://localhost:8080/v1/chat/completions"),
        ("lmstudio", "http://localhost:1234/v1/chat/completions"),
        ("vllm", "http://localhost:8000/v1/chat/completions"),
    ],
)
def test_each_preset_asks_where_its_vendor_says(preset: str, url: str) -> None:
    assert made(preset)._endpoint._url == url


@pytest.mark.parametrize("prompt", ["", "Be brief."])
def test_a_schema_goes_into_the_prompt_where_the_server_takes_none(prompt: str) -> None:
    schema = {"type": "object", "properties": {"city": {"type": "string"}}}
    request = ModelRequest((user("Where?"),), system_prompt=prompt, output_schema=schema)
    provider = made("deepseek")
    sent = json.loads(provider._body(request, provider._plain_start, {}))
    assert sent["response_format"] == {"type": "json_object"}
    system = sent["messages"][0]
    assert system["role"] == "system"
    assert system["content"].startswith(prompt)
    assert json.loads(system["content"].partition("schema: ")[2]) == schema
    provider = made("groq")
    sent = json.loads(provider._body(request, provider._plain_start, {}))
    assert sent["response_format"]["json_schema"]["schema"]["properties"] == schema["properties"]
    assert [message["role"] for message in sent["messages"]] == ["system"] * bool(prompt) + ["user"]


def test_the_page_says_where_each_preset_is_and_which_key_it_takes() -> None:
    page = (Path(__file__).parents[4] / "docs" / "providers.md").read_text()
    for name, preset in PRESETS.items():
        (row,) = [line for line in page.splitlines() if line.startswith(f"| `{name}` | ")]
        _, _, address, key, *_ = row.split("|")
        assert address.startswith(f" `{preset.api_url}`" if preset.api_url else " yours"), row
        assert ("path" in address) == (preset.chat_path != "/v1/chat/completions"), row
        assert key.strip() == (f"`{preset.variable}`" if preset.variable else "none"), row


@pytest.mark.parametrize("name", [name for name in names() if key_variables(name)])
def test_every_provider_that_wants_a_key_says_whose_prices_hold(name: str) -> None:
    vendor = vendor_of(name)
    assert vendor is not None
    assert catalogue(vendor)


def test_what_is_given_wins_over_the_preset() -> None:
    provider = made("groq", api_url="https://gateway.example.com/groq", chat_path="/chat")
    assert provider._endpoint.where == "gateway.example.com"


def test_an_unknown_preset_is_refused_with_the_known_ones() -> None:
    with pytest.raises(alloy.ConfigError, match="preset 'grok' is not known.*groq.*ollama"):
        alloy.OpenAICompat(model="m", preset="grok")


def test_a_server_of_ones_own_is_named_as_the_thing_to_give() -> None:
    with pytest.raises(alloy.ConfigError, match="api_url is required"):
        alloy.OpenAICompat(model="m", preset="azure")


@pytest.mark.parametrize("preset", [name for name, known in PRESETS.items() if known.api_url is not None])
def test_a_model_string_means_a_preset_and_a_model(preset: str) -> None:
    provider = provider_from(f"{preset.upper()}: some/model:7b ")
    assert provider.model == "some/model:7b"
    assert provider.vendor == PRESETS[preset].vendor


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("llama3.2", "is no model string.*'ollama:llama3.2'"),
        ("ollama:", "is no model string"),
        ("olama:llama3.2", r"'olama' is not known \(did you mean 'ollama'\?\)"),
        ("somewhere:m", "'somewhere' is not known; there are"),
    ],
)
def test_a_wrong_model_string_is_refused_wherever_a_provider_is_taken(text: str, said: str) -> None:
    with pytest.raises(alloy.ConfigError, match=said):
        provider_from(text)
    with pytest.raises(alloy.ConfigError, match=said):
        alloy.run("hi", provider=text)
    assert "ollama" in names()
