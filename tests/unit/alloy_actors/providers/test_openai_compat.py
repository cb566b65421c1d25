import asyncio
import copy
import json
import pickle
import traceback

import httpx
import pytest
from pydantic import SecretStr

from alloy_actors import errors
from alloy_actors.content import user
from alloy_actors.deadline import Deadline
from alloy_actors.provider import ModelRequest, Provider
from alloy_actors.providers.openai_compat import OpenAICompat

URL = "http://server.example"
KEY = "sk-very-secret-0123456789"
REQUEST = ModelRequest((user("hi"),))
REPLY = {
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}]
}


class Recorder:
    """A client that answers everything alike and keeps what it was asked."""

    def __init__(self, status: int = 200, body: object = REPLY, failure: Exception | None = None) -> None:
        self.requests: list[httpx.Request] = []
        self.status, self.body, self.failure = status, body, failure
        self.client = httpx.AsyncClient(transport=httpx.MockTransport(self.answer))

    def answer(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        if self.failure is not None:
            raise self.failure
        return httpx.Response(self.status, json=self.body)

    def ask(self, request: ModelRequest = REQUEST, on_deltas=None, **options):
        options = {"api_url": URL, **options}
        return asyncio.run(OpenAICompat("m", http_client=self.client, **options).complete(request, on_deltas))

    @property
    def sent(self) -> dict:
        return json.loads(self.requests[-1].content)


def test_it_is_a_provider() -> None:
    assert isinstance(OpenAICompat("m", api_url=URL), Provider)
    assert OpenAICompat("m", api_url=URL).model == "m"


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"model": ""}, "model"),
        ({"model": 7}, "model"),
        ({"api_key": ""}, "api_key is empty"),
        ({"api_key": "  "}, "api_key is empty"),
        ({"api_key": 7}, "api_key must be"),
        ({"api_key": f"{KEY}\n"}, "api_key holds characters"),
        ({"api_url": None}, "api_url is required"),
        ({"api_url": ""}, "api_url"),
        ({"api_url": "localhost:11434"}, "api_url must begin with http"),
        ({"api_url": "ftp://host"}, "api_url must begin with http"),
        ({"api_url": "http://"}, "api_url"),
        ({"api_url": "http://host:port"}, "api_url"),
        ({"api_url": f"http://me:{KEY}@host"}, "api_url holds a user name"),
        ({"api_url": "http://host/v1?a=b"}, "chat_path"),
        ({"chat_path": "v1/chat"}, "chat_path must begin"),
        ({"chat_path": 7}, "chat_path"),
        ({"extra_headers": "a"}, "extra_headers"),
        ({"extra_headers": {"a b": "c"}}, "extra_headers"),
        ({"extra_headers": {"x": 1}}, "extra_headers"),
        ({"extra_headers": {"x": f"{KEY}\r\ny: z"}}, "extra_headers"),
        ({"extra_body": [1]}, "extra_body"),
        ({"extra_body": {"messages": []}}, "messages"),
        ({"extra_body": {"stream": True}}, "stream"),
        ({"extra_body": {"tools": "x"}}, "tools"),
        ({"extra_body": {"x": object()}}, "extra_body"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": 1.5}, "max_tokens"),
        ({"max_tokens": True}, "max_tokens"),
        ({"temperature": -1}, "temperature"),
        ({"temperature": "hot"}, "temperature"),
        ({"stream_options": 7}, "stream_options"),
        ({"connect_timeout": 0}, "connect_timeout"),
        ({"first_byte_timeout": -1}, "first_byte_timeout"),
        ({"idle_timeout": None}, "idle_timeout"),
        ({"idle_timeout": float("nan")}, "idle_timeout"),
        ({"max_reply_bytes": 0}, "max_reply_bytes"),
    ],
)
def test_a_mistake_in_an_option_raises_at_construction_and_names_it(options: dict, says: str) -> None:
    with pytest.raises(errors.ConfigError, match=says) as caught:
        OpenAICompat(**{"model": "m", "api_url": URL, **options})
    assert KEY not in "".join(traceback.format_exception(caught.value))


def test_unknown_options_are_named_with_the_valid_ones() -> None:
    with pytest.raises(
        errors.ConfigError, match=r"no option 'modle', 'top_k'.*model, api_key, api_url, http_client"
    ) as caught:
        OpenAICompat("m", api_url=URL, modle=1, top_k=2)
    assert "idle_timeout" in str(caught.value)
    assert "unknown" not in str(caught.value)


@pytest.mark.parametrize(
    ("api_url", "chat_path", "url"),
    [
        ("http://host", None, "http://host/v1/chat/completions"),
        ("http://host/", None, "http://host/v1/chat/completions"),
        ("http://host/v1", None, "http://host/v1/chat/completions"),
        ("https://openrouter.example/api/v1/", None, "https://openrouter.example/api/v1/chat/completions"),
        ("https://host/v1beta/openai", "/chat/completions", "https://host/v1beta/openai/chat/completions"),
        ("https://host/v1", "/chat/completions", "https://host/v1/chat/completions"),
        (
            "https://a.example",
            "/d/chat/completions?api-version=2026",
            "https://a.example/d/chat/completions?api-version=2026",
        ),
    ],
)
def test_the_address_is_what_people_mean(api_url: str, chat_path: str | None, url: str) -> None:
    recorder = Recorder()
    recorder.ask(api_url=api_url, **({"chat_path": chat_path} if chat_path else {}))
    assert str(recorder.requests[0].url) == url


@pytest.mark.parametrize("key", [KEY, SecretStr(KEY), lambda: KEY, lambda: SecretStr(KEY)])
def test_a_key_may_be_text_a_secret_or_a_function(key) -> None:
    recorder = Recorder()
    recorder.ask(api_key=key)
    assert recorder.requests[0].headers["authorization"] == f"Bearer {KEY}"


def test_an_async_function_is_asked_before_each_request() -> None:
    keys = iter(["one", "two"])

    async def key() -> str:
        return next(keys)

    recorder = Recorder()
    model = OpenAICompat("m", key, URL, recorder.client)

    async def main() -> None:
        await model.complete(REQUEST)
        await model.complete(REQUEST)

    asyncio.run(main())
    assert [request.headers["authorization"] for request in recorder.requests] == ["Bearer one", "Bearer two"]


@pytest.mark.parametrize("made", ["a\nb", None, 7])
def test_a_function_that_returns_no_key_is_named(made: object) -> None:
    with pytest.raises(errors.ConfigError, match="api_key"):
        Recorder().ask(api_key=lambda: made)


def test_no_key_sends_no_authorization_even_if_the_environment_has_one(monkeypatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    recorder = Recorder()
    recorder.ask()
    assert "authorization" not in recorder.requests[0].headers


def test_extra_headers_come_last() -> None:
    recorder = Recorder()
    recorder.ask(api_key="a", extra_headers={"Authorization": "Basic x", "X-Team": "b"})
    assert recorder.requests[0].headers["authorization"] == "Basic x"
    assert recorder.requests[0].headers["x-team"] == "b"


def test_only_what_was_asked_for_is_sent() -> None:
    recorder = Recorder()
    recorder.ask()
    assert recorder.sent == {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
    recorder.ask(max_tokens=100, temperature=0, extra_body={"seed": 1, "temperature": 0.5, "model": "other"})
    assert recorder.sent == {
        "model": "other",
        "messages": [{"role": "user", "content": "hi"}],
        "max_tokens": 100,
        "temperature": 0.5,
        "seed": 1,
    }


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, {"include_usage": True}),
        ({"stream_options": False}, None),
        ({"stream_options": {"include_obfuscation": False}}, {"include_obfuscation": False}),
        ({"extra_body": {"stream_options": {"x": 1}}}, {"x": 1}),
    ],
)
def test_stream_options_go_with_a_stream_only(options: dict, expected: object) -> None:
    """T82; its null ids, echoed reasoning and signatures are among the exchanges of tests/contract."""
    recorder = Recorder()
    recorder.ask(on_deltas=lambda _: None, **options)
    assert recorder.sent["stream"] is True
    assert recorder.sent.get("stream_options") == expected
    recorder.ask(**options)
    assert "stream" not in recorder.sent
    assert "stream_options" not in recorder.sent


def test_the_origin_is_the_same_for_another_model_and_another_for_another_key_or_server() -> None:
    origin = OpenAICompat("m", KEY, URL).origin
    assert len(origin) == 16
    assert int(origin, 16) >= 0
    assert OpenAICompat("other", KEY, URL).origin == origin
    assert OpenAICompat("m", "sk-2", URL).origin != origin
    assert OpenAICompat("m", None, URL).origin != origin
    assert OpenAICompat("m", KEY, "http://elsewhere.example").origin != origin


def test_the_shared_options_are_checked_and_named_too() -> None:
    with pytest.raises(errors.ConfigError, match="provider_state must be a mapping"):
        OpenAICompat("m", api_url=URL, provider_state="resp_1")
    with pytest.raises(errors.ConfigError, match="max_tokens, temperature.*extra_body, provider_state"):
        OpenAICompat("m", api_url=URL, state={})


def test_no_message_repr_or_attribute_shows_the_key() -> None:
    echo = {"error": {"message": f"wrong key {KEY} (Bearer {KEY})", "type": KEY, "code": KEY, "param": KEY}}
    failures = [
        Recorder(401, echo),
        Recorder(200, echo),
        Recorder(500, [echo]),
        Recorder(failure=httpx.ConnectError("refused")),
        Recorder(failure=httpx.RemoteProtocolError("illegal status line")),
    ]
    for recorder in failures:
        for options in ({"api_key": KEY}, {"extra_headers": {"api-key": KEY}}, {"api_key": lambda: KEY}):
            with pytest.raises(errors.ProviderError) as caught:
                recorder.ask(**options)
            shown = "".join(traceback.format_exception(caught.value))
            chain = [caught.value, caught.value.__cause__, caught.value.__context__]
            shown += " ".join(
                f"{error!r} {error} {getattr(error, 'args', '')} {vars(error) if error else ''}"
                for error in chain
            )
            assert KEY not in shown
    model = OpenAICompat("m", KEY, URL, extra_headers={"api-key": KEY})
    assert KEY not in f"{model} {model!r} {vars(model)} {vars(model._endpoint)}"
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(model)
    with pytest.raises(TypeError, match="not pickled"):
        copy.deepcopy(model)


def test_a_deadline_that_has_passed_is_an_error_before_anything_is_sent() -> None:
    recorder = Recorder()
    with pytest.raises(errors.ProviderTimeoutError):
        recorder.ask(ModelRequest((user("hi"),), deadline=Deadline.after(0)))
    assert recorder.requests == []
