import asyncio
import json
import traceback

import httpx
import pytest
from pydantic import SecretStr

from alloy_actors import errors
from alloy_actors.content import ImageBlock, ServerToolCall, ThinkingBlock, ToolCall, ToolResult, user
from alloy_actors.models import facts
from alloy_actors.pauses import pausing_by
from alloy_actors.provider import ModelRequest, Provider
from alloy_actors.providers._base import key_or_env
from alloy_actors.providers.model_strings import provider_from
from alloy_actors.providers.openai import OpenAI
from alloy_actors.providers.openai_compat import OpenAICompat
from alloy_actors.providers.retry import complete_with_retry
from alloy_actors.providers.xai import XAI
from tests.contract.shapes import SCHEMA, add

URL = "http://server.example"
KEY = "sk-very-secret-0123456789"
REQUEST = ModelRequest((user("hi"),))
REASONING = {"id": "rs_1", "type": "reasoning", "summary": [], "encrypted_content": "gAAAAAB"}
CALL = {
    "id": "fc_1",
    "type": "function_call",
    "call_id": "call_1",
    "name": "add",
    "arguments": '{"a":1,"b":2}',
}
NOT_ENCRYPTED = {
    "error": {
        "message": "Encrypted content is not supported with this model.",
        "type": "invalid_request_error",
        "param": "include",
        "code": None,
    }
}


def text(words: str) -> dict:
    return {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": words}]}


def response(*output: dict, **more) -> dict:
    return {"id": "resp_1", "object": "response", "status": "completed", "output": list(output), **more}


class Server:
    """A client that gives these answers in turn, the last of them for ever, and keeps what it was asked."""

    def __init__(self, *answers: dict | tuple[int, dict], failure: Exception | None = None) -> None:
        self.answers = list(answers) or [response(text("Hello"))]
        self.failure = failure
        self.requests: list[httpx.Request] = []
        self.client = httpx.AsyncClient(transport=httpx.MockTransport(self.answer))

    def answer(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        if self.failure is not None:
            raise self.failure
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        status, body = answer if isinstance(answer, tuple) else (200, answer)
        return httpx.Response(status, json=body)

    def model(self, cls: type[OpenAI] = OpenAI, **options) -> OpenAI:
        return cls(**{"model": "m", "api_key": KEY, "api_url": URL, "http_client": self.client, **options})

    def ask(self, request: ModelRequest = REQUEST, on_deltas=None, **options):
        return asyncio.run(self.model(**options).complete(request, on_deltas))

    @property
    def bodies(self) -> list[dict]:
        return [json.loads(request.content) for request in self.requests]


def test_it_is_a_provider() -> None:
    assert isinstance(OpenAI("m", KEY), Provider)
    assert OpenAI("m", KEY).model == "m"


# -- keys and addresses --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("given", [None, ""])
def test_without_any_key_the_error_says_where_one_may_stand(monkeypatch, given: str | None) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.setenv("XAI_API_KEY", " ")
    with pytest.raises(errors.ConfigError, match=r"api_key"):
        OpenAI("m", given)
    with pytest.raises(errors.ConfigError, match=r"OpenAI needs a key: pass api_key=, or set OPENAI_API_KEY"):
        OpenAI("m")
    with pytest.raises(errors.ConfigError, match=r"XAI needs a key: pass api_key=, or set XAI_API_KEY"):
        XAI("m")


def test_a_key_given_counts_before_the_environment(monkeypatch) -> None:
    monkeypatch.setenv("SOME_API_KEY", " from-env\n")
    assert key_or_env("mine", "Some", "SOME_API_KEY") == "mine"
    assert key_or_env(None, "Some", "SOME_API_KEY") == "from-env"


@pytest.mark.parametrize(
    ("cls", "variable", "url"),
    [
        (OpenAI, "OPENAI_API_KEY", "https://api.openai.com/v1/responses"),
        (XAI, "XAI_API_KEY", "https://api.x.ai/v1/responses"),
    ],
)
def test_address_and_key_have_defaults(monkeypatch, cls: type[OpenAI], variable: str, url: str) -> None:
    monkeypatch.setenv(variable, KEY)
    server = Server()
    asyncio.run(cls("m", http_client=server.client).complete(REQUEST))
    assert str(server.requests[0].url) == url
    assert server.requests[0].headers["authorization"] == f"Bearer {KEY}"


@pytest.mark.parametrize(
    ("api_url", "url"),
    [
        ("http://host", "http://host/v1/responses"),
        ("http://host/v1/", "http://host/v1/responses"),
        ("https://me.openai.azure.example/openai/v1", "https://me.openai.azure.example/openai/v1/responses"),
    ],
)
def test_the_address_is_what_people_mean(api_url: str, url: str) -> None:
    server = Server()
    server.ask(api_url=api_url)
    assert str(server.requests[0].url) == url


def test_openai_and_xai_have_origins_of_their_own() -> None:
    origins = {OpenAI("m", KEY, URL).origin, XAI("m", KEY, URL).origin, OpenAICompat("m", KEY, URL).origin}
    assert len(origins) == 3
    assert OpenAI("other", SecretStr(KEY), URL, store=True).origin in origins


@pytest.mark.parametrize(
    ("word", "cls", "vendor", "model"),
    [("openai", OpenAI, "openai", "gpt-5.4"), ("xai", XAI, "x-ai", "grok-4-fast")],
)
def test_a_model_string_means_them_and_their_prices_are_known(
    monkeypatch, word: str, cls: type, vendor: str, model: str
) -> None:
    monkeypatch.setenv(cls._variable, KEY)
    provider = provider_from(f"{word}:{model}")
    assert type(provider) is cls
    assert provider.model == model
    assert provider.vendor == vendor
    assert facts(vendor, model).prices is not None


# -- bad input -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"model": ""}, "model"),
        ({"api_key": " "}, "api_key is empty"),
        ({"api_url": "localhost"}, "api_url must begin with http"),
        ({"api_url": "http://host/v1?a=b"}, r"api_url must end before '\?' and '#'$"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": True}, "max_tokens"),
        ({"temperature": -1}, "temperature"),
        ({"reasoning": "low"}, "reasoning must be a mapping"),
        ({"reasoning": {"effort": object()}}, "reasoning must be JSON"),
        ({"store": "yes"}, "store must be True or False"),
        ({"previous_response_id": ""}, "previous_response_id"),
        ({"previous_response_id": 7}, "previous_response_id"),
        ({"include": "reasoning.encrypted_content"}, "include must be a list"),
        ({"include": [1]}, "include must be a list"),
        ({"tool_choice": "add"}, "tool_choice must be 'auto', 'none', 'required' or a mapping"),
        ({"tool_choice": {"name": "add"}}, "tool_choice"),
        ({"tool_choice": {"type": "function", "name": object()}}, "tool_choice must be JSON"),
        ({"parallel_tool_calls": 1}, "parallel_tool_calls must be True or False"),
        ({"web_search": "yes"}, "web_search must be True, False or a mapping"),
        ({"x_search": 1}, "x_search must be True, False or a mapping"),
        ({"web_search": {1: 2}}, "web_search must be a mapping with string keys"),
        ({"built_in_tools": {"type": "mcp"}}, "built_in_tools must be a list"),
        ({"built_in_tools": ["mcp"]}, "built_in_tools holds 'mcp'"),
        ({"built_in_tools": [{"name": "mcp"}]}, "built_in_tools holds"),
        ({"built_in_tools": [{"type": "mcp", "x": object()}]}, "built_in_tools must be JSON"),
        ({"extra_body": {"input": []}}, "may not hold 'input'"),
        ({"extra_body": {"stream": True}}, "may not hold 'stream'"),
        ({"extra_body": {"background": True}}, "may not hold 'background'"),
        ({"extra_body": {"text": "low"}}, r"extra_body\['text'\] must be a mapping"),
        ({"extra_headers": {"x": 1}}, "extra_headers"),
        ({"idle_timeout": 0}, "idle_timeout"),
    ],
)
@pytest.mark.parametrize("cls", [OpenAI, XAI])
def test_a_mistake_in_an_option_raises_at_construction_and_names_it(cls, options: dict, says: str) -> None:
    with pytest.raises(errors.ConfigError, match=says) as caught:
        cls(**{"model": "m", "api_key": KEY, "api_url": URL, **options})
    assert KEY not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("cls", [OpenAI, XAI])
def test_unknown_options_are_named_with_the_valid_ones(cls) -> None:
    with pytest.raises(errors.ConfigError, match=rf"{cls.__name__} has no option 'max_token'") as caught:
        cls("m", KEY, max_token=7)
    for name in ("api_key", "max_tokens", "store", "previous_response_id", "x_search", "extra_body"):
        assert name in str(caught.value)


@pytest.mark.parametrize(
    ("cls", "image", "says"),
    [
        (
            OpenAI,
            ImageBlock("image/bmp", "aGk="),
            "mime_type 'image/bmp': OpenAI takes image/png, image/jpeg",
        ),
        (
            XAI,
            ImageBlock("image/webp", "aGk="),
            "mime_type 'image/webp': xAI takes image/png, image/jpeg; convert",
        ),
        (
            XAI,
            ImageBlock("image/png", "A" * (28 * 1024 * 1024)),
            r"data of 22,020,096 bytes: xAI takes 20,971,520",
        ),
    ],
)
def test_an_image_that_the_api_would_refuse_is_an_error_before_anything_is_sent(
    cls, image, says: str
) -> None:
    server = Server()
    model = server.model(cls)
    with pytest.raises(errors.InvalidRequestError, match=f"ImageBlock has {says}"):
        asyncio.run(model.complete(ModelRequest((user("What is it?", image),))))
    assert server.requests == []


def test_a_schema_that_strict_mode_would_refuse_is_an_error_before_anything_is_sent() -> None:
    server = Server()
    schema = {"type": "object", "properties": {"any": {"type": "object", "additionalProperties": True}}}
    with pytest.raises(
        errors.InvalidRequestError, match=r"answer\.any is an object with members of any name"
    ):
        server.ask(ModelRequest((user("hi"),), output_schema=schema))
    assert server.requests == []


# -- T81: what is kept where ---------------------------------------------------------------------------------------


def test_t81_stateless_by_default_nothing_is_stored_and_reasoning_is_asked_for_encrypted() -> None:
    server = Server()
    server.ask()
    assert server.bodies[0] == {
        "model": "m",
        "store": False,
        "include": ["reasoning.encrypted_content"],
        "input": [{"role": "user", "content": "hi"}],
    }


def test_t81_include_names_the_encrypted_reasoning_once() -> None:
    server = Server()
    server.ask(include=["reasoning.encrypted_content", "web_search_call.action.sources", "inline_citations"])
    assert server.bodies[0]["include"] == [
        "reasoning.encrypted_content",
        "web_search_call.action.sources",
        "inline_citations",
    ]


def test_t81_reasoning_goes_back_unchanged_and_before_the_call_it_led_to() -> None:
    server = Server(response(REASONING, CALL), response(text("3")))
    model = server.model()

    async def main() -> None:
        first = await model.complete(REQUEST)
        results = user(ToolResult("call_1", "3"))
        await model.complete(ModelRequest((*REQUEST.messages, first.message, results)))

    asyncio.run(main())
    assert server.bodies[1]["input"][1:] == [
        REASONING,
        {"type": "function_call", "call_id": "call_1", "name": "add", "arguments": '{"a":1,"b":2}'},
        {"type": "function_call_output", "call_id": "call_1", "output": "3"},
    ]


def test_t81_with_store_true_neither_encrypted_reasoning_is_asked_for_nor_any_sent_back() -> None:
    server = Server(response(REASONING, CALL))
    reply = server.ask(store=True)
    assert any(isinstance(block, ThinkingBlock) for block in reply.message.blocks)
    server.ask(ModelRequest((user("hi"), reply.message, user(ToolResult("call_1", "3")))), store=True)
    for body in server.bodies:
        assert body["store"] is True
        assert "include" not in body
    assert [item.get("type") for item in server.bodies[1]["input"]] == [
        None,
        "function_call",
        "function_call_output",
    ]


def test_t81_the_origin_alone_gets_reasoning_back() -> None:
    server = Server(response(REASONING, text("3")))
    reply = server.ask()
    server.ask(ModelRequest((user("hi"), reply.message, user("and?"))), api_key="sk-another-key-000000")
    assert server.bodies[1]["input"] == [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": "3"},
        {"role": "user", "content": "and?"},
    ]


def test_t81_phases_go_back_with_their_text() -> None:
    server = Server(
        response({**text("I look."), "phase": "commentary"}, {**text("3"), "phase": "final_answer"})
    )
    reply = server.ask()
    server.ask(ModelRequest((user("hi"), reply.message, user("and?"))))
    assert server.bodies[1]["input"][1:3] == [
        {"role": "assistant", "content": "I look.", "phase": "commentary"},
        {"role": "assistant", "content": "3", "phase": "final_answer"},
    ]


def test_t81_a_previous_response_is_named_in_every_request_until_a_reset() -> None:
    server = Server()
    model = server.model(previous_response_id="resp_0")

    async def main() -> None:
        first = await model.complete(REQUEST)
        assert first.provider_state == {"response_id": "resp_1", "previous_response_id": "resp_0"}
        second = await model.complete(ModelRequest((user("hi"),), provider_state=first.provider_state))
        assert second.provider_state == first.provider_state
        reset = await model.complete(ModelRequest((user("hi"),), provider_state={}))
        assert reset.provider_state == {"response_id": "resp_1"}
        await model.complete(ModelRequest((user("hi"),), provider_state=reset.provider_state))

    asyncio.run(main())
    assert [body.get("previous_response_id") for body in server.bodies] == ["resp_0", "resp_0", None, None]
    assert not any("store" in body or "include" in body for body in server.bodies)


def test_t81_no_response_is_gone_on_from_unless_it_was_named() -> None:
    server = Server()
    reply = server.ask(store=True)
    assert reply.provider_state == {"response_id": "resp_1"}
    server.ask(ModelRequest((user("hi"),), provider_state=reply.provider_state), store=True)
    assert "previous_response_id" not in server.bodies[1]


def test_a_state_of_an_earlier_run_goes_on_with_its_previous_response() -> None:
    server = Server()
    server.ask(provider_state={"response_id": "resp_9", "previous_response_id": "resp_0"})
    assert server.bodies[0]["previous_response_id"] == "resp_0"


def test_unstored_responses_after_a_previous_one_have_their_reasoning_encrypted() -> None:
    server = Server()
    server.ask(previous_response_id="resp_0", store=False)
    assert server.bodies[0]["store"] is False
    assert server.bodies[0]["include"] == ["reasoning.encrypted_content"]


# -- models without encrypted reasoning ----------------------------------------------------------------------------


@pytest.mark.parametrize("streamed", [False, True])
def test_a_model_without_reasoning_is_asked_again_without_it_and_never_for_it_again(streamed: bool) -> None:
    server = Server((400, NOT_ENCRYPTED), response(text("Hello")))
    model = server.model(include=["message.output_text.logprobs"])
    heard: list = []
    listen = heard.extend if streamed else None

    async def main() -> list:
        return [await model.complete(REQUEST, listen) for _ in range(2)]

    assert [reply.message.text for reply in asyncio.run(main())] == ["Hello", "Hello"]
    assert [len(body["include"]) for body in server.bodies] == [2, 1, 1]
    assert "".join(delta.text for delta in heard) == ("HelloHello" if streamed else "")


def test_two_requests_at_once_to_a_model_without_reasoning_are_both_answered() -> None:
    both = asyncio.Barrier(2)
    asked: list[bool] = []

    async def answer(request: httpx.Request) -> httpx.Response:
        asked.append("include" in json.loads(request.content))
        if not asked[-1]:
            return httpx.Response(200, json=response(text("Hello")))
        await both.wait()  # so that neither has learned from the other
        return httpx.Response(400, json=NOT_ENCRYPTED)

    async def main() -> list:
        model = OpenAI("m", KEY, URL, httpx.AsyncClient(transport=httpx.MockTransport(answer)))
        return await asyncio.gather(model.complete(REQUEST), model.complete(REQUEST))

    assert [reply.message.text for reply in asyncio.run(main())] == ["Hello", "Hello"]
    assert sorted(asked) == [False, False, True, True]


def test_the_refusal_is_passed_on_when_it_was_not_for_our_asking() -> None:
    for options in ({"store": True}, {}):
        server = Server((400, NOT_ENCRYPTED))
        with pytest.raises(errors.InvalidRequestError, match="Encrypted content"):
            server.ask(**options)
        assert len(server.requests) == (1 if options else 2)
    server = Server(
        (400, {"error": {"message": "Unknown parameter: 'include'", "type": "invalid_request_error"}})
    )
    with pytest.raises(errors.InvalidRequestError, match="Unknown parameter"):
        server.ask()
    assert len(server.requests) == 1


# -- tools and the answer's form -----------------------------------------------------------------------------------


def test_the_tools_of_the_server_follow_the_runs_own() -> None:
    server = Server()
    tools = [{"type": "code_interpreter", "container": {"type": "auto"}}]
    server.ask(
        ModelRequest((user("hi"),), (add,)),
        web_search=True,
        x_search={"allowed_x_handles": ["pykka"]},
        built_in_tools=tools,
        extra_body={"tools": [{"type": "mcp", "server_label": "x"}]},
    )
    assert [tool["type"] for tool in server.bodies[0]["tools"]] == [
        "function",
        "web_search",
        "x_search",
        "code_interpreter",
        "mcp",
    ]
    assert server.bodies[0]["tools"][2] == {"type": "x_search", "allowed_x_handles": ["pykka"]}


def test_what_is_said_about_tools_goes_with_tools_alone() -> None:
    server = Server()
    choice = {"type": "function", "name": "add"}
    server.ask(tool_choice=choice, parallel_tool_calls=False)
    server.ask(ModelRequest((user("hi"),), (add,)), tool_choice=choice, parallel_tool_calls=False)
    server.ask(web_search=True, tool_choice="required", extra_body={"tool_choice": "auto"})
    assert "tools" not in server.bodies[0]
    assert "tool_choice" not in server.bodies[0]
    assert "parallel_tool_calls" not in server.bodies[0]
    assert server.bodies[1]["tool_choice"] == choice
    assert server.bodies[1]["parallel_tool_calls"] is False
    assert server.bodies[2]["tool_choice"] == "auto"


def test_an_output_schema_becomes_the_format_of_the_text_and_extra_body_adds_to_it() -> None:
    server = Server()
    model = server.model(extra_body={"text": {"verbosity": "low"}})
    schema = {"type": "object", "properties": {"city": {"type": "string", "default": "Rome"}}}

    async def main() -> None:
        await model.complete(REQUEST)
        await model.complete(ModelRequest((user("hi"),), output_schema=schema))
        await model.complete(ModelRequest((user("hi"),), output_schema=dict(SCHEMA)))

    asyncio.run(main())
    assert server.bodies[0]["text"] == {"verbosity": "low"}
    assert (
        server.bodies[1]["text"]
        == server.bodies[2]["text"]
        == {
            "format": {"type": "json_schema", "name": "answer", "schema": SCHEMA, "strict": True},
            "verbosity": "low",
        }
    )


def test_stream_options_go_with_a_stream_only() -> None:
    server = Server()
    extra = {"stream_options": {"include_obfuscation": False}}
    server.ask(extra_body=extra)
    server.ask(on_deltas=lambda _: None, extra_body=extra)
    assert "stream" not in server.bodies[0]
    assert "stream_options" not in server.bodies[0]
    assert server.bodies[1]["stream"] is True
    assert server.bodies[1]["stream_options"] == {"include_obfuscation": False}


# -- T79, T85 ------------------------------------------------------------------------------------------------------


def test_t79_text_thinking_and_calls_are_there_to_read() -> None:
    """T79, T90: a mixed reply."""
    summed = {**REASONING, "summary": [{"type": "summary_text", "text": "I add."}]}
    usage = {"input_tokens": 100, "input_tokens_details": {"cached_tokens": 60}, "output_tokens": 9}
    reply = Server(response(summed, text("Let me see."), CALL, usage=usage)).ask()
    assert reply.message.text == "Let me see."
    assert reply.message.thinking == "I add."
    assert reply.message.tool_calls == (ToolCall("call_1", "add", {"a": 1, "b": 2}),)
    assert reply.stop_reason == "tool_use"
    assert (reply.usage.input_tokens, reply.usage.cache_read_input_tokens, reply.usage.output_tokens) == (
        40,
        60,
        9,
    )


def test_t79_the_clients_own_retries_are_off() -> None:
    for answer in ((500, {"error": {"message": "no"}}), (429, {"error": {"message": "no"}})):
        server = Server(answer)
        with pytest.raises(errors.ProviderError):
            server.ask()
        assert len(server.requests) == 1


def test_t79_a_tool_of_the_servers_is_not_waited_for() -> None:
    search = {"id": "ws_1", "type": "web_search_call", "action": {"type": "search", "query": "x"}}
    reply = Server(response(search)).ask()
    assert reply.stop_reason == "end_turn"
    assert reply.message.tool_calls == ()
    assert isinstance(reply.message.blocks[0], ServerToolCall)


@pytest.mark.parametrize(("heard_first", "attempts"), [(False, 3), (True, 1)])
def test_t85_a_stream_that_is_cut_is_asked_again_only_if_nothing_was_heard(
    heard_first, attempts: int
) -> None:
    created = {"type": "response.created", "response": {"id": "resp_1"}}
    delta = {"type": "response.output_text.delta", "output_index": 0, "content_index": 0, "delta": "Hel"}
    events = [created, delta] if heard_first else [created]
    body = "".join(f"data: {json.dumps(event)}\n\n" for event in events)
    asked: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(200, text=body, headers={"content-type": "text/event-stream"})

    async def instantly(_: float) -> None:
        pass

    heard: list = []
    model = OpenAI("m", KEY, URL, httpx.AsyncClient(transport=httpx.MockTransport(answer)))
    run = complete_with_retry(model, REQUEST, heard.extend, max_retries=2)
    with pausing_by(instantly), pytest.raises(errors.ConnectionFailedError, match="cut off"):
        asyncio.run(run)
    assert len(asked) == attempts
    assert [delta.text for delta in heard] == (["Hel"] if heard_first else [])


def test_no_message_or_repr_shows_the_key() -> None:
    echo = {"error": {"message": f"wrong key {KEY}", "type": KEY, "code": KEY, "param": KEY}}
    for server in (Server((401, echo)), Server(echo), Server(failure=httpx.ConnectError("refused"))):
        with pytest.raises(errors.ProviderError) as caught:
            server.ask()
        assert KEY not in "".join(traceback.format_exception(caught.value))
    model = OpenAI("m", KEY, URL)
    assert KEY not in f"{model} {model!r} {vars(model)}"


# -- xAI -----------------------------------------------------------------------------------------------------------


def test_xai_shows_a_tools_images_behind_its_result() -> None:
    server = Server()
    reply = Server(response(CALL)).model(XAI)
    asked = asyncio.run(reply.complete(REQUEST)).message
    shown = user(ToolResult("call_1", (ImageBlock("image/png", "aGk="),)))
    asyncio.run(server.model(XAI).complete(ModelRequest((user("hi"), asked, shown))))
    assert server.bodies[0]["input"][2:] == [
        {"type": "function_call_output", "call_id": "call_1", "output": ""},
        {
            "role": "user",
            "content": [{"type": "input_image", "detail": "auto", "image_url": "data:image/png;base64,aGk="}],
        },
    ]


def test_xai_searches_and_its_citations_come_back_as_facts() -> None:
    found = ["https://x.com/i/1", "https://x.ai/news"]
    server = Server(response(text("OTP"), citations=found, server_side_tool_usage={"X_SEARCH": 1}))
    reply = asyncio.run(
        server.model(XAI, x_search=True, web_search={"allowed_domains": ["x.ai"]}).complete(REQUEST)
    )
    assert server.bodies[0]["tools"] == [
        {"type": "web_search", "allowed_domains": ["x.ai"]},
        {"type": "x_search"},
    ]
    assert reply.metadata["citations"] == found
    assert reply.metadata["server_side_tool_usage"] == {"X_SEARCH": 1}
