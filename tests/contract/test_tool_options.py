"""Options of a tool that its provider carries; T92."""

from __future__ import annotations

import json
from typing import Any

import pytest

from alloy_actors.config import RunConfig, make_config
from alloy_actors.errors import ConfigError
from alloy_actors.providers.anthropic import Anthropic
from alloy_actors.providers.gemini import Gemini
from alloy_actors.providers.openai import OpenAI
from alloy_actors.providers.openai_compat import OpenAICompat
from alloy_actors.providers.xai import XAI
from alloy_actors.tooldef import Tool, tool, toolbox
from tests.contract.shapes import NOTES, shapes, weather
from tests.contract.wire import APIS, sent
from tests.integration.providers import sdk_requests

PROVIDERS = [
    Anthropic("m", "k"),
    OpenAI("m", "k"),
    OpenAICompat("m", "k", "http://localhost:1"),
    Gemini("m", "k"),
]
CHECKS = {
    "anthropic": sdk_requests.check_anthropic,
    "chat": sdk_requests.check_chat,
    "gemini": sdk_requests.check_gemini,
    "responses": sdk_requests.check_responses,
}


def make(**options: Any) -> Tool:
    def f(a: int) -> int:
        """F."""
        return a

    return tool(f, **options)


@pytest.mark.parametrize(
    "options",
    [
        {"strict": 1},
        {"defer_loading": "yes"},
        {"input_examples": {"a": 1}},
        {"input_examples": [1]},
        {"input_examples": [{"a": object()}]},
        {"input_examples": [{"a": float("inf")}]},
        {"allowed_callers": "direct"},
        {"allowed_callers": []},
        {"allowed_callers": ["human"]},
        {"native_types": "memory"},
        {"native_types": {"openai": "x"}},
        {"native_types": {"anthropic": ""}},
    ],
    ids=str,
)
def test_t92_an_option_that_does_not_fit_is_refused_by_name(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=f"tool 'f': {next(iter(options))}="):
        make(**options)


def test_t92_examples_are_copied_and_callers_named_once() -> None:
    example = {"a": 1}
    made = make(input_examples=[example], allowed_callers=["direct", "direct"])
    example["a"] = 2
    assert made.input_examples == ({"a": 1},)
    assert made.allowed_callers == ("direct",)


@pytest.mark.parametrize("shape", ["tool_with_options", "memory_tool", "files_in_a_result"])
@pytest.mark.parametrize("api", APIS)
def test_t92_what_goes_out_is_what_the_official_sdk_could_have_sent(api: str, shape: str) -> None:
    request = shapes(APIS[api].make().origin)[shape]
    CHECKS[api](json.loads(sent(APIS[api], request).content))


@pytest.mark.parametrize("api", APIS)
def test_t92_a_tool_without_options_says_nothing_of_them(api: str) -> None:
    body = sent(APIS[api], shapes("")["tools"]).content
    for word in (b"input_examples", b"defer_loading", b"allowed_callers", b'"strict":true'):
        assert word not in body


def tools_of(provider: Anthropic, *tools: Any) -> list[dict[str, Any]]:
    box = toolbox(tools).values()
    return [json.loads(piece) for piece in provider._tools.encoded(provider._format, box)]


def test_the_providers_own_options_of_a_tool_win() -> None:
    provider = Anthropic("m", "k", tool_options={"weather": {"strict": False, "eager_input_streaming": True}})
    (told,) = tools_of(provider, weather)
    assert (told["strict"], told["eager_input_streaming"], told["defer_loading"]) == (False, True, True)


def test_a_native_tool_can_be_sent_as_one_of_ones_own() -> None:
    """For servers that speak this API and do not know the type."""
    (told,) = tools_of(Anthropic("m", "k", tool_options={"memory": {"type": "custom"}}), NOTES)
    assert told["type"] == "custom"
    assert told["input_schema"]["required"] == ["command"]
    assert told["description"].startswith("Keep notes")


def test_a_deferred_tool_is_not_the_one_that_is_marked_for_the_cache() -> None:
    plain, deferred = tools_of(Anthropic("m", "k", cache=True), make(name="plain"), weather)
    assert "cache_control" in plain
    assert "cache_control" not in deferred


ANY = {"type": "object", "properties": {"a": {}}, "additionalProperties": False}
CASES = [
    (
        0,
        Tool("f", "", {**ANY, "oneOf": [{}]}, lambda a=0: a),
        "tool 'f': Anthropic takes no 'oneOf' at the top",
    ),
    (
        0,
        Tool("f", "", {"type": "object", "properties": {"größe": {}}}, lambda **a: a),
        "tool 'f': Anthropic takes no parameter called 'größe'",
    ),
    (1, Tool("f", "", {**ANY, "not": {"type": "null"}}, lambda a=0: a), "tool 'f': OpenAI takes no 'not'"),
    (1, Tool("f", "", ANY, lambda a=0: a, strict=True), "tool 'f': strict=True is not for OpenAI: .*a"),
    (2, Tool("f", "", ANY, lambda a=0: a, strict=True), "tool 'f': strict=True is not for this API: .*a"),
    (
        0,
        Tool("f", "", {**ANY, "patternProperties": {"x": {}}}, lambda a=0: a, strict=True),
        "tool 'f': strict=True is not for Anthropic: ",
    ),
    (3, make(name="1st"), "tool '1st': Gemini wants a name"),
]


@pytest.mark.parametrize(("index", "made", "says"), CASES, ids=[case[2][:40] for case in CASES])
def test_what_the_provider_would_refuse_is_refused_before_the_run_starts(
    index: int, made: Tool, says: str
) -> None:
    with pytest.raises(ConfigError, match=says):
        make_config(RunConfig, {"provider": PROVIDERS[index], "tools": [made]}, where="run")


@pytest.mark.parametrize("provider", PROVIDERS, ids=lambda provider: type(provider).__name__)
def test_what_it_takes_is_encoded_once_before_the_run(provider: Any) -> None:
    made = make()
    make_config(RunConfig, {"provider": provider, "tools": [made]}, where="run")
    assert made.cached_wire(type(provider._format)) is not None


def test_where_a_result_holds_text_alone_its_files_follow_it() -> None:
    provider = XAI("grok-4", "k")
    request = shapes(provider.origin)["files_in_a_result"]
    pieces = provider._format.messages(request.messages)
    result, following = json.loads(b"[" + pieces[-1] + b"]")
    assert result["output"] == "what I found\nand no more"
    assert [part["type"] for part in following["content"]] == ["input_file", "input_text"]
    assert "video https://example.org/a.mp4" in following["content"][1]["text"]


def test_t92_two_tools_of_one_name_are_refused_by_it() -> None:
    with pytest.raises(ConfigError, match="two tools are called 'memory'"):
        toolbox([NOTES, make(name="memory")])


def test_t92_what_is_no_tool_is_refused() -> None:
    with pytest.raises(ConfigError, match="tools holds"):
        toolbox([{"name": "f"}])
