"""A reply that was cut off or cancelled is billed all the same: what it had said of its usage counts."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest

import alloy_actors as alloy

PRICES = {"dollars_per_million": {"input": 10_000, "output": 10_000}}  # a cent a token


def events(*documents: dict[str, Any]) -> bytes:
    return b"".join(b"data: %s\n\n" % json.dumps(document).encode() for document in documents)


ANTHROPIC = events(
    {
        "type": "message_start",
        "message": {"id": "m", "content": [], "usage": {"input_tokens": 25, "output_tokens": 1}},
    },
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
)
CHAT = events(
    {
        "choices": [{"index": 0, "delta": {"content": ""}}],
        "usage": {"prompt_tokens": 25, "completion_tokens": 1},
    }
)
GEMINI = events(
    {
        "candidates": [{"content": {"role": "model", "parts": []}}],
        "usageMetadata": {"promptTokenCount": 25, "candidatesTokenCount": 1},
    }
)
FAILED = events(
    {
        "type": "response.failed",
        "response": {
            "id": "r",
            "status": "failed",
            "output": [],
            "error": {"code": "invalid_prompt", "message": "no"},
            "usage": {"input_tokens": 25, "output_tokens": 1},
        },
    }
)
WIRES: dict[str, tuple[Callable[..., Any], bytes]] = {
    "Anthropic": (alloy.Anthropic, ANTHROPIC),
    "OpenAI": (alloy.OpenAI, FAILED),
    "Gemini": (alloy.Gemini, GEMINI),
    "OpenAICompat": (lambda **options: alloy.OpenAICompat(api_url="http://models.example", **options), CHAT),
}


class Body(httpx.AsyncByteStream):
    """The beginning of a stream, which then ends too soon, or goes silent."""

    def __init__(self, begin: bytes, silent: asyncio.Event | None) -> None:
        self._begin = begin
        self._silent = silent

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._begin
        if self._silent is not None:
            self._silent.set()
            await asyncio.get_running_loop().create_future()


def provider(name: str, silent: Callable[[], asyncio.Event] | None = None) -> Any:
    make, begin = WIRES[name]

    async def handler(_request: httpx.Request) -> httpx.Response:
        headers = {"content-type": "text/event-stream"}
        return httpx.Response(
            200, headers=headers, stream=Body(begin, silent() if silent is not None else None)
        )

    client = httpx.AsyncClient(transport=httpx.MockTransport(handler))
    return make(model="m", api_key="sk-test-key", http_client=client)


async def results(agent: alloy.AgentRef) -> AsyncIterator[alloy.Result]:
    """Of one request; somebody listens, so the wire streams."""
    async for event in agent.astream_chat("hi"):
        if isinstance(event, alloy.RunFinished):
            yield event.result


@pytest.mark.parametrize("name", WIRES)
def test_replies_that_were_cut_off_count_each_of_them(name: str) -> None:
    retries = 0 if name == "OpenAI" else 2  # its failure is no reason to ask again
    result = alloy.stream(
        "hi",
        lambda _chunk: None,
        provider=provider(name),
        model_metadata_overrides={"m": PRICES},
        max_retries=retries,
        retry_backoff=1e-6,
    )
    assert result.status == "error"
    asked = retries + 1
    assert result.usage == alloy.Usage(25 * asked, asked)
    assert result.cost_cents == pytest.approx(26 * asked)


def test_lost_replies_use_a_budget_up() -> None:
    async def main() -> None:
        async with alloy.AgentSystem() as system:
            agent = await system.aspawn(
                "a",
                provider=provider("Anthropic"),
                model_metadata_overrides={"m": {"dollars_per_million": {"input": 0, "output": 260_000}}},
                max_retries=0,
                lifetime_budget_cents=60,
            )
            ends: list[str] = []
            for _ in range(4):
                ends += [result.status async for result in results(agent)]
            assert ends == ["error", "error", "error", "budget_exceeded"]
            assert (await agent.ahealth()).cost_cents == pytest.approx(78)

    asyncio.run(main())


@pytest.mark.parametrize("name", ["Anthropic", "Gemini", "OpenAICompat"])
def test_a_reply_that_was_cancelled_counts(name: str) -> None:
    async def main() -> None:
        here = asyncio.get_running_loop()
        silent = asyncio.Event()

        class Told:
            """Set on the runtime's loop, waited for on this one."""

            def set(self) -> None:
                here.call_soon_threadsafe(silent.set)

        async with alloy.AgentSystem() as system:
            agent = await system.aspawn(
                "a", provider=provider(name, Told), model_metadata_overrides={"m": PRICES}
            )

            async def listen() -> list[alloy.Result]:
                return [result async for result in results(agent)]

            listening = asyncio.create_task(listen())
            await silent.wait()
            assert await agent.acancel_request()
            (result,) = await listening
            assert (result.status, result.usage) == ("cancelled", alloy.Usage(25, 1))
            assert result.cost_cents == pytest.approx(26)
            assert (await agent.ahealth()).cost_cents == pytest.approx(26)

    asyncio.run(main())
