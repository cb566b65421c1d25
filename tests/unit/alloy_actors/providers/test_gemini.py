"""Gemini: its options and what they send. T79 and T83 of the reference, where no exchange in tests/data/gemini has them."""

import asyncio
import json
import traceback
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from alloy_actors import errors
from alloy_actors.content import DocumentBlock, ImageBlock, Message, TextBlock, ToolCall, ToolResult, user
from alloy_actors.provider import Delta, ModelReply, ModelRequest, Provider
from alloy_actors.providers._gemini_request import LIMITS
from alloy_actors.providers.gemini import Gemini
from alloy_actors.providers.model_strings import provider_from
from alloy_actors.tooldef import tool

KEY = "AIza-very-secret-0123456789"
REQUEST = ModelRequest((user("hi"),))
REPLY = {"candidates": [{"content": {"role": "model", "parts": [{"text": "Hello"}]}, "finishReason": "STOP"}]}


class Recorder:
    """A client that answers everything alike and keeps what it was asked."""

    def __init__(self, status: int = 200, body: object = REPLY) -> None:
        self.requests: list[httpx.Request] = []
        self.status, self.body = status, body
        self.client = httpx.AsyncClient(transport=httpx.MockTransport(self.answer))

    def answer(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        return httpx.Response(self.status, json=self.body)

    def ask(self, request: ModelRequest = REQUEST, on_deltas=None, **options) -> ModelReply:
        options = {"model": "gemini-2.5-flash", "api_key": KEY, **options}
        return asyncio.run(Gemini(http_client=self.client, **options).complete(request, on_deltas))

    @property
    def sent(self) -> dict[str, Any]:
        return json.loads(self.requests[-1].content)


@pytest.fixture(autouse=True)
def _no_keys(monkeypatch) -> None:
    for name in ("GEMINI_API_KEY", "GOOGLE_API_KEY"):
        monkeypatch.delenv(name, raising=False)


def test_it_is_a_provider_of_google() -> None:
    provider = Gemini("gemini-2.5-flash", KEY)
    assert isinstance(provider, Provider)
    assert (provider.model, provider.vendor) == ("gemini-2.5-flash", "google")
    assert provider.api_url == "https://generativelanguage.googleapis.com"
    assert KEY not in repr(provider)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"model": ""}, "model"),
        ({"api_key": ""}, "api_key is empty"),
        ({"api_url": "generativelanguage.googleapis.com"}, "api_url must begin with http"),
        ({"api_version": ""}, "api_version"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": True}, "max_tokens"),
        ({"thinking": "hard"}, "thinking must be one of minimal, low"),
        ({"thinking": -2}, "thinking must be"),
        ({"thinking": 1.5}, "thinking must be"),
        ({"generation_config": [1]}, "generation_config"),
        ({"generation_config": {"top_k": 1}}, "write it as the API does, 'topK'"),
        ({"generation_config": {"maxOutputTokens": 1}, "max_tokens": 1}, "give one of them"),
        ({"extra_body": {"generationConfig": {"thinkingConfig": {}}}, "thinking": True}, "give one of them"),
        ({"generation_config": {"x": object()}}, "generation_config must be JSON"),
        ({"safety_settings": "BLOCK_NONE"}, "safety_settings must be a list"),
        ({"safety_settings": [{"category": "HARM_CATEGORY_HARASSMENT"}]}, "needs a category and a threshold"),
        ({"tool_config": "ANY"}, "tool_config"),
        ({"google_search": "yes"}, "google_search must be True, False or a mapping"),
        ({"code_execution": 1}, "code_execution"),
        ({"url_context": None}, "url_context"),
        ({"server_tools": {"googleMaps": {}}}, "server_tools must be a list"),
        ({"server_tools": [{"functionDeclarations": []}]}, "belongs into the agent's tools"),
        ({"server_tools": [{"googleMaps": object()}]}, "server_tools must be JSON"),
        ({"extra_body": {"contents": []}}, "contents"),
        ({"modle": "x"}, "no option 'modle'.*model, api_key, api_url, http_client.*idle_timeout"),
    ],
)
def test_a_mistake_in_an_option_raises_at_construction_and_names_it(options: dict, says: str) -> None:
    with pytest.raises(errors.ConfigError, match=says) as caught:
        Gemini(**{"model": "m", "api_key": KEY, **options})
    assert KEY not in "".join(traceback.format_exception(caught.value))


def test_the_key_comes_from_the_environment_and_gemini_s_own_variable_wins(monkeypatch) -> None:
    with pytest.raises(
        errors.ConfigError, match="Gemini needs a key: pass api_key=, or set GEMINI_API_KEY or GOOGLE_API_KEY"
    ):
        Gemini("m")
    recorder = Recorder()
    monkeypatch.setenv("GOOGLE_API_KEY", "google")
    recorder.ask(api_key=None)
    monkeypatch.setenv("GEMINI_API_KEY", "gemini")
    recorder.ask(api_key=None)
    recorder.ask(api_key=SecretStr(KEY))
    assert [request.headers["x-goog-api-key"] for request in recorder.requests] == ["google", "gemini", KEY]
    assert all("authorization" not in request.headers for request in recorder.requests)
    assert recorder.requests[0].headers["x-goog-api-client"].startswith("alloy-actors/")


def test_a_model_string_means_it(monkeypatch) -> None:
    monkeypatch.setenv("GEMINI_API_KEY", KEY)
    provider = provider_from("gemini:models/gemini-2.5-pro")
    assert isinstance(provider, Gemini)
    assert provider.model == "gemini-2.5-pro"


HOST = "https://generativelanguage.googleapis.com"


@pytest.mark.parametrize(
    ("options", "url"),
    [
        ({}, f"{HOST}/v1beta/models/gemini-2.5-flash"),
        ({"model": "models/gemini-2.5-pro"}, f"{HOST}/v1beta/models/gemini-2.5-pro"),
        ({"model": "tunedModels/mine"}, f"{HOST}/v1beta/tunedModels/mine"),
        ({"api_url": "http://host/"}, "http://host/v1beta/models/gemini-2.5-flash"),
        ({"api_url": "http://host/gemini/v1beta"}, "http://host/gemini/v1beta/models/gemini-2.5-flash"),
        ({"api_version": "v1"}, f"{HOST}/v1/models/gemini-2.5-flash"),
        ({"model": "a b?c"}, f"{HOST}/v1beta/models/a%20b%3Fc"),
    ],
)
def test_the_address_is_what_people_mean(options: dict, url: str) -> None:
    recorder = Recorder()
    recorder.ask(**options)
    recorder.ask(on_deltas=lambda _: None, **options)
    plain, streamed = (str(request.url) for request in recorder.requests)
    assert plain == f"{url}:generateContent"
    assert streamed == f"{url}:streamGenerateContent?alt=sse"


def test_only_what_was_asked_for_is_sent() -> None:
    recorder = Recorder()
    recorder.ask()
    assert recorder.sent == {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}


@pytest.mark.parametrize(
    ("thinking", "sent"),
    [
        (True, {"includeThoughts": True}),
        (False, {"thinkingBudget": 0}),
        (0, {"thinkingBudget": 0}),
        (-1, {"thinkingBudget": -1, "includeThoughts": True}),
        (1024, {"thinkingBudget": 1024, "includeThoughts": True}),
        ("High", {"thinkingLevel": "HIGH", "includeThoughts": True}),
        ({"thinkingBudget": 5}, {"thinkingBudget": 5}),
    ],
)
def test_thinking_in_its_forms(thinking: object, sent: dict) -> None:
    recorder = Recorder()
    recorder.ask(thinking=thinking)
    assert recorder.sent["generationConfig"] == {"thinkingConfig": sent}


def test_safety_settings_may_be_a_list() -> None:
    recorder = Recorder()
    settings = [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "OFF"}]
    recorder.ask(safety_settings=settings)
    assert recorder.sent["safetySettings"] == settings


def test_the_caller_s_members_replace_ours() -> None:
    recorder = Recorder()
    mine = {"parts": [{"text": "Mine."}]}
    recorder.ask(
        ModelRequest((user("hi"),), system_prompt="Yours."),
        google_search=True,
        tool_config={"functionCallingConfig": {"mode": "AUTO"}},
        extra_body={"systemInstruction": mine, "toolConfig": {"functionCallingConfig": {"mode": "NONE"}}},
    )
    assert recorder.sent["systemInstruction"] == mine
    assert recorder.sent["toolConfig"] == {"functionCallingConfig": {"mode": "NONE"}}
    assert recorder.requests[-1].content.count(b'"toolConfig"') == 1


@pytest.mark.parametrize(
    ("block", "says"),
    [
        (
            ImageBlock("image/gif", "R0lG"),
            "ImageBlock: mime_type 'image/gif' is none that Gemini takes; convert",
        ),
        (
            DocumentBlock("application/pdf", "JVBERi0xLjQK"),
            "DocumentBlock: data is 9 bytes, Gemini takes 8 of application/pdf inside a request; upload",
        ),
    ],
)
def test_a_file_that_the_api_refuses_is_an_error_before_anything_is_sent(
    block, says: str, monkeypatch
) -> None:
    monkeypatch.setitem(LIMITS, "application/pdf", 8)
    recorder = Recorder()
    with pytest.raises(errors.InvalidRequestError, match=says):
        recorder.ask(ModelRequest((user(block),)))
    assert not recorder.requests


def test_a_last_message_that_says_nothing_is_an_error_before_anything_is_sent() -> None:
    recorder = Recorder()
    for messages in [(user(""),), (user("hi"), Message("assistant", "hello"), user(TextBlock("")))]:
        with pytest.raises(errors.InvalidRequestError, match="the last one says nothing"):
            recorder.ask(ModelRequest(messages))
    assert not recorder.requests


def test_a_tool_that_the_api_refuses_is_an_error_before_anything_is_sent() -> None:
    @tool(name="2fast")
    async def fast() -> str:
        """Runs."""
        return ""

    recorder = Recorder()
    with pytest.raises(errors.ConfigError, match="'2fast': Gemini wants a name that begins with a letter"):
        recorder.ask(ModelRequest((user("hi"),), (fast,)))
    with pytest.raises(errors.ConfigError, match="the output schema: a uses 'not'"):
        recorder.ask(ModelRequest((user("hi"),), output_schema={"properties": {"a": {"not": {}}}}))
    assert not recorder.requests


def test_t83_a_round_goes_back_with_its_signatures_and_is_answered_in_order() -> None:
    first = {
        "candidates": [
            {
                "content": {
                    "role": "model",
                    "parts": [
                        {"text": "I look.", "thoughtSignature": "YQ=="},
                        {"functionCall": {"name": "add", "args": {"a": 1}}, "thoughtSignature": "Yg=="},
                        {"functionCall": {"name": "add", "args": {"a": 2}}},
                    ],
                },
                "finishReason": "STOP",
            }
        ]
    }
    reply = Recorder(body=first).ask()
    calls = reply.message.tool_calls
    assert len({call.id for call in calls}) == 2
    recorder = Recorder()
    answers = user(*(ToolResult(call.id, str(at)) for at, call in enumerate(calls)))
    recorder.ask(ModelRequest((user("hi"), reply.message, answers)))
    sent = recorder.sent["contents"]
    assert sent[1] == first["candidates"][0]["content"]  # type: ignore[index]
    assert sent[2]["parts"] == [
        {"functionResponse": {"name": "add", "response": {"output": str(at)}}} for at in range(2)
    ]


@pytest.mark.parametrize("origin", [None, "another"])
def test_t83_a_call_of_another_model_gets_the_placeholder_and_only_the_first(origin: str | None) -> None:
    calls = (ToolCall("toolu_1", "add", {"a": 1}), ToolCall("toolu_2", "now", {}))
    history = (
        user("hi"),
        Message("assistant", calls, origin=origin),
        user(ToolResult("toolu_1", "1"), ToolResult("toolu_2", "2")),
    )
    recorder = Recorder()
    recorder.ask(ModelRequest(history))
    first, second = recorder.sent["contents"][1]["parts"]
    assert first["thoughtSignature"] == "skip_thought_signature_validator"
    assert "thoughtSignature" not in second


def test_t79_missing_usage_is_zero_and_no_exchange_is_tried_twice_by_the_client() -> None:
    reply = Recorder().ask()
    assert (reply.usage.input_tokens, reply.usage.output_tokens) == (0, 0)
    recorder = Recorder(503, {"error": {"code": 503, "message": "busy", "status": "UNAVAILABLE"}})
    with pytest.raises(errors.OverloadedError):
        recorder.ask()
    assert len(recorder.requests) == 1


def test_a_key_that_the_server_repeats_is_taken_out_of_the_error() -> None:
    recorder = Recorder(400, {"error": {"message": f"no such key {KEY}", "status": "INVALID_ARGUMENT"}})
    with pytest.raises(errors.InvalidRequestError) as caught:
        recorder.ask()
    assert KEY not in "".join(traceback.format_exception(caught.value))


def test_a_listener_hears_a_whole_reply_too() -> None:
    heard: list[Delta] = []
    Recorder().ask(on_deltas=heard.extend)
    assert heard == [Delta("text", "Hello")]
