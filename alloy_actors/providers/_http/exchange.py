"""One request and its reply: prepared addresses, timeouts, and bodies read as they arrive."""

from __future__ import annotations

import asyncio
import io
import sys
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from alloy_actors.deadline import Deadline
from alloy_actors.errors import (
    ConfigError,
    ConnectionFailedError,
    MalformedReplyError,
    ProviderError,
)
from alloy_actors.providers._http.errors import translated
from alloy_actors.providers._http.guard import Guard, Timeouts
from alloy_actors.providers._http.session import shared
from alloy_actors.providers._http.surroundings import proxy_for, ssl_context
from alloy_actors.providers.trace import Watch

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping

    import aiohttp
    import httpx

    from alloy_actors.providers._http.surroundings import Proxy
    from alloy_actors.providers.trace import Trace

T = TypeVar("T")

PIECE = 64 * 1024
FIRST_PIECE = 2 * 1024
FIRST_PAUSE = 0.001  # seconds
LARGE_BODY = 1024 * 1024  # aiohttp warns of a larger one in one piece


class Endpoint:
    """One address to post to: prepared once, used for every request.

    Making it imports aiohttp, so that the loop does not stand still for that later.

    Args:
        url: Absolute, without user name and password.
        client: The caller's own `httpx.AsyncClient`, or None for the shared session.
        timeouts: Of each request.
        max_reply: Bytes of a response body, decompressed; more is an error.
        trace: Is told of each exchange, once it is over.
    """

    def __init__(
        self,
        url: str,
        client: object = None,
        *,
        timeouts: Timeouts,
        max_reply: int,
        trace: Trace | None = None,
    ) -> None:
        parts = urlsplit(url)
        self.where = parts.netloc
        self.timeouts = timeouts
        self.max_reply = max_reply
        self._url = url
        self._trace = trace
        self._client = _checked_client(client)
        self._options: dict[str, Any] = {}
        self._proxy: Proxy | None = None
        if self._client is None:
            import aiohttp
            import yarl

            self._options = {
                "url": yarl.URL(url),
                "timeout": aiohttp.ClientTimeout(total=None, connect=timeouts.connect),
                "allow_redirects": False,
            }
            if parts.scheme == "https":
                self._options["ssl"] = ssl_context()
            self._proxy = proxy_for(parts.scheme, parts.hostname or "", parts.port)

    def post(
        self,
        headers: Mapping[str, str],
        body: bytes,
        deadline: Deadline,
        consume: Callable[[Reply], Awaitable[T]],
    ) -> Awaitable[T]:
        """Post `body` and return what `consume` makes of the reply; then the connection is pooled, or closed.

        Args:
            headers: All of them: nothing is added but host and content-length.
            body: JSON, encoded.
            deadline: Ends the exchange with a ProviderTimeoutError, wherever it is.
            consume: Reads the reply; a body it does not read to the end costs the connection.

        Raises:
            ProviderTimeoutError: No connection, no header, or no next byte in time.
            ConnectionFailedError: Refused, unresolved, TLS, reset, cut.
            MalformedReplyError: Not HTTP, or larger than `max_reply`.
            asyncio.CancelledError: The socket is closed by then.
        """
        if self._trace is None:
            return self._post(headers, body, deadline, consume)
        return self._traced(self._trace, headers, body, deadline, consume)

    async def _traced(
        self,
        trace: Trace,
        headers: Mapping[str, str],
        body: bytes,
        deadline: Deadline,
        consume: Callable[[Reply], Awaitable[T]],
    ) -> T:
        watch = Watch(trace, self._url, headers, body)
        try:
            result = await self._post(headers, body, deadline, watch.of(consume))
        except BaseException as error:
            watch.report(error)
            raise
        watch.report(None)
        return result

    async def _post(
        self,
        headers: Mapping[str, str],
        body: bytes,
        deadline: Deadline,
        consume: Callable[[Reply], Awaitable[T]],
    ) -> T:
        guard = Guard(self.where, self.timeouts, deadline)
        if deadline.expired:
            raise guard.timed_out()
        session = shared() if self._client is None else None
        client = session.client if session is not None else None
        if session is not None:
            session.in_flight.add(guard)
        try:
            with guard:
                reply = await self._send(client, headers, body, guard)
                try:
                    return await consume(reply)
                finally:
                    await reply.aclose()
        finally:
            if session is not None:
                session.done(guard)
        if session is not None and session.closing:
            raise ConnectionFailedError("the connections are being closed: the runtime shuts down")
        raise guard.timed_out()

    async def _send(
        self,
        session: aiohttp.ClientSession | None,
        headers: Mapping[str, str],
        body: bytes,
        guard: Guard,
    ) -> Reply:
        try:
            if session is None:
                return _HttpxReply(self, guard, await self._by_client(headers, body))
            data = body if len(body) <= LARGE_BODY else io.BytesIO(body)
            if self._proxy is None:
                response = await session.post(data=data, headers=headers, **self._options)
            else:
                response = await self._by_proxy(self._proxy, session, headers, data)
            return _AiohttpReply(self, guard, response)
        except Exception as exc:
            failure = translated(exc, self.where)
            if failure is None:
                raise
        raise failure  # out here, so that the library's error is not kept as its context

    async def _by_proxy(
        self,
        proxy: Proxy,
        session: aiohttp.ClientSession,
        headers: Mapping[str, str],
        data: bytes | io.BytesIO,
    ) -> aiohttp.ClientResponse:
        if "ssl" in self._options:  # the login goes into the CONNECT, else it goes along with the request
            options = {**self._options, "proxy": proxy.url, "proxy_headers": proxy.headers}
        else:
            headers = {**headers, **(proxy.headers or {})}
            options = {**self._options, "proxy": proxy.url}
        return await session.post(data=data, headers=headers, **options)

    async def _by_client(self, headers: Mapping[str, str], body: bytes) -> httpx.Response:
        import httpx

        client = self._client
        assert client is not None
        if client.is_closed:
            raise ConfigError("http_client is closed: keep it open as long as its provider is used")
        content: bytes | AsyncIterator[bytes] = body
        if len(body) > LARGE_BODY:
            content = _pieces(body)
            headers = {**headers, "content-length": str(len(body))}
        request = client.build_request(
            "POST",
            self._url,
            headers=headers,
            content=content,
            timeout=httpx.Timeout(None, connect=self.timeouts.connect),
        )
        return await client.send(request, stream=True)


class Reply:
    """A response whose body is still to be read; `tap` gets every piece that is read of it."""

    __slots__ = ("_endpoint", "_guard", "_read", "status", "tap")

    def __init__(self, endpoint: Endpoint, guard: Guard, status: int) -> None:
        self.status = status
        self.tap: Callable[[bytes], object] | None = None
        self._endpoint = endpoint
        self._guard = guard
        self._read = 0
        guard.heard()

    def header(self, name: str) -> str | None:
        """The value of a header, by its name in any case."""
        raise NotImplementedError

    def headers(self) -> Iterable[tuple[str, str]]:
        """All of them; a name may come more than once."""
        raise NotImplementedError

    async def chunk(self) -> bytes:
        """What has arrived since the last call, at least one byte; b"" at the end.

        The first piece is short. When more has come at once, a pause follows it: to work off what a fast server sends
        takes milliseconds, during which the thread that waits for the first words would not get a turn.
        """
        if not self._read:
            return await self._piece(FIRST_PIECE)
        if self._read == FIRST_PIECE:
            await asyncio.sleep(FIRST_PAUSE)
        return await self._piece()

    async def _piece(self, limit: int = -1) -> bytes:
        try:
            piece = await self._next(limit)
        except Exception as exc:
            failure = translated(exc, self._endpoint.where)
            if failure is None:
                raise
        else:
            self._read += len(piece)
            if self.tap is not None:
                self.tap(piece)
            if self._read > self._endpoint.max_reply:
                limit = self._endpoint.max_reply
                raise MalformedReplyError(f"the reply of {self._endpoint.where} is longer than {limit} bytes")
            self._guard.heard()
            return piece
        raise failure

    async def chunk_within(self, seconds: float) -> bytes:
        """Like `chunk`, but a failure and the time being up are b"" too: what is left is not needed."""
        try:
            async with asyncio.timeout(seconds):
                return await self.chunk()
        except (TimeoutError, ProviderError):
            return b""

    async def body(self, limit: int | None = None) -> bytes:
        """The whole body, or its first `limit` bytes and a little more."""
        pieces: list[bytes] = []
        size = 0
        while (limit is None or size < limit) and (piece := await self._piece()):
            pieces.append(piece)
            size += len(piece)
        return b"".join(pieces)

    async def drain(self, seconds: float) -> None:
        """Read on to the end, briefly: a body left before it costs the connection."""
        until = Deadline.after(seconds)
        while await self.chunk_within(until.remaining()):
            pass

    async def aclose(self) -> None:
        """Pool the connection if the body was read to its end, else close it."""
        raise NotImplementedError

    async def _next(self, limit: int) -> bytes:
        """The next bytes, up to `limit` of them where that can be had; -1 is no limit."""
        raise NotImplementedError


class _AiohttpReply(Reply):
    __slots__ = ("_content", "_response")

    def __init__(self, endpoint: Endpoint, guard: Guard, response: aiohttp.ClientResponse) -> None:
        super().__init__(endpoint, guard, response.status)
        self._response = response
        self._content = response.content

    def header(self, name: str) -> str | None:
        value: str | None = self._response.headers.get(name)
        return value

    def headers(self) -> Iterable[tuple[str, str]]:
        return self._response.headers.items()

    async def drain(self, seconds: float) -> None:
        if not self._content.at_eof():
            await super().drain(seconds)

    async def aclose(self) -> None:
        self._response.close()  # at the end of the body the connection went back to the pool by itself

    async def _next(self, limit: int) -> bytes:
        return await (self._content.readany() if limit < 0 else self._content.read(limit))


class _HttpxReply(Reply):
    __slots__ = ("_chunks", "_response")

    def __init__(self, endpoint: Endpoint, guard: Guard, response: httpx.Response) -> None:
        super().__init__(endpoint, guard, response.status_code)
        self._response = response
        self._chunks: Any = response.aiter_bytes()

    def header(self, name: str) -> str | None:
        value: str | None = self._response.headers.get(name)
        return value

    def headers(self) -> Iterable[tuple[str, str]]:
        return self._response.headers.multi_items()

    async def aclose(self) -> None:
        await self._chunks.aclose()
        await self._response.aclose()

    async def _next(self, limit: int) -> bytes:  # noqa: ARG002  (httpx cuts as it likes)
        while True:  # an empty piece is not the end
            piece: bytes | None = await anext(self._chunks, None)
            if piece is None:
                return b""
            if piece:
                return piece


async def _pieces(body: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(body), PIECE):
        yield body[start : start + PIECE]


def _checked_client(client: object) -> httpx.AsyncClient | None:
    if client is None:
        return None
    library = sys.modules.get("httpx")  # whoever has a client of it has imported it
    if library is not None:
        if isinstance(client, library.AsyncClient):
            checked: httpx.AsyncClient = client
            if checked.is_closed:
                raise ConfigError("http_client is closed already")
            return checked
        if isinstance(client, library.Client):
            raise ConfigError("http_client is a sync httpx.Client: pass an httpx.AsyncClient")
    kind = f"{type(client).__module__}.{type(client).__qualname__}"
    raise ConfigError(f"http_client must be an httpx.AsyncClient, not {kind}")
