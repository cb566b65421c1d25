"""A reply as Chat Completions JSON: one body, or the chunks of a stream."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic_core import to_json

if TYPE_CHECKING:
    from collections.abc import Iterator

    from alloy_actors.local.script import Call, Reply

FINGERPRINT = "scripted-stand-in-not-a-model"
DONE = b"data: [DONE]\n\n"


def completion(reply: Reply, *, identifier: str, model: str, created: int, usage: bool) -> dict[str, Any]:
    """Return the body of a plain answer."""
    message: dict[str, Any] = {"role": "assistant", "content": "".join(reply.words) if reply.words else None}
    if not reply.calls:
        message["content"] = message["content"] or ""
    if reply.reasoning:
        message["reasoning_content"] = "".join(reply.reasoning)
    if reply.calls:
        message["tool_calls"] = [_call(call) for call in reply.calls]
    body: dict[str, Any] = {
        "id": identifier,
        "object": "chat.completion",
        "created": created,
        "model": model,
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": reply.finish}],
        "system_fingerprint": FINGERPRINT,
    }
    if usage:
        body["usage"] = usage_of(reply)
    return body


def stream_deltas(reply: Reply) -> Iterator[dict[str, Any]]:
    """Yield the deltas of an answer: the role, reasoning, words, then each call in at least two pieces."""
    yield {"role": "assistant", "content": None if reply.calls else ""}
    for word in reply.reasoning:
        yield {"reasoning_content": word}
    for word in reply.words:
        yield {"content": word}
    for index, call in enumerate(reply.calls):
        start = _call(call)
        start["function"]["arguments"] = ""
        yield {"tool_calls": [{"index": index, **start}]}
        for piece in _pieces(call.arguments):
            yield {"tool_calls": [{"index": index, "function": {"arguments": piece}}]}


class ChunkWriter:
    """Turns deltas into `data:` lines; what does not change within a stream is encoded once."""

    def __init__(self, *, identifier: str, model: str, created: int, usage: bool) -> None:
        head = to_json(
            {
                "id": identifier,
                "object": "chat.completion.chunk",
                "created": created,
                "model": model,
                "system_fingerprint": FINGERPRINT,
            }
        )
        self._head = b"data: " + head[:-1]
        # OpenAI sends `usage: null` in every chunk but the last one if usage was asked for.
        self._tail = (b',"usage":null' if usage else b"") + b"}\n\n"

    def delta(self, delta: dict[str, Any], finish: str | None = None) -> bytes:
        """Encode a chunk with one choice."""
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return self._head + b',"choices":[' + to_json(choice) + b"]" + self._tail

    def usage(self, reply: Reply) -> bytes:
        """Encode the last chunk, which has usage and no choices."""
        return self._head + b',"choices":[],"usage":' + to_json(usage_of(reply)) + b"}\n\n"


def usage_of(reply: Reply) -> dict[str, Any]:
    """Return the usage object; tokens are words and quarters of characters, see `script.py`."""
    return {
        "prompt_tokens": reply.prompt_tokens,
        "completion_tokens": reply.completion_tokens,
        "total_tokens": reply.prompt_tokens + reply.completion_tokens,
        "prompt_tokens_details": {"cached_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": len(reply.reasoning)},
    }


def _call(call: Call) -> dict[str, Any]:
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}


def _pieces(arguments: str) -> Iterator[str]:
    for start in range(0, len(arguments), 12):
        yield arguments[start : start + 12]
