"""`trace=`: the exact exchange, for people who look for a fault, and never a key in it."""

import asyncio
import json
from types import SimpleNamespace

import httpx
import pytest

from alloy_actors import errors
from alloy_actors.content import user
from alloy_actors.provider import ModelRequest
from alloy_actors.providers._http.session import shared
from alloy_actors.providers.openai_compat import OpenAICompat
from alloy_actors.providers.trace import HTTPExchange
from tests.integration.providers.test_transport import (
    ANSWER,
    DONE,
    END,
    STREAM_HEAD,
    answering,
    chunked,
    event,
    whole,
)

KEY = 'sk-0123"456/789 abc'
"""With what JSON and URLs write otherwise."""


def everything(exchange: HTTPExchange) -> str:
    return repr(exchange) + exchange.request_body.decode() + exchange.response_body.decode()


@pytest.mark.parametrize("client", [False, True], ids=["ours", "the caller's"])
def test_an_exchange_is_shown_as_it_went_over_the_wire(run, serve, ask, client: bool) -> None:
    server = serve(answering(whole(more="x-request-id: req_1\r\nX-Two: a\r\nX-Two: b\r\n")))
    seen: list[HTTPExchange] = []
    own = httpx.AsyncClient() if client else None
    model = OpenAICompat("m", "sk-0123456789", server.url, own, trace=seen.append)
    run(model.complete(ask()))
    (exchange,) = seen
    (request,) = server.requests
    assert exchange.url == f"{server.url}/v1/chat/completions"
    assert exchange.request_body == request.body
    assert exchange.request_headers["content-type"] == request.headers["content-type"]
    assert exchange.request_headers["authorization"] == "***"
    assert (exchange.status, exchange.response_body, exchange.error) == (200, ANSWER, None)
    assert exchange.response_headers["x-request-id"] == "req_1"
    assert exchange.response_headers["x-two"] == "a, b"
    assert exchange.seconds >= 0
    if own is not None:
        run(own.aclose())


def test_of_a_stream_every_event_is_shown(run, serve, ask) -> None:
    events = [event("Hel"), event("lo"), event(finish="stop"), DONE]
    server = serve(answering(STREAM_HEAD, *map(chunked, events), END))
    seen: list[HTTPExchange] = []
    model = OpenAICompat("m", api_url=server.url, trace=seen.append)
    run(model.complete(ask(), lambda _: None))
    assert seen[0].response_body == b"".join(events)


def test_no_key_is_in_it_also_where_the_server_repeats_it(run, serve) -> None:
    repeated = {"error": {"message": f"wrong: {KEY}, s3cret-header-value, q-u-e-r-y", "code": "x"}}
    body = json.dumps(repeated).encode()
    more = f"x-echo: Bearer {KEY}\r\nset-cookie: session=abc\r\n"
    server = serve(answering(whole(body, "401 Unauthorized", more=more)))
    seen: list[HTTPExchange] = []
    model = OpenAICompat(
        "m",
        KEY,
        server.url,
        chat_path="/v1/chat/completions?api-version=1&api_key=q-u-e-r-y",
        extra_headers={"x-other": "s3cret-header-value", "x-title": "my app"},
        extra_body={"user": KEY},
        trace=seen.append,
    )
    with pytest.raises(errors.AuthError):
        run(model.complete(ModelRequest((user(f"is {KEY} my key?"),))))
    (exchange,) = seen
    shown = everything(exchange)
    for secret in (KEY, json.dumps(KEY)[1:-1], "456/789", "s3cret", "q-u-e-r-y", "session=abc"):
        assert secret not in shown, secret
    assert exchange.url.endswith("?api-version=1&api_key=***")
    assert exchange.request_headers["x-title"] == "my app"
    assert json.loads(exchange.request_body)["messages"][0]["content"] == "is *** my key?"
    assert json.loads(exchange.response_body)["error"]["message"] == "wrong: ***, ***, ***"
    assert exchange.status == 401
    assert str(exchange.error).startswith("AuthError: ")


def test_keys_of_other_servers_in_the_body_are_taken_out(run, serve, ask) -> None:
    tools = [
        {"type": "mcp", "server_url": "https://a", "authorization": 'mcp-"secret"-1'},
        {"type": "mcp", "server_url": "https://b", "headers": {"X-Team": "mcp-secret-2"}},
    ]
    body = {"mcp_servers": [{"url": "https://c", "authorization_token": "mcp-secret-3"}], "tools": tools}
    server = serve(answering(whole(more="x-echo: mcp-secret-2\r\n")))
    seen: list[HTTPExchange] = []
    model = OpenAICompat("m", KEY, server.url, extra_body=body | {"max_tokens": 9}, trace=seen.append)
    run(model.complete(ask("what is a token?")))
    (exchange,) = seen
    shown = json.loads(exchange.request_body)
    assert "secret" not in everything(exchange)
    assert [tool.get("authorization", tool.get("headers")) for tool in shown["tools"]] == [
        "***",
        {"X-Team": "***"},
    ]
    assert shown["mcp_servers"] == [{"url": "https://c", "authorization_token": "***"}]
    assert shown["max_tokens"] == 9
    assert shown["messages"][0]["content"] == "what is a token?"


def test_a_key_that_is_asked_for_anew_is_taken_out_too(run, serve, ask) -> None:
    keys = iter(["sk-first-key", "sk-second-key"])
    server = serve(answering(whole(more="x-key: sk-first-key and sk-second-key\r\n")))
    seen: list[HTTPExchange] = []
    model = OpenAICompat("m", lambda: next(keys), server.url, trace=seen.append)
    for _ in range(2):
        run(model.complete(ask()))
    assert [exchange.response_headers["x-key"] for exchange in seen] == [
        "*** and sk-second-key",
        "sk-first-key and ***",
    ]


def test_a_placeholder_for_a_key_does_not_tear_holes(run, serve, ask) -> None:
    server = serve(answering(whole()))
    seen: list[HTTPExchange] = []
    run(OpenAICompat("m", "none", server.url, trace=seen.append).complete(ask("none at all")))
    assert b"none at all" in seen[0].request_body


def test_what_got_no_answer_is_shown_with_what_went_wrong(run, serve, ask) -> None:
    seen: list[HTTPExchange] = []
    model = OpenAICompat("m", "sk-0123456789", "http://127.0.0.1:1", trace=seen.append)
    with pytest.raises(errors.ConnectionFailedError):
        run(model.complete(ask()))
    server = serve(answering(STREAM_HEAD, chunked(event("Hel")), then="stall"))
    slow = OpenAICompat("m", api_url=server.url, trace=seen.append)

    def end(_: object) -> None:  # as the timer does when nothing more comes
        (guard,) = shared().in_flight
        guard.end()

    with pytest.raises(errors.ProviderTimeoutError):
        run(slow.complete(ask(), end))
    refused, stalled = seen
    assert (refused.status, refused.response_body) == (None, b"")
    assert refused.error.startswith("ConnectionFailedError: no connection to 127.0.0.1:1")
    assert (stalled.status, stalled.response_body) == (200, event("Hel"))
    assert stalled.error.startswith("ProviderTimeoutError: ")


def test_a_cancelled_stream_is_shown_as_far_as_it_came(run, serve, ask) -> None:
    server = serve(answering(STREAM_HEAD, chunked(event("Hel")), then="stall"))
    seen: list[HTTPExchange] = []
    model = OpenAICompat("m", api_url=server.url, trace=seen.append)

    async def main() -> None:
        heard = asyncio.Event()
        task = asyncio.create_task(model.complete(ask(), lambda _: heard.set()))
        await heard.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await server.none_left()

    run(main())
    assert [(exchange.response_body, exchange.error) for exchange in seen] == [
        (event("Hel"), "CancelledError")
    ]


def test_what_the_listener_raises_is_logged_and_the_answer_stands(run, serve, ask, monkeypatch) -> None:
    from alloy_actors.providers import trace

    logged: list[tuple[str, str]] = []
    log = SimpleNamespace(error=lambda event, **facts: logged.append((event, facts["exception"])))
    monkeypatch.setattr(trace, "log", log)

    def broken(_: HTTPExchange) -> None:
        raise ZeroDivisionError("mine")

    server = serve(answering(whole()))
    assert run(OpenAICompat("m", api_url=server.url, trace=broken).complete(ask())).message.text == "Hello"
    ((name, traceback),) = logged
    assert name == "trace_failed"
    assert "ZeroDivisionError: mine" in traceback


async def _later(_: HTTPExchange) -> None: ...


@pytest.mark.parametrize(
    ("wrong", "said"), [("print", "a function of one argument, not str"), (_later, "a plain function")]
)
def test_what_is_no_listener_is_refused_at_construction(wrong: object, said: str) -> None:
    with pytest.raises(errors.ConfigError, match=f"trace must be {said}"):
        OpenAICompat("m", api_url="http://localhost", trace=wrong)


def test_members_of_a_reply_are_hidden_only_where_they_repeat_a_key_of_the_request(run, serve, ask) -> None:
    given = {"x-api-key": "other-secret-1", "tool": {"accessToken": "other-secret-2"}}
    reply = json.loads(ANSWER) | {"token": "Hel", "echo": "other-secret-2"}
    server = serve(answering(whole(json.dumps(reply).encode())))
    seen: list[HTTPExchange] = []
    run(OpenAICompat("m", KEY, server.url, extra_body=given, trace=seen.append).complete(ask()))
    asked = json.loads(seen[0].request_body)
    assert (asked["x-api-key"], asked["tool"]) == ("***", {"accessToken": "***"})
    assert json.loads(seen[0].response_body) == reply | {"echo": "***"}
