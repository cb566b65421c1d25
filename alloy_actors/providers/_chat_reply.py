"""Chat Completions, incoming: chunks of a stream, or one whole reply, folded into a ModelReply.

A whole reply is folded as one large chunk whose `message` is the `delta`, so both ways give the same answer. What
servers really send is forgiven where its meaning is plain; each dialect has an exchange in tests/data/chat.

Source: OpenAI API reference, Chat Completions, and the servers named below.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from typing_extensions import override

from alloy_actors.content import ImageBlock, Message, TextBlock, ThinkingBlock, ToolCall, Usage
from alloy_actors.errors import MalformedReplyError, ServerError
from alloy_actors.provider import Delta, ModelReply
from alloy_actors.providers._chat_details import ReasoningDetails
from alloy_actors.providers._fold import ReplyFold
from alloy_actors.providers._json import dumps, mend, object_from

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Literal

    from alloy_actors.content import ContentBlock, StopReason

STOP_REASONS: dict[str, StopReason] = {
    "tool_calls": "tool_use",
    "function_call": "tool_use",
    "length": "max_tokens",
    "model_length": "max_tokens",  # Mistral
    "content_filter": "refusal",
    "refusal": "refusal",
}  # all others, `stop` first of all: end_turn


@dataclass(slots=True)
class _Call:
    id: str = ""
    name: str = ""
    signature: str | None = None
    arguments: list[str] = field(default_factory=list)


class ChatReply(ReplyFold):
    """Chunks; a whole reply is a large one."""

    __slots__ = (
        "_annotations",
        "_by_index",
        "_calls",
        "_details",
        "_facts",
        "_images",
        "_raw_usage",
        "_refused",
        "_seen",
        "_text",
        "_thinking",
        "finish_reason",
    )

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        super().__init__(secrets)
        self._text: list[str] = []
        self._thinking: list[str] = []
        self._calls: list[_Call] = []
        self._by_index: dict[Any, _Call] = {}
        self._details = ReasoningDetails()
        self._annotations: list[dict[str, Any]] = []
        self._facts: dict[str, Any] = {}
        self._images: list[ImageBlock] = []
        self._raw_usage: dict[str, Any] = {}
        self._refused = False
        self._seen = False
        self.finish_reason: str | None = None

    @override
    def feed(self, data: bytes, deltas: list[Delta]) -> bool:
        chunk = self.parse(data)
        choices = chunk.get("choices")
        if chunk.get("error"):
            raise self.error(chunk["error"])
        if not choices and chunk.get("object") == "error":  # Mistral, vLLM
            raise self.error(chunk)
        usage = chunk.get("usage")
        if usage and type(usage) is dict:
            self._raw_usage = usage
        if not self._facts:
            self._note(chunk)
        if choices and type(choices) is list:
            self._choice(choices[0], deltas)
        return False  # usage may come after the finish reason

    @override
    def marker(self) -> bool:
        return True  # some servers give no finish reason at all

    def _note(self, chunk: dict[str, Any]) -> None:
        for key in ("id", "model", "service_tier", "citations"):
            value = chunk.get(key)
            if value:
                self._facts[key] = value

    def _choice(self, choice: Any, deltas: list[Delta]) -> None:
        if type(choice) is not dict or choice.get("index"):  # we ask for one answer; a second is not ours
            return
        self._seen = True
        if choice.get("error"):  # OpenRouter
            raise self.error(choice["error"])
        delta = choice.get("delta") or choice.get("message")
        if type(delta) is dict:
            self._delta(delta, deltas)
        reason = choice.get("finish_reason")
        if reason:
            self.finish_reason = str(reason)
            self.complete = True
        usage = choice.get("usage")  # Moonshot
        if usage and type(usage) is dict:
            self._raw_usage = usage

    def _delta(self, delta: dict[str, Any], deltas: list[Delta]) -> None:
        details = delta.get("reasoning_details")
        detailed = self._details.add(details) if details and type(details) is list else None
        thinking = delta.get("reasoning_content") or delta.get("reasoning") or detailed
        if thinking and type(thinking) is str:
            self._say("thinking", thinking, deltas)
        content = delta.get("content")
        if content:
            if type(content) is str:
                self._say("text", content, deltas)
            elif type(content) is list:
                self._parts(content, deltas)
        refusal = delta.get("refusal")
        if refusal and type(refusal) is str:
            self._refused = True
            self._say("text", refusal, deltas)
        calls = delta.get("tool_calls")
        if calls and type(calls) is list:
            for position, piece in enumerate(calls):
                if type(piece) is dict:
                    self._call(piece, position)
        elif delta.get("function_call"):  # before tool_calls existed
            self._call({"index": 0, "function": delta["function_call"]}, 0)
        images = delta.get("images")  # OpenRouter
        if images and type(images) is list:
            self._images += filter(None, map(_image, images))
        if delta.get("annotations"):
            self._annotations += (item for item in delta["annotations"] if isinstance(item, dict))

    def _parts(self, parts: list[Any], deltas: list[Delta]) -> None:
        """Content as a list of parts: Mistral's thinking models."""
        for part in parts:
            if isinstance(part, str):
                self._say("text", part, deltas)
            elif isinstance(part, dict) and isinstance(part.get("text"), str):
                self._say("text", part["text"], deltas)
            elif isinstance(part, dict) and isinstance(part.get("thinking"), str):
                self._say("thinking", part["thinking"], deltas)
            elif isinstance(part, dict) and isinstance(part.get("thinking"), list):
                for inner in part["thinking"]:
                    if isinstance(inner, dict) and isinstance(inner.get("text"), str):
                        self._say("thinking", inner["text"], deltas)

    def _say(self, kind: Literal["text", "thinking"], piece: str, deltas: list[Delta]) -> None:
        if self._lenient:
            piece = self.mended(kind, piece)
            if not piece:
                return
        (self._text if kind == "text" else self._thinking).append(piece)
        deltas.append(Delta(kind, piece))

    def _call(self, piece: dict[str, Any], position: int) -> None:
        """One piece of a tool call.

        The index says which call it belongs to. Where it is missing (Gemini, Mistral) or always the same, a name
        with another id, or with none, begins a new call. An id without a name does not: some servers make one up
        for every piece.
        """
        function = piece.get("function")
        if type(function) is not dict:
            function = {}
        index, given, name = piece.get("index"), piece.get("id"), function.get("name")
        key = position if index is None else index
        call = self._by_index.get(key)
        another = given != call.id if call and given else index is None
        if call is None or (name and call.name and another):
            call = self._by_index[key] = _Call()
            self._calls.append(call)
        if given and not call.id:
            call.id = str(given)
        if name and not call.name:
            call.name = str(name)
        if piece.get("extra_content"):
            call.signature = _thought_signature(piece["extra_content"]) or call.signature
        arguments = function.get("arguments")
        if arguments:
            call.arguments.append(arguments if type(arguments) is str else dumps(arguments).decode())

    @override
    def usage(self) -> Usage:
        return usage_of(self._raw_usage)

    @override
    def finish(self, *, model: str, origin: str) -> ModelReply:
        if not self._seen:
            raise MalformedReplyError("the reply holds no choices")
        if self.finish_reason == "error":  # OpenRouter
            raise ServerError("the provider stopped with an error")
        self._text.append(self.lost_half("text"))
        self._thinking.append(self.lost_half("thinking"))
        calls = _tool_calls(self._calls, str(self._facts.get("id", "")))
        blocks: list[ContentBlock] = []
        details = self._details.raw()
        if any(self._thinking) or details is not None:
            blocks.append(ThinkingBlock("".join(self._thinking), raw=details))
        if any(self._text):
            blocks.append(TextBlock("".join(self._text), tuple(self._annotations) or None))
        blocks += self._images
        blocks += calls
        stop = STOP_REASONS.get(self.finish_reason or "", "end_turn")
        if self._refused:
            stop = "refusal"
        elif calls and stop == "end_turn":  # several servers say `stop` beside calls
            stop = "tool_use"
        elif stop == "tool_use" and not calls:
            stop = "end_turn"
        return ModelReply(
            Message("assistant", tuple(blocks), model=model, origin=origin),
            stop,
            self.usage(),
            self._facts | {"finish_reason": self.finish_reason},
        )


def usage_of(raw: dict[str, Any]) -> Usage:
    """Tokens in our meaning: input without what the cache gave or took, output with the reasoning."""
    prompt, completion = _count(raw, "prompt_tokens"), _count(raw, "completion_tokens")
    inside, outside = raw.get("prompt_tokens_details"), raw.get("completion_tokens_details")
    cached = written = 0
    if inside and type(inside) is dict:
        cached, written = _count(inside, "cached_tokens"), _count(inside, "cache_write_tokens")
    # Together and DeepSeek count outside of the details.
    cached = cached or _count(raw, "cached_tokens") or _count(raw, "prompt_cache_hit_tokens")
    if outside and type(outside) is dict:
        reasoning = _count(outside, "reasoning_tokens")
        if reasoning and _count(raw, "total_tokens") == prompt + completion + reasoning:
            completion += reasoning  # xAI counts it beside the completion
    return Usage(max(prompt - cached - written, 0), completion, cached, written)


def _count(raw: dict[str, Any], key: str) -> int:
    value = raw.get(key)
    return int(value) if isinstance(value, (int, float)) and value > 0 else 0


def _tool_calls(calls: Sequence[_Call], reply_id: str) -> list[ToolCall]:
    """The calls with ids that are unique in the reply, made up where the server gave none."""
    found: list[ToolCall] = []
    taken: set[str] = set()
    for position, call in enumerate(calls):
        raw = "".join(call.arguments)
        name = call.id or f"call_{reply_id or uuid4().hex}_{position}"
        if name in taken:
            name = f"{name}_{position}"
        taken.add(name)
        arguments = object_from(raw)
        if arguments is None:
            found.append(ToolCall(name, call.name, {}, invalid=mend(raw), signature=call.signature))
        else:
            found.append(ToolCall(name, call.name, arguments, signature=call.signature))
    return found


def _image(part: Any) -> ImageBlock | None:
    """A picture that the model made: a data URL, or where to find it; None for what is none."""
    inner = part.get("image_url") if isinstance(part, dict) else None
    url = inner.get("url") if isinstance(inner, dict) else None
    if not url or not isinstance(url, str):
        return None
    head, comma, data = url.partition(",")
    if comma and head.startswith("data:") and head.endswith(";base64"):
        return ImageBlock(head[5:].partition(";")[0] or "image/png", data)
    return ImageBlock("", uri=url)


def _thought_signature(extra: Any) -> str | None:
    """Gemini's, which it wants back: behind Chat Completions it stands beside the call."""
    google = extra.get("google") if isinstance(extra, dict) else None
    found = google.get("thought_signature") if isinstance(google, dict) else None
    return found if isinstance(found, str) else None
