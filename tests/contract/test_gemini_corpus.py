"""What Gemini has said in the recordings goes back to it part for part."""

import asyncio
import json
import os

import pytest

from alloy_actors.content import user
from alloy_actors.provider import ModelReply
from alloy_actors.providers._gemini_request import PLACEHOLDER, ContentsFormat
from tests.contract.test_wire_corpus import decode, lines
from tests.contract.wire import APIS

API = APIS["gemini"]

pytestmark = [
    pytest.mark.skipif(
        not os.environ.get("WIRE_CORPUS"), reason="WIRE_CORPUS names no folder with recordings"
    ),
    pytest.mark.slow,
]


def parts_of(response: str, *, sse: bool) -> list[dict]:
    data = [line[5:] for line in response.splitlines() if line.startswith("data:")] if sse else [response]
    found = [chunk for text in data for chunk in _as_list(json.loads(text))]
    return [
        part
        for chunk in found
        for candidate in chunk["candidates"]
        for part in candidate.get("content", {}).get("parts", ())
    ]


def _as_list(value: object) -> list:
    return value if isinstance(value, list) else [value]


def said(parts: list[dict], thought: bool) -> str:
    return "".join(part["text"] for part in parts if "text" in part and bool(part.get("thought")) == thought)


def test_the_model_s_own_parts_go_back_as_they_came() -> None:
    async def main() -> int:
        checked = 0
        for line in lines(API, "exchanges.jsonl.gz"):
            reply = (await decode(API, [line["response"].encode()], line, sse=line["sse"])).reply
            if not isinstance(reply, ModelReply) or not reply.message.blocks:
                continue
            came = parts_of(line["response"], sse=line["sse"])
            wire = ContentsFormat.of(reply.message.origin or "").messages((user("hi"), reply.message))
            sent = json.loads(wire[1])["parts"]
            for part in sent:
                if part.get("thoughtSignature") == PLACEHOLDER:
                    del part["thoughtSignature"]
            for thought in (False, True):
                assert said(sent, thought) == said(came, thought), line["id"]
            # Signatures stand where they stood, calls and files are the same; only unsigned text was joined.
            assert [part for part in sent if "text" not in part or "thoughtSignature" in part] == [
                part for part in came if "text" not in part or "thoughtSignature" in part
            ], line["id"]
            checked += 1
        return checked

    assert asyncio.run(main()) > 200
