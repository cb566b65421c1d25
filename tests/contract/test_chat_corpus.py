"""Recorded traffic of real servers, where `WIRE_CORPUS` says the recordings are (they are not ours to publish)."""

import asyncio
import gzip
import json
import os
import random
from collections import Counter
from pathlib import Path

import httpx
import pytest

from alloy_actors.content import user
from alloy_actors.errors import ProviderError
from alloy_actors.provider import ModelReply, ModelRequest
from alloy_actors.providers.openai_compat import OpenAICompat

CORPUS = os.environ.get("WIRE_CORPUS")
STOPS = {
    "stop": {"end_turn", "tool_use"},  # several servers say `stop` beside tool calls
    "tool_calls": {"tool_use", "end_turn"},
    "function_call": {"tool_use"},
    "length": {"max_tokens"},
    "content_filter": {"refusal"},
}

pytestmark = pytest.mark.skipif(not CORPUS, reason="WIRE_CORPUS names no folder with recordings")


def lines(name: str) -> list[dict]:
    with gzip.open(Path(CORPUS or "") / name, "rt") as file:
        return [line for line in map(json.loads, file) if line["api"] == "chat"]


class Body(httpx.AsyncByteStream):
    def __init__(self, pieces: list[bytes]) -> None:
        self.pieces = pieces

    async def __aiter__(self):
        for piece in self.pieces:
            yield piece


def cut(body: bytes, rng: random.Random, pieces: int = 12) -> list[bytes]:
    marks = sorted(rng.randrange(len(body) + 1) for _ in range(pieces))
    return [body[start:end] for start, end in zip([0, *marks], [*marks, len(body)], strict=True)]


async def decode(
    pieces: list[bytes], *, status: int = 200, sse: bool, headers: dict | None = None
) -> tuple[ModelReply | ProviderError, str]:
    heard: list[str] = []
    kind = "text/event-stream" if sse else "application/json"
    answer = httpx.Response(status, headers={**(headers or {}), "content-type": kind}, stream=Body(pieces))
    client = httpx.AsyncClient(transport=httpx.MockTransport(lambda _: answer))
    provider = OpenAICompat("m", api_url="http://recorded", http_client=client)
    request = ModelRequest((user("hi"),))

    def listen(deltas) -> None:
        heard.extend(delta.text for delta in deltas if delta.kind == "text")

    try:
        return await provider.complete(request, listen if sse else None), "".join(heard)
    except ProviderError as error:
        return error, "".join(heard)


def arguments(raw: str | dict | None) -> object:
    try:
        return json.loads(raw) if isinstance(raw, str) and raw else raw or {}
    except ValueError:
        return raw


def differences(reply: ModelReply, sdk: dict) -> list[str]:
    """What the official SDK read differently; its usage counts the cache into the input."""
    found = []
    if reply.message.text != sdk["text"] and reply.stop_reason != "refusal":
        found.append(f"text {reply.message.text[:80]!r} != {sdk['text'][:80]!r}")
    ours = [
        (call.name, arguments(call.invalid) if call.invalid else call.input)
        for call in reply.message.tool_calls
    ]
    theirs = [(name, arguments(raw)) for name, raw in sdk["tools"]]
    if ours != theirs:
        found.append(f"tools {ours} != {theirs}")
    if (
        sdk["stop"] in STOPS
        and reply.stop_reason not in STOPS[sdk["stop"]]
        and reply.stop_reason != "refusal"
    ):
        found.append(f"stop {reply.stop_reason} != {sdk['stop']}")
    if sdk["usage"] and sdk["usage"][0] is not None:
        usage = reply.usage
        total = usage.input_tokens + usage.cache_read_input_tokens + usage.cache_creation_input_tokens
        if [total, usage.output_tokens] != sdk["usage"]:
            found.append(f"usage {[total, usage.output_tokens]} != {sdk['usage']}")
    if sdk["reasoning"] and len(reply.message.thinking or "") != sdk["reasoning"]:
        found.append(f"reasoning {len(reply.message.thinking or '')} != {sdk['reasoning']}")
    return found


def test_recorded_exchanges_are_read_as_the_official_sdk_reads_them(capsys) -> None:
    async def main() -> tuple[int, int, list[str]]:
        equal = compared = 0
        notes: list[str] = []
        for line in lines("exchanges.jsonl.gz"):
            reply, _ = await decode(
                [line["response"].encode()], status=line["status"], sse=line["sse"], headers=line["headers"]
            )
            if isinstance(reply, ProviderError):
                if line["status"] == 200:
                    notes.append(f"{line['id']}: {type(reply).__name__}: {reply}")
                assert line["status"] == 200 or type(reply) is not ProviderError
                compared += line["sdk_decoded"] is not None
                continue
            if line["sdk_decoded"] is None:
                notes.append(f"{line['id']}: the SDK could not read it, we could")
                continue
            compared += 1
            found = differences(reply, line["sdk_decoded"])
            equal += not found
            notes += [f"{line['id']}: {note}" for note in found]
        return equal, compared, notes

    equal, compared, notes = asyncio.run(main())
    with capsys.disabled():
        print(f"\nchat corpus: {equal} of {compared} equal ({equal / compared:.1%})")
        print("\n".join(notes))
    assert equal / compared >= 0.99


def test_a_recorded_stream_cut_anywhere_is_the_same_reply() -> None:
    async def main() -> None:
        rng = random.Random(7)
        for line in lines("exchanges.jsonl.gz"):
            if not line["sse"] or line["status"] != 200:
                continue
            body = line["response"].encode()
            whole, heard = await decode([body], sse=True)
            for _ in range(3):
                again, heard_again = await decode(cut(body, rng), sse=True)
                assert isinstance(whole, ModelReply)
                assert isinstance(again, ModelReply)
                assert heard_again == heard == whole.message.text
                if all(call.id and not call.id.startswith("call_") for call in whole.message.tool_calls):
                    assert again == whole

    asyncio.run(main())


def test_a_recorded_stream_ended_early_is_an_error_or_complete() -> None:
    async def main() -> None:
        for line in lines("exchanges.jsonl.gz")[::7]:
            if not line["sse"] or line["status"] != 200:
                continue
            events = line["response"].encode().split(b"\n\n")
            whole, _ = await decode([line["response"].encode()], sse=True)
            assert isinstance(whole, ModelReply)
            for count in range(len(events)):
                early, _ = await decode([b"\n\n".join(events[:count]) + b"\n\n"], sse=True)
                if isinstance(early, ModelReply):
                    assert early.message.text == whole.message.text, line["id"]
                    assert len(early.message.tool_calls) == len(whole.message.tool_calls)
                else:
                    assert type(early).__name__ == "ConnectionFailedError"

    asyncio.run(main())


def test_streams_of_compatible_providers_are_read_or_refused_with_a_typed_error(capsys) -> None:
    async def main() -> Counter:
        seen: Counter = Counter()
        for line in lines("stream-fixtures.jsonl.gz"):
            if line["kind"] == "json":
                reply, _ = await decode([line["body"].encode()], sse=False)
            else:
                events = [
                    f"data: {event.removeprefix('data: ')}\n\n"
                    for event in line["body"].splitlines()
                    if event.strip()
                ]
                reply, heard = await decode(["".join(events).encode()], sse=True)
                if isinstance(reply, ModelReply):
                    assert heard == reply.message.text
            seen[type(reply).__name__ if isinstance(reply, ProviderError) else "reply"] += 1
            if isinstance(reply, ProviderError):
                seen[f"{line['file'].rsplit('/', 1)[-1]}: {type(reply).__name__}: {str(reply)[:120]}"] += 1
        return seen

    seen = asyncio.run(main())
    with capsys.disabled():
        print(f"\nchat stream fixtures: {dict(seen)}")
    assert seen["reply"] >= 40
