"""The wire formats as real servers speak them: each file of tests/data/<api> is one exchange, written by hand.

A file holds `json`, `text`, `events` (of a stream) or `raw` (a stream's text), and either `expect` (what the reply
must come to) or `error` (its class) with `says` (a part of its message). An event is data, or text with its lines.
"""

import asyncio
import json
from typing import Any

import pytest

from alloy_actors import errors
from alloy_actors.provider import Delta, ModelReply
from tests.contract.wire import APIS, DATA, Outcome, comparable, play

EXCHANGES = {
    (name, path.stem): json.loads(path.read_text())
    for name in APIS
    for path in sorted((DATA / name).glob("*.json"))
}


def where(condition) -> Any:
    """Parametrise over the exchanges of every API that fit."""
    keys = [key for key, exchange in EXCHANGES.items() if condition(exchange)]
    return pytest.mark.parametrize(("api", "name"), keys, ids=["-".join(key) for key in keys])


def body_of(exchange: dict) -> bytes:
    if "json" in exchange:
        return json.dumps(exchange["json"], ensure_ascii=False).encode()
    if "events" in exchange:
        return b"".join(map(event_of, exchange["events"]))
    return exchange.get("raw", exchange.get("text", "")).encode()


def event_of(event: Any) -> bytes:
    if isinstance(event, str):
        lines = event if event.startswith(("event:", "data:", ":")) else f"data: {event}"
    else:
        lines = f"data: {json.dumps(event)}"
    return f"{lines}\n\n".encode()


def is_stream(exchange: dict) -> bool:
    return "events" in exchange or "raw" in exchange


def outcome_of(api: str, exchange: dict, pieces: list[bytes], *, streamed: bool) -> Outcome:
    kind = exchange.get("content_type") or (
        "text/event-stream" if is_stream(exchange) else "application/json"
    )
    headers = {"content-type": kind, **exchange.get("headers", {})}
    status = exchange.get("status", 200)
    return asyncio.run(play(APIS[api], pieces, streamed=streamed, status=status, headers=headers))


def check(outcome: Outcome, exchange: dict) -> None:
    reply = outcome.reply
    if "error" in exchange:
        assert type(reply) is getattr(errors, exchange["error"]), repr(reply)
        assert exchange["says"] in str(reply)
        for name, value in exchange.get("facts", {}).items():
            assert getattr(reply, name) == value
        return
    assert isinstance(reply, ModelReply), repr(reply)
    expect = exchange["expect"]
    assert reply.message.role == "assistant"
    assert reply.message.model == "m"
    assert len(reply.message.origin or "") == 16
    assert reply.message.text == expect["text"]
    assert reply.message.thinking == expect.get("thinking")
    assert reply.stop_reason == expect["stop_reason"]
    calls = [
        [call.id, call.name, call.input] + [call.invalid] * bool(call.invalid)
        for call in reply.message.tool_calls
    ]
    assert calls == expect["tools"]
    usage = reply.usage
    assert [
        usage.input_tokens,
        usage.output_tokens,
        usage.cache_read_input_tokens,
        usage.cache_creation_input_tokens,
    ] == expect["usage"]
    for name, value in expect.get("metadata", {}).items():
        assert reply.metadata[name] == value
    assert reply.provider_state == expect.get("state")
    if "blocks" in expect:  # in full, `raw` as the JSON in it
        assert [fields_of(block) for block in reply.message.blocks] == expect["blocks"]


def fields_of(block: Any) -> dict:
    """The fields of a block that say something, with its type first."""
    found = {name: getattr(block, name, None) for name in ("type", *block.__dataclass_fields__)}
    if found.get("raw") is not None:
        found["raw"] = json.loads(found["raw"])
    kept = {name: value for name, value in found.items() if value not in (None, False)}
    return json.loads(json.dumps(kept))


def joined(reply: ModelReply, kind: str) -> str:
    """What a listener has to have heard of it."""
    return "".join(getattr(block, kind) for block in reply.message.blocks if block.type == kind)


@where(lambda _: True)
def test_an_exchange_comes_to_what_its_file_says(api: str, name: str) -> None:
    exchange = EXCHANGES[api, name]
    streamed = exchange.get("streamed", is_stream(exchange))
    outcome = outcome_of(api, exchange, [body_of(exchange)], streamed=streamed)
    check(outcome, exchange)
    if streamed and isinstance(outcome.reply, ModelReply):
        assert outcome.said("text") == joined(outcome.reply, "text")
        assert outcome.said("thinking") == joined(outcome.reply, "thinking")
    if "heard" in exchange:
        assert outcome.said("text") == exchange["heard"]
    for deltas in outcome.heard:
        assert deltas
        for delta in deltas:
            delta.text.encode()  # no half of a surrogate pair reaches a listener


@where(is_stream)
def test_a_stream_in_single_bytes_comes_to_the_same(api: str, name: str) -> None:
    exchange = EXCHANGES[api, name]
    body = body_of(exchange)
    outcome = outcome_of(api, exchange, [body[at : at + 1] for at in range(len(body))], streamed=True)
    check(outcome, exchange)
    if "heard" in exchange:
        assert outcome.said("text") == exchange["heard"]


@where(lambda exchange: "json" in exchange)
def test_a_whole_reply_means_the_same_to_a_listener_and_to_none(api: str, name: str) -> None:
    exchange = EXCHANGES[api, name]
    outcome = outcome_of(api, exchange, [body_of(exchange)], streamed=True)
    check(outcome, exchange)
    if isinstance(outcome.reply, ModelReply):
        assert outcome.said("text") == joined(outcome.reply, "text")
        assert len(outcome.heard) <= 1


@where(lambda exchange: "events" in exchange and "expect" in exchange)
def test_a_stream_ended_at_any_event_is_an_error_or_the_whole_answer(api: str, name: str) -> None:
    exchange = EXCHANGES[api, name]
    whole = outcome_of(api, exchange, [body_of(exchange)], streamed=True).reply
    assert isinstance(whole, ModelReply)
    refused = 0
    for count in range(len(exchange["events"])):
        body = body_of({"events": exchange["events"][:count]})
        early = outcome_of(api, exchange, [body] if body else [], streamed=True).reply
        if isinstance(early, ModelReply):  # only its usage, or the end mark, was still to come
            assert comparable(APIS[api], early).message == comparable(APIS[api], whole).message
            assert early.stop_reason == whole.stop_reason
        else:
            refused += 1
            assert type(early) is errors.ConnectionFailedError
    assert refused


@pytest.mark.parametrize("api", APIS)
def test_one_network_chunk_is_one_call_of_the_listener(api: str) -> None:
    exchange = EXCHANGES[api, "stream_text"]
    outcome = outcome_of(api, exchange, [body_of(exchange)], streamed=True)
    assert outcome.heard == [[Delta("text", "Hel"), Delta("text", "lo")]]


@pytest.mark.parametrize("api", APIS)
def test_there_are_enough_exchanges(api: str) -> None:
    assert len([key for key in EXCHANGES if key[0] == api]) >= 40
