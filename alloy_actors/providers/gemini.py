"""Google's GenerateContent API: Gemini, at the Gemini API and at servers that speak it too."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Unpack
from urllib.parse import quote

from typing_extensions import override

from alloy_actors.__about__ import __version__
from alloy_actors.errors import ConfigError, InvalidRequestError
from alloy_actors.providers import _gemini_options as options
from alloy_actors.providers import _options as check
from alloy_actors.providers._base import HTTPProvider, SharedOptions, key_or_env
from alloy_actors.providers._gemini_reply import ContentReply
from alloy_actors.providers._gemini_request import ContentsFormat
from alloy_actors.providers._gemini_schema import translated
from alloy_actors.providers._json import dumps
from alloy_actors.providers._wire import array, closed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from httpx import AsyncClient

    from alloy_actors.provider import ModelRequest
    from alloy_actors.providers._base import ApiKey

API_URL = "https://generativelanguage.googleapis.com"


class Gemini(HTTPProvider):
    """A Gemini model.

    Args:
        model: For example "gemini-2.5-flash"; a "models/" before it is taken off.
        api_key: A string, a `SecretStr`, or a function returning one (or an awaitable of one) that is asked before
            each request, on the runtime's loop. None takes GEMINI_API_KEY, else GOOGLE_API_KEY, from the environment.
        api_url: The server's address; the version at its end may be there or not. None is Google's own.
        http_client: Your own `httpx.AsyncClient` (proxies, mocks, certificates): used on the runtime's loop, never
            closed. Its own timeouts are not used.
        api_version: A part of the path.
        max_tokens: Of the answer, thinking included; sent only when given.
        thinking: True asks for summaries of the model's thoughts; a level ("low", "high" ...) or a budget of tokens
            (-1: as the model likes) does so too; False and 0 switch thinking off where the model can; a mapping goes
            out as it is. None leaves it to the API.
        generation_config: Members of `generationConfig` as the API names them: `{"temperature": 0, "topK": 10}`.
        safety_settings: A mapping of category to threshold, or the API's list.
        tool_config: As the API takes it; sent with tools only.
        google_search: Let the model search: True, or the tool's own options.
        code_execution: Let the model run code: True, or the tool's own options.
        url_context: Let the model read the pages that the conversation names: True, or the tool's own options.
        server_tools: Further tools that run at Google, as the API takes them: `[{"googleMaps": {}}]`.
        shared: See `SharedOptions`; in `extra_body`, `contents` are not yours, and `generationConfig` is joined with
            what the options say.

    Raises:
        ConfigError: Any mistake in these; the message names the option.
    """

    vendor = "google"
    output_schemas = "alone"  # beside tools the models before Gemini 3 refuse one
    _wire = "gemini"
    _decided = ("contents",)

    def __init__(
        self,
        model: str,
        api_key: ApiKey = None,
        api_url: str | None = None,
        http_client: AsyncClient | None = None,
        *,
        api_version: str = "v1beta",
        max_tokens: int | None = None,
        thinking: bool | int | str | Mapping[str, Any] | None = None,
        generation_config: Mapping[str, Any] | None = None,
        safety_settings: Mapping[str, str] | Sequence[Mapping[str, Any]] = (),
        tool_config: Mapping[str, Any] | None = None,
        google_search: bool | Mapping[str, Any] = False,
        code_execution: bool | Mapping[str, Any] = False,
        url_context: bool | Mapping[str, Any] = False,
        server_tools: Sequence[Mapping[str, Any]] = (),
        **shared: Unpack[SharedOptions],
    ) -> None:
        name = check.text("model", model).strip().removeprefix("models/")
        version = check.text("api_version", api_version).strip("/")
        url = check.base_url("api_url", API_URL if api_url is None else api_url).removesuffix(f"/{version}")
        path = name if "/" in name else f"models/{name}"  # "tunedModels/..." say what they are
        address = f"{url}/{quote(version)}/{quote(path)}"
        key = key_or_env(api_key, type(self).__name__, "GEMINI_API_KEY", "GOOGLE_API_KEY")
        super().__init__(
            name,
            key,
            url,
            http_client,
            url=f"{address}:generateContent",
            stream_url=f"{address}:streamGenerateContent?alt=sse",
            shared=shared,
        )
        extra = self._extra.pop("generationConfig", None)
        self._config = options.generation_config(generation_config, extra, max_tokens, thinking)
        own_tools = options.server_tools(
            server_tools,
            google_search=google_search,
            code_execution=code_execution,
            url_context=url_context,
        )
        self._own_tools = [self._encoded("server_tools", tool) for tool in own_tools]
        if self._more_tools:
            self._own_tools.append(self._more_tools)
        config = check.mapping("tool_config", tool_config)
        self._tool_config = self._encoded("tool_config", config) if config else None
        self._no_calls = self._encoded("tool_config", {**config, "functionCallingConfig": {"mode": "NONE"}})
        self._encoded("generation_config", self._config)
        if any(name in self._config for name in options.FORMS):
            self._takes_schemas("never")
        safety = options.safety_settings(safety_settings)
        self._begin_bodies({"safetySettings": safety} if safety else {}, {})
        self._format = ContentsFormat.of(self._origin)

    @override
    def _body(self, request: ModelRequest, start: bytes, state: Mapping[str, Any]) -> bytes:
        contents = self._format.messages(request.messages)
        if not contents or (
            request.messages[-1].role == "user" and not contents[-1].startswith(b'{"role":"user"')
        ):
            raise InvalidRequestError(
                "messages: the last one says nothing; give it text, a file or a tool's result"
            )
        system = None
        if request.system_prompt and "systemInstruction" not in self._extra:
            system = dumps({"parts": [{"text": request.system_prompt}]})
        tools = list(self._own_tools)
        functions = self._format.tools(request.tools)
        if functions:
            tools.insert(0, b'{"functionDeclarations":%s}' % array(functions))
        config = self._generation_config(request.output_schema)
        about_tools = self._no_calls if request.tool_choice == "none" and functions else self._tool_config
        return closed(
            start,
            systemInstruction=system,
            contents=array(contents),
            tools=array(tools) if tools else None,
            toolConfig=about_tools if tools and "toolConfig" not in self._extra else None,
            generationConfig=dumps(config) if config else None,
        )

    @override
    def _fold(self, secrets: list[str]) -> ContentReply:
        return ContentReply(secrets)

    @override
    def _own_headers(self, key: str | None) -> dict[str, str]:
        headers = {"x-goog-api-client": f"alloy-actors/{__version__}"}
        return headers if key is None else {**headers, "x-goog-api-key": key}

    def _generation_config(self, schema: Mapping[str, Any] | None) -> dict[str, Any]:
        if schema is None or any(name in self._config for name in options.FORMS):
            return self._config
        answer = {
            "responseMimeType": "application/json",
            "responseJsonSchema": translated(schema, "the output schema"),
        }
        return {**self._config, **answer}

    @staticmethod
    def _encoded(name: str, value: object) -> bytes:
        try:
            return dumps(value)
        except (TypeError, ValueError) as exc:
            raise ConfigError(f"{name} must be JSON: {exc}") from exc
