"""Chat Completions, as OpenAI began it and nearly every server speaks it: Ollama, vLLM, llama.cpp, OpenRouter ..."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Unpack

from typing_extensions import override

from alloy_actors.errors import ConfigError
from alloy_actors.providers import _chat_request as wire
from alloy_actors.providers import _options as check
from alloy_actors.providers._base import HTTPProvider, SharedOptions, key_or_env
from alloy_actors.providers._chat_reply import ChatReply
from alloy_actors.providers._dialects import preset_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from httpx import AsyncClient

    from alloy_actors.provider import ModelRequest
    from alloy_actors.providers._base import ApiKey


class OpenAICompat(HTTPProvider):
    """A model behind a Chat Completions server.

    Args:
        model: As the server spells it.
        api_key: A string, a `SecretStr`, or a function returning one (or an awaitable of one) that is asked before
            each request, on the runtime's loop. None sends no authorization header: many servers need no key. The
            environment is read only for a preset that needs a key, and only its own variable, so that no key reaches
            a server it is not meant for.
        api_url: The server's address; a path is kept, and a `/v1` at its end may be there or not. None is the preset's.
        http_client: Your own `httpx.AsyncClient` (proxies, mocks, certificates): used on the runtime's loop, never
            closed. Its own timeouts are not used.
        preset: A server people use: its address, path, key variable, and where it differs from the others. One of
            ollama, llamacpp, lmstudio, vllm, openrouter, deepseek, mistral, groq, together, azure.
        chat_path: What follows `api_url`; may hold a query (Azure's `?api-version=`). None is the preset's, else
            `/v1/chat/completions`.
        max_tokens: Of the answer; sent only when given.
        temperature: Sent only when given.
        stream_options: True asks for the usage at the end of a stream; False sends none; a mapping is sent as it is.
            None is True where the server knows it.
        shared: See `SharedOptions`; in `extra_body`, `messages` and `stream` are not yours.

    Raises:
        ConfigError: Any mistake in these; the message names the option.
    """

    _wire = "openai_compat"
    _decided = ("messages", "stream")

    def __init__(
        self,
        model: str,
        api_key: ApiKey = None,
        api_url: str | None = None,
        http_client: AsyncClient | None = None,
        *,
        preset: str | None = None,
        chat_path: str | None = None,
        max_tokens: int | None = None,
        temperature: float | None = None,
        stream_options: bool | Mapping[str, Any] | None = None,
        **shared: Unpack[SharedOptions],
    ) -> None:
        known = preset_of(preset)
        dialect = known.dialect
        if known.variable is not None:
            api_key = key_or_env(api_key, f"the preset {preset!r}", known.variable)
        chat_path = known.chat_path if chat_path is None else chat_path
        home = known.api_url if api_url is None else api_url
        url = check.base_url("api_url", home, query=": put a query into chat_path")
        if not check.text("chat_path", chat_path).startswith("/"):
            raise ConfigError(f"chat_path must begin with '/', not {chat_path!r}")
        address = url.removesuffix("/v1") if chat_path.startswith("/v1/") else url
        self.vendor = known.vendor
        self._key_header = dialect.key_header
        self._schemas = dialect.schemas != "never"
        super().__init__(model, api_key, url, http_client, url=address + chat_path, shared=shared)
        self._takes_schemas("never" if "response_format" in self._extra else dialect.schemas)
        streamed: dict[str, Any] = {"stream": True}
        if stream_options is None:
            stream_options = dialect.stream_options
        if (options := _stream_options(stream_options)) is not None:
            streamed["stream_options"] = options
        # A plain request may not hold `stream_options`, whoever asks for them.
        if "stream_options" in self._extra:
            streamed["stream_options"] = self._extra.pop("stream_options")
        self._begin_bodies(
            {"model": self._model, **_asked_for(dialect.limit, max_tokens, temperature)}, streamed
        )
        self._format = wire.ChatFormat.of(self._origin, dialect.echo, dialect.short_ids)

    @override
    def _body(self, request: ModelRequest, start: bytes, state: Mapping[str, Any]) -> bytes:
        more, extra = self._more_tools, self._extra
        return wire.body(start, self._format, request, more, extra, schemas=self._schemas)

    @override
    def _own_headers(self, key: str | None) -> dict[str, str]:
        if key is None or self._key_header is None:
            return super()._own_headers(key)
        return {self._key_header: key}

    @override
    def _fold(self, secrets: list[str]) -> ChatReply:
        return ChatReply(secrets)


def _asked_for(limit: str, max_tokens: object, temperature: object) -> dict[str, Any]:
    asked: dict[str, Any] = {}
    if max_tokens is not None:
        check.number("max_tokens", max_tokens, kind=int)
        asked[limit] = max_tokens
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
