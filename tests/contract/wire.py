"""What the contract of the wire formats is tried with: a provider behind a client that answers from memory.

Each API is one module in `apis`, named like its folder in tests/data, that defines `API`.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import random
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx

from alloy_actors.content import Message, ToolCall, Usage, user
from alloy_actors.errors import ProviderError
from alloy_actors.provider import Delta, ModelReply, ModelRequest, Provider

DATA = Path(__file__).parents[1] / "data"
REQUEST = ModelRequest((user("hi"),))


def total(usage: Usage) -> list[int]:
    """[input, output] with the cache counted into the input."""
    return [
        usage.input_tokens + usage.cache_read_input_tokens + usage.cache_creation_input_tokens,
        usage.output_tokens,
    ]


@dataclass(frozen=True)
class Api:
    """One wire format.

    Args:
        name: As the recordings call it.
        make: A provider of model "m" with this `http_client=`, and further options of its own.
        stops: The official SDK's word for the stop reason, and what may become of it here.
        usage: Ours as the official SDK counts it: [input, output].
        beside: Of a reply, [input, output] tokens that we count and the official SDK counts elsewhere.
        thinking: Characters of reasoning as the official SDK counts them.
        made_up: Ids that the provider invents at random where the server gives none.
        known: Recorded exchanges that are read otherwise than the SDK reads them, by id, with the reason.
        fixtures: How many of the stream fixtures are replies; the others are refused with a typed error.
        own: Further requests for the golden file, with what only this API has; a function of the origin.
        options: Of the provider, for the golden requests of that name in place of the plain provider.
    """

    name: str
    make: Callable[..., Provider]
    stops: Mapping[str, set[str]]
    fixtures: int
    usage: Callable[[Usage], list[int]] = total
    beside: Callable[[ModelReply], list[int]] = lambda _: [0, 0]
    thinking: Callable[[Message], int] = lambda message: len(message.thinking or "")
    made_up: re.Pattern[str] = re.compile(r"(?!)")
    known: Mapping[str, str] = field(default_factory=dict)
    own: Callable[[str], dict[str, ModelRequest]] = lambda _: {}
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


APIS: dict[str, Api] = {
    path.stem: importlib.import_module(f"tests.contract.apis.{path.stem}").API
    for path in sorted((Path(__file__).parent / "apis").glob("*.py"))
}


class Body(httpx.AsyncByteStream):
    def __init__(self, pieces: list[bytes]) -> None:
        self.pieces = pieces

    async def __aiter__(self):
        for piece in self.pieces:
            yield piece


@dataclass(frozen=True)
class Outcome:
    """What `complete` returned or raised, and the deltas as they were handed out."""

    reply: ModelReply | ProviderError
    heard: list[list[Delta]]

    def said(self, kind: str) -> str:
        return "".join(delta.text for deltas in self.heard for delta in deltas if delta.kind == kind)


async def play(
    api: Api,
    pieces: list[bytes],
    *,
    streamed: bool,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
) -> Outcome:
    """One exchange: the provider asks, and the body comes in these pieces."""
    response = httpx.Response(status, headers=dict(headers or {}), stream=Body(pieces))
    client = httpx.AsyncClient(transport=httpx.MockTransport(lambda _: response))
    heard: list[list[Delta]] = []
    listen = (lambda deltas: heard.append(list(deltas))) if streamed else None
    try:
        return Outcome(await api.make(http_client=client).complete(REQUEST, listen), heard)
    except ProviderError as error:
        return Outcome(error, heard)


def sent(api: Api, request: ModelRequest, *, streamed: bool = False, **options: Any) -> httpx.Request:
    """What goes out for a request; the answer is an error."""
    seen: list[httpx.Request] = []

    def answer(got: httpx.Request) -> httpx.Response:
        seen.append(got)
        return httpx.Response(418, json={})

    async def main() -> None:
        client = httpx.AsyncClient(transport=httpx.MockTransport(answer))
        try:
            await api.make(http_client=client, **options).complete(
                request, (lambda _: None) if streamed else None
            )
        except ProviderError:
            pass

    asyncio.run(main())
    return seen[0]


def cut(body: bytes, rng: random.Random, pieces: int = 12) -> list[bytes]:
    """The body in pieces that end anywhere."""
    marks = sorted(rng.randrange(len(body) + 1) for _ in range(pieces))
    return [body[start:end] for start, end in zip([0, *marks], [*marks, len(body)], strict=True)]


def comparable(api: Api, reply: ModelReply | ProviderError) -> object:
    """The reply without ids that were made up for it."""
    if isinstance(reply, ProviderError):
        return type(reply), str(reply)
    blocks = tuple(
        replace(block, id="") if isinstance(block, ToolCall) and api.made_up.fullmatch(block.id) else block
        for block in reply.message.blocks
    )
    return replace(reply, message=Message("assistant", blocks))


def as_json(value: object) -> str:
    """For people to compare."""
    return json.dumps(value, indent=1, ensure_ascii=False)
