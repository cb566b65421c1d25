"""The transport's traps, each met on a real socket."""

import asyncio
import gzip
import json
import os
import signal
import socket
import struct
import sys

import pytest

from alloy_actors import errors
from alloy_actors.content import Message, TextBlock
from alloy_actors.provider import Delta, ModelRequest
from alloy_actors.providers import _http
from alloy_actors.providers.openai_compat import OpenAICompat

ANSWER = json.dumps(
    {
        "id": "c1",
        "choices": [
            {"index": 0, "message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}
        ],
    }
).encode()


def whole(
    body: bytes = ANSWER, status: str = "200 OK", kind: str = "application/json", more: str = ""
) -> bytes:
    head = f"HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {len(body)}\r\n{more}\r\n"
    return head.encode() + body


STREAM_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


def event(content: str | None = None, finish: str | None = None) -> bytes:
    delta = {} if content is None else {"content": content}
    data = json.dumps({"id": "c1", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})
    return f"data: {data}\n\n".encode()


def chunked(data: bytes) -> bytes:
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


END = b"0\r\n\r\n"
DONE = b"data: [DONE]\n\n"


def answering(*pieces: bytes, then: object = None):
    async def handler(request, writer) -> object:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
        if then == "close":
            return False
        if then == "reset":
            sock = writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            await asyncio.sleep(0)
            writer.transport.abort()
            return False
        if then == "stall":
            await request.reader.read()  # until the client goes
            return False
        return None

    return handler


def provider(server, **options) -> OpenAICompat:
    return OpenAICompat("m", api_url=server.url, **options)


def fails(run, make, kind: type[errors.ProviderError]) -> errors.ProviderError:
    with pytest.raises(kind) as caught:
        run(make)
    assert type(caught.value) is kind
    return caught.value


def test_one_connection_serves_request_after_request(run, serve, ask) -> None:
    server = serve(answering(whole()))
    model = provider(server)
    for _ in range(5):
        assert run(model.complete(ask())).message.text == "Hello"
    assert server.connections == 1


def test_streams_reuse_their_connection_because_they_are_read_to_the_end(run, serve, ask) -> None:
    async def handler(request, writer) -> None:
        writer.write(STREAM_HEAD + chunked(event("Hi")) + chunked(event(None, "stop")) + chunked(DONE))
        await writer.drain()
        await asyncio.sleep(0)  # the end of the body comes in a packet of its own
        writer.write(END)

    server = serve(handler)
    model = provider(server)
    for _ in range(5):
        assert run(model.complete(ask(), lambda _: None)).message.text == "Hi"
    assert server.connections == 1


def test_a_stream_kept_open_after_its_last_event_does_not_hold_the_answer_back(run, serve, ask) -> None:
    server = serve(answering(STREAM_HEAD, chunked(event("Hi") + event(None, "stop") + DONE), then="stall"))
    assert run(provider(server).complete(ask(), lambda _: None)).message.text == "Hi"
    run(server.none_left())


def test_many_requests_at_once_get_connections_of_their_own(run, serve, ask) -> None:
    arrived = 0
    all_here = asyncio.Event()

    async def handler(request, writer) -> None:
        nonlocal arrived
        arrived += 1
        if arrived == 150:  # more than the 100 of an httpx client
            all_here.set()
        await all_here.wait()
        writer.write(whole())

    server = serve(handler)
    model = provider(server)

    async def main() -> None:
        await asyncio.gather(*(model.complete(ask()) for _ in range(150)))

    run(main())
    assert server.connections == 150


def test_cancelled_streams_close_their_sockets_at_once(run, serve, ask) -> None:
    server = serve(answering(STREAM_HEAD, chunked(event("Hi")), then="stall"))
    model = provider(server)

    async def main() -> None:
        heard = 0
        all_heard = asyncio.Event()

        def listen(_deltas) -> None:
            nonlocal heard
            heard += 1
            if heard == 100:
                all_heard.set()

        tasks = [asyncio.create_task(model.complete(ask(), listen)) for _ in range(100)]
        await all_heard.wait()
        assert server.open == 100
        for task in tasks:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(isinstance(result, asyncio.CancelledError) for result in results)
        await server.none_left()

    run(main())


def test_closing_ends_what_is_in_flight_instead_of_leaving_readers_waiting(run, serve, ask) -> None:
    server = serve(answering(STREAM_HEAD, chunked(event("Hi")), then="stall"))
    model = provider(server)

    async def main() -> None:
        heard = asyncio.Event()
        task = asyncio.create_task(model.complete(ask(), lambda _: heard.set()))
        await heard.wait()
        await _http.close_all()
        with pytest.raises(errors.ConnectionFailedError, match="shuts down"):
            await task
        await server.none_left()

    run(main())


def test_after_closing_the_next_request_opens_anew(run, serve, ask) -> None:
    server = serve(answering(whole()))
    model = provider(server)
    run(model.complete(ask()))
    run(_http.close_all())
    run(_http.close_all())
    run(model.complete(ask()))
    assert server.connections == 2


def test_a_refused_connection_is_named(run, ask) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        error = fails(run, OpenAICompat("m", api_url=url).complete(ask()), errors.ConnectionFailedError)
    assert "no connection to 127.0.0.1" in str(error)
    assert error.retryable


def test_a_name_that_does_not_resolve_is_named(run, ask) -> None:
    """T21: and asked again."""
    model = OpenAICompat("m", api_url="http://no-such-host.invalid")
    error = fails(run, model.complete(ask()), errors.ConnectionFailedError)
    assert "no-such-host.invalid" in str(error)
    assert error.retryable


def test_a_connection_that_is_never_accepted_times_out(run, ask) -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        fillers = []
        for _ in range(4):  # until the backlog is full, and the kernel drops what comes
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(full.getsockname())
            fillers.append(filler)
        model = OpenAICompat("m", api_url=f"http://127.0.0.1:{full.getsockname()[1]}", connect_timeout=0.2)
        error = fails(run, model.complete(ask()), errors.ProviderTimeoutError)
        for filler in fillers:
            filler.close()
    assert "no connection" in str(error)


def test_a_slow_first_byte_times_out(run, serve, ask) -> None:
    server = serve(answering(then="stall"))
    model = provider(server, first_byte_timeout=0.1)
    assert "did not begin" in str(fails(run, model.complete(ask()), errors.ProviderTimeoutError))
    run(server.none_left())


@pytest.mark.parametrize("streamed", [True, False])
def test_an_answer_that_stalls_times_out(run, serve, ask, streamed: bool) -> None:
    body = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{"
    stream = STREAM_HEAD + chunked(event("Hi"))
    server = serve(answering(stream if streamed else body, then="stall"))
    model = provider(server, idle_timeout=0.1)
    answer = model.complete(ask(), (lambda _: None) if streamed else None)
    assert "nothing more" in str(fails(run, answer, errors.ProviderTimeoutError))
    run(server.none_left())


def test_the_idle_time_begins_anew_with_every_piece(run, serve, ask) -> None:
    async def handler(request, writer) -> None:
        writer.write(STREAM_HEAD)
        for _ in range(12):
            writer.write(chunked(event("x")))
            await writer.drain()
            await asyncio.sleep(0.05)  # a real clock: twelve of these are longer than the idle timeout
        writer.write(chunked(event(None, "stop") + DONE) + END)

    server = serve(handler)
    reply = run(provider(server, idle_timeout=0.3).complete(ask(), lambda _: None))
    assert reply.message.text == "x" * 12


@pytest.mark.parametrize("pieces", [(), (STREAM_HEAD,), (STREAM_HEAD, chunked(event("Hi")))])
def test_the_deadline_bounds_every_stage(run, serve, ask, pieces) -> None:
    server = serve(answering(*pieces, then="stall"))
    error = fails(
        run, provider(server).complete(ask(seconds=0.2), lambda _: None), errors.ProviderTimeoutError
    )
    assert "time of the request was up" in str(error)


def test_a_deadline_that_has_passed_sends_nothing(run, serve, ask) -> None:
    server = serve(answering(whole()))
    fails(run, provider(server).complete(ask(seconds=0.0)), errors.ProviderTimeoutError)
    assert server.connections == 0


@pytest.mark.parametrize("then", ["close", "reset"])
def test_a_server_that_hangs_up_before_answering_is_a_failed_connection(run, serve, ask, then: str) -> None:
    server = serve(answering(then=then))
    assert fails(run, provider(server).complete(ask()), errors.ConnectionFailedError).retryable


def test_a_stale_kept_connection_is_a_failed_connection_and_not_sent_twice(run, serve, ask) -> None:
    served = 0

    async def handler(request, writer) -> object:
        nonlocal served
        served += 1
        if served == 2:
            return False
        writer.write(whole())
        return None

    server = serve(handler)
    model = provider(server)
    run(model.complete(ask()))
    fails(run, model.complete(ask()), errors.ConnectionFailedError)
    assert served == 2


@pytest.mark.parametrize("then", ["close", "reset"])
@pytest.mark.parametrize(
    "start",
    [
        b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{",
        STREAM_HEAD + chunked(event("Hi")),
        STREAM_HEAD + b"ff\r\ndata: {",
    ],
    ids=["short body", "between chunks", "inside a chunk"],
)
def test_a_body_that_breaks_off_is_a_failed_connection(run, serve, ask, start: bytes, then: str) -> None:
    server = serve(answering(start, then=then))
    error = fails(run, provider(server).complete(ask(), lambda _: None), errors.ConnectionFailedError)
    assert error.retryable


@pytest.mark.parametrize(
    "answer",
    [
        b"SMTP ready\r\n\r\n",
        b"HTTP/1.1 abc OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nbroken header\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nx-long: " + b"x" * 100_000 + b"\r\n\r\n",
        STREAM_HEAD + b"zz\r\nnot a chunk\r\n",
    ],
    ids=["no http", "bad status", "bad header", "endless header", "bad chunk size"],
)
def test_what_is_not_http_is_refused_in_our_words(run, serve, ask, answer: bytes) -> None:
    server = serve(answering(answer, then="close"))
    with pytest.raises((errors.MalformedReplyError, errors.ConnectionFailedError)) as caught:
        run(provider(server).complete(ask(), lambda _: None))
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


def test_headers_longer_than_8_kib_are_read(run, serve, ask) -> None:
    server = serve(answering(whole(more=f"x-policy: {'x' * 20_000}\r\n")))
    assert run(provider(server).complete(ask())).message.text == "Hello"


def test_a_compressed_answer_is_read(run, serve, ask) -> None:
    server = serve(answering(whole(gzip.compress(ANSWER), more="content-encoding: gzip\r\n")))
    assert run(provider(server).complete(ask())).message.text == "Hello"
    assert server.requests[0].headers["accept-encoding"] == "gzip, deflate"


def test_broken_compression_is_an_error_of_ours(run, serve, ask) -> None:
    server = serve(answering(whole(b"no gzip at all", more="content-encoding: gzip\r\n")))
    with pytest.raises((errors.MalformedReplyError, errors.ConnectionFailedError)):
        run(provider(server).complete(ask()))


def test_an_answer_over_the_limit_is_refused_also_when_it_is_compressed(run, serve, ask) -> None:
    server = serve(answering(whole(gzip.compress(b" " * 5_000_000), more="content-encoding: gzip\r\n")))
    error = fails(run, provider(server, max_reply_bytes=100_000).complete(ask()), errors.MalformedReplyError)
    assert "100000 bytes" in str(error)


def test_a_body_over_a_mebibyte_is_sent_in_pieces_with_its_length(run, serve) -> None:
    text = "x" * 3_000_000
    server = serve(answering(whole()))
    run(provider(server).complete(ModelRequest((Message("user", (TextBlock(text),)),))))
    sent = server.requests[0]
    assert json.loads(sent.body)["messages"][0]["content"] == text
    assert "transfer-encoding" not in sent.headers


def test_the_headers_are_ours_and_nothing_else(run, serve, ask) -> None:
    server = serve(answering(STREAM_HEAD, chunked(event("Hi") + event(None, "stop") + DONE), END))
    run(provider(server, api_key="sk-secret", extra_headers={"X-Team": "a"}).complete(ask(), lambda _: None))
    headers = server.requests[0].headers
    assert headers.pop("user-agent").startswith("alloy-actors/")
    assert int(headers.pop("content-length"))
    assert headers == {
        "host": f"127.0.0.1:{server.port}",
        "content-type": "application/json",
        "accept": "text/event-stream",
        "accept-encoding": "identity",
        "authorization": "Bearer sk-secret",
        "x-team": "a",
    }


def test_cookies_are_neither_kept_nor_sent(run, serve, ask) -> None:
    server = serve(answering(whole(more="set-cookie: session=abc; path=/\r\n")))
    model = provider(server)
    run(model.complete(ask()))
    run(model.complete(ask()))
    assert "cookie" not in server.requests[1].headers


def test_a_redirect_is_not_followed_with_the_key(run, serve, ask) -> None:
    server = serve(answering(whole(b"", "307 Temporary Redirect", more="location: http://elsewhere/\r\n")))
    error = fails(run, provider(server, api_key="sk-x").complete(ask()), errors.InvalidRequestError)
    assert "set api_url" in str(error)


def test_requests_go_through_the_proxy_of_the_environment(run, serve, ask, monkeypatch) -> None:
    proxy = serve(answering(whole()))
    monkeypatch.setenv("http_proxy", f"http://user:s3cret@127.0.0.1:{proxy.port}")
    monkeypatch.delenv("no_proxy", raising=False)
    model = OpenAICompat("m", api_url="http://models.example:8080")
    assert run(model.complete(ask())).message.text == "Hello"
    assert proxy.requests[0].line == "POST http://models.example:8080/v1/chat/completions HTTP/1.1"
    assert proxy.requests[0].headers["proxy-authorization"] == "Basic dXNlcjpzM2NyZXQ="


def test_no_proxy_is_honoured(run, serve, ask, monkeypatch) -> None:
    server = serve(answering(whole()))
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    assert run(provider(server).complete(ask())).message.text == "Hello"


def test_a_proxy_that_is_down_or_refuses_is_said_to_be_the_proxy(run, serve, ask, monkeypatch) -> None:
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.setenv("http_proxy", "http://user:s3cret@127.0.0.1:1")
    down = fails(
        run, OpenAICompat("m", api_url="http://a.example").complete(ask()), errors.ConnectionFailedError
    )
    assert "proxy" in str(down)
    proxy = serve(answering(whole(b"", "407 Proxy Authentication Required")))
    monkeypatch.setenv("https_proxy", f"http://user:s3cret@127.0.0.1:{proxy.port}")
    refused = fails(run, OpenAICompat("m", api_url="https://a.example").complete(ask()), errors.AuthError)
    assert "407" in str(refused)
    assert proxy.requests[0].line == "CONNECT a.example:443 HTTP/1.1"
    for error in (down, refused):
        assert "s3cret" not in f"{error!r}{error.__cause__!r}{error.__context__!r}{error.args!r}"


def test_a_socks_proxy_is_refused_at_construction(monkeypatch) -> None:
    monkeypatch.setenv("all_proxy", "socks5://127.0.0.1:1080")
    monkeypatch.delenv("no_proxy", raising=False)
    for name in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(errors.ConfigError, match="socks5 proxy"):
        OpenAICompat("m", api_url="http://models.example")


def test_tls_certificates_are_checked(run, serve, ask, certificate, monkeypatch) -> None:
    """T21: and the server is asked again."""
    server = serve(answering(whole()), ssl=certificate.server)
    refused = fails(run, provider(server).complete(ask()), errors.ConnectionFailedError)
    assert "certificate" in str(refused).lower()
    assert refused.retryable


def test_a_certificate_named_by_the_environment_is_trusted(run, serve, ask, certificate, monkeypatch) -> None:
    from alloy_actors.providers._http import surroundings

    monkeypatch.setenv("SSL_CERT_FILE", str(certificate.file))
    surroundings._ssl_context.cache_clear()
    try:
        server = serve(answering(whole()), ssl=certificate.server)
        assert run(provider(server).complete(ask())).message.text == "Hello"
        assert surroundings.ssl_context() is surroundings.ssl_context()
    finally:
        surroundings._ssl_context.cache_clear()


def test_another_event_loop_gets_connections_of_its_own(run, serve, ask) -> None:
    server = serve(answering(whole()))
    model = provider(server)
    run(model.complete(ask()))

    def elsewhere() -> str:
        async def main() -> str:
            try:
                return (await model.complete(ask())).message.text
            finally:
                await _http.close_all()

        return asyncio.run(main())

    async def main() -> str:
        return await asyncio.to_thread(elsewhere)

    assert run(main()) == "Hello"
    assert run(model.complete(ask())).message.text == "Hello"
    assert server.connections == 2


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the platform has no fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_starts_anew_and_leaves_the_parents_stream_alone(run, serve, ask) -> None:
    async def handler(request, writer) -> None:
        if b"child" in request.body:
            writer.write(whole())
            return
        writer.write(STREAM_HEAD + chunked(event("Hi")))
        await forked.wait()
        writer.write(chunked(event(" there") + event(None, "stop") + DONE) + END)

    forked = asyncio.Event()
    server = serve(handler)
    model = provider(server)

    async def main() -> str:
        heard = asyncio.Event()
        task = asyncio.create_task(model.complete(ask(), lambda _: heard.set()))
        await heard.wait()
        child = os.fork()
        if child == 0:
            import gc

            status = 1
            try:
                asyncio._set_running_loop(None)
                gc.collect()
                reply = asyncio.run(model.complete(ask("child")))
                status = 0 if reply.message.text == "Hello" else 2
            finally:
                os._exit(status)
        status = await asyncio.to_thread(lambda: os.waitpid(child, 0)[1])
        assert os.waitstatus_to_exitcode(status) == 0
        forked.set()
        return (await task).message.text

    signal.alarm(20)
    try:
        assert run(main()) == "Hi there"
    finally:
        signal.alarm(0)


def test_a_listener_that_raises_is_a_bug_and_closes_the_socket(run, serve, ask) -> None:
    server = serve(answering(STREAM_HEAD, chunked(event("Hi")), then="stall"))

    def listen(_deltas) -> None:
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        run(provider(server).complete(ask(), listen))
    run(server.none_left())


def test_the_first_delta_comes_before_the_stream_ends(run, serve, ask) -> None:
    heard_first = asyncio.Event()

    async def handler(request, writer) -> None:
        writer.write(STREAM_HEAD + chunked(event("Hi")))
        await heard_first.wait()
        writer.write(chunked(event(" there") + event(None, "stop") + DONE) + END)

    server = serve(handler)
    heard: list[Delta] = []

    def listen(deltas) -> None:
        heard.extend(deltas)
        heard_first.set()

    assert run(provider(server).complete(ask(), listen)).message.text == "Hi there"
    assert heard == [Delta("text", "Hi"), Delta("text", " there")]


def test_the_first_words_of_a_burst_are_out_before_the_rest_is_worked_off(run, serve, ask) -> None:
    words = [f"word{number} " for number in range(500)]
    burst = b"".join(map(event, words)) + event(finish="stop") + DONE
    server = serve(answering(STREAM_HEAD + chunked(burst) + END))

    async def main() -> list[object]:
        loop = asyncio.get_running_loop()
        heard: list[object] = []

        def listen(deltas: list[Delta]) -> None:
            if not heard:
                loop.call_soon(heard.append, "the loop turned")
            heard.append([delta.text for delta in deltas])

        reply = await provider(server).complete(ask(), listen)
        assert reply.message.text == "".join(words)
        return heard

    first, turned, *rest = run(main())
    assert turned == "the loop turned"
    assert len(first) < 30
    assert sum(rest, first) == words


def test_the_answer_counts_also_when_the_connection_breaks_after_the_finish_reason(run, serve, ask) -> None:
    server = serve(answering(STREAM_HEAD, chunked(event("Hi") + event(None, "stop")), then="reset"))
    assert run(provider(server).complete(ask(), lambda _: None)).message.text == "Hi"


def test_importing_the_package_imports_no_http_library() -> None:
    import subprocess

    code = (
        "import sys; import alloy_actors.providers.openai_compat, alloy_actors.providers.retry, alloy_actors.testing;"
        "print([name for name in ('aiohttp', 'httpx', 'httpx_aiohttp') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30
    )
    assert done.stdout.strip() == "[]"
