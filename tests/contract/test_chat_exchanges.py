"""Chat Completions as real servers speak it: each file of tests/data/chat is one exchange, written by hand.

A file holds `json`, `text`, `events` (of a stream) or `raw` (a stream's text), and either `expect` (what the reply
must come to) or `error` (its class) with `says` (a part of its message).
"""

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from alloy_actors import errors
from alloy_actors.content import user
from alloy_actors.provider import Delta, ModelReply, ModelRequest
from alloy_actors.providers.openai_compat import OpenAICompat

DATA = Path(__file__).parents[1] / "data" / "chat"
EXCHANGES = {path.stem: json.loads(path.read_text()) for path in sorted(DATA.glob("*.json"))}
REQUEST = ModelRequest((user("hi"),))


class Body(httpx.AsyncByteStream):
    def __init__(self, pieces: list[bytes]) -> None:
        self.pieces = pieces

    async def __aiter__(self):
        for piece in self.pieces:
            yield piece


def body_of(exchange: dict) -> bytes:
    if "json" in exchange:
        return json.dumps(exchange["json"], ensure_ascii=False).encode()
    if "events" in exchange:
        events = (event if isinstance(event, str) else json.dumps(event) for event in exchange["events"])
        return "".join(f"data: {event}\n\n" for event in events).encode()
    return exchange.get("raw", exchange.get("text", "")).encode()


def is_stream(exchange: dict) -> bool:
    return "events" in exchange or "raw" in exchange


async def play(exchange: dict, pieces: list[bytes], *, streamed: bool) -> tuple[Any, list[list[Delta]]]:
    """What `complete` returned or raised, and the deltas as they were handed out."""
    kind = exchange.get("content_type") or (
        "text/event-stream" if is_stream(exchange) else "application/json"
    )
    response = httpx.Response(
        exchange.get("status", 200),
        headers={"content-type": kind, **exchange.get("headers", {})},
        stream=Body(pieces),
    )
    client = httpx.AsyncClient(transport=httpx.MockTransport(lambda _: response))
    provider = OpenAICompat("m", api_url="http://server", http_client=client)
    heard: list[list[Delta]] = []
    try:
        listen = (lambda deltas: heard.append(list(deltas))) if streamed else None
        return await provider.complete(REQUEST, listen), heard
    except errors.ProviderError as error:
        return error, heard


def said(heard: list[list[Delta]], kind: str) -> str:
    return "".join(delta.text for deltas in heard for delta in deltas if delta.kind == kind)


def check(outcome: Any, exchange: dict) -> None:
    if "error" in exchange:
        assert type(outcome) is getattr(errors, exchange["error"]), repr(outcome)
        assert exchange["says"] in str(outcome)
        for name, value in exchange.get("facts", {}).items():
            assert getattr(outcome, name) == value
        return
    assert isinstance(outcome, ModelReply), repr(outcome)
    expect = exchange["expect"]
    assert outcome.message.role == "assistant"
    assert outcome.message.model == "m"
    assert len(outcome.message.origin or "") == 16
    assert outcome.message.text == expect["text"]
    assert outcome.message.thinking == expect.get("thinking")
    assert outcome.stop_reason == expect["stop_reason"]
    calls = [
        [call.id, call.name, call.input] + [call.invalid] * bool(call.invalid)
        for call in outcome.message.tool_calls
    ]
    assert calls == expect["tools"]
    usage = outcome.usage
    assert [
        usage.input_tokens,
        usage.output_tokens,
        usage.cache_read_input_tokens,
        usage.cache_creation_input_tokens,
    ] == expect["usage"]
    for name, value in expect.get("metadata", {}).items():
        assert outcome.metadata[name] == value


@pytest.mark.parametrize("name", EXCHANGES)
def test_an_exchange_comes_to_what_its_file_says(name: str) -> None:
    exchange = EXCHANGES[name]
    streamed = exchange.get("streamed", is_stream(exchange))
    outcome, heard = asyncio.run(play(exchange, [body_of(exchange)], streamed=streamed))
    check(outcome, exchange)
    if streamed and isinstance(outcome, ModelReply):
        assert said(heard, "text") == outcome.message.text
        assert said(heard, "thinking") == (outcome.message.thinking or "")
    if "heard" in exchange:
        assert said(heard, "text") == exchange["heard"]
    for deltas in heard:
        assert deltas
        for delta in deltas:
            delta.text.encode()  # no half of a surrogate pair reaches a listener


@pytest.mark.parametrize("name", [name for name in EXCHANGES if is_stream(EXCHANGES[name])])
def test_a_stream_in_single_bytes_comes_to_the_same(name: str) -> None:
    exchange = EXCHANGES[name]
    body = body_of(exchange)
    pieces = [body[at : at + 1] for at in range(len(body))]
    outcome, heard = asyncio.run(play(exchange, pieces, streamed=True))
    check(outcome, exchange)
    if "heard" in exchange:
        assert said(heard, "text") == exchange["heard"]


@pytest.mark.parametrize("name", [name for name, exchange in EXCHANGES.items() if "json" in exchange])
def test_a_whole_reply_means_the_same_to_a_listener_and_to_none(name: str) -> None:
    exchange = EXCHANGES[name]
    outcome, heard = asyncio.run(play(exchange, [body_of(exchange)], streamed=True))
    check(outcome, exchange)
    if isinstance(outcome, ModelReply):
        assert said(heard, "text") == outcome.message.text
        assert len(heard) <= 1


def test_one_network_chunk_is_one_call_of_the_listener() -> None:
    exchange = EXCHANGES["stream_text"]
    _, heard = asyncio.run(play(exchange, [body_of(exchange)], streamed=True))
    assert heard == [[Delta("text", "Hel"), Delta("text", "lo")]]


@pytest.mark.parametrize("name", ["stream_text", "stream_parallel_calls", "stream_reasoning_content"])
def test_a_stream_ended_at_any_event_is_an_error_or_the_whole_answer(name: str) -> None:
    exchange = EXCHANGES[name]
    whole, _ = asyncio.run(play(exchange, [body_of(exchange)], streamed=True))
    events = exchange["events"]
    for count in range(len(events)):
        body = body_of({"events": events[:count]})
        outcome, _ = asyncio.run(play(exchange, [body] if body else [], streamed=True))
        if isinstance(outcome, ModelReply):
            assert outcome.message == whole.message
        else:
            assert type(outcome) is errors.ConnectionFailedError


def test_there_are_enough_exchanges() -> None:
    assert len(EXCHANGES) >= 40
