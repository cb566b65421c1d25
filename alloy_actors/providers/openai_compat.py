"""Chat Completions, as OpenAI began it and nearly every server speaks it: Ollama, vLLM, llama.cpp, OpenRouter ..."""

from __future__ import annotations

import hashlib
from inspect import isawaitable
from typing import TYPE_CHECKING, Any

from alloy_actors.__about__ import __version__
from alloy_actors.errors import ConfigError, MalformedReplyError, ProviderError
from alloy_actors.providers import _chat_request as wire
from alloy_actors.providers import _options as check
from alloy_actors.providers._chat_reply import ChatReply
from alloy_actors.providers._errors import from_response
from alloy_actors.providers._http import Endpoint, Timeouts
from alloy_actors.providers._json import dumps
from alloy_actors.providers._sse import SSEParser

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from typing import Never

    from httpx import AsyncClient
    from pydantic import SecretStr

    from alloy_actors.provider import Delta, ModelReply, ModelRequest, OnDeltas
    from alloy_actors.providers._http import Reply
    from alloy_actors.providers._sse import SSEEvent

MAX_ERROR_BODY = 64 * 1024
MAX_REPLY = 128 * 1024 * 1024
LATE_USAGE = 5.0  # seconds that the usage, or [DONE], may come after the finish reason
DRAIN = 0.25  # seconds to wait for the end of a body whose last event has come
DONE = b"[DONE]"


class OpenAICompat:
    """A model behind a Chat Completions server.

    Args:
        model: As the server spells it.
        api_key: A string, a `SecretStr`, or a function returning one (or an awaitable of one) that is asked before
            each request, on the runtime's loop. None sends no authorization header: many servers need no key. The
            environment is not read, so that no key reaches a server it is not meant for.
        api_url: The server's address; a path is kept, and a `/v1` at its end may be there or not.
        http_client: Your own `httpx.AsyncClient` (proxies, mocks, certificates): used on the runtime's loop, never
            closed. Its own timeouts are not used.
        chat_path: What follows `api_url`; may hold a query (Azure's `?api-version=`).
        extra_headers: Added last; they replace ours of the same name.
        extra_body: Merged into each body last; `tools` are added to the run's. `messages` and `stream` are not yours.
        max_tokens: Of the answer; sent only when given.
        temperature: Sent only when given.
        stream_options: True asks for the usage at the end of a stream; False sends none; a mapping is sent as it is.
        connect_timeout: Seconds to a connection, TLS included.
        first_byte_timeout: Seconds to the beginning of the answer. Not streamed, it begins when it is complete.
        idle_timeout: Seconds between two pieces of an answer.
        max_reply_bytes: Of a response body, decompressed.

    Raises:
        ConfigError: Any mistake in these; the message names the option.
    """

    def __init__(
        self,
        model: str,
        api_key: str | SecretStr | Callable[[], str | Awaitable[str]] | None = None,
        api_url: str | None = None,
        http_client: AsyncClient | None = None,
        *,
        chat_path: str = "/v1/chat/completions",
        extra_headers: Mapping[str, str] | None = None,
        extra_body: Mapping[str, Any] | None = None,
        max_tokens: int | None = None,
        temperature: float | None = None,
        stream_options: bool | Mapping[str, Any] = True,
        connect_timeout: float = Timeouts.connect,
        first_byte_timeout: float = Timeouts.first_byte,
        idle_timeout: float = Timeouts.idle,
        max_reply_bytes: int = MAX_REPLY,
        **unknown: Never,
    ) -> None:
        check.refuse_unknown(type(self), unknown)
        self._model = check.text("model", model)
        self._key = check.secret("api_key", api_key)
        self._api_url = check.base_url("api_url", api_url)
        if not check.text("chat_path", chat_path).startswith("/"):
            raise ConfigError(f"chat_path must begin with '/', not {chat_path!r}")
        check.number("connect_timeout", connect_timeout)
        check.number("first_byte_timeout", first_byte_timeout)
        check.number("idle_timeout", idle_timeout)
        check.number("max_reply_bytes", max_reply_bytes, kind=int)
        self._extra_headers = check.Hidden(check.headers("extra_headers", extra_headers))
        self._set_bodies(
            check.mapping("extra_body", extra_body),
            _asked_for(max_tokens, temperature),
            _stream_options(stream_options),
        )
        shared = self._api_url.removesuffix("/v1") if chat_path.startswith("/v1/") else self._api_url
        timeouts = Timeouts(float(connect_timeout), float(first_byte_timeout), float(idle_timeout))
        self._endpoint = Endpoint(
            shared + chat_path, http_client, timeouts=timeouts, max_reply=max_reply_bytes
        )
        self._origin = self._fingerprint()
        self._format = wire.chat_format(self._origin)

    @property
    def model(self) -> str:
        """The model's name, as the server spells it."""
        return self._model

    @property
    def origin(self) -> str:
        """16 hex characters for this server and key; they stay the same when only the model changes."""
        return self._origin

    def __repr__(self) -> str:
        return f"OpenAICompat(model={self._model!r}, api_url={self._api_url!r})"

    async def complete(self, request: ModelRequest, on_deltas: OnDeltas | None = None) -> ModelReply:
        """See `Provider`; streams when `on_deltas` listens, and asks for one whole reply when nobody does."""
        streaming = on_deltas is not None
        start = self._streamed_start if streaming else self._plain_start
        key = self._key.reveal() if isinstance(self._key, check.Hidden) else await self._asked_key()
        body = wire.body(start, self._format, request, self._more_tools)

        async def consume(reply: Reply) -> ModelReply:
            secrets = self._secrets(key)
            if not 200 <= reply.status < 300:
                text = await _error_body(reply)
                raise from_response(reply.status, reply.header, text, secrets=secrets)
            # Some servers stream unasked, others never do: the answer says which it is.
            kind = (reply.header("content-type") or "").lower()
            if "json" in kind or not (streaming or "event-stream" in kind):
                return await self._whole(reply, on_deltas, ChatReply(secrets))
            return await self._streamed(reply, on_deltas, ChatReply(secrets))

        return await self._endpoint.post(
            self._headers(key, streaming=streaming), body, request.deadline, consume
        )

    async def _whole(self, reply: Reply, on_deltas: OnDeltas | None, answer: ChatReply) -> ModelReply:
        body = await reply.body()
        if not body.strip():
            raise MalformedReplyError(
                f"{self._endpoint.where} answered with status {reply.status} and no body"
            )
        deltas: list[Delta] = []
        answer.feed(body, deltas)
        finished = answer.finish(model=self._model, origin=self._origin, ended=True)
        if on_deltas is not None and deltas:
            on_deltas(deltas)
        return finished

    async def _streamed(self, reply: Reply, on_deltas: OnDeltas | None, answer: ChatReply) -> ModelReply:
        parser = SSEParser()
        done = False
        heard = False
        head = b""
        while not done:
            # Once the model is done only its usage is missing: that is worth a moment, and no error.
            chunk = await (reply.chunk_within(LATE_USAGE) if answer.complete else reply.chunk())
            if not chunk:
                break
            events = parser.feed(chunk)
            if events:
                heard = True
                done = _fold(events, answer, on_deltas)
            elif not heard and len(head) < MAX_ERROR_BODY:
                head += chunk
        if done:
            await reply.drain(DRAIN)
        elif not answer.complete:
            done = self._last_words(reply, parser, head, answer, on_deltas, heard=heard)
        return answer.finish(model=self._model, origin=self._origin, ended=done)

    def _last_words(
        self,
        reply: Reply,
        parser: SSEParser,
        head: bytes,
        answer: ChatReply,
        on_deltas: OnDeltas | None,
        *,
        heard: bool,
    ) -> bool:
        """What a stream's end left: an event without its empty line, or a body that was no stream at all."""
        last = parser.close()
        if last is not None:
            try:
                return _fold([last], answer, on_deltas)
            except MalformedReplyError:
                return False  # cut in the middle of an event
        if heard or not head.strip():
            return False
        announced = "event-stream" in (reply.header("content-type") or "").lower()
        if head.lstrip()[:1] in {b"{", b"["}:  # a plain reply, or an error, under a wrong content type
            deltas: list[Delta] = []
            answer.feed(head, deltas)
            if on_deltas is not None and deltas:
                on_deltas(deltas)
            return True
        if announced:
            return False  # comments alone
        shown = head[:200].decode("utf-8", "replace")
        raise MalformedReplyError(f"{self._endpoint.where} answered with no event stream: {shown!r}")

    def _set_bodies(
        self, extra: dict[str, Any], asked: dict[str, Any], stream_options: dict[str, Any] | None
    ) -> None:
        for name in ("messages", "stream"):
            if name in extra:
                raise ConfigError(f"extra_body may not hold {name!r}: the run decides about it")
        tools = extra.pop("tools", [])
        if not isinstance(tools, list | tuple):
            raise ConfigError("extra_body['tools'] must be a list; it is added to the run's tools")
        plain = {"model": self._model} | asked | extra
        streamed: dict[str, Any] = {"stream": True}
        if stream_options is not None:
            streamed["stream_options"] = stream_options
        extra_options = extra.get("stream_options")
        if extra_options is not None:
            streamed.pop("stream_options", None)
            plain.pop("stream_options")
            streamed["stream_options"] = extra_options
        try:
            self._more_tools = b",".join(dumps(tool) for tool in tools)
            self._plain_start = wire.head(plain)
            self._streamed_start = wire.head(plain | streamed)
        except (TypeError, ValueError) as exc:
            raise ConfigError(f"extra_body and stream_options must be JSON: {exc}") from exc

    def _fingerprint(self) -> str:
        key = (
            self._key.reveal()
            if isinstance(self._key, check.Hidden)
            else ("" if self._key is None else "callable")
        )
        return hashlib.sha256(f"openai_compat\n{self._api_url}\n{key}".encode()).hexdigest()[:16]

    async def _asked_key(self) -> str | None:
        if self._key is None or isinstance(self._key, check.Hidden):
            return None
        given = self._key()
        if isawaitable(given):
            given = await given
        reveal = getattr(given, "get_secret_value", None)
        if callable(reveal):
            given = reveal()
        return check.header_value("what the function api_key returned", given)

    def _headers(self, key: str | None, *, streaming: bool) -> dict[str, str]:
        headers = {
            "content-type": "application/json",
            "accept": "text/event-stream" if streaming else "application/json",
            # A compressing proxy holds small pieces back, so a stream asks for none of it.
            "accept-encoding": "identity" if streaming else "gzip, deflate",
            "user-agent": f"alloy-actors/{__version__}",
        }
        if key is not None:
            headers["authorization"] = f"Bearer {key}"
        headers.update(self._extra_headers.reveal())
        return headers

    def _secrets(self, key: str | None) -> list[str]:
        """What no message may hold; short header values are no secrets."""
        secrets = [value for value in self._extra_headers.reveal().values() if len(value) >= 12]
        secrets += [value.partition(" ")[2] for value in secrets]
        return ([key] if key else []) + [value for value in secrets if len(value) >= 12]


def _fold(events: list[SSEEvent], answer: ChatReply, on_deltas: OnDeltas | None) -> bool:
    """Fold the events of one network chunk and hand out their deltas at once; whether [DONE] was among them."""
    deltas: list[Delta] = []
    try:
        for event in events:
            if event.data.strip() == DONE:
                return True
            if event.data and not event.data.isspace():
                answer.feed(event.data, deltas)
        return False
    finally:
        if deltas and on_deltas is not None:
            on_deltas(deltas)


async def _error_body(reply: Reply) -> bytes:
    try:
        return await reply.body(MAX_ERROR_BODY)
    except ProviderError:
        return b""  # the status alone says enough


def _asked_for(max_tokens: object, temperature: object) -> dict[str, Any]:
    asked: dict[str, Any] = {}
    if max_tokens is not None:
        check.number("max_tokens", max_tokens, kind=int)
        asked["max_tokens"] = max_tokens
    if temperature is not None:
        check.number("temperature", temperature, least=-1e-9)
        asked["temperature"] = temperature
    return asked


def _stream_options(given: object) -> dict[str, Any] | None:
    if given is True:
        return {"include_usage": True}
    if given is False or given is None:
        return None
    return check.mapping("stream_options", given)
