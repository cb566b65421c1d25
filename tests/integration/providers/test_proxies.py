"""Proxies as the environment names them, before a server that speaks TLS: a tunnel, and what goes through it."""

import asyncio
import contextlib

import pytest

from alloy_actors import errors
from alloy_actors.providers._http import surroundings
from alloy_actors.providers.openai_compat import OpenAICompat
from tests.integration.providers.test_transport import (
    DONE,
    END,
    STREAM_HEAD,
    answering,
    chunked,
    event,
    whole,
)


@pytest.fixture
def trusted(certificate, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate.file))
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    surroundings._ssl_context.cache_clear()
    yield
    surroundings._ssl_context.cache_clear()


def tunnel(request, writer):
    """CONNECT: bytes both ways until one side ends."""

    async def pump(source, target) -> None:
        with contextlib.suppress(OSError):
            while data := await source.read(4096):
                target.write(data)
                await target.drain()
        target.close()

    async def main() -> bool:
        host, _, port = request.line.split()[1].partition(":")
        reader, other = await asyncio.open_connection(host, int(port))
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(pump(request.reader, other))
                group.create_task(pump(reader, writer))
        finally:
            other.close()
        return False

    return main()


def login(proxy) -> str:
    return f"http://user:p%40ss@127.0.0.1:{proxy.port}"


@pytest.mark.parametrize("variable", ["https_proxy", "HTTPS_PROXY", "all_proxy"])
@pytest.mark.usefixtures("trusted")
def test_tls_goes_through_a_tunnel_and_the_login_ends_at_the_proxy(
    run, serve, ask, certificate, monkeypatch, variable: str
) -> None:
    server = serve(answering(whole()), ssl=certificate.server)
    proxy = serve(tunnel)
    monkeypatch.setenv(variable, login(proxy))
    model = OpenAICompat("m", "sk-0123456789", server.url)
    for _ in range(2):
        assert run(model.complete(ask())).message.text == "Hello"
    (connect,) = proxy.requests  # the tunnel is used again
    assert connect.line == f"CONNECT 127.0.0.1:{server.port} HTTP/1.1"
    assert connect.headers["proxy-authorization"] == "Basic dXNlcjpwQHNz"
    assert "authorization" not in connect.headers
    for request in server.requests:
        assert request.headers["authorization"] == "Bearer sk-0123456789"
        assert "proxy-authorization" not in request.headers


@pytest.mark.usefixtures("trusted")
def test_a_cancelled_stream_closes_its_tunnel_too(run, serve, ask, certificate, monkeypatch) -> None:
    server = serve(answering(STREAM_HEAD, chunked(event("Hel")), then="stall"), ssl=certificate.server)
    proxy = serve(tunnel)
    monkeypatch.setenv("https_proxy", login(proxy))
    model = OpenAICompat("m", api_url=server.url)

    async def main() -> None:
        heard = asyncio.Event()
        task = asyncio.create_task(model.complete(ask(), lambda _: heard.set()))
        await heard.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await server.none_left()
        await proxy.none_left()

    run(main())


@pytest.mark.usefixtures("trusted")
def test_a_stream_is_read_through_a_tunnel(run, serve, ask, certificate, monkeypatch) -> None:
    pieces = [event("Hel"), event("lo"), event(finish="stop"), DONE]
    server = serve(answering(STREAM_HEAD, *map(chunked, pieces), END), ssl=certificate.server)
    monkeypatch.setenv("https_proxy", login(serve(tunnel)))
    heard: list[str] = []
    model = OpenAICompat("m", api_url=server.url)
    run(model.complete(ask(), lambda deltas: heard.extend(delta.text for delta in deltas)))
    assert "".join(heard) == "Hello"


@pytest.mark.parametrize("exempt", ["127.0.0.1", "*", "other.example,127.0.0.1"])
@pytest.mark.usefixtures("trusted")
def test_no_proxy_leads_past_it(run, serve, ask, certificate, monkeypatch, exempt: str) -> None:
    server = serve(answering(whole()), ssl=certificate.server)
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("NO_PROXY", exempt)
    assert run(OpenAICompat("m", api_url=server.url).complete(ask())).message.text == "Hello"


@pytest.mark.usefixtures("trusted")
def test_behind_a_tunnel_the_servers_certificate_is_checked(
    run, serve, ask, certificate, monkeypatch
) -> None:
    server = serve(answering(whole()), ssl=certificate.server)
    monkeypatch.setenv("https_proxy", login(serve(tunnel)))
    monkeypatch.delenv("SSL_CERT_FILE")
    surroundings._ssl_context.cache_clear()
    with pytest.raises(errors.ConnectionFailedError, match=r"(?i)certificate"):
        run(OpenAICompat("m", "sk-0123456789", server.url).complete(ask()))
    assert server.requests == []


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "SSL_CERT_DIR"])
def test_certificates_that_are_not_there_are_said_at_construction(
    monkeypatch, tmp_path, variable: str
) -> None:
    monkeypatch.setenv(variable, str(tmp_path / "gone"))
    surroundings._ssl_context.cache_clear()
    try:
        with pytest.raises(errors.ConfigError, match=f"{variable} names .*gone"):
            OpenAICompat("m", api_url="https://models.example")
    finally:
        surroundings._ssl_context.cache_clear()
