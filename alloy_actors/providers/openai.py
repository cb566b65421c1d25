"""OpenAI's Responses API, and the servers that speak it too."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Unpack

from typing_extensions import override

from alloy_actors.errors import InvalidRequestError
from alloy_actors.logs import log
from alloy_actors.providers import _options as check
from alloy_actors.providers import _responses_options as options
from alloy_actors.providers._base import HTTPProvider, SharedOptions, key_or_env
from alloy_actors.providers._json import dumps
from alloy_actors.providers._responses_reply import ResponsesReply
from alloy_actors.providers._responses_request import Dialect, ResponsesFormat
from alloy_actors.providers._strict import strict_schema
from alloy_actors.providers._wire import array, closed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from httpx import AsyncClient

    from alloy_actors.provider import ModelReply, ModelRequest, OnDeltas, OutputSchemas
    from alloy_actors.providers._base import ApiKey

ENCRYPTED = "reasoning.encrypted_content"
NOT_ENCRYPTED = "encrypted content is not supported with this model"
PREVIOUS = "previous_response_id"


class OpenAI(HTTPProvider):
    """A model behind the Responses API.

    The history is sent with every request and nothing is kept at the server, whose own items (encrypted reasoning,
    searches) go back to it unchanged. `store` and `previous_response_id` change that.

    Args:
        model: As OpenAI spells it.
        api_key: A string, a `SecretStr`, or a function returning one (or an awaitable of one) that is asked before
            each request, on the runtime's loop. None takes OPENAI_API_KEY.
        api_url: The server's address, api.openai.com by default; a path is kept, and a `/v1` at its end may be there
            or not.
        http_client: Your own `httpx.AsyncClient`: used on the runtime's loop, never closed. Its own timeouts are not
            used.
        max_tokens: Of the answer, its reasoning included; sent only when given.
        temperature: Sent only when given.
        reasoning: For models that reason: `{"effort": "low", "summary": "auto"}`. A summary is streamed as thinking.
        store: True has the server keep the responses, and then reasoning is not sent back. None is False, or the
            server's own default beside `previous_response_id`.
        previous_response_id: A stored response that the conversation goes on from; messages hold what came after it.
            A reset of the agent drops it.
        include: Further data to include in the responses, as the API names it.
        tool_choice: "auto", "none", "required" or a mapping; sent when there are tools.
        parallel_tool_calls: Sent when there are tools, and only when given.
        web_search: True, or its settings: the model may search the web.
        x_search: The same for posts on X; xAI alone has it.
        built_in_tools: Further tools that the server runs, as the API describes them.
        shared: See `SharedOptions`; in `extra_body`, `input`, `stream` and `background` are not yours.

    Raises:
        ConfigError: Any mistake in these; the message names the option.
    """

    vendor = "openai"
    output_schemas: OutputSchemas = "always"
    _wire = "openai"
    _decided = ("input", "stream", "background")
    _home: ClassVar[str] = "https://api.openai.com"
    _variable: ClassVar[str] = "OPENAI_API_KEY"
    _dialect: ClassVar[Dialect] = Dialect(
        vendor="OpenAI",
        images=("image/png", "image/jpeg", "image/webp", "image/gif"),
        max_image=512 * 1024 * 1024,  # what a whole request may have
        images_in_results=True,
    )

    def __init__(
        self,
        model: str,
        api_key: ApiKey = None,
        api_url: str | None = None,
        http_client: AsyncClient | None = None,
        *,
        max_tokens: int | None = None,
        temperature: float | None = None,
        reasoning: Mapping[str, Any] | None = None,
        store: bool | None = None,
        previous_response_id: str | None = None,
        include: Sequence[str] = (),
        tool_choice: str | Mapping[str, Any] | None = None,
        parallel_tool_calls: bool | None = None,
        web_search: bool | Mapping[str, Any] = False,
        x_search: bool | Mapping[str, Any] = False,
        built_in_tools: Sequence[Mapping[str, Any]] = (),
        **shared: Unpack[SharedOptions],
    ) -> None:
        url = check.base_url("api_url", self._home if api_url is None else api_url)
        key = key_or_env(api_key, type(self).__name__, self._variable)
        path = f"{url.removesuffix('/v1')}/v1/responses"
        super().__init__(model, key, url, http_client, url=path, shared=shared)
        if previous_response_id is not None:
            # As a part of the state it is dropped by a reset, and comes back after a restart.
            self._provider_state[PREVIOUS] = check.text(PREVIOUS, previous_response_id)
        elif store is None:
            store = False
        fixed = {
            "model": self._model,
            "max_output_tokens": options.count("max_tokens", max_tokens),
            "temperature": options.temperature(temperature),
            "reasoning": options.settings("reasoning", reasoning),
            "store": options.flag("store", store),
        }
        self._fixed = {name: value for name, value in fixed.items() if value is not None}
        self._include = options.included(include)
        self._encrypts = store is False
        self._format = ResponsesFormat.of(self._origin, self._dialect, self._encrypts)
        tools = options.tools(built_in_tools, web_search=web_search, x_search=x_search)
        self._more_tools = b",".join(filter(None, (tools, self._more_tools)))
        self._about_tools = {
            "tool_choice": options.choice(tool_choice),
            "parallel_tool_calls": options.encoded(options.flag("parallel_tool_calls", parallel_tool_calls)),
        }
        self._text = check.mapping("extra_body['text']", self._extra.pop("text", None))
        # A plain request may not hold `stream_options`, whoever asks for them.
        self._streamed = {"stream": True}
        if "stream_options" in self._extra:
            self._streamed["stream_options"] = self._extra.pop("stream_options")
        if "format" in self._text:
            self._takes_schemas("never")
        self._schema: tuple[Mapping[str, Any], bytes] | None = None
        self._begin()

    @override
    async def complete(self, request: ModelRequest, on_deltas: OnDeltas | None = None) -> ModelReply:
        encrypts = self._encrypts
        try:
            return await super().complete(request, on_deltas)
        except InvalidRequestError as error:
            # Only the server knows which models have reasoning to encrypt; this is how it says it. Nothing was heard yet.
            if not encrypts or NOT_ENCRYPTED not in str(error).lower():
                raise
        log.info("model_without_encrypted_reasoning", model=self._model)
        self._encrypts = False
        self._begin()
        return await super().complete(request, on_deltas)

    @override
    def _body(self, request: ModelRequest, start: bytes, state: Mapping[str, Any]) -> bytes:
        items = self._format.messages(request.messages)
        if request.system_prompt:
            items.insert(0, dumps({"role": "system", "content": request.system_prompt}))
        tools = self._format.tools(request.tools, self._more_tools)
        members: dict[str, bytes | None] = {
            "input": array(items),
            "tools": array(tools) if tools else None,
            PREVIOUS: options.encoded(state.get(PREVIOUS)),
            "text": self._wanted(request.output_schema),
        }
        if tools:
            members |= self._about_tools
            if request.tool_choice == "none":
                members["tool_choice"] = b'"none"'
        return closed(start, **{name: value for name, value in members.items() if name not in self._extra})

    @override
    def _fold(self, secrets: list[str]) -> ResponsesReply:
        return ResponsesReply(secrets)

    def _begin(self) -> None:
        include = list(dict.fromkeys([*self._include, ENCRYPTED])) if self._encrypts else self._include
        self._begin_bodies({**self._fixed, **({"include": include} if include else {})}, self._streamed)

    def _wanted(self, schema: Mapping[str, Any] | None) -> bytes | None:
        """The member `text`; what `extra_body` says there wins."""
        if schema is None:
            return options.encoded(self._text or None)
        if self._schema is None or self._schema[0] is not schema:
            form = {"type": "json_schema", "name": "answer", "schema": strict_schema(schema), "strict": True}
            self._schema = (schema, dumps({"format": form, **self._text}))
        return self._schema[1]
