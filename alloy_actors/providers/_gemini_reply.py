"""GenerateContent, incoming: the chunks of a stream, or one whole reply, folded into a ModelReply.

Every chunk is a whole response with the next parts in it; usage counts up, so what comes later replaces what came
before. A stream without `alt=sse`, and some errors, are a list of them.

Source: Gemini API reference, GenerateContentResponse and Candidate.FinishReason.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from typing_extensions import override

from alloy_actors.content import Message, ServerToolCall, Usage
from alloy_actors.errors import InvalidRequestError, MalformedReplyError, ServerError
from alloy_actors.provider import Delta, ModelReply
from alloy_actors.providers import _gemini_parts as parts
from alloy_actors.providers._fold import ReplyFold
from alloy_actors.providers._gemini_grounding import annotate
from alloy_actors.providers._gemini_request import MADE_UP

if TYPE_CHECKING:
    from collections.abc import Iterable

    from alloy_actors.content import ContentBlock, StopReason

REFUSALS = frozenset(
    (
        "SAFETY",
        "RECITATION",
        "LANGUAGE",
        "BLOCKLIST",
        "PROHIBITED_CONTENT",
        "SPII",
        "MODEL_ARMOR",
        "IMAGE_SAFETY",
        "IMAGE_PROHIBITED_CONTENT",
        "IMAGE_RECITATION",
        "IMAGE_OTHER",
        "ESCALATION",
        "PUP_LIMITED_DISABLED",
    )
)
FAILURES = frozenset(
    (
        "MALFORMED_FUNCTION_CALL",
        "MALFORMED_RESPONSE",
        "UNEXPECTED_TOOL_CALL",
        "TOO_MANY_TOOL_CALLS",
        "NO_IMAGE",
    )
)
"""The model has failed at this answer; another one may be better."""
FACTS = {"responseId": "id", "modelVersion": "model", "promptFeedback": "prompt_feedback"}
ENDS = {
    "finishMessage": "finish_message",
    "safetyRatings": "safety_ratings",
    "urlContextMetadata": "url_context_metadata",
}
_SNAKE = re.compile(
    rb'"(?:usage_metadata|finish_reason|function_call|thought_signature|inline_data|file_data|prompt_feedback'
    rb'|response_id|executable_code|code_execution_result|grounding_metadata)"\s*:'
)
_UNDERSCORE = re.compile(r"_([a-z])")
_PLAIN_ID = re.compile(r"[a-zA-Z0-9_-]{1,40}")
_VALUES = ("args", "response", "text")


class ContentReply(ReplyFold):
    """Chunks; a whole reply is one that holds all."""

    __slots__ = (
        "_citations",
        "_facts",
        "_grounding",
        "_open",
        "_parts",
        "_seen",
        "_usage",
        "finish_reason",
    )

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        super().__init__(secrets)
        self._parts: list[parts.OpenText | parts.OpenCall | ContentBlock] = []
        self._open: parts.OpenCall | None = None
        self._facts: dict[str, Any] = {}
        self._grounding: dict[str, Any] = {}
        self._citations: list[dict[str, Any]] = []
        self._usage: dict[str, Any] = {}
        self._seen = False
        self.finish_reason: str | None = None

    @override
    def feed(self, data: bytes, deltas: list[Delta]) -> bool:
        found = self.decoded(data)
        if b"_" in data and _SNAKE.search(data):
            found = _camel(found)
        for chunk in found if type(found) is list else (found,):
            if type(chunk) is not dict:
                raise MalformedReplyError(
                    f"the reply is JSON, but no object: {data[:200].decode(errors='replace')!r}"
                )
            self._chunk(chunk, deltas)
        return False  # no event says that it is the last one

    @override
    def whole(self, body: bytes, deltas: list[Delta]) -> None:
        self.feed(body, deltas)
        self.complete = True

    def _chunk(self, chunk: dict[str, Any], deltas: list[Delta]) -> None:
        if chunk.get("error"):
            raise self.error(chunk["error"])
        usage = chunk.get("usageMetadata")
        if usage and type(usage) is dict:
            self._usage.update(usage)
        for name, ours in FACTS.items():
            if chunk.get(name):
                self._facts[ours] = chunk[name]
        candidates = chunk.get("candidates")
        if candidates and type(candidates) is list:
            for candidate in candidates:
                # We ask for one answer; a second is not ours.
                if type(candidate) is dict and not candidate.get("index"):
                    self._candidate(candidate, deltas)
        elif self._block_reason():
            self.complete = True

    def _candidate(self, candidate: dict[str, Any], deltas: list[Delta]) -> None:
        self._seen = True
        content = candidate.get("content")
        if type(content) is dict:
            for part in parts.listed(content.get("parts"), "the parts of the answer"):
                text = part.get("text") if type(part) is dict else None
                if type(text) is str:
                    self._text(part, text, deltas)
                elif type(part) is dict and type(part.get("functionCall")) is dict:
                    self._call(part)
                else:
                    self._parts.append(parts.block_of(part, len(self._parts), self._code_id()))
        reason = candidate.get("finishReason")
        if reason:
            self.finish_reason = str(reason)
            self.complete = True
        for name, ours in ENDS.items():
            if candidate.get(name):
                self._facts[ours] = candidate[name]
        grounding = candidate.get("groundingMetadata")
        if type(grounding) is dict:
            self._grounding.update({name: value for name, value in grounding.items() if value})
        citations = candidate.get("citationMetadata")
        if type(citations) is dict:
            self._citations = citations.get("citationSources") or citations.get("citations") or []

    def _text(self, part: dict[str, Any], text: str, deltas: list[Delta]) -> None:
        kind: parts.Kind = "thinking" if part.get("thought") else "text"
        if self._lenient:
            text = self.mended(kind, text)
        last = self._parts[-1] if self._parts else None
        if type(last) is not parts.OpenText or not last.takes(kind, part):
            last = parts.OpenText(kind, part)
            if not text and last.signature is None and last.raw is None:
                return
            self._parts.append(last)
        if text:
            last.pieces.append(text)
            deltas.append(Delta(kind, text))

    def _call(self, part: dict[str, Any]) -> None:
        function = part["functionCall"]
        if self._open is not None and not function.get("name"):
            self._open.add(function)
        elif function:
            self._open = parts.OpenCall(part)
            self._parts.append(self._open)
        if self._open is not None and not self._open.open:
            self._open = None

    def _code_id(self) -> str:
        """Of the code that a result without an id belongs to."""
        return next((item.id for item in reversed(self._parts) if isinstance(item, ServerToolCall)), "")

    def _block_reason(self) -> str | None:
        feedback = self._facts.get("prompt_feedback")
        return feedback.get("blockReason") if isinstance(feedback, dict) and not self._seen else None

    @override
    def usage(self) -> Usage:
        return usage_of(self._usage)

    @override
    def finish(self, *, model: str, origin: str) -> ModelReply:
        reason, blocked = self.finish_reason or "", self._block_reason()
        if not self._seen and not blocked:
            raise MalformedReplyError("the reply holds no candidates")
        message = self._facts.get("finish_message")
        if reason in FAILURES or reason == "MISSING_THOUGHT_SIGNATURE":
            kind = ServerError if reason in FAILURES else InvalidRequestError
            raise kind(f"the model stopped with {reason}" + (f": {message}" if message else ""), code=reason)
        stop: StopReason = "end_turn"
        calls = any(type(item) is parts.OpenCall for item in self._parts)
        if reason == "MAX_TOKENS":
            stop = "max_tokens"
        elif blocked or reason in REFUSALS:
            stop = "refusal"
            self._facts["stop_details"] = self._refusal(blocked)
        elif calls:
            stop = "tool_use"
        texts = [item for item in self._parts if type(item) is parts.OpenText]
        for text in texts[-1:]:
            text.pieces.append(self.lost_half(text.kind))
        citations = annotate(
            [text for text in texts if text.kind == "text"], self._grounding, self._citations
        )
        return ModelReply(
            Message("assistant", self._blocks(), model=model, origin=origin),
            stop,
            self.usage(),
            self._metadata(citations),
        )

    def _blocks(self) -> tuple[ContentBlock, ...]:
        """All of them; the calls with ids that are unique, also among those of other replies."""
        found: list[ContentBlock] = []
        taken: set[str] = set()
        name = str(self._facts.get("id", ""))
        reply = name if _PLAIN_ID.fullmatch(name) else uuid4().hex
        for number, item in enumerate(self._parts):
            if isinstance(item, parts.OpenCall):
                given = item.given if item.given and item.given not in taken else f"{MADE_UP}{reply}_{number}"
                taken.add(given)
                found.append(item.block(given))
            else:
                found.append(item.block() if isinstance(item, parts.OpenText) else item)
        return tuple(found)

    def _refusal(self, blocked: str | None) -> dict[str, Any]:
        if blocked:
            explanation = f"the prompt was blocked: {blocked}"
            return {**self._facts["prompt_feedback"], "explanation": explanation}
        message = self._facts.get("finish_message")
        details = {
            "finishReason": self.finish_reason,
            "finishMessage": message,
            "safetyRatings": self._facts.get("safety_ratings"),
            "explanation": message or f"the answer was stopped: {self.finish_reason}",
        }
        return {name: value for name, value in details.items() if value}

    def _metadata(self, citations: list[dict[str, Any]]) -> dict[str, Any]:
        facts = self._facts | {"finish_reason": self.finish_reason, "usage": self._usage}
        if self._grounding:
            facts["grounding_metadata"] = self._grounding
        if citations:
            facts["citations"] = citations
        queries = self._grounding.get("webSearchQueries")
        used = {"google_search": len(queries) if isinstance(queries, list) else 0}
        for item in self._parts:
            if isinstance(item, ServerToolCall):
                used[item.name] = used.get(item.name, 0) + 1
        used = {name: times for name, times in used.items() if times}
        if used:
            facts["server_tool_use"] = used
        return facts


def usage_of(raw: dict[str, Any]) -> Usage:
    """Tokens in our meaning: the prompt without what the cache gave, with what the API's own tools put into it."""
    prompt, cached = _count(raw, "promptTokenCount"), _count(raw, "cachedContentTokenCount")
    return Usage(
        max(prompt - cached, 0) + _count(raw, "toolUsePromptTokenCount"),
        _count(raw, "candidatesTokenCount") + _count(raw, "thoughtsTokenCount"),
        cached,
    )


def _count(raw: dict[str, Any], key: str) -> int:
    value = raw.get(key)
    return int(value) if isinstance(value, (int, float)) and value > 0 else 0


def _camel(value: Any) -> Any:
    """The reply with the names that the API itself uses: some servers spell them with underscores."""
    if isinstance(value, list):
        return [_camel(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        _UNDERSCORE.sub(lambda found: found[1].upper(), name): item if name in _VALUES else _camel(item)
        for name, item in value.items()
    }
