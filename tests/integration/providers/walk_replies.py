"""What the servers of the walk say, each in its own wire: thinking, a sentence and two calls; then an answer.

`mark` is what only its origin may read again (a signature, an encrypted block): it must come back there and nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.integration.providers import sdk_requests as sdk

Reply = dict[str, Any]


@dataclass(frozen=True)
class Stop:
    """One provider of the walk.

    Args:
        name: Of a model string.
        asks: The first reply: thinking, the text `said`, two calls of the tool `look`; also marked.
        answers: The second reply: the text `said`.
        check: Raises for a request that the official SDK could not have sent.
        marked: Whether its first reply holds something that only its origin may read.
        options: Of the provider.
    """

    name: str
    asks: Callable[[str, str], Reply]
    answers: Callable[[str], Reply]
    check: sdk.Check
    marked: bool = True
    options: Mapping[str, Any] = field(default_factory=dict)


def _chat(message: Reply, finish: str) -> Reply:
    choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": finish}
    usage = {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "model": "m",
        "choices": [choice],
        "usage": usage,
    }


def _chat_calls(said: str) -> list[Reply]:
    # Ids as Kimi's servers make them; others refuse the dot and the colon.
    return [
        {
            "id": f"functions.look:{said}-{at}",
            "type": "function",
            "function": {"name": "look", "arguments": f'{{"at":{at}}}'},
        }
        for at in range(2)
    ]


def chat_asks(said: str, mark: str) -> Reply:
    """Reasoning in the open, and Gemini's signature as its servers of Chat Completions send it."""
    calls = _chat_calls(said)
    calls[0]["extra_content"] = {"google": {"thought_signature": mark}}
    return _chat({"content": said, "reasoning_content": "hm", "tool_calls": calls}, "tool_calls")


def openrouter_asks(said: str, mark: str) -> Reply:
    """Reasoning with its details."""
    details = [{"type": "reasoning.text", "text": "hm", "signature": mark, "index": 0}]
    message = {"content": said, "reasoning": "hm", "reasoning_details": details}
    return _chat({**message, "tool_calls": _chat_calls(said)}, "tool_calls")


def mistral_asks(said: str, mark: str) -> Reply:
    """Thinking as a part of the content, which is not sent back."""
    parts = [
        {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]},
        {"type": "text", "text": said},
    ]
    return _chat({"content": parts, "tool_calls": _chat_calls(said)}, "tool_calls")


def chat_answers(said: str) -> Reply:
    """With a citation."""
    cited = {"type": "url_citation", "url_citation": {"url": "https://example.org", "title": "t"}}
    return _chat({"content": said, "annotations": [cited]}, "stop")


def _anthropic(blocks: list[Reply], stop: str) -> Reply:
    usage = {"input_tokens": 9, "output_tokens": 3}
    head = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m"}
    return {**head, "content": blocks, "stop_reason": stop, "stop_sequence": None, "usage": usage}


def anthropic_asks(said: str, mark: str) -> Reply:
    """Signed thinking, redacted thinking, a search of its own, and two calls."""
    search = {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "x"}}
    page = {"type": "web_search_result", "url": "https://example.org", "title": "t"}
    found = {**page, "encrypted_content": f"page-{mark}", "page_age": None}
    calls = [
        {"type": "tool_use", "id": f"toolu_{said}_{at}", "name": "look", "input": {"at": at}}
        for at in range(2)
    ]
    return _anthropic(
        [
            {"type": "thinking", "thinking": "hm", "signature": mark},
            {"type": "redacted_thinking", "data": f"redacted-{mark}"},
            search,
            {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": [found]},
            {"type": "text", "text": said},
            *calls,
        ],
        "tool_use",
    )


def anthropic_answers(said: str) -> Reply:
    """With a citation."""
    cited = {"type": "web_search_result_location", "url": "https://example.org", "title": "t"}
    citation = {**cited, "encrypted_index": "Eo8", "cited_text": "x"}
    return _anthropic([{"type": "text", "text": said, "citations": [citation]}], "end_turn")


def _responses(output: list[Reply]) -> Reply:
    head = {
        "id": "resp_1",
        "object": "response",
        "created_at": 1760000000,
        "status": "completed",
        "model": "m",
    }
    usage = {"input_tokens": 9, "output_tokens": 3, "total_tokens": 12}
    return {**head, "error": None, "incomplete_details": None, "output": output, "usage": usage}


def _message(said: str, annotations: list[Reply]) -> Reply:
    part = {"type": "output_text", "text": said, "annotations": annotations, "logprobs": []}
    return {"id": "msg_1", "type": "message", "role": "assistant", "status": "completed", "content": [part]}


def responses_asks(said: str, mark: str) -> Reply:
    """Encrypted reasoning with a summary, a search of its own, and two calls."""
    summary = [{"type": "summary_text", "text": "hm"}]
    search = {"id": "ws_1", "type": "web_search_call", "status": "completed"}
    action = {"type": "search", "query": f"for {mark}", "queries": [f"for {mark}"]}
    calls = [
        {
            "id": f"fc_{said}_{at}",
            "type": "function_call",
            "status": "completed",
            "call_id": f"call_{said}_{at}",
            "name": "look",
            "arguments": f'{{"at":{at}}}',
        }
        for at in range(2)
    ]
    return _responses(
        [
            {"id": "rs_1", "type": "reasoning", "summary": summary, "encrypted_content": mark},
            {**search, "action": action},
            _message(said, []),
            *calls,
        ]
    )


def responses_answers(said: str) -> Reply:
    """With a citation."""
    cited = {
        "type": "url_citation",
        "url": "https://example.org",
        "title": "t",
        "start_index": 0,
        "end_index": 1,
    }
    return _responses([_message(said, [cited])])


def _gemini(parts: list[Reply], **more: Any) -> Reply:
    candidate = {"content": {"role": "model", "parts": parts}, "finishReason": "STOP", "index": 0, **more}
    usage = {"promptTokenCount": 9, "candidatesTokenCount": 3, "totalTokenCount": 12}
    return {"candidates": [candidate], "usageMetadata": usage, "modelVersion": "m", "responseId": "r1"}


def gemini_asks(said: str, mark: str) -> Reply:
    """A summary of its thoughts, and calls without ids, of which the first is signed."""
    calls: list[Reply] = [{"functionCall": {"name": "look", "args": {"at": at}}} for at in range(2)]
    calls[0]["thoughtSignature"] = mark
    return _gemini([{"text": "hm", "thought": True}, {"text": said}, *calls])


def gemini_answers(said: str) -> Reply:
    """With grounding."""
    chunks = [{"web": {"uri": "https://example.org", "title": "t"}}]
    supports = [{"segment": {"endIndex": 1, "text": said[:1]}, "groundingChunkIndices": [0]}]
    return _gemini(
        [{"text": said}], groundingMetadata={"groundingChunks": chunks, "groundingSupports": supports}
    )


_CHAT = {"answers": chat_answers, "check": sdk.check_chat}
STOPS = [
    Stop("llamacpp", chat_asks, **_CHAT),
    Stop("openrouter", openrouter_asks, **_CHAT),
    Stop("mistral", mistral_asks, **_CHAT, marked=False),
    Stop("anthropic", anthropic_asks, anthropic_answers, sdk.check_anthropic, options={"thinking": True}),
    Stop("openai", responses_asks, responses_answers, sdk.check_responses),
    Stop("xai", responses_asks, responses_answers, sdk.check_responses),
    Stop("gemini", gemini_asks, gemini_answers, sdk.check_gemini),
]
