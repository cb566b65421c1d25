"""What a response held goes back as it came, as far as it is the provider's own, and nothing is made of the rest."""

import asyncio
import gzip
import json
import os
from pathlib import Path

import pytest

from alloy_actors.content import ToolResult, user
from alloy_actors.provider import ModelReply, ModelRequest
from tests.contract.test_wire_exchanges import EXCHANGES, body_of, outcome_of
from tests.contract.wire import APIS, play, sent

API = APIS["responses"]
CORPUS = os.environ.get("WIRE_CORPUS")
REBUILT = {"message", "function_call", None}
"""Types of items that are written anew from their fields; None is a server's message without a type."""


def output_of(line: dict) -> list[dict]:
    """The items of a recorded response, out of its last event where it was streamed."""
    if not line["sse"]:
        return json.loads(line["response"])["output"]
    data = [text.removeprefix("data:") for text in line["response"].splitlines() if text.startswith("data:")]
    return json.loads(data[-1])["response"]["output"]


def resent(reply: ModelReply) -> list[dict]:
    """The items of the next request that stand for the reply."""
    results = [ToolResult(call.id, "done") for call in reply.message.tool_calls]
    request = ModelRequest((user("hi"), reply.message, user(*results, "and?")))
    items = json.loads(sent(API, request).content)["input"]
    return items[1 : len(items) - len(results) - 1]


def check(output: list[dict], reply: ModelReply) -> None:
    items = resent(reply)
    own = [item for item in output if item.get("type") not in REBUILT]
    assert [item for item in items if item.get("type") not in REBUILT] == own
    calls = [
        (item["call_id"], item["name"], json.loads(item["arguments"]))
        for item in items
        if item.get("type") == "function_call"
    ]
    assert calls == [(call.id, call.name, call.input) for call in reply.message.tool_calls]
    assert "".join(item["content"] for item in items if "role" in item) == "".join(
        block.text for block in reply.message.blocks if block.type == "text"
    )
    assert kinds(items) == kinds(output)


def kinds(items: list[dict]) -> list[str]:
    """In order, but for messages, of which several may have become one."""
    return [item["type"] for item in items if item.get("type") not in {"message", None}]


NAMES = [
    name
    for (api, name), exchange in EXCHANGES.items()
    if api == "responses"
    and "expect" in exchange
    and exchange.get("json", {}).get("output")
    and name not in {"plain_output_of_nonsense", "plain_reasoning_lost"}  # those are not to go back
]


@pytest.mark.parametrize("name", NAMES)
def test_an_exchanges_own_items_go_back_unchanged(name: str) -> None:
    exchange = EXCHANGES["responses", name]
    reply = outcome_of("responses", exchange, [body_of(exchange)], streamed=False).reply
    assert isinstance(reply, ModelReply)
    check(exchange["json"]["output"], reply)


@pytest.mark.slow
@pytest.mark.skipif(not CORPUS, reason="WIRE_CORPUS names no folder with recordings")
def test_recorded_responses_own_items_go_back_unchanged() -> None:
    with gzip.open(Path(CORPUS or "") / "exchanges.jsonl.gz", "rt") as file:
        lines = [
            line for line in map(json.loads, file) if line["api"] == "responses" and line["status"] == 200
        ]
    own = 0
    for line in lines:
        kind = "text/event-stream" if line["sse"] else "application/json"
        body = line["response"].encode()
        outcome = asyncio.run(play(API, [body], streamed=line["sse"], headers={"content-type": kind}))
        assert isinstance(outcome.reply, ModelReply), line["id"]
        output = output_of(line)
        check(output, outcome.reply)
        own += sum(item.get("type") not in REBUILT for item in output)
    assert own > 10
