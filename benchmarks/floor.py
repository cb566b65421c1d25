"""The floor: the loop that one would write by hand on bare aiohttp, with nothing that is not needed.

It does the same work as the subject: the history goes out with every request, replies are parsed, the two tools of a reply run
side by side, results are appended. No retries, no validation, no events, no supervision. uvloop and pydantic_core's JSON, because
that is the fastest there is without writing C.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import aiohttp
from pydantic_core import from_json, to_json

from benchmarks.measure import Round, stopwatch
from benchmarks.work import (
    MODEL,
    QUESTION,
    SLOW_MODEL,
    W1_CONVERSATIONS,
    W1_RUNS,
    W2_CONVERSATIONS,
    W2_RUNS,
    check_answer,
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
        self._messages: list[dict[str, Any]] = []

    async def run(self, question: str) -> str:
        """One run; returns the answer."""
        messages = self._messages
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


def w1(url: str) -> Round:
    """Conversations one after the other, a server that answers at once."""
    return _runner.run(_w1(url))


def w2(url: str) -> Round:
    """500 conversations at once, a server that answers after 20 ms."""
    return _runner.run(_w2(url))


def close() -> None:
    """Close the connections and the loop."""
    if _session is not None:
        _runner.run(_session.close())
    _runner.close()
