"""The Messages API, incoming: the events of a stream, or one whole message, folded into a ModelReply.

A stream's blocks are put together as they would stand in a whole message, so both ways give the same answer. Usage is
cumulative: what comes later replaces what came before.

Source: Anthropic API reference, Messages and Streaming; the dialects of other servers each have an exchange in
tests/data/anthropic.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from typing_extensions import override

from alloy_actors.content import Message, TextBlock, ToolCall, Usage
from alloy_actors.errors import ConnectionFailedError, MalformedReplyError
from alloy_actors.provider import Delta, ModelReply
from alloy_actors.providers._anthropic_blocks import content_of
from alloy_actors.providers._fold import ReplyFold

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from alloy_actors.content import ContentBlock, StopReason

STOP_REASONS: dict[str, StopReason] = {
    "tool_use": "tool_use",
    "max_tokens": "max_tokens",
    "model_context_window_exceeded": "max_tokens",
    "refusal": "refusal",
    "pause_turn": "pause_turn",
}  # all others, `end_turn` and `stop_sequence` first of all: end_turn
FACTS = (
    "id",
    "model",
    "stop_sequence",
    "stop_details",
    "context_management",
    "input_transformations",
    "diagnostics",
)
NOTHING: dict[str, Any] = {}


class OpenBlock:
    """A block that is arriving: how it began, and the pieces of its text, its thinking or its arguments."""

    __slots__ = ("pieces", "start")

    def __init__(self, start: dict[str, Any]) -> None:
        self.start = start
        self.pieces: list[str] = []


class MessagesReply(ReplyFold):
    """Events; a whole message is read like the first of them that holds all."""

    __slots__ = ("_at", "_blocks", "_container", "_facts", "_kinds", "_stop", "_usage")

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        super().__init__(secrets)
        self._facts: dict[str, Any] = {}
        self._usage: dict[str, Any] = {}
        self._container: dict[str, Any] = {}
        self._stop: str | None = None
        self._blocks: list[OpenBlock] = []
        self._at: dict[Any, OpenBlock] = {}
        self._kinds: dict[Any, Callable[[dict[str, Any], list[Delta]], None]] = {
            "content_block_delta": self._delta,
            "content_block_start": self._block,
            "content_block_stop": self._closed,
            "message_start": self._start,
            "message": self._whole,
            "message_delta": self._end,
            "error": self._failed,
        }

    @override
    def feed(self, data: bytes, deltas: list[Delta]) -> bool:
        event = self.parse(data)
        kind = event.get("type")
        take = self._kinds.get(kind)
        if take is not None:
            take(event, deltas)
        elif kind == "message_stop":
            return self.complete
        elif event.get("error"):
            self._failed(event, deltas)
        return False  # of the others, such as `ping`, the API says that there may be more and that they may be skipped

    @override
    def whole(self, body: bytes, deltas: list[Delta]) -> None:
        message = self.parse(body)
        if message.get("type") == "error" or message.get("error"):
            self._failed(message, deltas)
        self._whole(message, deltas)

    def _failed(self, event: dict[str, Any], _: list[Delta]) -> None:
        raise self.error(event.get("error") or event)

    def _whole(self, message: dict[str, Any], deltas: list[Delta]) -> None:
        if type(message.get("content")) is not list:
            raise MalformedReplyError("the reply holds no content")
        self._take(message, deltas)
        self.complete = True

    def _start(self, event: dict[str, Any], deltas: list[Delta]) -> None:
        message = event.get("message")
        if type(message) is not dict:
            raise MalformedReplyError("the message that begins is no object")
        if self._blocks:
            if message.get("id") == self._facts.get("id"):
                return  # said twice
            raise ConnectionFailedError("another message began in the middle of the answer")
        self._take(message, deltas)
        # Where code that the provider runs calls our tools, the whole message is in its beginning.
        self.complete = bool(self._stop and self._blocks)

    def _take(self, message: dict[str, Any], deltas: list[Delta]) -> None:
        """What stands in a message, complete or beginning."""
        self._note(message)
        for block in message.get("content") or ():
            self._block({"index": len(self._blocks), "content_block": block}, deltas)
        self._note_end(message)
        self._count(message.get("usage"))

    def _end(self, event: dict[str, Any], _: list[Delta]) -> None:
        self._note(event)
        delta = event.get("delta")
        if type(delta) is dict:
            self._note(delta)
            self._note_end(delta)
        self._count(event.get("usage"))
        self.complete = self._stop is not None

    def _note(self, values: dict[str, Any]) -> None:
        self._facts.update({name: values[name] for name in FACTS if values.get(name) is not None})

    def _note_end(self, values: dict[str, Any]) -> None:
        if values.get("stop_reason"):
            self._stop = str(values["stop_reason"])
        if type(values.get("container")) is dict:
            self._container = values["container"]

    def _count(self, usage: Any) -> None:
        if type(usage) is dict:
            self._usage.update({name: value for name, value in usage.items() if value is not None})

    def _block(self, event: dict[str, Any], deltas: list[Delta]) -> None:
        start = event.get("content_block")
        if type(start) is not dict:
            raise MalformedReplyError("a block of the answer is no object")
        opened = OpenBlock(start)
        self._blocks.append(opened)
        self._at[event.get("index")] = opened
        kind = start.get("type")
        if kind in ("text", "thinking") and start.get(kind):
            self._say(opened, kind, start[kind], deltas)
        elif kind == "fallback" and type(start.get("to")) is dict:
            self._note(start["to"])  # the model that goes on with the answer

    def _delta(self, event: dict[str, Any], deltas: list[Delta]) -> None:
        opened = self._at.get(event.get("index"))
        if opened is None:
            raise MalformedReplyError(f"a piece belongs to block {event.get('index')!r}, which has not begun")
        delta = event.get("delta") or NOTHING
        kind = delta.get("type")
        if kind == "text_delta":
            self._say(opened, "text", delta.get("text"), deltas)
        elif kind == "input_json_delta":
            piece = delta.get("partial_json")
            if type(piece) is str:
                opened.pieces.append(piece)
        elif kind == "thinking_delta":
            self._say(opened, "thinking", delta.get("thinking"), deltas)
        elif kind == "citations_delta":
            opened.start["citations"] = [*(opened.start.get("citations") or ()), delta.get("citation")]
        else:
            _merge(opened.start, delta)

    def _closed(self, event: dict[str, Any], deltas: list[Delta]) -> None:
        opened = self._at.get(event.get("index"))
        if self._lenient and opened is not None:
            self._add(opened, opened.start.get("type"), self.lost_half(opened), deltas)

    def _say(self, opened: OpenBlock, kind: Any, piece: Any, deltas: list[Delta]) -> None:
        if type(piece) is str:
            self._add(opened, kind, self.mended(opened, piece) if self._lenient else piece, deltas)

    @staticmethod
    def _add(opened: OpenBlock, kind: Any, piece: str, deltas: list[Delta]) -> None:
        if piece:
            opened.pieces.append(piece)
            deltas.append(Delta(kind, piece))

    @override
    def usage(self) -> Usage:
        return usage_of(self._usage)

    @override
    def finish(self, *, model: str, origin: str) -> ModelReply:
        blocks = self._content()
        calls = any(isinstance(block, ToolCall) for block in blocks)
        stop = STOP_REASONS.get(self._stop or "", "end_turn")
        if calls and stop in ("end_turn", "pause_turn"):
            stop = "tool_use"  # a call has to be answered, whatever the server says
        elif stop == "tool_use" and not calls:
            stop = "end_turn"
        state = None
        if self._container.get("id"):
            state = {
                "container_id": self._container["id"],
                "container_expires_at": self._container.get("expires_at"),
            }
        return ModelReply(
            Message("assistant", blocks, model=model, origin=origin),
            stop,
            self.usage(),
            self._metadata(blocks),
            state,
        )

    def _content(self) -> tuple[ContentBlock, ...]:
        found: list[ContentBlock] = []
        taken: set[str] = set()
        for position, opened in enumerate(self._blocks):
            start, kind = opened.start, opened.start.get("type")
            arguments = None
            if kind in ("text", "thinking"):
                start[kind] = "".join(opened.pieces)
            elif opened.pieces:
                arguments = "".join(opened.pieces)
            block = content_of(start, arguments)
            if isinstance(block, ToolCall):
                if not block.id or block.id in taken:
                    name = f"toolu_{self._facts.get('id') or uuid4().hex}_{position}"
                    block = replace(block, id=name, raw=None)
                taken.add(block.id)
            found.append(block)
        return tuple(found)

    def _metadata(self, blocks: Iterable[ContentBlock]) -> dict[str, Any]:
        facts = self._facts | {"stop_reason": self._stop, "usage": self._usage}
        if self._usage.get("server_tool_use"):
            facts["server_tool_use"] = self._usage["server_tool_use"]
        citations = [
            citation
            for block in blocks
            if isinstance(block, TextBlock)
            for citation in block.annotations or ()
        ]
        if citations:
            facts["citations"] = citations
        return facts


def usage_of(raw: dict[str, Any]) -> Usage:
    """Tokens in our meaning, which is this API's own."""
    return Usage(
        _whole_number(raw.get("input_tokens")),
        _whole_number(raw.get("output_tokens")),
        _whole_number(raw.get("cache_read_input_tokens")),
        _whole_number(raw.get("cache_creation_input_tokens")),
    )


def _whole_number(value: Any) -> int:
    return max(int(value), 0) if isinstance(value, (int, float)) else 0


def _merge(start: dict[str, Any], delta: dict[str, Any]) -> None:
    """A piece of a block that we do not know further, and a signature: text goes on, all else replaces."""
    for name, value in delta.items():
        if name != "type" and value is not None:
            before = start.get(name)
            start[name] = before + value if type(before) is str and type(value) is str else value
