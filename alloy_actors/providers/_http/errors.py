"""The HTTP libraries' errors in our words; knows their classes without importing them.

Nothing of theirs is kept as cause or context: their errors hold the request's headers, and with them the key.
"""

from __future__ import annotations

import sys
from typing import Any

from alloy_actors.errors import (
    AuthError,
    ConnectionFailedError,
    MalformedReplyError,
    ProviderError,
    ProviderTimeoutError,
)

MAX_TEXT = 500  # characters of a library's text that we repeat


def translated(exc: BaseException, where: str) -> ProviderError | None:
    """Ours for a library's error, None for what is none of theirs (a bug, a mock's assertion)."""
    httpx = sys.modules.get("httpx")
    if httpx is not None and isinstance(exc, httpx.TransportError):
        # Over the aiohttp transport, refused, unresolved and cut all arrive as ConnectTimeout: the cause knows better.
        inner = _from_aiohttp(exc.__cause__, where)
        return _from_httpx(httpx, exc, where) if inner is None else inner
    if httpx is not None and isinstance(exc, httpx.DecodingError):
        return MalformedReplyError(f"the body that {where} sent cannot be decompressed")
    return _from_aiohttp(exc, where)


def _from_aiohttp(exc: BaseException | None, where: str) -> ProviderError | None:
    aiohttp = sys.modules.get("aiohttp")
    if aiohttp is not None:
        if isinstance(exc, aiohttp.ServerTimeoutError):
            return ProviderTimeoutError(f"no connection to {where} in time")
        if isinstance(exc, aiohttp.ClientHttpProxyError):
            kind = AuthError if exc.status == 407 else ConnectionFailedError
            return kind(f"the proxy refused the way to {where} with status {exc.status}")
        if isinstance(exc, aiohttp.ClientProxyConnectionError):
            return _because(ConnectionFailedError(f"no connection to the proxy for {where}: {_os(exc)}"), exc)
        if isinstance(exc, aiohttp.ClientConnectorError):
            return _because(ConnectionFailedError(f"no connection to {where}: {_os(exc)}"), exc)
        if isinstance(exc, aiohttp.ClientResponseError):
            return MalformedReplyError(f"{where} does not speak HTTP as it should: {exc.message}"[:MAX_TEXT])
        if isinstance(exc, aiohttp.ClientPayloadError):
            return ConnectionFailedError(f"the reply of {where} was cut off")
        if isinstance(exc, aiohttp.ClientConnectionError):
            return ConnectionFailedError(f"{where} closed the connection")
        if isinstance(exc, aiohttp.ClientError):
            return ConnectionFailedError(f"the exchange with {where} failed: {type(exc).__name__}")
    if isinstance(exc, OSError) and not isinstance(exc, TimeoutError | ProviderError):
        return ConnectionFailedError(
            f"the exchange with {where} failed: {exc.strerror or type(exc).__name__}"
        )
    return None


def _from_httpx(httpx: Any, exc: Any, where: str) -> ProviderError:
    if isinstance(exc, httpx.TimeoutException):
        return ProviderTimeoutError(f"no connection to {where} in time")
    if isinstance(exc, httpx.UnsupportedProtocol):
        return ConnectionFailedError(f"http_client cannot reach {where}: {exc}")
    if isinstance(exc, httpx.RemoteProtocolError) and not str(exc).startswith(("Server disc", "peer closed")):
        return MalformedReplyError(f"{where} does not speak HTTP as it should: {exc}"[:MAX_TEXT])
    kind = "no connection to" if isinstance(exc, httpx.ConnectError) else "the exchange failed with"
    return ConnectionFailedError(f"{kind} {where}: {str(exc) or type(exc).__name__}")


def _os(exc: Any) -> str:
    """The operating system's words; aiohttp's own repeat the connection's settings."""
    inner = getattr(exc, "os_error", None) or getattr(exc, "certificate_error", None)
    return str(getattr(inner, "strerror", None) or inner or type(exc).__name__)


def _because(failure: ProviderError, exc: Any) -> ProviderError:
    failure.__cause__ = getattr(exc, "os_error", None)  # an OSError: an address and a number, no headers
    return failure
