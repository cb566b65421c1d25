"""A server that can be as wrong as the test wants: the handler writes the bytes of the response itself."""

import asyncio
import ssl
import subprocess
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import pytest

from alloy_actors.content import user
from alloy_actors.deadline import NEVER, Deadline
from alloy_actors.provider import ModelRequest
from alloy_actors.providers import _http
from tests.integration.providers.mock_server import MODELS, LLMock, llmock_server


class Request:
    """One request as the server saw it."""

    def __init__(self, line: str, headers: dict[str, str], body: bytes, reader: asyncio.StreamReader) -> None:
        self.line = line
        self.headers = headers
        self.body = body
        self.reader = reader


class Server:
    """Counts connections, keeps requests, answers by `handler(request, write)`; `write` sends raw bytes.

    A handler that returns False has ended the connection itself; otherwise the next request is read from it.
    """

    def __init__(self, handler: Callable[[Request, Any], Awaitable[Any]], ssl: Any = None) -> None:
        self.handler = handler
        self.ssl = ssl
        self.connections = 0
        self.open = 0
        self.gone = asyncio.Condition()
        self.requests: list[Request] = []

    async def start(self) -> "Server":
        self.server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self.ssl)
        self.port = self.server.sockets[0].getsockname()[1]
        self.url = f"http{'s' if self.ssl else ''}://127.0.0.1:{self.port}"
        return self

    async def none_left(self, left: int = 0) -> None:
        async with asyncio.timeout(5), self.gone:
            await self.gone.wait_for(lambda: self.open <= left)

    async def stop(self) -> None:
        self.server.close()
        for task in [task for task in asyncio.all_tasks() if task.get_name() == "server connection"]:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asyncio.current_task().set_name("server connection")
        self.connections += 1
        self.open += 1
        try:
            while (request := await self._read(reader)) is not None:
                self.requests.append(request)
                if await self.handler(request, writer) is False:
                    break
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the client has gone, or the test has ended
        finally:
            writer.close()
            self.open -= 1
            async with self.gone:
                self.gone.notify_all()

    async def _read(self, reader: asyncio.StreamReader) -> Request | None:
        line = await reader.readline()
        if not line:
            return None
        headers = {}
        while (header := await reader.readline()) not in {b"\r\n", b""}:
            name, _, value = header.decode().partition(":")
            headers[name.lower()] = value.strip()
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        return Request(line.decode().strip(), headers, body, reader)


@pytest.fixture
def run(monkeypatch) -> Iterator[Callable[[Awaitable[Any]], Any]]:
    """Runs coroutines on one loop; afterwards nothing of ours may be left on it."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with asyncio.Runner() as runner:

        async def bounded(main: Awaitable[Any]) -> Any:
            async with asyncio.timeout(20):
                return await main

        yield lambda main: runner.run(bounded(main))

        async def leave() -> set[str]:
            await _http.close_all()
            return {task.get_name() for task in asyncio.all_tasks()} - {asyncio.current_task().get_name()}

        left = runner.run(leave())
        assert left <= {"server connection"}, left


@pytest.fixture
def serve(run) -> Iterator[Callable[..., Server]]:
    servers: list[Server] = []

    def start(handler: Callable[[Request, Any], Awaitable[Any]], ssl: Any = None) -> Server:
        async def main() -> Server:
            return await Server(handler, ssl).start()

        servers.append(run(main()))
        return servers[-1]

    yield start
    for server in servers:
        run(server.stop())


@pytest.fixture
def ask() -> Callable[..., ModelRequest]:
    def make(text: str = "hi", seconds: float | None = None) -> ModelRequest:
        return ModelRequest((user(text),), deadline=NEVER if seconds is None else Deadline.after(seconds))

    return make


@pytest.fixture(scope="session")
def _llmock() -> Iterator[LLMock]:
    with llmock_server() as server:
        yield server


@pytest.fixture
def llmock(_llmock: LLMock) -> Iterator[LLMock]:
    """llmock without a memory of other tests; what the test did has to pass its verdict."""
    _llmock.call("reset", {})
    yield _llmock
    _llmock.check()


@pytest.fixture(params=MODELS)
def api(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="session")
def certificate(tmp_path_factory):
    """A self-signed certificate for 127.0.0.1, made by the openssl that every machine with git has."""
    folder = tmp_path_factory.mktemp("certificate")
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=test"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", "key.pem", "-out", "cert.pem"]
    try:
        subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=30)
    except FileNotFoundError:
        pytest.skip("there is no openssl to make a certificate with")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return SimpleNamespace(file=folder / "cert.pem", server=context)
