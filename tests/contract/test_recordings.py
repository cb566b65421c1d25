"""What was recorded is read the same when it is played back: every exchange of every wire format, errors included."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
from pathlib import Path
from typing import Any

import httpx
import pytest

from alloy_actors.errors import ProviderError
from alloy_actors.testing import Recording
from tests.contract.test_wire_exchanges import EXCHANGES, body_of, is_stream
from tests.contract.wire import APIS, REQUEST, Api, Body, comparable

CORPUS = os.environ.get("WIRE_CORPUS")


async def ask(api: Api, options: dict[str, Any], *, streamed: bool) -> tuple[object, list[str]]:
    """What the reply is, and what was heard, in one piece for each kind."""
    heard = {"text": "", "thinking": ""}

    def listen(deltas: Any) -> None:
        for delta in deltas:
            heard[delta.kind] += delta.text

    options = {name: option for name, option in options.items() if name != "api_key"}
    try:
        reply: Any = await api.make(**options).complete(REQUEST, listen if streamed else None)
    except ProviderError as error:
        return (type(error), str(error), error.status, error.code, error.request_id, error.retry_after), [*heard.values()]  # fmt: skip
    return comparable(api, reply), [*heard.values()]


def recorded_and_played(
    api: Api, path: Path, body: bytes, *, streamed: bool, status: int, headers: dict[str, str]
) -> None:
    def answer(_: httpx.Request) -> httpx.Response:
        return httpx.Response(status, headers=headers, stream=Body([body]))

    client = httpx.AsyncClient(transport=httpx.MockTransport(answer))
    with Recording(path, record=True) as wire:
        first = asyncio.run(ask(api, {**wire.options, "http_client": client}, streamed=streamed))
    with Recording(path, record=False) as wire:
        again = asyncio.run(ask(api, wire.options, streamed=streamed))
    assert again == first


@pytest.mark.parametrize(("api", "name"), EXCHANGES, ids=["-".join(key) for key in EXCHANGES])
def test_an_exchange_played_back_is_read_as_when_it_was_recorded(api: str, name: str, tmp_path: Path) -> None:
    exchange = EXCHANGES[api, name]
    kind = exchange.get("content_type") or (
        "text/event-stream" if is_stream(exchange) else "application/json"
    )
    recorded_and_played(
        APIS[api],
        tmp_path / "recording.json",
        body_of(exchange),
        streamed=is_stream(exchange),
        status=exchange.get("status", 200),
        headers={"content-type": kind, **exchange.get("headers", {})},
    )


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.skipif(not CORPUS, reason="WIRE_CORPUS names no folder with recordings")
@pytest.mark.parametrize("api", APIS.values(), ids=APIS)
def test_so_are_exchanges_of_real_servers(api: Api, tmp_path: Path) -> None:
    with gzip.open(Path(CORPUS or "") / "exchanges.jsonl.gz", "rt") as file:
        lines = [json.loads(line) for line in file]
    lines = [line for line in lines if line["api"] == api.name]
    assert len(lines) > 20
    for line in lines:
        recorded_and_played(
            api,
            tmp_path / "recording.json",
            line["response"].encode(),
            streamed=line["sse"],
            status=line["status"],
            headers=line["headers"],
        )
