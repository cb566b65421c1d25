"""A caller's own httpx.AsyncClient: used on our loop, never closed by us, its errors in our words."""

import asyncio
import json
import socket

import aiohttp
import httpx
import pytest
import respx
from httpx_aiohttp import AiohttpTransport

from alloy_actors import errors
from alloy_actors.content import user
from alloy_actors.provider import ModelRequest
from alloy_actors.providers.openai_compat import OpenAICompat

REPLY = {
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}]
}
BODY = json.dumps(REPLY).encode()
WHOLE = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (
    len(BODY),
    BODY,
)
URL = "http://models.example"


def mocked(router: respx.MockRouter) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.MockTransport(router.async_handler))


def test_respx_mocks_a_provider_through_http_client(run, ask) -> None:
    router = respx.MockRouter()
    route = router.post(f"{URL}/v1/chat/completions").respond(json=REPLY)
    client = mocked(router)
    model = OpenAICompat("m", "sk-1", URL, client)
    assert run(model.complete(ask())).message.text == "Hello"
    sent = route.calls.last.request
    assert json.loads(sent.content) == {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
    assert sent.headers["authorization"] == "Bearer sk-1"
    assert not client.is_closed


def test_an_unmocked_request_fails_and_does_not_reach_the_network(run, ask) -> None:
    router = respx.MockRouter()
    router.post(f"{URL}/elsewhere").respond(json=REPLY)
    with pytest.raises(AssertionError, match="not mocked"):
        run(OpenAICompat("m", api_url=URL, http_client=mocked(router)).complete(ask()))


def test_the_clients_own_settings_hold_and_ours_win_where_both_speak(run, ask) -> None:
    seen: list[httpx.Request] = []

    def handler(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, json=REPLY)

    client = httpx.AsyncClient(
        transport=httpx.MockTransport(handler),
        headers={"x-team": "a", "content-type": "text/plain"},
        params={"region": "eu"},
        timeout=0.001,
    )
    run(OpenAICompat("m", api_url=URL, http_client=client, connect_timeout=3).complete(ask()))
    assert seen[0].headers["x-team"] == "a"
    assert seen[0].headers["content-type"] == "application/json"
    assert seen[0].url.params["region"] == "eu"
    assert seen[0].extensions["timeout"] == {"connect": 3, "read": None, "write": None, "pool": None}


@pytest.fixture(params=["httpx", "aiohttp"])
def client(request, run):
    """A client over httpx's own transport, and one over aiohttp."""

    async def make() -> httpx.AsyncClient:
        if request.param == "httpx":
            return httpx.AsyncClient()
        session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
        return httpx.AsyncClient(transport=AiohttpTransport(client=session))

    made = run(make())
    yield made
    run(made.aclose())


def test_a_client_reaches_a_real_server(run, serve, ask, client) -> None:
    async def handler(request, writer) -> None:
        writer.write(WHOLE)

    server = serve(handler)
    model = OpenAICompat("m", api_url=server.url, http_client=client)
    assert run(model.complete(ask())).message.text == "Hello"
    assert run(model.complete(ask())).message.text == "Hello"
    assert server.connections == 1


def test_a_large_body_is_sent_with_its_length(run, serve, client) -> None:
    async def handler(request, writer) -> None:
        writer.write(WHOLE)

    server = serve(handler)
    model = OpenAICompat("m", api_url=server.url, http_client=client)
    run(model.complete(ModelRequest((user("x" * 2_000_000),))))
    assert len(json.loads(server.requests[0].body)["messages"][0]["content"]) == 2_000_000


def unused_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def test_refused_and_unresolved_are_failed_connections(run, ask, client) -> None:
    for url in (f"http://127.0.0.1:{unused_port()}", "http://no-such-host.invalid"):
        with pytest.raises(errors.ConnectionFailedError, match="no connection"):
            run(OpenAICompat("m", api_url=url, http_client=client).complete(ask()))


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{",
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\nff\r\ndata",
    ],
    ids=["no answer", "short body", "inside a chunk"],
)
def test_a_server_that_hangs_up_is_a_failed_connection(run, serve, ask, client, answer: bytes) -> None:
    async def handler(request, writer) -> bool:
        writer.write(answer)
        return False

    server = serve(handler)
    with pytest.raises(errors.ConnectionFailedError) as caught:
        run(OpenAICompat("m", api_url=server.url, http_client=client).complete(ask()))
    assert caught.value.__context__ is None


@pytest.mark.parametrize(
    "answer",
    [
        b"SMTP ready\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\nno chunk\r\n",
        b"HTTP/1.1 200 OK\r\nx-long: " + b"x" * 200_000 + b"\r\n\r\n",
    ],
    ids=["no http", "bad chunk size", "endless header"],
)
def test_what_is_not_http_is_refused_in_our_words(run, serve, ask, client, answer: bytes) -> None:
    async def handler(request, writer) -> bool:
        writer.write(answer)
        return False

    server = serve(handler)
    with pytest.raises((errors.MalformedReplyError, errors.ConnectionFailedError)):
        run(OpenAICompat("m", api_url=server.url, http_client=client).complete(ask()))


def test_timeouts_are_the_providers(run, serve, ask, client) -> None:
    async def handler(request, writer) -> bool:
        await request.reader.read()
        return False

    server = serve(handler)
    model = OpenAICompat("m", api_url=server.url, http_client=client, first_byte_timeout=0.1)
    with pytest.raises(errors.ProviderTimeoutError, match="did not begin"):
        run(model.complete(ask()))
    run(server.none_left())


def test_cancelling_closes_the_socket(run, serve, ask, client) -> None:
    reached = asyncio.Event()

    async def handler(request, writer) -> bool:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n")
        await writer.drain()
        reached.set()
        await request.reader.read()
        return False

    server = serve(handler)

    async def main() -> None:
        model = OpenAICompat("m", api_url=server.url, http_client=client)
        task = asyncio.create_task(model.complete(ask(), lambda _: None))
        await reached.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await server.none_left()

    run(main())


def test_a_sync_client_is_refused_at_construction() -> None:
    with (
        httpx.Client() as sync,
        pytest.raises(errors.ConfigError, match=r"http_client is a sync httpx\.Client"),
    ):
        OpenAICompat("m", api_url=URL, http_client=sync)


@pytest.mark.parametrize("wrong", ["http://proxy", 1, object()])
def test_anything_else_is_refused_too(wrong: object) -> None:
    with pytest.raises(errors.ConfigError, match="http_client must be an httpx.AsyncClient"):
        OpenAICompat("m", api_url=URL, http_client=wrong)


def test_a_closed_client_is_refused_when_made_and_when_used(run, ask) -> None:
    client = httpx.AsyncClient(transport=httpx.MockTransport(lambda _: httpx.Response(200, json=REPLY)))
    model = OpenAICompat("m", api_url=URL, http_client=client)
    run(client.aclose())
    with pytest.raises(errors.ConfigError, match="http_client is closed"):
        OpenAICompat("m", api_url=URL, http_client=client)
    with pytest.raises(errors.ConfigError, match="http_client is closed"):
        run(model.complete(ask()))
