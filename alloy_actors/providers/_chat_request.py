"""Chat Completions, outgoing: our messages and tools as the JSON of `POST /v1/chat/completions`.

A message is encoded once for a format and kept beside it; a body is the joined pieces. Encoding is deterministic,
so that a provider's prompt cache sees the same bytes again.

Source: OpenAI API reference, Chat Completions; DeepSeek API, reasoning_content.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

from alloy_actors.content import ImageBlock, TextBlock, ThinkingBlock, ToolCall, ToolResult
from alloy_actors.providers._json import dumps

if TYPE_CHECKING:
    from collections.abc import Iterable

    from alloy_actors.content import Message
    from alloy_actors.provider import ModelRequest
    from alloy_actors.tooldef import Tool


class ChatFormat:
    """The encoding for one origin; the key of the messages' caches, so there is one object per origin.

    Reasoning goes back, as `reasoning_content`, only where it came from; what another origin thought is shown to
    this one as text.
    """

    __slots__ = ("__weakref__", "origin")

    def __init__(self, origin: str) -> None:
        self.origin = origin

    def message(self, message: Message) -> bytes:
        """The wire's messages for one of ours, joined by commas: a tool result is a message of its own there.

        b"" when nothing of it can be said on this wire.
        """
        kept = message.cached_wire(self)
        if kept is not None:
            return kept
        wire = _user(message) if message.role == "user" else self._assistant(message)
        return message.cache_wire(self, b",".join(dumps(item) for item in wire))

    def _assistant(self, message: Message) -> Iterable[dict[str, Any]]:
        foreign = message.origin is not None and message.origin != self.origin
        texts: list[str] = []
        thoughts: list[str] = []
        calls: list[dict[str, Any]] = []
        for block in message.blocks:
            if isinstance(block, TextBlock):
                texts.append(block.text)
            elif isinstance(block, ThinkingBlock):
                (texts if foreign and block.thinking.strip() else thoughts).append(block.thinking)
            elif isinstance(block, ToolCall):
                # Servers parse the arguments of old calls: those that were no object go back as an empty one.
                arguments = "{}" if block.invalid is not None else dumps(block.input).decode()
                function = {"name": block.name, "arguments": arguments}
                calls.append({"id": block.id, "type": "function", "function": function})
        if foreign and not any(texts) and not calls:
            return ()
        # `null` beside tool calls is the documented form; without any, servers want a string.
        text = "\n".join(texts)
        wire: dict[str, Any] = {"role": "assistant", "content": text if text or not calls else None}
        if thoughts and not foreign:
            wire["reasoning_content"] = "\n".join(thoughts)
        if calls:
            wire["tool_calls"] = calls
        return (wire,)


def _user(message: Message) -> Iterable[dict[str, Any]]:
    if isinstance(message.content, str):
        return ({"role": "user", "content": message.content},)
    wire: list[dict[str, Any]] = []
    parts: list[dict[str, Any]] = []
    for block in message.blocks:
        if isinstance(block, ToolResult):
            wire.append({"role": "tool", "tool_call_id": block.tool_use_id, "content": block.content})
        elif isinstance(block, TextBlock):
            parts.append({"type": "text", "text": block.text})
        elif isinstance(block, ImageBlock):
            url = f"data:{block.mime_type};base64,{block.data}"
            parts.append({"type": "image_url", "image_url": {"url": url}})
    if len(parts) == 1 and parts[0]["type"] == "text":
        wire.append({"role": "user", "content": parts[0]["text"]})
    elif parts:
        wire.append({"role": "user", "content": parts})
    return wire


_TOOLS = object()  # tools look the same to every origin


def tool(definition: Tool) -> bytes:
    """A tool's definition on the wire."""
    kept = definition.cached_wire(_TOOLS)
    if kept is not None:
        return kept
    function = {
        "name": definition.name,
        "description": definition.description,
        "parameters": definition.input_schema,
    }
    return definition.cache_wire(_TOOLS, dumps({"type": "function", "function": function}))


def head(fixed: dict[str, Any]) -> bytes:
    """The part of every body that comes before the messages, with the options in it; open at its end."""
    return dumps(fixed)[:-1] + (b',"messages":[' if fixed else b'"messages":[')


def body(start: bytes, chat: ChatFormat, request: ModelRequest, more_tools: bytes = b"") -> bytes:
    """A request's body: `start` (see `head`), the system prompt, the messages, the tools, then `more_tools`."""
    pieces = [piece for piece in map(chat.message, request.messages) if piece]
    if request.system_prompt:
        pieces.insert(0, b'{"role":"system","content":' + dumps(request.system_prompt) + b"}")
    offered = [tool(definition) for definition in request.tools]
    if more_tools:
        offered.append(more_tools)
    tools = b'],"tools":[' + b",".join(offered) if offered else b""
    return b"".join((start, b",".join(pieces), tools, b"]}"))


_formats: WeakValueDictionary[str, ChatFormat] = WeakValueDictionary()


def chat_format(origin: str) -> ChatFormat:
    """The format of an origin: the same object for all its providers, so that set_model keeps what is encoded."""
    return _formats.setdefault(origin, ChatFormat(origin))
