"""Responses, incoming: the events of a stream, or one whole response, folded into a ModelReply.

The last event holds the whole response, so both ways end alike. Where a server leaves the output out of it, the
items that came before it count, and where it leaves those out too, their pieces. Dialects seen in real servers have
an exchange each in tests/data/responses.

Source: OpenAI API reference, Responses, streaming events; xAI docs; llama.cpp, LM Studio and transformers servers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from typing_extensions import override

from alloy_actors.content import Message, TextBlock, ThinkingBlock, Usage
from alloy_actors.errors import MalformedReplyError, ProviderError, ServerError
from alloy_actors.provider import Delta, ModelReply
from alloy_actors.providers._fold import ReplyFold
from alloy_actors.providers._responses_output import PARAGRAPH, Output

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Literal, TypeAlias

    from alloy_actors.content import StopReason

    Place: TypeAlias = int | str

SAID: dict[str, tuple[Literal["text", "thinking"], str]] = {
    "response.output_text.delta": ("text", "content_index"),
    "response.refusal.delta": ("text", "content_index"),
    "response.reasoning_summary_text.delta": ("thinking", "summary_index"),
    "response.reasoning_text.delta": ("thinking", "content_index"),
}
"""Events with a piece of text: what it is, and the member that numbers the parts of its item."""
ARGUMENTS = "response.function_call_arguments.delta"
ENDS = {"response.completed", "response.incomplete", "response.failed"}
PARTS = {
    "response.output_text.delta": ("content", "output_text", "text"),
    "response.refusal.delta": ("content", "refusal", "refusal"),
    "response.reasoning_summary_text.delta": ("summary", "summary_text", "text"),
    "response.reasoning_text.delta": ("content", "reasoning_text", "text"),
}
"""Where such a piece belongs: the item's list, the type of the part in it, its member."""


class ResponsesReply(ReplyFold):
    """Events; a whole response is the last of them."""

    __slots__ = ("_heard", "_items", "_output", "_pieces", "_places", "_response", "_status")

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        super().__init__(secrets)
        self._heard: dict[str, list[str]] = {"text": [], "thinking": []}
        self._items: dict[Place, tuple[dict[str, Any], bool]] = {}  # and whether it is complete
        self._pieces: dict[tuple[Place, str, int], list[str]] = {}
        self._places: dict[str, Place] = {}  # of an item's id, while events have an index or an id
        self._response: dict[str, Any] = {}
        self._status: str | None = None
        self._output = Output((), stored=False, reply_id="")

    @override
    def feed(self, data: bytes, deltas: list[Delta]) -> bool:
        event = self.parse(data)
        kind = event.get("type")
        if type(kind) is not str:
            return self._untyped(event, deltas)
        if kind in SAID:
            self._say(kind, event, deltas)
        elif kind == ARGUMENTS:
            piece = event.get("delta")
            if piece and type(piece) is str:
                self._pieces.setdefault((self._place(event), kind, 0), []).append(piece)
        elif kind in ENDS:
            response = event.get("response")
            self._end(response if type(response) is dict else {}, deltas, kind.removeprefix("response."))
            return True
        elif kind in {"response.output_item.added", "response.output_item.done"}:
            item = event.get("item")
            if type(item) is dict:
                self._items[self._place(event, item)] = item, kind.endswith("done")
        elif kind == "error":
            nested = event.pop("error", None)
            del event["type"]
            raise self.error(nested or event)
        return False

    def _untyped(self, event: dict[str, Any], deltas: list[Delta]) -> bool:
        """A whole response, or an error, each with or without a stream around it."""
        if "output" not in event and event.get("object") != "response" and event.get("error"):
            raise self.error(event["error"])
        self._end(event, deltas, None)
        return True

    def _place(self, event: dict[str, Any], item: dict[str, Any] | None = None) -> Place:
        """What names an item in this stream: some servers number none, some give it a new id with every event."""
        name = event.get("item_id") if item is None else item.get("id")
        name = name if type(name) is str else ""
        index = event.get("output_index")
        if type(index) is not int:
            return self._places.get(name, name)
        if item is not None:
            self._places[name] = index
        return index

    def _say(self, kind: str, event: dict[str, Any], deltas: list[Delta]) -> None:
        piece = event.get("delta")
        if not piece or type(piece) is not str:
            return
        what, numbers = SAID[kind]
        place, number = self._place(event), event.get(numbers)
        place = what if place == "" else place  # of which there is one
        key = (place, kind, number if type(number) is int else 0)
        if self._lenient:
            piece = self.mended(key, piece)
            if not piece:
                return
        pieces = self._pieces.get(key)
        if pieces is not None:
            pieces.append(piece)
        else:
            apart = what == "thinking" and any(known[0] == place for known in self._pieces)
            self._pieces[key] = [piece]
            piece = PARAGRAPH + piece if apart else piece
        self._heard[what].append(piece)
        deltas.append(Delta(what, piece))

    def _end(self, response: dict[str, Any], deltas: list[Delta], ending: str | None) -> None:
        """The response is over.

        Args:
            response: As the server sees it.
            deltas: Gets what was not told yet.
            ending: Its last event's word; None without a stream.
        """
        self._response = response  # also of one that failed: it says what it used
        status = response.get("status")
        if ending is not None and status not in ("failed", "incomplete"):
            status = ending
        if status == "failed":
            error = response.get("error")
            raise self.error(error) if error else ServerError("the response failed, and does not say why")
        if status == "cancelled":
            raise ProviderError("the response was cancelled")
        output = self._found(response)
        if not output and status in ("queued", "in_progress"):
            raise MalformedReplyError(f"the response is not complete: it is {status!r}")
        name, self._status = response.get("id"), status
        self._output = Output(output, stored=response.get("store") is not False, reply_id=str(name or ""))
        self._tell_rest(deltas)
        self.complete = True

    def _found(self, response: dict[str, Any]) -> list[Any]:
        """The items: of the response itself, else those of the stream."""
        output = response.get("output")
        if output and type(output) is list:
            return [self._encrypted(item, index) for index, item in enumerate(output)]
        if type(text := response.get("output_text")) is str:
            return [{"content": text}]
        places = dict.fromkeys([*self._items, *(place for place, _, _ in self._pieces)])
        if not places and type(output) is not list:
            raise MalformedReplyError("the reply is no response: it has no output")
        return [self._item(place) for place in places]

    def _encrypted(self, item: Any, index: int) -> Any:
        """An item of the response; OpenAI wants reasoning back as it came with the end of its own item."""
        streamed, complete = self._items.get(index, ({}, False))
        is_reasoning = type(item) is dict and item.get("type") == streamed.get("type") == "reasoning"
        return streamed if is_reasoning and complete and streamed.get("encrypted_content") else item

    def _item(self, place: Place) -> dict[str, Any]:
        """An item of the stream; put together from its pieces where its end was not sent."""
        item, complete = self._items.get(place, ({}, False))
        said = {key: "".join(pieces) for key, pieces in self._pieces.items() if key[0] == place}
        if complete or not said:
            return item
        # What is encrypted may not be complete before the end.
        made = {"type": "message", **item, "encrypted_content": None, "content": [], "summary": []}
        for (_, kind, _), text in said.items():
            if kind == ARGUMENTS:
                made["arguments"] = text
                continue
            member, part, field = PARTS[kind]
            made[member].append({"type": part, field: text})
            if SAID[kind][0] == "thinking":
                made["type"] = "reasoning"
        return made

    def _tell_rest(self, deltas: list[Delta]) -> None:
        """Hand out what no piece said; all of it, if the reply came whole."""
        heard = {kind: "".join(pieces) for kind, pieces in self._heard.items()}
        for block in self._output.blocks:
            if isinstance(block, TextBlock):
                kind, text = "text", block.text
            elif isinstance(block, ThinkingBlock):
                kind, text = "thinking", block.thinking
            else:
                continue
            known = heard[kind]
            heard[kind] = known[len(text) :]
            if text.startswith(known) and len(text) > len(known):
                deltas.append(Delta("text" if kind == "text" else "thinking", text[len(known) :]))

    @override
    def usage(self) -> Usage:
        return usage_of(self._response.get("usage"))

    @override
    def finish(self, *, model: str, origin: str) -> ModelReply:
        name = self._response.get("id")
        return ModelReply(
            Message("assistant", tuple(self._output.blocks), model=model, origin=origin),
            self._stop(),
            self.usage(),
            self._facts(),
            {"response_id": name} if type(name) is str and name else None,
        )

    def _stop(self) -> StopReason:
        if self._status == "incomplete":
            details = self._response.get("incomplete_details")
            reason = details.get("reason") if type(details) is dict else None
            return "refusal" if reason == "content_filter" else "max_tokens"
        if self._output.refused:
            return "refusal"
        return "tool_use" if self._output.calls else "end_turn"

    def _facts(self) -> dict[str, Any]:
        response = self._response | {"status": self._status}
        facts = {
            name: response[name] for name in ("id", "model", "status", "service_tier") if response.get(name)
        }
        if response.get("incomplete_details"):
            facts["stop_details"] = response["incomplete_details"]
        usage = response.get("usage")
        used = response.get("server_side_tool_usage") or response.get("tool_usage")
        if not used and type(usage) is dict:
            used = usage.get("server_side_tool_usage_details")
        if used:
            facts["server_side_tool_usage"] = used
        citations = response.get("citations") or [
            note
            for block in self._output.blocks
            if isinstance(block, TextBlock)
            for note in block.annotations or ()
        ]
        if citations:
            facts["citations"] = citations
        return facts


def usage_of(raw: Any) -> Usage:
    """Tokens in our meaning: input without what the cache gave or took; the reasoning is inside the output."""
    if type(raw) is not dict:
        return Usage()
    details = raw.get("input_tokens_details")
    details = details if type(details) is dict else {}
    cached, written = _count(details, "cached_tokens"), _count(details, "cache_write_tokens")
    given = _count(raw, "input_tokens")
    return Usage(max(given - cached - written, 0), _count(raw, "output_tokens"), cached, written)


def _count(raw: dict[str, Any], key: str) -> int:
    value = raw.get(key)
    return int(value) if isinstance(value, (int, float)) and value > 0 else 0
