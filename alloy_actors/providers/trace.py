"""What goes over the wire, for people who look for a fault: `trace=` of every provider.

Keys are taken out before anybody sees it. Which values are secret is read off the request itself: those of all headers
that are not known to be harmless, and members of the query and of the body with a telling name (a tool server's token,
say). Wherever a server repeats one it is gone too.
"""

from __future__ import annotations

import json
import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias, TypeVar
from urllib.parse import quote, unquote

from alloy_actors.logs import log, traced

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping

    from alloy_actors.providers._http import Reply

    Trace: TypeAlias = Callable[["HTTPExchange"], object]

T = TypeVar("T")

HIDDEN = "***"
SHORTEST = 6  # characters; a shorter value is a placeholder such as "none", and would be found everywhere
# Request headers whose values may be read; all others, the caller's own too, may hold a secret.
HARMLESS = frozenset(
    {
        *("accept", "accept-encoding", "content-type", "user-agent", "http-referer", "x-title"),
        *("anthropic-version", "anthropic-beta", "openai-beta", "x-goog-api-client"),
    }
)
SECRET_REPLY_HEADERS = frozenset({"set-cookie", "authorization", "proxy-authorization"})
_SECRET_IN_QUERY = re.compile(
    r"([?&][^=&]*(?:key|token|secret|sig|code|password)[^=&]*=)([^&#]+)", re.IGNORECASE
)
_TEXT = rb'"(?:[^"\\]|\\.)*"'
_SECRET_MEMBER = re.compile(
    rb'("(?:[\w-]*[_-])?(?:authorization|api[_-]?key|(?:access|auth|refresh)?token|secret|password)"\s*:\s*)"((?:[^"\\]|\\.)+)"',
    re.IGNORECASE,
)
_HEADERS_MEMBER = re.compile(
    rb'("headers"\s*:\s*\{)([^{}]*)\}'
)  # of a server that the model's server is to ask
_MEMBER = re.compile(rb"(" + _TEXT + rb'\s*:\s*)"((?:[^"\\]|\\.)+)"')


@dataclass(frozen=True, slots=True, kw_only=True)
class HTTPExchange:
    """One request to a model's server and what came back, without the keys.

    Args:
        url: Where it went, by POST.
        request_headers: As they were handed to the HTTP library, which adds host and content-length.
        request_body: As sent.
        status: None where no answer came.
        response_headers: Names in lower case; values of one name joined by commas.
        response_body: As far as it was read, decompressed; of a stream all events.
        complete: Whether it was read to its end.
        error: What ended it, as class and message; None where nothing went wrong.
        seconds: From the first byte out to the end.
    """

    url: str
    request_headers: Mapping[str, str]
    request_body: bytes
    status: int | None
    response_headers: Mapping[str, str]
    response_body: bytes
    complete: bool
    error: str | None
    seconds: float


class Watch:
    """Looks on at one exchange, and reports it once it is over, in whatever way.

    Args:
        trace: The caller's; what it raises is logged.
        url: See `HTTPExchange`, as the two below; with the keys still in them.
        headers: See there.
        body: See there.
    """

    __slots__ = ("_begun", "_body", "_headers", "_pieces", "_reply_headers", "_status", "_trace", "_url")

    def __init__(self, trace: Trace, url: str, headers: Mapping[str, str], body: bytes) -> None:
        self._trace = trace
        self._url = url
        self._headers = headers
        self._body = body
        self._status: int | None = None
        self._reply_headers: list[tuple[str, str]] = []
        self._pieces: list[bytes] = []
        self._begun = time.monotonic()

    def of(self, consume: Callable[[Reply], Awaitable[T]]) -> Callable[[Reply], Awaitable[T]]:
        """`consume`, looked at."""

        def watched(reply: Reply) -> Awaitable[T]:
            self._status = reply.status
            self._reply_headers = list(reply.headers())
            reply.tap = self._pieces.append
            return consume(reply)

        return watched

    def report(self, error: BaseException | None) -> None:
        """Tell the caller."""
        try:
            self._trace(self._exchange(error))
        except Exception as failure:  # who looks on does not decide about the run
            log.error("trace_failed", **traced(failure))

    def _exchange(self, error: BaseException | None) -> HTTPExchange:
        secrets = sorted(_secrets(self._url, self._headers, self._body), key=len, reverse=True)
        received: dict[str, str] = {}
        for name, value in ((name.lower(), value) for name, value in self._reply_headers):
            shown = HIDDEN if name in SECRET_REPLY_HEADERS else _without(value, secrets)
            received[name] = f"{received[name]}, {shown}" if name in received else shown
        failed = None if error is None else f"{type(error).__name__}: {error}".removesuffix(": ")
        return HTTPExchange(
            url=_without(without_query_secrets(self._url), secrets),
            request_headers={
                name: _without(value, secrets) if name in HARMLESS else HIDDEN
                for name, value in self._headers.items()
            },
            request_body=_bytes_without(without_body_secrets(self._body), secrets),
            status=self._status,
            response_headers=received,
            response_body=_bytes_without(b"".join(self._pieces), secrets),
            complete=bool(self._pieces) and not self._pieces[-1],
            error=None if failed is None else _without(failed, secrets),
            seconds=time.monotonic() - self._begun,
        )


def without_secrets(url: str, headers: Mapping[str, str], body: bytes) -> tuple[str, bytes]:
    """The URL and the body of a request as a trace shows them."""
    secrets = sorted(_secrets(url, headers, body), key=len, reverse=True)
    return _without(without_query_secrets(url), secrets), _bytes_without(without_body_secrets(body), secrets)


def without_query_secrets(url: str) -> str:
    """The URL with the values of members that hold a key hidden."""
    return _SECRET_IN_QUERY.sub(rf"\1{HIDDEN}", url)


def without_body_secrets(body: bytes) -> bytes:
    """A request's JSON with the values of members that hold a key hidden, at any depth; the rest stays byte for byte.

    Not for replies: there a `token` is a word, and a tool's argument may be called so as well.
    """

    def hide_all(found: re.Match[bytes]) -> bytes:
        return found[1] + _MEMBER.sub(_hide, found[2]) + b"}"

    return _SECRET_MEMBER.sub(_hide, _HEADERS_MEMBER.sub(hide_all, body))


def _hide(found: re.Match[bytes]) -> bytes:
    return found[1] + b'"' + HIDDEN.encode() + b'"'


def _body_secrets(body: bytes) -> Iterator[str]:
    for found in _HEADERS_MEMBER.finditer(body):
        yield from (_decoded(value) for _, value in _MEMBER.findall(found[2]))
    yield from (_decoded(value) for _, value in _SECRET_MEMBER.findall(body))


def _decoded(text: bytes) -> str:
    try:
        return str(json.loads(b'"' + text + b'"'))
    except ValueError:
        return text.decode(errors="replace")


def _secrets(url: str, headers: Mapping[str, str], body: bytes) -> set[str]:
    """Every secret of a request, in each form in which a URL or JSON may hold it."""
    values = [value for name, value in headers.items() if name not in HARMLESS]
    values += [value.partition(" ")[2] for value in values]  # without `Bearer`
    values += [unquote(value) for _, value in _SECRET_IN_QUERY.findall(url)]
    values += _body_secrets(body)
    return {form for value in values if len(value) >= SHORTEST for form in _forms(value)}


def _forms(value: str) -> Iterator[str]:
    yield value
    yield quote(value, safe="")
    yield json.dumps(value)[1:-1]
    yield json.dumps(value)[1:-1].replace("/", "\\/")


def _without(text: str, secrets: Iterable[str]) -> str:
    for secret in secrets:
        text = text.replace(secret, HIDDEN)
    return text


def _bytes_without(data: bytes, secrets: Iterable[str]) -> bytes:
    for secret in secrets:
        data = data.replace(secret.encode(), HIDDEN.encode())
    return data
