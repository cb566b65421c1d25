"""The provider's options, headers and counting; T79 and T80 where no agent is needed."""

import asyncio
import json
import traceback

import httpx
import pytest

from alloy_actors import errors
from alloy_actors.content import Message, ToolCall, ToolResult, assistant, user
from alloy_actors.provider import ModelRequest, Provider
from alloy_actors.providers.anthropic import Anthropic
from alloy_actors.providers.model_strings import provider_from
from alloy_actors.tooldef import tool

URL = "http://server.example"
KEY = "sk-ant-very-secret-0123456789"
REQUEST = ModelRequest((user("hi"),))
REPLY = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-m",
    "content": [{"type": "text", "text": "Hello"}],
    "stop_reason": "end_turn",
    "usage": {"input_tokens": 9, "output_tokens": 3},
}
SEARCH = {"type": "web_search_20250305", "name": "web_search"}
MARK = {"type": "ephemeral"}


class Recorder:
    """A client that answers everything alike and keeps what it was asked."""

    def __init__(self, status: int = 200, body: object = REPLY) -> None:
        self.requests: list[httpx.Request] = []
        self.status, self.body = status, body
        self.client = httpx.AsyncClient(transport=httpx.MockTransport(self.answer))

    def answer(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        return httpx.Response(self.status, json=self.body)

    def model(self, **options) -> Anthropic:
        return Anthropic("m", **{"api_key": KEY, "api_url": URL, "http_client": self.client, **options})

    def ask(self, request: ModelRequest = REQUEST, on_deltas=None, **options):
        return asyncio.run(self.model(**options).complete(request, on_deltas))

    @property
    def sent(self) -> dict:
        return json.loads(self.requests[-1].content)


def test_it_is_a_provider_with_the_defaults_of_the_api() -> None:
    model = Anthropic("claude-sonnet-4-6", KEY)
    assert isinstance(model, Provider)
    assert (model.model, len(model.origin)) == ("claude-sonnet-4-6", 16)
    assert repr(model) == "Anthropic(model='claude-sonnet-4-6', api_url='https://api.anthropic.com')"


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"model": ""}, "model"),
        ({"api_key": ""}, "api_key is empty"),
        ({"api_url": "localhost"}, "api_url must begin with http"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": None}, "max_tokens"),
        ({"cache": "2h"}, "cache must be True, False or one of '5m', '1h'"),
        ({"cache": 5}, "cache must be"),
        ({"thinking": 1023}, "thinking must be a whole number above 1023"),
        ({"thinking": "adaptive"}, "thinking must be a mapping"),
        ({"thinking": {"budget_tokens": 2048}}, "thinking\\['type'\\]"),
        ({"thinking": 2048, "max_tokens": 2048}, "must be less than max_tokens=2048"),
        ({"thinking": {"type": "enabled", "budget_tokens": 99_999}}, "must be less than max_tokens"),
        ({"effort": "huge"}, "effort must be one of low"),
        ({"effort": True}, "effort must be one of low"),
        ({"betas": 7}, "betas must be a list"),
        ({"betas": [7]}, "betas must be a string"),
        ({"betas": ["a\nb"]}, "betas holds characters"),
        ({"server_tools": SEARCH}, "server_tools must be a list"),
        ({"server_tools": ["web_search"]}, "server_tools must be a mapping"),
        ({"server_tools": [{"max_uses": 3}]}, "give what the API takes"),
        ({"server_tools": [{"name": "x", "input_schema": object()}]}, "server_tools must be JSON"),
        ({"code_execution": 7}, "code_execution"),
        ({"citations": "yes"}, "citations must be True or False"),
        ({"tool_options": []}, "tool_options must be a mapping"),
        ({"tool_options": {"add": True}}, "tool_options\\['add'\\] must be a mapping"),
        ({"tool_options": {"add": {"name": "plus"}}}, "may not hold 'name'"),
        ({"tool_options": {"add": {"strict": object()}}}, "tool_options must be JSON"),
        ({"api_version": 7}, "api_version must be a string"),
        ({"extra_body": {"messages": []}}, "messages"),
        ({"extra_body": {"stream": True}}, "stream"),
        ({"extra_body": {"tools": {}}}, "tools"),
        ({"extra_headers": {"anthropic-beta": 7}}, "extra_headers"),
    ],
)
def test_a_mistake_in_an_option_raises_at_construction_and_names_it(options: dict, says: str) -> None:
    with pytest.raises(errors.ConfigError, match=says) as caught:
        Anthropic(**{"model": "m", "api_key": KEY, **options})
    assert KEY not in "".join(traceback.format_exception(caught.value))


def test_unknown_options_are_named_with_the_valid_ones() -> None:
    with pytest.raises(
        errors.ConfigError, match=r"Anthropic has no option 'temperature'.*max_tokens, cache"
    ) as caught:
        Anthropic("m", KEY, temperature=1)
    assert "extra_body" in str(caught.value)


def test_the_key_comes_from_the_environment_when_none_is_given(monkeypatch) -> None:
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    with pytest.raises(
        errors.ConfigError, match="Anthropic needs a key: pass api_key=, or set ANTHROPIC_API_KEY"
    ):
        Anthropic("m")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "  ")
    with pytest.raises(errors.ConfigError, match="ANTHROPIC_API_KEY"):
        Anthropic("m")
    monkeypatch.setenv("ANTHROPIC_API_KEY", f" {KEY}\n")
    recorder = Recorder()
    recorder.ask(api_key=None)
    assert recorder.requests[0].headers["x-api-key"] == KEY
    recorder.ask(api_key="sk-ant-given")
    assert recorder.requests[1].headers["x-api-key"] == "sk-ant-given"


def test_a_model_string_means_it(monkeypatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    model = provider_from("anthropic:claude-sonnet-4-6", cache=True)
    assert isinstance(model, Anthropic)
    assert model.model == "claude-sonnet-4-6"


@pytest.mark.parametrize("url", [URL, f"{URL}/", f"{URL}/v1", f"{URL}/v1/"])
def test_the_address_is_what_people_mean(url: str) -> None:
    recorder = Recorder()
    recorder.ask(api_url=url)
    assert str(recorder.requests[0].url) == f"{URL}/v1/messages"


def test_the_headers_of_the_api() -> None:
    recorder = Recorder()
    recorder.ask()
    headers = recorder.requests[0].headers
    assert headers["x-api-key"] == KEY
    assert headers["anthropic-version"] == "2023-06-01"
    assert "authorization" not in headers
    assert "anthropic-beta" not in headers
    recorder.ask(api_version="2027-01-01", extra_headers={"x-api-key": "mine"})
    assert recorder.requests[1].headers["anthropic-version"] == "2027-01-01"
    assert recorder.requests[1].headers.get_list("x-api-key") == ["mine"]


@pytest.mark.parametrize(
    ("options", "header"),
    [
        ({"betas": ["a", "b"]}, "a,b"),
        ({"betas": "a, b"}, "a,b"),
        ({"betas": ["a"], "extra_headers": {"Anthropic-Beta": "b , a,,c"}}, "a,b,c"),
        ({"extra_headers": {"anthropic-beta": "b"}}, "b"),
        ({"extra_body": {"context_management": {"edits": []}}}, "context-management-2025-06-27"),
        (
            {"betas": ["context-management-2025-06-27", "a"], "extra_body": {"context_management": {}}},
            "context-management-2025-06-27,a",
        ),
        ({"code_execution": True, "server_tools": [SEARCH]}, None),
    ],
)
def test_betas_from_everywhere_become_one_header(options: dict, header: str | None) -> None:
    """T80, T11."""
    recorder = Recorder()
    recorder.ask(**options)
    assert recorder.requests[0].headers.get_list("anthropic-beta") == ([header] if header else [])


def test_a_budget_above_max_tokens_is_fine_where_thinking_is_interleaved() -> None:
    recorder = Recorder()
    recorder.ask(thinking=32_000, max_tokens=16_000, betas=["interleaved-thinking-2025-05-14"])
    assert recorder.sent["thinking"] == {"type": "enabled", "budget_tokens": 32_000}


@pytest.mark.parametrize("status", [400, 429, 500, 529])
def test_no_failure_is_tried_again_below_the_retries_of_the_run(status: int) -> None:
    """T79."""
    recorder = Recorder(status, {"type": "error", "error": {"type": "x", "message": "no"}})
    with pytest.raises(errors.ProviderError):
        recorder.ask()
    assert len(recorder.requests) == 1


def test_no_message_repr_or_attribute_shows_the_key() -> None:
    recorder = Recorder(401, {"error": {"message": f"wrong key {KEY}", "type": KEY}})
    with pytest.raises(errors.AuthError) as caught:
        recorder.ask()
    assert KEY not in "".join(traceback.format_exception(caught.value)) + str(vars(caught.value))
    model = recorder.model()
    assert KEY not in f"{model} {vars(model)} {vars(model._endpoint)} {vars(model._count_endpoint)}"


@pytest.mark.parametrize("messages", [(), (user(""),), (user(" \n"),), (user("a"), assistant("b"), user(""))])
def test_a_last_message_that_says_nothing_is_refused_before_anything_is_sent(messages: tuple) -> None:
    recorder = Recorder()
    with pytest.raises(errors.InvalidRequestError, match="messages: the last one says nothing"):
        recorder.ask(ModelRequest(messages))
    assert recorder.requests == []


def marks(body: object) -> int:
    return json.dumps(body).count('"cache_control"')


@tool
async def now() -> str:
    """The time."""
    return "12:00"


def test_no_request_has_more_marks_than_the_api_allows() -> None:
    """T80: cache <= 4."""
    calls = tuple(ToolCall(f"c{at}", "now", {}) for at in range(30))
    history = (
        user("hi"),
        Message("assistant", calls),
        user(*(ToolResult(call.id, "12:00") for call in calls)),
    )
    request = ModelRequest(history, (now,), "Be brief.")
    recorder = Recorder()
    marked = {**SEARCH, "cache_control": MARK}
    for theirs in ([], [marked, SEARCH]):
        recorder.ask(request, cache=True, server_tools=theirs)
        assert marks(recorder.sent) == 4
    two = [marked, marked]
    with pytest.raises(errors.ConfigError, match="hold 2 marks .cache_control. and cache adds 3"):
        recorder.model(cache=True, server_tools=two)
    recorder.ask(request, server_tools=two)
    assert marks(recorder.sent) == 2
    recorder.ask(request, cache=True, server_tools=two, extra_body={"system": "Mine."})
    assert marks(recorder.sent) == 3  # the last tool has theirs


def test_nothing_is_marked_unless_asked_for() -> None:
    recorder = Recorder()
    recorder.ask(ModelRequest((user("hi"),), (now,), "Be brief."))
    assert marks(recorder.sent) == 0


def test_a_deferred_tool_is_never_marked() -> None:
    """T80."""
    recorder = Recorder()
    recorder.ask(
        ModelRequest((user("hi"),), (now,)), cache=True, tool_options={"now": {"defer_loading": True}}
    )
    assert marks(recorder.sent["tools"]) == 0
    assert marks(recorder.sent) == 1


class Counter(Recorder):
    def __init__(self, status: int = 200, body: object = {"input_tokens": 14}) -> None:
        super().__init__(status, body)

    def count(self, messages: object = "hi", options: dict | None = None, **asked) -> int:
        return asyncio.run(self.model(**(options or {})).count_tokens(messages, **asked))


def test_tokens_are_counted_for_what_a_request_would_hold() -> None:
    counter = Counter()
    options = {
        "thinking": 2048,
        "effort": "low",
        "betas": ["a"],
        "server_tools": [SEARCH],
        "extra_body": {"tool_choice": {"type": "any"}, "temperature": 1, "service_tier": "auto"},
    }
    history = (user("hi"), assistant("hello"), user("and?"))
    assert counter.count(history, options, tools=[now], system_prompt="Be brief.") == 14
    request = counter.requests[0]
    assert str(request.url) == f"{URL}/v1/messages/count_tokens"
    assert request.headers["x-api-key"] == KEY
    assert request.headers["anthropic-beta"] == "a"
    assert counter.sent == {
        "model": "m",
        "thinking": {"type": "enabled", "budget_tokens": 2048},
        "tool_choice": {"type": "any"},
        "system": "Be brief.",
        "messages": [
            {"role": "user", "content": "hi"},
            {"role": "assistant", "content": "hello"},
            {"role": "user", "content": "and?"},
        ],
        "tools": [
            {
                "name": "now",
                "description": "The time.",
                "input_schema": {"type": "object", "properties": {}, "additionalProperties": False},
            },
            SEARCH,
        ],
        "output_config": {"effort": "low"},
    }


def test_counting_takes_a_string_and_plain_functions() -> None:
    def add(a: int) -> int:
        return a

    counter = Counter()
    assert counter.count("hi", tools=[add]) == 14
    assert counter.sent["messages"] == [{"role": "user", "content": "hi"}]
    assert counter.sent["tools"][0]["name"] == "add"


@pytest.mark.parametrize(
    ("counter", "kind", "says"),
    [
        (Counter(401, {"error": {"type": "authentication_error", "message": "no"}}), errors.AuthError, "no"),
        (
            Counter(200, {"error": {"type": "overloaded_error", "message": "no"}}),
            errors.OverloadedError,
            "no",
        ),
        (Counter(200, {"tokens": 1}), errors.MalformedReplyError, "input_tokens"),
        (Counter(200, []), errors.MalformedReplyError, "no object"),
    ],
)
def test_counting_fails_as_asking_does(counter: Counter, kind: type, says: str) -> None:
    with pytest.raises(kind, match=says):
        counter.count()


@pytest.mark.parametrize(
    ("messages", "asked", "says"),
    [
        ([{"role": "user"}], {}, "messages must be a string or a list of Message"),
        (7, {}, "messages must be"),
        ("hi", {"tools": ["x"]}, "tools holds 'x'"),
        ("hi", {"timeout": 0}, "timeout"),
    ],
)
def test_a_mistake_in_counting_is_refused_before_anything_is_sent(
    messages: object, asked: dict, says: str
) -> None:
    counter = Counter()
    with pytest.raises(errors.ConfigError, match=says):
        counter.count(messages, **asked)
    assert counter.requests == []


@pytest.mark.parametrize(
    ("options", "keeps"),
    [
        ({}, False),
        ({"thinking": True}, False),
        ({"thinking": 2_000}, True),
        ({"extra_body": {"thinking": {"type": "enabled", "budget_tokens": 2_000}}}, True),
        ({"extra_body": {"thinking": {"type": "adaptive"}}}, False),
    ],
)
def test_only_thinking_with_a_budget_has_to_stay_in_the_turn_in_progress(options: dict, keeps: bool) -> None:
    """T61: compaction asks."""
    assert Anthropic("claude-sonnet-4-6", "key", **options).keeps_thinking is keeps
