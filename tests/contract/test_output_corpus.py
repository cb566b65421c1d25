"""Recorded answers to requests with an output schema are read as the JSON they are (see test_wire_corpus)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from alloy_actors.output import Output
from tests.contract.test_wire_corpus import CORPUS, decode, lines
from tests.contract.wire import APIS, Api

pytestmark = [
    pytest.mark.skipif(not CORPUS, reason="WIRE_CORPUS names no folder with recordings"),
    pytest.mark.slow,
]

FEWEST = {"anthropic": 15, "chat": 30, "gemini": 15, "responses": 30}
"""Answers in words among the recordings."""


def schema_of(body: Any) -> dict[str, Any] | None:
    """What the request says about the form of the answer, on any of the wires."""
    body = body if isinstance(body, dict) else {}
    config = body.get("generationConfig") or {}
    places = (
        ((body.get("response_format") or {}).get("json_schema") or {}).get("schema"),
        ((body.get("text") or {}).get("format") or {}).get("schema"),
        ((body.get("output_config") or {}).get("format") or {}).get("schema"),
        (body.get("output_format") or {}).get("schema"),
        config.get("responseJsonSchema") or config.get("responseSchema"),
    )
    return next((place for place in places if place), None)


@pytest.mark.parametrize("api", APIS.values(), ids=APIS)
def test_an_answer_is_read_whatever_stands_around_it(api: Api) -> None:
    output = Output(dict[str, Any])
    read = 0
    for line in lines(api, "exchanges.jsonl.gz"):
        schema = schema_of(line["request"])
        if schema is None or line["status"] != 200 or schema.get("type", "").lower() != "object":
            continue
        outcome = asyncio.run(decode(api, [line["response"].encode()], line, sse=line["sse"]))
        reply = outcome.reply
        if reply.stop_reason != "end_turn" or not reply.message.text:
            continue
        value = output.read_text(reply.message)
        assert set(schema.get("required", ())) <= value.keys(), line["id"]
        read += 1
    assert read >= FEWEST[api.name]
