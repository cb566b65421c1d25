"""Responses, outgoing: our messages and tools as the JSON of `POST /v1/responses`.

Messages, calls and their results are written anew from their fields, without the ids that only a server which stores
them could look up. What the fields cannot say goes back as it came: reasoning (encrypted, as nothing is stored),
searches and the other items of the provider's own.

Source: OpenAI API reference, Responses; OpenAI guides, Reasoning and Images; xAI docs, Troubleshooting reasoning.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from alloy_actors.blocks import MEDIA, DocumentBlock, ImageBlock, RawBlock, TextBlock, ToolCall, ToolResult
from alloy_actors.errors import InvalidRequestError
from alloy_actors.providers._json import dumps, from_json
from alloy_actors.providers._strict import strict_schema
from alloy_actors.providers._tool_checks import refuse_at_the_top, strictly
from alloy_actors.providers._wire import WireFormat, notice

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from alloy_actors.blocks import MediaBlock
    from alloy_actors.content import ContentBlock, Message
    from alloy_actors.tooldef import Tool

VENDOR = "OpenAI"
NOT_AT_THE_TOP = ("oneOf", "anyOf", "allOf", "enum", "not")
CALLERS = {"direct": "direct", "code_execution": "programmatic"}


@dataclass(frozen=True, slots=True)
class Dialect:
    """What one vendor of this API takes.

    Args:
        vendor: Its name, for messages.
        images: MIME types of images.
        max_image: Bytes of one image, decoded.
        images_in_results: Whether a tool's result may hold them; else they follow it.
    """

    vendor: str
    images: tuple[str, ...]
    max_image: int
    images_in_results: bool

    def complaint(self, image: ImageBlock) -> str | None:
        """What is wrong with an image that is sent along; None for nothing."""
        if image.data is None:
            return None
        if image.mime_type not in self.images:
            return f"mime_type {image.mime_type!r}: {self.vendor} takes {', '.join(self.images)}; convert it"
        size = len(image.data) * 3 // 4
        if size > self.max_image:
            return f"data of {size:,} bytes: {self.vendor} takes {self.max_image:,}; make it smaller"
        return None


class ResponsesFormat(WireFormat):
    """The items of one origin.

    Args:
        origin: See `WireFormat`.
        dialect: The vendor's.
        replays: Whether the provider's own items go back to it: not where it keeps them itself.
    """

    __slots__ = ("_dialect", "_replays")

    def __init__(self, origin: str, dialect: Dialect, replays: bool) -> None:  # noqa: FBT001  (see `of`)
        super().__init__(origin)
        self._dialect = dialect
        self._replays = replays

    @override
    def items(self, message: Message, answers: Sequence[ToolCall]) -> Iterable[dict[str, Any]]:
        if message.role == "assistant":
            return self._assistant(message)
        if isinstance(message.content, str):
            return ({"role": "user", "content": message.content},)
        return self._user(message, {call.id: call for call in answers})

    @override
    def tool(self, definition: Tool) -> dict[str, Any]:
        return _function(definition)

    def _assistant(self, message: Message) -> Iterable[dict[str, Any]]:
        for block in message.blocks:
            raw = getattr(block, "raw", None)
            if raw is not None and self._replays:
                yield from_json(raw)
            elif isinstance(block, TextBlock):
                if block.text:
                    text = {"role": "assistant", "content": block.text}
                    yield text if block.phase is None else {**text, "phase": block.phase}
            elif isinstance(block, ToolCall):
                yield _call(block)
            elif isinstance(block, MEDIA):
                yield {"role": "assistant", "content": notice(block)}

    def _user(self, message: Message, calls: Mapping[str, ToolCall]) -> Iterable[dict[str, Any]]:
        parts: list[dict[str, Any]] = []
        for block in message.blocks:
            if isinstance(block, ToolResult):
                yield self._result(block, calls.get(block.tool_use_id))
                if not self._dialect.images_in_results:
                    parts += map(self._shown, block.media)
            elif isinstance(block, (TextBlock, RawBlock, *MEDIA)):
                parts.append(self._part(block))
        if len(parts) == 1 and parts[0].get("type") == "input_text":
            yield {"role": "user", "content": parts[0]["text"]}
        elif parts:
            yield {"role": "user", "content": parts}

    def _result(self, result: ToolResult, call: ToolCall | None) -> dict[str, Any]:
        # There is no flag for a failure: the model reads it.
        failed = result.is_error and not result.text.lower().startswith("error")
        text = f"Error: {result.text}" if failed else result.text
        output: str | list[dict[str, Any]] = text
        if result.media and self._dialect.images_in_results:
            parts = [
                _text(block) if isinstance(block, TextBlock) else self._shown(block)
                for block in _parts(result)
            ]
            output = [{"type": "input_text", "text": "Error"}, *parts] if failed else parts
        wire = {"type": "function_call_output", "call_id": result.tool_use_id, "output": output}
        return wire if call is None or call.caller is None else {**wire, "caller": call.caller}

    def _part(self, block: ContentBlock) -> dict[str, Any]:
        """One part of what the user says."""
        match block:
            case TextBlock():
                return _text(block)
            case RawBlock():
                part: dict[str, Any] = from_json(block.raw)
                return part
            case ImageBlock():
                if complaint := self._dialect.complaint(block):
                    raise InvalidRequestError(f"an ImageBlock has {complaint}")
                return _image(block)
            case DocumentBlock():
                return _document(block)
            case _:
                assert isinstance(block, MEDIA)
                return {"type": "input_text", "text": notice(block)}

    def _shown(self, block: MediaBlock) -> dict[str, Any]:
        """A file that a tool shows. What cannot be shown is no mistake of the caller's, and no reason to end the run."""
        if isinstance(block, ImageBlock) and not self._dialect.complaint(block):
            return _image(block)
        if isinstance(block, DocumentBlock):
            return _document(block)
        return {"type": "input_text", "text": notice(block)}


def _function(tool: Tool) -> dict[str, Any]:
    """A function, as the model is told of it.

    Raises:
        ConfigError: The API refuses its schema.
    """
    refuse_at_the_top(tool, VENDOR, NOT_AT_THE_TOP)
    with strictly(tool, VENDOR):
        schema = strict_schema(tool.input_schema) if tool.strict else tool.input_schema
    wire: dict[str, Any] = {
        "type": "function",
        "name": tool.name,
        "description": tool.description,
        "parameters": schema,
        "strict": tool.strict,  # left out it means true, and optional arguments would be required
    }
    if tool.defer_loading:
        wire["defer_loading"] = True
    if tool.allowed_callers is not None:
        wire["allowed_callers"] = [CALLERS[name] for name in tool.allowed_callers]
    return wire


def _call(call: ToolCall) -> dict[str, Any]:
    # Servers parse the arguments of old calls: those that were no object go back as an empty one.
    arguments = "{}" if call.invalid is not None else dumps(call.input).decode()
    wire = {"type": "function_call", "call_id": call.id, "name": call.name, "arguments": arguments}
    return wire if call.caller is None else {**wire, "caller": call.caller}


def _parts(result: ToolResult) -> Iterable[TextBlock | MediaBlock]:
    assert not isinstance(result.content, str)
    return result.content


def _text(block: TextBlock) -> dict[str, Any]:
    return {"type": "input_text", "text": block.text}


def _image(image: ImageBlock) -> dict[str, Any]:
    wire = {"type": "input_image", "detail": "auto"}
    if image.data is not None:
        return {**wire, "image_url": f"data:{image.mime_type};base64,{image.data}"}
    return {**wire, "image_url" if _is_url(image.uri) else "file_id": image.uri}


def _document(document: DocumentBlock) -> dict[str, Any]:
    if document.data is None:
        return {"type": "input_file", "file_url" if _is_url(document.uri) else "file_id": document.uri}
    return {
        "type": "input_file",
        "filename": document.title or "document",
        "file_data": f"data:{document.mime_type};base64,{document.data}",
    }


def _is_url(uri: str | None) -> bool:
    """Whether it is an address; else it is the name that the provider's file store gave it."""
    return uri is not None and ":" in uri
