"""The floor: the loop that one would write by hand on bare aiohttp, with nothing that is not needed.

It does the same work as the subject: the history goes out with every request, replies are parsed, the two tools of a reply run
side by side, results are appended. No retries, no validation, no events, no supervision. uvloop and pydantic_core's JSON, because
that is the fastest there is without writing C.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import aiohttp
from pydantic_core import from_json, to_json

from benchmarks.measure import Round, stopwatch
from benchmarks.work import (
    DELTAS,
    MODEL,
    OLD_ANSWER,
    OLD_EXCHANGES,
    QUESTION,
    SLOW_MODEL,
    STREAMS,
    W1_CONVERSATIONS,
    W1_RUNS,
    W2_CONVERSATIONS,
    W2_RUNS,
    W7_CONVERSATIONS,
    W7_RUNS,
    Listened,
    check_answer,
    streaming_model,
    weather,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

try:
    from uvloop import new_event_loop
except ImportError:  # Windows
    from asyncio import new_event_loop

_HEADERS = {"content-type": "application/json", "accept": "application/json"}
_TOOLS: dict[str, Callable[..., Awaitable[str]]] = {"weather": weather}
_TOOL_SPECS = [
    {
        "type": "function",
        "function": {
            "name": "weather",
            "description": weather.__doc__,
            "parameters": {
                "type": "object",
                "properties": {"city": {"type": "string"}},
                "required": ["city"],
            },
        },
    }
]

_runner = asyncio.Runner(loop_factory=new_event_loop)
_session: aiohttp.ClientSession | None = None


class Conversation:
    """A history and the loop over it."""

    def __init__(self, session: aiohttp.ClientSession, url: str, model: str) -> None:
        self._session = session
        self._url = url + "/v1/chat/completions"
        self._model = model
        self.messages: list[dict[str, Any]] = []

    async def run(self, question: str) -> str:
        """One run; returns the answer."""
        messages = self.messages
        messages.append({"role": "user", "content": question})
        while True:
            body = to_json({"model": self._model, "messages": messages, "tools": _TOOL_SPECS})
            async with self._session.post(self._url, data=body, headers=_HEADERS) as response:
                response.raise_for_status()
                reply = from_json(await response.read())
            message = reply["choices"][0]["message"]
            messages.append(message)
            calls = message.get("tool_calls")
            if not calls:
                return message["content"]
            results = await asyncio.gather(*map(_call, calls))
            for call, result in zip(calls, results, strict=True):
                messages.append({"role": "tool", "tool_call_id": call["id"], "content": result})

    async def stream(self, question: str, on_chunk: Callable[[str], object]) -> str:
        """A run without tools, each delta handed to `on_chunk`; returns the answer."""
        self.messages.append({"role": "user", "content": question})
        body = to_json({"model": self._model, "messages": self.messages, "stream": True})
        pieces: list[str] = []
        rest = b""
        async with self._session.post(self._url, data=body, headers=_HEADERS) as response:
            response.raise_for_status()
            async for chunk in response.content.iter_any():
                *events, rest = (rest + chunk).split(b"\n\n")
                for event in events:
                    if event == b"data: [DONE]":
                        break
                    text = from_json(event[6:])["choices"][0]["delta"].get("content")
                    if text:
                        pieces.append(text)
                        on_chunk(text)
        answer = "".join(pieces)
        self.messages.append({"role": "assistant", "content": answer})
        return answer

    def remember(self) -> None:
        """Take in the old messages of W7."""
        for number in range(OLD_EXCHANGES):
            names = {f"call-{number}-{city}": city for city in ("Paris", "Oslo")}
            calls = [
                {
                    "id": name,
                    "type": "function",
                    "function": {"name": "weather", "arguments": f'{{"city":"{city}"}}'},
                }
                for name, city in names.items()
            ]
            self.messages += [
                {"role": "user", "content": QUESTION},
                {"role": "assistant", "content": None, "tool_calls": calls},
                *(
                    {"role": "tool", "tool_call_id": name, "content": f"sunny in {city}"}
                    for name, city in names.items()
                ),
                {"role": "assistant", "content": OLD_ANSWER},
            ]


async def _call(call: dict[str, Any]) -> str:
    function = call["function"]
    return await _TOOLS[function["name"]](**from_json(function["arguments"]))


async def _open_session() -> aiohttp.ClientSession:
    global _session  # kept from round to round, as a service would
    if _session is None:
        _session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0), cookie_jar=aiohttp.DummyCookieJar()
        )
    return _session


async def _w1(url: str) -> Round:
    session = await _open_session()
    conversations = [Conversation(session, url, MODEL) for _ in range(W1_CONVERSATIONS)]
    with stopwatch(W1_CONVERSATIONS * W1_RUNS) as watch:
        answers = [await conversation.run(QUESTION) for conversation in conversations for _ in range(W1_RUNS)]
    for answer in answers:
        check_answer(answer)
    return watch.round


async def _w2(url: str) -> Round:
    session = await _open_session()
    conversations = [Conversation(session, url, SLOW_MODEL) for _ in range(W2_CONVERSATIONS)]

    async def talk(conversation: Conversation) -> list[str]:
        return [await conversation.run(QUESTION) for _ in range(W2_RUNS)]

    with stopwatch(W2_CONVERSATIONS * W2_RUNS) as watch:
        answers = await asyncio.gather(*map(talk, conversations))
    for answer in (answer for pair in answers for answer in pair):
        check_answer(answer)
    return watch.round


async def _w3(url: str, *, burst: bool) -> Round:
    session = await _open_session()
    listened = Listened()
    conversations = [Conversation(session, url, streaming_model(burst=burst)) for _ in range(STREAMS)]
    with stopwatch(STREAMS * DELTAS) as watch:
        for conversation in conversations:
            listened.begin()
            await conversation.stream(QUESTION, listened.hear)
    return replace(watch.round, late=listened.late())


async def _w7(url: str, *, old: bool) -> Round:
    session = await _open_session()
    conversations = [Conversation(session, url, MODEL) for _ in range(W7_CONVERSATIONS)]
    for conversation in conversations:
        if old:
            conversation.remember()
        check_answer(await conversation.run(QUESTION))
    with stopwatch(W7_CONVERSATIONS * W7_RUNS) as watch:
        answers = [await conversation.run(QUESTION) for conversation in conversations for _ in range(W7_RUNS)]
    for answer in answers:
        check_answer(answer)
    return watch.round


def w1(url: str) -> Round:
    """Conversations one after the other, a server that answers at once."""
    return _runner.run(_w1(url))


def w2(url: str) -> Round:
    """500 conversations at once, a server that answers after 20 ms."""
    return _runner.run(_w2(url))


def w3(url: str) -> Round:
    """Streams one after the other, a server that writes each delta by itself."""
    return _runner.run(_w3(url, burst=False))


def w3_burst(url: str) -> Round:
    """The same, a server that writes all deltas at once."""
    return _runner.run(_w3(url, burst=True))


def w7_none(url: str) -> Round:
    """W1 in a few conversations that are under way."""
    return _runner.run(_w7(url, old=False))


def w7(url: str) -> Round:
    """The same on top of 400 old messages."""
    return _runner.run(_w7(url, old=True))


def close() -> None:
    """Close the connections and the loop."""
    if _session is not None:
        _runner.run(_session.close())
    _runner.close()
