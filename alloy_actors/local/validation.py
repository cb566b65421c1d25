"""Refuse what the real API would refuse, with its words where they are known, so that a client's mistake shows here first."""

from __future__ import annotations

import json
import re
from typing import Any

from alloy_actors.local.errors import ApiError

_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_ROLES = ("system", "developer", "user", "assistant", "tool")
_PARTS = {
    "system": {"text"},
    "developer": {"text"},
    "tool": {"text"},
    "assistant": {"text", "refusal"},
    "user": {"text", "image_url", "input_audio", "file"},
}


def check_request(body: Any) -> dict[str, Any]:
    """Return the body if it is a well-formed request, history included.

    Raises:
        ApiError: The first mistake found, with the field's path in `param`.
    """
    if not isinstance(body, dict):
        raise ApiError("The body of the request must be a JSON object.")
    if not isinstance(body.get("model"), str) or not body["model"]:
        raise ApiError(
            "You must provide a model parameter.", param="model", code="missing_required_parameter"
        )
    messages = body.get("messages")
    if not isinstance(messages, list):
        raise ApiError(
            "Missing required parameter: 'messages', a list.",
            param="messages",
            code="missing_required_parameter",
        )
    if not messages:
        raise ApiError(
            "Invalid 'messages': empty array. Expected an array with minimum length 1, but got an empty array instead.",
            param="messages",
            code="empty_array",
        )
    for index, message in enumerate(messages):
        _check_message(message, f"messages[{index}]")
    _check_pairs(messages)
    _check_tools(body)
    _check_options(body)
    return body


def _check_message(message: Any, path: str) -> None:
    if not isinstance(message, dict):
        raise ApiError(f"Invalid type for '{path}': expected an object.", param=path, code="invalid_type")
    role = message.get("role")
    if role not in _ROLES:
        raise ApiError(
            f"Invalid value: {role!r}. Supported values are: {', '.join(map(repr, _ROLES))}.",
            param=f"{path}.role",
            code="invalid_value",
        )
    calls = message.get("tool_calls")
    if calls is not None:
        if role != "assistant":
            raise ApiError(
                f"'{path}.tool_calls' is only allowed with role 'assistant'.", param=f"{path}.tool_calls"
            )
        _check_calls(calls, f"{path}.tool_calls")
    if role == "tool" and not isinstance(message.get("tool_call_id"), str):
        raise ApiError(
            f"Missing required parameter: '{path}.tool_call_id'.",
            param=f"{path}.tool_call_id",
            code="missing_required_parameter",
        )
    _check_content(message.get("content"), role, f"{path}.content", optional=bool(calls))


def _check_content(content: Any, role: str, path: str, *, optional: bool) -> None:
    if isinstance(content, str) or (content is None and optional):
        return
    if not isinstance(content, list) or not content:
        raise ApiError(
            f"Invalid value for '{path}': expected a string or a list of parts, got {_kind(content)}.",
            param=path,
            code="invalid_type",
        )
    for index, part in enumerate(content):
        kind = part.get("type") if isinstance(part, dict) else None
        where = f"{path}[{index}]"
        if not isinstance(kind, str) or kind not in _PARTS[role]:
            allowed = ", ".join(map(repr, sorted(_PARTS[role])))
            raise ApiError(
                f"Invalid value: {kind!r}. Supported values for role {role!r} are: {allowed}.",
                param=f"{where}.type",
                code="invalid_value",
            )
        if kind == "text" and not isinstance(part.get("text"), str):
            raise ApiError(f"Missing required parameter: '{where}.text'.", param=f"{where}.text")


def _check_calls(calls: Any, path: str) -> None:
    if not isinstance(calls, list) or not calls:
        raise ApiError(
            f"Invalid '{path}': expected a list of at least one call.", param=path, code="empty_array"
        )
    seen: set[str] = set()
    for index, call in enumerate(calls):
        where = f"{path}[{index}]"
        function = call.get("function") if isinstance(call, dict) else None
        if not isinstance(function, dict) or call.get("type") != "function":
            raise ApiError(f"'{where}' must have type 'function' and an object 'function'.", param=where)
        identifier = call.get("id")
        if not isinstance(identifier, str) or not identifier:
            raise ApiError(f"Missing required parameter: '{where}.id'.", param=f"{where}.id")
        if identifier in seen:
            raise ApiError(f"Duplicate tool call id {identifier!r} in one message.", param=f"{where}.id")
        seen.add(identifier)
        _check_name(function.get("name"), f"{where}.function.name")
        _check_arguments(function.get("arguments"), f"{where}.function.arguments")


def _check_arguments(arguments: Any, path: str) -> None:
    """OpenAI itself takes any text here; many servers that speak its dialect (vLLM, llama.cpp) parse it and fail."""
    try:
        if isinstance(arguments, str) and isinstance(json.loads(arguments), dict):
            return
    except ValueError:
        pass
    raise ApiError(f"'{path}' must be a string that holds a JSON object.", param=path, code="invalid_type")


def _check_pairs(messages: list[dict[str, Any]]) -> None:
    """Every tool call is answered exactly once, directly after the message that made it."""
    waiting: list[str] = []
    caller = 0
    for index, message in enumerate(messages):
        if message["role"] == "tool":
            if message["tool_call_id"] not in waiting:
                raise ApiError(
                    "Invalid parameter: messages with role 'tool' must be a response to a preceding message with "
                    f"'tool_calls', one for each call; {message['tool_call_id']!r} is not waiting for one.",
                    param=f"messages[{index}].tool_call_id",
                )
            waiting.remove(message["tool_call_id"])
            continue
        _check_answered(waiting, caller)
        waiting = [call["id"] for call in message.get("tool_calls") or ()]
        caller = index
    _check_answered(waiting, caller)


def _check_answered(waiting: list[str], caller: int) -> None:
    if waiting:
        raise ApiError(
            "An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'. "
            f"The following tool_call_ids did not have response messages: {', '.join(waiting)}",
            param=f"messages[{caller}].tool_calls",
        )


def _check_tools(body: dict[str, Any]) -> None:
    tools = body.get("tools")
    if tools is None:
        for option in ("tool_choice", "parallel_tool_calls"):
            if body.get(option) is not None:
                raise ApiError(f"'{option}' is only allowed when 'tools' are specified.", param=option)
        return
    if not isinstance(tools, list) or not tools:
        raise ApiError(
            "Invalid 'tools': expected a list of at least one tool.", param="tools", code="empty_array"
        )
    names: set[str] = set()
    for index, tool in enumerate(tools):
        path = f"tools[{index}]"
        function = tool.get("function") if isinstance(tool, dict) else None
        if not isinstance(function, dict) or tool.get("type") != "function":
            raise ApiError(f"'{path}' must have type 'function' and an object 'function'.", param=path)
        _check_name(function.get("name"), f"{path}.function.name")
        if function["name"] in names:
            raise ApiError(f"Duplicate tool name {function['name']!r}.", param=f"{path}.function.name")
        names.add(function["name"])
        parameters = function.get("parameters")
        if parameters is not None and (
            not isinstance(parameters, dict) or parameters.get("type") != "object"
        ):
            raise ApiError(
                f"Invalid schema for function {function['name']!r}: 'parameters' must be a JSON schema of type 'object'.",
                param=f"{path}.function.parameters",
                code="invalid_function_parameters",
            )
    _check_choice(body.get("tool_choice"), names)


def _check_choice(choice: Any, names: set[str]) -> None:
    if choice is None or (isinstance(choice, str) and choice in {"none", "auto", "required"}):
        return
    function = choice.get("function") if isinstance(choice, dict) else None
    name = function.get("name") if isinstance(function, dict) else None
    if not isinstance(name, str) or name not in names:
        raise ApiError(
            "'tool_choice' must be 'none', 'auto', 'required' or name one of the 'tools'.",
            param="tool_choice",
        )


def _check_options(body: dict[str, Any]) -> None:
    stream = body.get("stream")
    if stream is not None and not isinstance(stream, bool):
        raise ApiError("Invalid type for 'stream': expected a boolean.", param="stream", code="invalid_type")
    if body.get("stream_options") is not None and not stream:
        raise ApiError(
            "The 'stream_options' parameter is only allowed when 'stream' is enabled.", param="stream_options"
        )
    for option in ("max_tokens", "max_completion_tokens"):
        value = body.get(option)
        if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
            raise ApiError(f"Invalid '{option}': expected an integer of at least 1.", param=option)
    if body.get("n") not in (None, 1):
        raise ApiError("Invalid 'n': the scripted stand-in gives one choice.", param="n")


def _check_name(name: Any, path: str) -> None:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ApiError(
            f"Invalid '{path}': expected a string that matches '^[a-zA-Z0-9_-]{{1,64}}$', got {name!r}.",
            param=path,
            code="invalid_value",
        )


def _kind(value: Any) -> str:
    return "null" if value is None else f"a {type(value).__name__}"
