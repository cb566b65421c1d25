"""Chat Completions, outgoing: our messages and tools as the JSON of `POST /v1/chat/completions`.

Source: OpenAI API reference, Chat Completions; DeepSeek API, reasoning_content.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from alloy_actors.blocks import (
    MEDIA,
    AudioBlock,
    DocumentBlock,
    ImageBlock,
    RawBlock,
    TextBlock,
    ThinkingBlock,
    ToolCall,
    ToolResult,
)
from alloy_actors.errors import InvalidRequestError
from alloy_actors.providers._json import dumps, from_json
from alloy_actors.providers._strict import strict_schema
from alloy_actors.providers._tool_checks import strictly
from alloy_actors.providers._wire import WireFormat, array, closed, notice

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from alloy_actors.content import ContentBlock, Message
    from alloy_actors.provider import ModelRequest
    from alloy_actors.providers._dialects import Echo
    from alloy_actors.tooldef import Tool


_SHORT = re.compile(r"[a-zA-Z0-9]{9}")


class ChatFormat(WireFormat):
    """Reasoning goes back where it came from, in the member that its server reads.

    Args:
        origin: See `WireFormat`.
        echo: The name of that member; None: the server refuses reasoning.
        short_ids: Ids of tool calls are made nine letters or digits.
    """

    __slots__ = ("echo", "short_ids")

    def __init__(self, origin: str, echo: Echo = "reasoning_content", short_ids: bool = False) -> None:  # noqa: FBT001, FBT002  (a key of the cache of formats)
        super().__init__(origin)
        self.echo = echo
        self.short_ids = short_ids

    def call_id(self, name: str) -> str:
        """An id as this server takes it; the same for the call and its result."""
        if not self.short_ids or _SHORT.fullmatch(name):
            return name
        return hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:9]

    @override
    def items(self, message: Message, answers: Sequence[ToolCall]) -> Iterable[dict[str, Any]]:
        return self._user(message) if message.role == "user" else (self._assistant(message),)

    @override
    def tool(self, definition: Tool) -> dict[str, Any]:
        with strictly(definition, "this API"):
            schema = strict_schema(definition.input_schema) if definition.strict else definition.input_schema
        function: dict[str, Any] = {
            "name": definition.name,
            "description": definition.description,
            "parameters": schema,
        }
        if definition.strict:
            function["strict"] = True
        return {"type": "function", "function": function}

    def _assistant(self, message: Message) -> dict[str, Any]:
        parts: list[dict[str, Any]] = []
        thoughts: list[ThinkingBlock] = []
        calls: list[dict[str, Any]] = []
        for block in message.blocks:
            if isinstance(block, ThinkingBlock):
                thoughts.append(block)
            elif isinstance(block, ToolCall):
                calls.append(self._call(block))
            elif isinstance(block, MEDIA):  # an assistant's message has no place for them
                parts.append({"type": "text", "text": notice(block)})
            elif isinstance(block, TextBlock | RawBlock):
                parts.append(_part(block))
        wire: dict[str, Any] = {"role": "assistant", "content": _content(parts, calls)}
        details = [item for block in thoughts for item in _details(block)]
        if details:
            wire["reasoning_details"] = details
        elif thoughts and self.echo is not None:
            wire[self.echo] = "\n".join(block.thinking for block in thoughts)
        if calls:
            wire["tool_calls"] = calls
        return wire

    def _call(self, call: ToolCall) -> dict[str, Any]:
        # Servers parse the arguments of old calls: those that were no object go back as an empty one.
        arguments = "{}" if call.invalid is not None else dumps(call.input).decode()
        function = {"name": call.name, "arguments": arguments}
        wire: dict[str, Any] = {"id": self.call_id(call.id), "type": "function", "function": function}
        if call.signature is not None:
            wire["extra_content"] = {"google": {"thought_signature": call.signature}}
        return wire

    def _user(self, message: Message) -> Iterable[dict[str, Any]]:
        if isinstance(message.content, str):
            return ({"role": "user", "content": message.content},)
        wire: list[dict[str, Any]] = []
        parts: list[dict[str, Any]] = []
        for block in message.blocks:
            if isinstance(block, ToolResult):
                call_id = self.call_id(block.tool_use_id)
                wire.append({"role": "tool", "tool_call_id": call_id, "content": block.text})
                parts += map(
                    _part, block.media
                )  # a tool's message holds text alone: what it shows follows it
            elif isinstance(block, (TextBlock, RawBlock, *MEDIA)):
                parts.append(_part(block))
        if len(parts) == 1 and _is_text(parts[0]):
            wire.append({"role": "user", "content": parts[0]["text"]})
        elif parts:
            wire.append({"role": "user", "content": parts})
        return wire


def body(
    start: bytes,
    chat: WireFormat,
    request: ModelRequest,
    more_tools: bytes = b"",
    extra: Mapping[str, Any] = {},
    *,
    schemas: bool = True,
) -> bytes:
    """A request's body: `start` (see `opened`), the system prompt, the messages, the tools, then `more_tools`.

    `schemas` is whether the server takes one for the answer, else the system prompt says it.
    """
    pieces = chat.messages(request.messages)
    prompt = request.system_prompt
    wanted = None
    if request.output_schema is not None and "response_format" not in extra:
        if schemas:
            wanted = {"type": "json_schema", "json_schema": _answer(request.output_schema)}
        else:
            said = f"Answer with JSON that fits this schema: {dumps(request.output_schema).decode()}"
            prompt = f"{prompt}\n\n{said}" if prompt else said
            wanted = {"type": "json_object"}
    if prompt:
        pieces.insert(0, dumps({"role": "system", "content": prompt}))
    offered = chat.tools(request.tools, more_tools)
    no_calls = offered and request.tool_choice == "none" and "tool_choice" not in extra
    return closed(
        start,
        messages=array(pieces),
        tools=array(offered) if offered else None,
        tool_choice=b'"none"' if no_calls else None,
        response_format=None if wanted is None else dumps(wanted),
    )


def _answer(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Strict where the schema can be said so; else as it is: most servers take more, and none takes a wrong claim."""
    try:
        return {"name": "answer", "schema": strict_schema(schema), "strict": True}
    except InvalidRequestError:
        return {"name": "answer", "schema": schema, "strict": False}


def _content(parts: list[dict[str, Any]], calls: list[dict[str, Any]]) -> str | list[dict[str, Any]] | None:
    """An assistant's content: a string, as every server takes it, unless there is more than text in it."""
    if not all(map(_is_text, parts)):
        return parts
    text = "\n".join(part["text"] for part in parts)
    # `null` beside tool calls is the documented form; without any, servers want a string.
    return text if text or not calls else None


def _is_text(part: dict[str, Any]) -> bool:
    return part.keys() == {"type", "text"} and part["type"] == "text"


def _details(block: ThinkingBlock) -> list[Any]:
    """See `_chat_details`; [] for a block whose raw form is none."""
    found = [] if block.raw is None else from_json(block.raw)
    return found if isinstance(found, list) else []


def _part(block: ContentBlock) -> dict[str, Any]:
    """One part of a user message's content."""
    match block:
        case TextBlock():
            return {"type": "text", "text": block.text}
        case RawBlock():
            part: dict[str, Any] = from_json(block.raw)
            return part
        case ImageBlock():
            url = block.uri if block.data is None else f"data:{block.mime_type};base64,{block.data}"
            return {"type": "image_url", "image_url": {"url": url}}
        case AudioBlock(data=str() as data):
            kind = block.mime_type.partition("/")[2].removeprefix("x-")
            sound = {"data": data, "format": {"mpeg": "mp3"}.get(kind, kind)}
            return {"type": "input_audio", "input_audio": sound}
        case DocumentBlock(data=str() as data):
            file = {
                "filename": block.title or "document",
                "file_data": f"data:{block.mime_type};base64,{data}",
            }
            return {"type": "file", "file": file}
        case _:
            assert isinstance(block, MEDIA)
            return {"type": "text", "text": notice(block)}
