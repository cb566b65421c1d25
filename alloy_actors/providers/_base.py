"""What every provider over HTTP is made of; a provider adds its options, its `WireFormat` and its `ReplyFold`."""

from __future__ import annotations

import hashlib
import os
from dataclasses import replace
from functools import partial
from inspect import isawaitable
from typing import TYPE_CHECKING, Any, ClassVar, TypedDict
from urllib.parse import urlsplit

from alloy_actors.__about__ import __version__
from alloy_actors.content import NO_USAGE
from alloy_actors.errors import ConfigError, InvalidRequestError
from alloy_actors.providers import _exchange
from alloy_actors.providers import _options as check
from alloy_actors.providers._http import Endpoint, Timeouts
from alloy_actors.providers._json import dumps
from alloy_actors.providers._wire import opened

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Hashable, Iterable, Mapping
    from typing import TypeAlias

    from httpx import AsyncClient
    from pydantic import SecretStr

    from alloy_actors.provider import ModelReply, ModelRequest, OnDeltas, OutputSchemas
    from alloy_actors.providers._fold import ReplyFold
    from alloy_actors.providers._http import Reply
    from alloy_actors.providers._wire import WireFormat
    from alloy_actors.providers.trace import Trace
    from alloy_actors.tooldef import Tool

    ApiKey: TypeAlias = str | SecretStr | Callable[[], str | Awaitable[str]] | None

_THIS_MACHINE = frozenset({"localhost", "127.0.0.1", "::1"})
MAX_REPLY = 128 * 1024 * 1024
SCHEMAS: tuple[OutputSchemas, ...] = ("always", "alone", "never")


class SharedOptions(TypedDict, total=False):
    """The options that every provider takes beside its own.

    extra_headers: Added last; they replace ours of the same name.
    extra_body: Merged into each body last; `tools` are added to the run's.
    provider_state: `result.metadata["provider_state"]` of an earlier run with the same provider and key.
    connect_timeout: Seconds to a connection, TLS included (10).
    first_byte_timeout: Seconds to the beginning of the answer (600). Not streamed, it begins when it is complete.
    idle_timeout: Seconds between two pieces of an answer (60).
    max_reply_bytes: Of a response body, decompressed (128 MiB).
    max_in_flight: Requests with this server and key that may be on at once in this process; the others wait in turn.
        Of several providers with one key, the smallest number counts. None: three quarters of the files that the process
        may have open, as each request is a socket.
    output_schemas: How a run with `output=` asks: "always" by the server's own structured output, "alone" by it when
        there are no tools, "never" by a tool that hands the answer in. None is what is known of the server.
    trace: A function that is told, on the runtime's loop, of each HTTP exchange once it is over, without the keys:
        see `alloy_actors.providers.trace.HTTPExchange`. What it raises is logged, and nothing else.
    """

    extra_headers: Mapping[str, str] | None
    extra_body: Mapping[str, Any] | None
    provider_state: Mapping[str, Any] | None
    connect_timeout: float
    first_byte_timeout: float
    idle_timeout: float
    max_reply_bytes: int
    max_in_flight: int | None
    output_schemas: OutputSchemas | None
    trace: Trace | None


class HTTPProvider:
    """One vendor's wire over HTTP.

    A subclass calls this constructor, then `_begin_bodies`, and implements `_body` and `_fold`; `_own_headers` where
    the key does not travel as a bearer token.

    Args:
        model: As the server spells it.
        api_key: A string, a `SecretStr`, or a function returning one (or an awaitable of one) that is asked before
            each request, on the runtime's loop. None where the server needs none.
        api_url: The server's address.
        http_client: The caller's own client, or None.
        url: Where requests go: the address with the path.
        stream_url: The same for streams, where it differs.
        shared: See `SharedOptions`.
    """

    vendor: str | None = None
    """Whose models these are, in the words of the price catalogue; None: nobody knows what they cost."""
    output_schemas: OutputSchemas = "never"
    """Whether the server takes a schema for the answer: "always", "alone" (not beside tools), or "never"."""
    _wire: ClassVar[str]
    """The provider's name: a part of the origin."""
    _decided: ClassVar[tuple[str, ...]]
    """Members of the body that are not the caller's to set."""
    _format: WireFormat

    def __init__(
        self,
        model: str,
        api_key: ApiKey,
        api_url: str,
        http_client: AsyncClient | None,
        *,
        url: str,
        stream_url: str | None = None,
        shared: SharedOptions,
    ) -> None:
        check.refuse_unknown(type(self), shared, SharedOptions.__annotations__)
        self._model = check.text("model", model)
        self._key = check.secret("api_key", api_key)
        self._api_url = api_url
        self._local = urlsplit(api_url).hostname in _THIS_MACHINE
        self._extra_headers = check.Hidden(check.headers("extra_headers", shared.get("extra_headers")))
        self._provider_state = check.mapping("provider_state", shared.get("provider_state"))
        self._extra, self._more_tools = self._checked_extra(shared.get("extra_body"))
        self._schemas_given = shared.get("output_schemas")
        if self._schemas_given is not None:
            if self._schemas_given not in SCHEMAS:
                names = ", ".join(map(repr, SCHEMAS))
                raise ConfigError(f"output_schemas must be one of {names}, not {self._schemas_given!r}")
            self.output_schemas = self._schemas_given
        self._endpoint_for = _endpoint_maker(http_client, shared)
        self._endpoint = self._endpoint_for(url)
        self._stream_endpoint = self._endpoint if stream_url is None else self._endpoint_for(stream_url)
        self._max_in_flight = shared.get("max_in_flight")
        if self._max_in_flight is not None:
            check.number("max_in_flight", self._max_in_flight, kind=int)
        self._origin = self._fingerprint()
        self._limit_key = self._shares_limits()

    @property
    def model(self) -> str:
        """The model's name, as the server spells it."""
        return self._model

    @property
    def api_url(self) -> str:
        """The server's address."""
        return self._api_url

    @property
    def local(self) -> bool:
        """Whether the server is on this machine; then nobody is warned that its models have no price."""
        return self._local

    @property
    def origin(self) -> str:
        """16 hex characters for this server and key; they stay the same when only the model changes."""
        return self._origin

    @property
    def limit_key(self) -> Hashable:
        """Whose requests share a cool-down and places in flight: the origin, and where a function gives the key, that."""
        return self._limit_key

    @property
    def max_in_flight(self) -> int | None:
        """The option of that name."""
        return self._max_in_flight

    def check_tools(self, tools: Iterable[Tool]) -> None:
        """Encode them, which refuses what the API would refuse.

        Raises:
            ConfigError: Naming the tool and the field.
        """
        self._format.tools(tools)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(model={self._model!r}, api_url={self._api_url!r})"

    async def complete(self, request: ModelRequest, on_deltas: OnDeltas | None = None) -> ModelReply:
        """See `Provider`; streams when `on_deltas` listens, and asks for one whole reply when nobody does."""
        streaming = on_deltas is not None
        key = await self._key_now()
        state = self._provider_state if request.provider_state is None else request.provider_state
        body = self._body(request, self._streamed_start if streaming else self._plain_start, state)
        endpoint = self._stream_endpoint if streaming else self._endpoint
        consume = partial(self._consume, request, on_deltas, endpoint.where, self._secrets(key))
        answer = await endpoint.post(self._headers(key, streaming=streaming), body, request.deadline, consume)
        if answer.provider_state and state:
            return replace(answer, provider_state={**state, **answer.provider_state})
        return answer

    def check_request(self, request: ModelRequest) -> None:
        """Make a request's body without sending it.

        Raises:
            ConfigError: It holds what the API does not take.
        """
        try:
            self._body(request, self._plain_start, {})
        except InvalidRequestError as error:
            raise ConfigError(str(error)) from error

    async def _consume(
        self, request: ModelRequest, on_deltas: OnDeltas | None, where: str, secrets: list[str], reply: Reply
    ) -> ModelReply:
        """What the reply says; usage of one that breaks off is told to whoever counts."""
        fold = self._fold(secrets)
        try:
            await _exchange.read(
                reply, fold, on_deltas, where=where, streaming=on_deltas is not None, secrets=secrets
            )
            return fold.finish(model=self._model, origin=self._origin)
        except BaseException:  # also a cancellation
            if request.on_lost is not None and (usage := fold.usage()) != NO_USAGE:
                request.on_lost(usage)
            raise

    # -- what a subclass says ------------------------------------------------------------------------------------

    def _body(self, request: ModelRequest, start: bytes, state: Mapping[str, Any]) -> bytes:
        """The body of a request.

        Args:
            request: See `ModelRequest`.
            start: Its beginning, open at its end, see `_begin_bodies`; complete it with `_wire.closed`.
            state: What the last reply's `provider_state` said; merged key by key, {} for nothing.
        """
        raise NotImplementedError

    def _fold(self, secrets: list[str]) -> ReplyFold:
        """What reads one reply."""
        raise NotImplementedError

    def _own_headers(self, key: str | None) -> dict[str, str]:
        """The headers of this wire, the key in them."""
        return {} if key is None else {"authorization": f"Bearer {key}"}

    def _begin_bodies(self, fixed: Mapping[str, Any], streamed: Mapping[str, Any]) -> None:
        """Prepare what is the same for every request.

        Args:
            fixed: Members of every body; the caller's `extra_body` wins over them, except for `tools`.
            streamed: Further ones that ask for a stream.
        """
        try:
            self._plain_start = opened({**fixed, **self._extra})
            self._streamed_start = opened({**fixed, **streamed, **self._extra})
        except (TypeError, ValueError) as exc:
            raise ConfigError(f"the options of {type(self).__name__} must be JSON: {exc}") from exc

    def _takes_schemas(self, takes: OutputSchemas) -> None:
        """Say what is known of the server; what the caller says wins."""
        if self._schemas_given is None:
            self.output_schemas = takes

    # -- the rest ------------------------------------------------------------------------------------------------

    def _checked_extra(self, given: object) -> tuple[dict[str, Any], bytes]:
        """`extra_body` without its tools, and these as they are joined to the run's."""
        extra = check.mapping("extra_body", given)
        for name in self._decided:
            if name in extra:
                raise ConfigError(f"extra_body may not hold {name!r}: the run decides about it")
        tools = extra.pop("tools", [])
        if not isinstance(tools, list | tuple):
            raise ConfigError("extra_body['tools'] must be a list; it is added to the run's tools")
        try:
            dumps(extra)
            return extra, b",".join(dumps(tool) for tool in tools)
        except (TypeError, ValueError) as exc:
            raise ConfigError(f"extra_body must be JSON: {exc}") from exc

    def _fingerprint(self) -> str:
        if isinstance(self._key, check.Hidden):
            key = self._key.reveal()
        else:
            key = "" if self._key is None else "callable"
        return hashlib.sha256(f"{self._wire}\n{self._api_url}\n{key}".encode()).hexdigest()[:16]

    def _shares_limits(self) -> Hashable:
        if self._key is None or isinstance(self._key, check.Hidden):
            return self._origin
        try:
            hash(self._key)
        except TypeError:
            return (self._origin, id(self._key))
        return (self._origin, self._key)

    async def _key_now(self) -> str | None:
        if isinstance(self._key, check.Hidden):
            return self._key.reveal()
        if self._key is None:
            return None
        given = self._key()
        if isawaitable(given):
            given = await given
        reveal = getattr(given, "get_secret_value", None)
        if callable(reveal):
            given = reveal()
        return check.header_value("what the function api_key returned", given)

    def _headers(self, key: str | None, *, streaming: bool) -> dict[str, str]:
        return {
            "content-type": "application/json",
            "accept": "text/event-stream" if streaming else "application/json",
            # A compressing proxy holds small pieces back, so a stream asks for none of it.
            "accept-encoding": "identity" if streaming else "gzip, deflate",
            "user-agent": f"alloy-actors/{__version__}",
            **self._own_headers(key),
            **self._extra_headers.reveal(),
        }

    def _secrets(self, key: str | None) -> list[str]:
        """What no message may hold; short header values are no secrets."""
        secrets = [value for value in self._extra_headers.reveal().values() if len(value) >= 12]
        secrets += [value.partition(" ")[2] for value in secrets]
        return ([key] if key else []) + [value for value in secrets if len(value) >= 12]


def key_or_env(api_key: ApiKey, owner: str, *variables: str) -> ApiKey:
    """The key given, else that of the first of the environment variables that is set.

    Raises:
        ConfigError: There is neither.
    """
    if api_key is not None:
        return api_key
    for variable in variables:
        found = os.environ.get(variable, "").strip()
        if found:
            return found
    names = " or ".join(variables)
    raise ConfigError(f"{owner} needs a key: pass api_key=, or set {names} in the environment")


def _endpoint_maker(http_client: AsyncClient | None, shared: SharedOptions) -> Callable[[str], Endpoint]:
    connect = shared.get("connect_timeout", Timeouts.connect)
    first_byte = shared.get("first_byte_timeout", Timeouts.first_byte)
    idle = shared.get("idle_timeout", Timeouts.idle)
    max_reply = shared.get("max_reply_bytes", MAX_REPLY)
    check.number("connect_timeout", connect)
    check.number("first_byte_timeout", first_byte)
    check.number("idle_timeout", idle)
    check.number("max_reply_bytes", max_reply, kind=int)
    trace = check.listener("trace", shared.get("trace"))
    timeouts = Timeouts(float(connect), float(first_byte), float(idle))
    return lambda url: Endpoint(url, http_client, timeouts=timeouts, max_reply=max_reply, trace=trace)
