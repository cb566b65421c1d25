"""The Messages API: Anthropic, and servers that speak it too."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Unpack

from typing_extensions import override

from alloy_actors.content import Message, user
from alloy_actors.deadline import Deadline
from alloy_actors.errors import ConfigError, InvalidRequestError, MalformedReplyError
from alloy_actors.provider import ModelRequest
from alloy_actors.providers import _anthropic_options as options
from alloy_actors.providers import _exchange
from alloy_actors.providers import _options as check
from alloy_actors.providers._anthropic_cache import Marks, marks_in
from alloy_actors.providers._anthropic_reply import MessagesReply
from alloy_actors.providers._anthropic_request import MessagesFormat
from alloy_actors.providers._anthropic_schema import strict
from alloy_actors.providers._anthropic_tools import Toolset
from alloy_actors.providers._base import HTTPProvider, SharedOptions, key_or_env
from alloy_actors.providers._fold import ReplyFold
from alloy_actors.providers._json import dumps
from alloy_actors.providers._wire import array, closed, opened
from alloy_actors.tooldef import toolbox

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from httpx import AsyncClient

    from alloy_actors.provider import Delta
    from alloy_actors.providers._base import ApiKey
    from alloy_actors.providers._http import Reply
    from alloy_actors.tooldef import Tool

API_URL = "https://api.anthropic.com"
CONTEXT_MANAGEMENT = "context-management-2025-06-27"
COUNTED = (
    "cache_control",
    "context_management",
    "mcp_servers",
    "model",
    "speed",
    "system",
    "thinking",
    "tool_choice",
)
"""Members of `extra_body` that counting tokens takes too."""


class Anthropic(HTTPProvider):
    """A Claude model.

    Args:
        model: For example "claude-sonnet-4-6".
        api_key: A string, a `SecretStr`, or a function returning one (or an awaitable of one) that is asked before
            each request, on the runtime's loop. None takes ANTHROPIC_API_KEY from the environment.
        api_url: The server's address; a `/v1` at its end may be there or not. None is Anthropic's own.
        http_client: Your own `httpx.AsyncClient` (proxies, mocks, certificates): used on the runtime's loop, never
            closed. Its own timeouts are not used.
        max_tokens: Of the answer, thinking included.
        cache: Cache the prompt: the tools, the system prompt, and the conversation as it grows. True and "5m" keep it
            for 5 minutes after each use, "1h" for an hour.
        thinking: True lets the model decide about it (adaptive), a number is its budget of tokens, False disables it;
            a mapping goes out as it is. None leaves it to the API.
        effort: "low", "medium", "high", "xhigh" or "max".
        betas: Names for the `anthropic-beta` header; joined with one in `extra_headers`.
        server_tools: Tools that run at Anthropic (web search, web fetch ...), as the API takes them.
        code_execution: Let the model run code in a container; its container is used again as long as it lives. A
            string is a version of the tool.
        citations: Ask for citations of the documents in the conversation.
        tool_options: Members for the definition of a tool, by its name, that win over the tool's own options. A `type`
            (`{"bash": {"type": "bash_20250124"}}`) makes yours answer to one that the model knows; "custom" makes one
            with `native_types` go with its description and schema.
        api_version: The `anthropic-version` header.
        shared: See `SharedOptions`; in `extra_body`, `messages` and `stream` are not yours.

    Raises:
        ConfigError: Any mistake in these; the message names the option.
    """

    vendor = "anthropic"
    output_schemas = "always"
    _wire = "anthropic"
    _decided = ("messages", "stream")

    def __init__(
        self,
        model: str,
        api_key: ApiKey = None,
        api_url: str | None = None,
        http_client: AsyncClient | None = None,
        *,
        max_tokens: int = 16_000,
        cache: bool | str = False,
        thinking: bool | int | Mapping[str, Any] | None = None,
        effort: str | None = None,
        betas: Sequence[str] = (),
        server_tools: Sequence[Mapping[str, Any]] = (),
        code_execution: bool | str = False,
        citations: bool = False,
        tool_options: Mapping[str, Mapping[str, Any]] | None = None,
        api_version: str = "2023-06-01",
        **shared: Unpack[SharedOptions],
    ) -> None:
        url = check.base_url("api_url", API_URL if api_url is None else api_url)
        address = url.removesuffix("/v1") + "/v1/messages"
        key = key_or_env(api_key, type(self).__name__, "ANTHROPIC_API_KEY")
        super().__init__(model, key, url, http_client, url=address, shared=shared)
        check.number("max_tokens", max_tokens, kind=int)
        self._headers_of_api = {"anthropic-version": check.header_value("api_version", api_version)}
        names = self._betas(betas)
        if names:
            self._headers_of_api["anthropic-beta"] = ",".join(names)
        asked = options.thinking(thinking, max_tokens, names)
        self._effort = options.effort(effort)
        self._take_tools(options.server_tools(server_tools, code_execution), tool_options, cache, shared)
        self._skills = self._container_without_id()
        fixed = {"model": self._model} | ({} if asked is None else {"thinking": asked})
        thinks = {**fixed, **self._extra}.get("thinking")
        self._keeps_thinking = isinstance(thinks, dict) and thinks.get("type") == "enabled"
        self._begin_bodies({**fixed, "max_tokens": max_tokens}, {"stream": True})
        counted = {name: self._extra[name] for name in COUNTED if name in self._extra}
        self._count_start = opened({**fixed, **counted})
        self._count_endpoint = self._endpoint_for(address + "/count_tokens")
        self._format = MessagesFormat.of(self._origin, check.flag("citations", citations))
        if citations or "output_config" in self._extra:  # the API refuses a schema beside citations
            self._takes_schemas("never")

    @property
    def keeps_thinking(self) -> bool:
        """Whether the API insists that a turn in progress begins with its thinking: it does where that has a budget."""
        return self._keeps_thinking

    async def count_tokens(
        self,
        messages: str | Sequence[Message],
        *,
        tools: Iterable[Tool | Callable[..., Any]] = (),
        system_prompt: str = "",
        timeout: float = 60.0,
    ) -> int:
        """How many input tokens the API counts for a request, without asking the model.

        Args:
            messages: The conversation; a string is one user message.
            tools: Tools or functions, as an agent takes them.
            system_prompt: "" for none.
            timeout: Seconds.

        Raises:
            ConfigError: A mistake in `tools`.
            ProviderError: As `complete` does.
        """
        check.number("timeout", timeout)
        request = ModelRequest(_history(messages), tuple(toolbox(tools).values()), system_prompt)
        body = self._request(request, self._count_start)
        key = await self._key_now()
        secrets = self._secrets(key)
        endpoint = self._count_endpoint
        count = _Count(secrets)

        async def consume(reply: Reply) -> int:
            await _exchange.read(reply, count, None, where=endpoint.where, streaming=False, secrets=secrets)
            return count.tokens

        headers = self._headers(key, streaming=False)
        return await endpoint.post(headers, body, Deadline.after(timeout), consume)

    @override
    def _body(self, request: ModelRequest, start: bytes, state: Mapping[str, Any]) -> bytes:
        return self._request(request, start, container=self._container(state))

    @override
    def _fold(self, secrets: list[str]) -> MessagesReply:
        return MessagesReply(secrets)

    @override
    def _own_headers(self, key: str | None) -> dict[str, str]:
        return {**self._headers_of_api, **({} if key is None else {"x-api-key": key})}

    def _request(self, request: ModelRequest, start: bytes, **members: bytes | None) -> bytes:
        pieces = self._format.messages(request.messages)
        if not pieces or (
            request.messages[-1].role == "user" and not pieces[-1].startswith(b'{"role":"user"')
        ):
            raise InvalidRequestError(
                "messages: the last one says nothing; give it text, a file or a tool's result"
            )
        system = None
        if request.system_prompt and "system" not in self._extra:
            system = (
                self._marks.prompt(request.system_prompt) if self._marks else dumps(request.system_prompt)
            )
        if self._marks is not None:
            self._marks.ends(pieces, request.messages)
        offered = self._tools.encoded(self._format, request.tools)
        return closed(
            start,
            system=system,
            messages=array(pieces),
            tools=array(offered) if offered else None,
            tool_choice=self._tool_choice(request) if offered else None,
            output_config=self._output_config(request.output_schema),
            **members,
        )

    def _output_config(self, schema: Mapping[str, Any] | None) -> bytes | None:
        if "output_config" in self._extra:
            return None
        config: dict[str, Any] = {}
        if self._effort is not None:
            config["effort"] = self._effort
        if schema is not None:
            config["format"] = {"type": "json_schema", "schema": strict(schema)}
        return dumps(config) if config else None

    def _tool_choice(self, request: ModelRequest) -> bytes | None:
        return (
            b'{"type":"none"}' if request.tool_choice == "none" and "tool_choice" not in self._extra else None
        )

    def _container(self, state: Mapping[str, Any]) -> bytes | None:
        """The container of an earlier reply, as long as it lives."""
        name = state.get("container_id")
        if "container" in self._extra or not name or not _is_to_come(state.get("container_expires_at")):
            return None if self._skills is None else dumps(self._skills)
        return dumps(name if self._skills is None else {**self._skills, "id": name})

    def _container_without_id(self) -> dict[str, Any] | None:
        """The caller's `container` where it only names skills: the id of the living one is added to it."""
        given = self._extra.get("container")
        return self._extra.pop("container") if isinstance(given, dict) and "id" not in given else None

    def _betas(self, given: Sequence[str]) -> list[str]:
        """One header of them all: the caller's own would replace it otherwise."""
        headers = dict(self._extra_headers.reveal())
        names = options.betas(given, headers.pop("anthropic-beta", ""))
        self._extra_headers = check.Hidden(headers)
        if "context_management" in self._extra and CONTEXT_MANAGEMENT not in names:
            names.append(CONTEXT_MANAGEMENT)
        return names

    def _take_tools(
        self,
        server_tools: list[dict[str, Any]],
        tool_options: object,
        cache: object,
        shared: SharedOptions,
    ) -> None:
        own = options.tool_options(tool_options)
        fixed = [*server_tools, *(shared.get("extra_body") or {}).get("tools", ())]
        ttl = options.ttl(cache)
        self._marks = None
        if ttl is not None:
            theirs = marks_in([*fixed, own, self._extra])
            self._marks = Marks(ttl, system="system" not in self._extra, theirs=theirs)
        self._tools = Toolset(own, fixed, self._marks)


class _Count(ReplyFold):
    """What counting answers."""

    __slots__ = ("tokens",)

    @override
    def feed(self, data: bytes, deltas: list[Delta]) -> bool:
        value = self.parse(data)
        if value.get("error"):
            raise self.error(value["error"])
        tokens = value.get("input_tokens")
        if type(tokens) is not int:
            raise MalformedReplyError("the count holds no input_tokens")
        self.tokens: int = tokens
        return True


def _history(given: object) -> tuple[Message, ...]:
    if isinstance(given, str):
        return (user(given),)
    if not isinstance(given, Sequence) or not all(isinstance(item, Message) for item in given):
        raise ConfigError("messages must be a string or a list of Message")
    return tuple(given)


def _is_to_come(when: Any) -> bool:
    """Whether an instant is not over; one that cannot be read might be."""
    try:
        instant = datetime.fromisoformat(when)
    except (TypeError, ValueError):
        return True
    if instant.tzinfo is None:
        instant = instant.replace(tzinfo=UTC)
    return instant > datetime.now(UTC)
