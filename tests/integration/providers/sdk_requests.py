"""Whether a request is one that its vendor's official SDK could have sent: checked with the SDKs' own request types.

Stricter than these where they are lazy: a member that the types do not name is refused, and lists are read to the end.
What the types do not say is checked beside them: each tool call is answered once, in order, right after its message.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

from anthropic.types import message_create_params
from google.genai import types as google
from openai.types.chat import completion_create_params
from openai.types.responses import response_create_params
from pydantic import TypeAdapter
from pydantic_core import SchemaValidator
from typing_extensions import TypedDict

Body = dict[str, Any]


class GenerateContent(TypedDict, total=False):
    """The body of generateContent; the SDK has types for its members alone."""

    contents: list[google.Content]
    systemInstruction: google.Content
    tools: list[google.Tool]
    toolConfig: google.ToolConfig
    safetySettings: list[google.SafetySetting]
    generationConfig: google.GenerationConfig


# Members that servers of Chat Completions have beside OpenAI's own, by the place they stand in.
CHAT_EXTENSIONS = {"reasoning", "reasoning_content", "reasoning_details", "extra_content"}


def check_chat(body: Body) -> None:
    """Raise for what is no request of Chat Completions."""
    kind = "Streaming" if body.get("stream") else "NonStreaming"
    _check(
        getattr(completion_create_params, f"CompletionCreateParams{kind}"), _without(body, CHAT_EXTENSIONS)
    )
    calls, answers = [], []
    for message in body["messages"]:
        calls += [call["id"] for call in message.get("tool_calls", ())]
        if message["role"] == "tool":
            answers.append(message["tool_call_id"])
        else:
            assert answers == calls[: len(answers)], "an answer before its call"
    _paired(calls, answers)


def check_responses(body: Body) -> None:
    """Raise for what is no request of the Responses API."""
    kind = "Streaming" if body.get("stream") else "NonStreaming"
    _check(getattr(response_create_params, f"ResponseCreateParams{kind}"), body)
    items = [item for item in body["input"] if isinstance(item, dict)]
    _paired(
        [item["call_id"] for item in items if item.get("type") == "function_call"],
        [item["call_id"] for item in items if item.get("type") == "function_call_output"],
    )


def check_anthropic(body: Body) -> None:
    """Raise for what is no request of the Messages API."""
    kind = "Streaming" if body.get("stream") else "NonStreaming"
    _check(getattr(message_create_params, f"MessageCreateParams{kind}"), body)
    roles = [message["role"] for message in body["messages"]]
    assert roles == (["user", "assistant"] * len(roles))[: len(roles)], roles
    asked: list[str] = []
    for message in body["messages"]:
        blocks = message["content"] if isinstance(message["content"], list) else []
        _paired(asked, [block["tool_use_id"] for block in blocks if block["type"] == "tool_result"])
        asked = [block["id"] for block in blocks if block["type"] == "tool_use"]
    _paired(asked, [])


def check_gemini(body: Body) -> None:
    """Raise for what is no request of GenerateContent."""
    _check(GenerateContent, body)
    asked: list[str] = []
    for content in body["contents"]:
        answers = [part["functionResponse"] for part in content["parts"] if "functionResponse" in part]
        _paired(asked if content["role"] == "user" else [], [answer["name"] for answer in answers])
        calls = [part["functionCall"] for part in content["parts"] if "functionCall" in part]
        asked = [call["name"] for call in calls]
    _paired(asked, [])


def _paired(calls: list[str], answers: list[str]) -> None:
    assert answers == calls, f"calls {calls}, answers {answers}"


def _check(kind: Any, body: Body) -> None:
    _validator(kind).validate_json(json.dumps(body))


@cache
def _validator(kind: Any) -> SchemaValidator:
    return SchemaValidator(_strict(TypeAdapter(kind).core_schema))


def _strict(schema: Any) -> Any:
    """The schema that refuses unknown members and reads at once what it would only read on demand."""
    if isinstance(schema, list | tuple):
        return type(schema)(map(_strict, schema))
    if not isinstance(schema, dict):
        return schema
    found = {name: _strict(value) for name, value in schema.items()}
    kind = str(found.get("type"))  # of a field with this name it is a schema
    if kind == "generator":
        found["type"] = "list"
    elif kind in {"typed-dict", "model-fields"}:
        found["extra_behavior"] = "forbid"
    elif kind == "model":  # Anthropic's types take the blocks of a reply as well
        found["config"] = {**found.get("config", {}), "extra_fields_behavior": "forbid"}
    return found


def _without(value: Any, names: set[str]) -> Any:
    if isinstance(value, dict):
        return {name: _without(item, names) for name, item in value.items() if name not in names}
    return [_without(item, names) for item in value] if isinstance(value, list) else value


def strings(value: Any) -> Iterator[str]:
    """Every string in a body."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from strings(item)
    elif isinstance(value, list):
        for item in value:
            yield from strings(item)


Check = Callable[[Body], None]
