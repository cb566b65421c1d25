"""Recorded traffic of real servers, where `WIRE_CORPUS` says the recordings are (they are not ours to publish).

`make corpus WIRE_CORPUS=...` prints the scores and each difference with its reason.
"""

import asyncio
import functools
import gzip
import json
import os
import random
from collections import Counter
from pathlib import Path

import pytest

from alloy_actors.content import TextBlock
from alloy_actors.errors import ConnectionFailedError, ProviderError
from alloy_actors.provider import ModelReply
from tests.contract.wire import APIS, Api, Outcome, comparable, cut, play

CORPUS = os.environ.get("WIRE_CORPUS")
RECHUNKINGS = 20
ENDED_EARLY = 50  # streams

pytestmark = [
    pytest.mark.skipif(not CORPUS, reason="WIRE_CORPUS names no folder with recordings"),
    pytest.mark.parametrize("api", APIS.values(), ids=APIS),
    pytest.mark.slow,
    pytest.mark.timeout(300),
]


@functools.cache
def recorded(name: str) -> list[dict]:
    with gzip.open(Path(CORPUS or "") / name, "rt") as file:
        return [json.loads(line) for line in file]


def lines(api: Api, name: str) -> list[dict]:
    return [line for line in recorded(name) if line["api"] == api.name]


def streams(api: Api) -> list[dict]:
    return [line for line in lines(api, "exchanges.jsonl.gz") if line["sse"] and line["status"] == 200]


async def decode(api: Api, pieces: list[bytes], line: dict | None = None, *, sse: bool) -> Outcome:
    headers = {} if line is None else line["headers"]
    headers = {**headers, "content-type": "text/event-stream" if sse else "application/json"}
    status = 200 if line is None else line["status"]
    return await play(api, pieces, streamed=sse, status=status, headers=headers)


def arguments(raw: str | dict | None) -> object:
    try:
        return json.loads(raw) if isinstance(raw, str) and raw else raw or {}
    except ValueError:
        return raw


def differences(api: Api, reply: ModelReply, sdk: dict) -> list[str]:
    """What the official SDK read differently; a refusal is text here, and none there.

    The recordings hold the SDK's text blocks joined by nothing.
    """
    found = []
    refused = reply.stop_reason == "refusal"
    text = "".join(block.text for block in reply.message.blocks if isinstance(block, TextBlock))
    if text != sdk["text"] and not refused:
        found.append(f"text {text[:80]!r} != {sdk['text'][:80]!r}")
    ours = [
        (call.name, arguments(call.invalid) if call.invalid else call.input)
        for call in reply.message.tool_calls
    ]
    theirs = [(name, arguments(raw)) for name, raw in sdk["tools"]]
    if ours != theirs:
        found.append(f"tools {ours} != {theirs}")
    if sdk["stop"] in api.stops and reply.stop_reason not in api.stops[sdk["stop"]] and not refused:
        found.append(f"stop {reply.stop_reason} != {sdk['stop']}")
    usage = [count - more for count, more in zip(api.usage(reply.usage), api.beside(reply), strict=True)]
    if sdk["usage"] and sdk["usage"][0] is not None and usage != sdk["usage"]:
        found.append(f"usage {usage} != {sdk['usage']}")
    if sdk["reasoning"] and api.thinking(reply.message) != sdk["reasoning"]:
        found.append(f"reasoning {api.thinking(reply.message)} != {sdk['reasoning']}")
    return found


def unread(sdk: dict) -> bool:
    """The SDK made nothing of it: no word, no call, no end and no usage."""
    return sdk["stop"] == "None" and not (sdk["text"] or sdk["tools"] or sdk["reasoning"] or sdk["usage"])


def test_recorded_exchanges_are_read_as_the_official_sdk_reads_them(api: Api, capsys) -> None:
    async def main() -> tuple[int, int, list[str]]:
        equal = compared = 0
        notes: list[str] = []
        for line in lines(api, "exchanges.jsonl.gz"):
            sdk = line["sdk_decoded"]
            reply = (await decode(api, [line["response"].encode()], line, sse=line["sse"])).reply
            if isinstance(reply, ProviderError):
                found = [f"{type(reply).__name__}: {reply}"] if line["status"] == 200 else []
                assert line["status"] == 200 or type(reply) is not ProviderError, line["id"]
            elif sdk is None or unread(sdk):
                found, sdk = ["the SDK could not read it, we could"], None
            else:
                found = differences(api, reply, sdk)
            if sdk is not None:
                compared += 1
                equal += not found
            reason = api.known.get(line["id"], "")
            notes += [f"{line['id']}: {note}{reason and f' ({reason})'}" for note in found]
        return equal, compared, notes

    equal, compared, notes = asyncio.run(main())
    with capsys.disabled():
        print(f"\n{api.name} corpus: {equal} of {compared} equal ({equal / compared:.1%})")
        print("\n".join(notes))
    assert equal / compared >= 0.99


def test_a_recorded_stream_cut_anywhere_is_the_same_reply(api: Api) -> None:
    async def main() -> None:
        rng = random.Random(7)
        for line in streams(api):
            body = line["response"].encode()
            whole = await decode(api, [body], line, sse=True)
            for _ in range(RECHUNKINGS):
                again = await decode(api, cut(body, rng), line, sse=True)
                assert comparable(api, again.reply) == comparable(api, whole.reply), line["id"]
                for kind in ("text", "thinking"):
                    assert again.said(kind) == whole.said(kind)
            if isinstance(whole.reply, ModelReply):
                for kind in ("text", "thinking"):
                    blocks = (block for block in whole.reply.message.blocks if block.type == kind)
                    assert whole.said(kind) == "".join(getattr(block, kind) for block in blocks), line["id"]

    asyncio.run(main())


def test_a_recorded_stream_ended_early_is_an_error_or_complete(api: Api) -> None:
    async def main() -> None:
        chosen = streams(api)
        for line in chosen[:: max(1, len(chosen) // ENDED_EARLY)]:
            body = line["response"].replace("\r\n", "\n").encode()
            events = body.split(b"\n\n")
            whole = await decode(api, [body], line, sse=True)
            assert isinstance(whole.reply, ModelReply), line["id"]
            refused = 0
            for count in range(len(events)):
                early = await decode(api, [b"\n\n".join(events[:count]) + b"\n\n"], line, sse=True)
                if isinstance(early.reply, ModelReply):
                    assert early.reply.message.text == whole.reply.message.text, line["id"]
                    assert len(early.reply.message.tool_calls) == len(whole.reply.message.tool_calls)
                    assert early.reply.stop_reason == whole.reply.stop_reason
                else:
                    refused += 1
                    assert type(early.reply) is ConnectionFailedError, line["id"]
                for kind in ("text", "thinking"):
                    assert whole.said(kind).startswith(early.said(kind))
            assert refused

    asyncio.run(main())


def test_streams_of_compatible_providers_are_read_or_refused_with_a_typed_error(api: Api, capsys) -> None:
    async def main() -> Counter:
        seen: Counter = Counter()
        for line in lines(api, "stream-fixtures.jsonl.gz"):
            sse = line["kind"] != "json"
            body = line["body"]
            if sse:
                events = (event.removeprefix("data: ") for event in body.splitlines() if event.strip())
                body = "".join(f"data: {event}\n\n" for event in events)
            reply = (await decode(api, [body.encode()], sse=sse)).reply
            seen["refused" if isinstance(reply, ProviderError) else "reply"] += 1
            if isinstance(reply, ProviderError):
                seen[f"{line['file'].rsplit('/', 1)[-1]}: {type(reply).__name__}: {str(reply)[:120]}"] += 1
        return seen

    seen = asyncio.run(main())
    with capsys.disabled():
        print(f"\n{api.name} stream fixtures: {seen['reply']} replies, {seen['refused']} refused")
        print("\n".join(note for note in seen if note not in ("reply", "refused")))
    assert seen["reply"] >= api.fixtures
