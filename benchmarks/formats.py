"""What a streamed delta costs in each wire format: `python -m benchmarks.formats [chat anthropic ...] [--rounds N]`.

A server in a process of its own writes an answer of 2,000 deltas at once; the CPU of this process, user and system, is
divided by them. `provider` listens to the provider itself, `stream_chat` to an agent, so with events and a callback.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import alloy_actors as alloy
from alloy_actors.providers._http import close_all
from benchmarks.measure import Spread, machine

try:
    from uvloop import new_event_loop
except ImportError:  # Windows
    from asyncio import new_event_loop

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

DELTAS = 2_000
STREAMS = 5  # of one round
PIECE = " deltas"


def _chat() -> list[object]:
    chunk = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    pieces = [
        {**chunk, "choices": [{"index": 0, "delta": {"content": PIECE}, "finish_reason": None}]}
    ] * DELTAS
    return [*pieces, {**chunk, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}, "[DONE]"]


def _responses() -> list[object]:
    where = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
    piece = {"type": "response.output_text.delta", **where, "delta": PIECE, "logprobs": []}
    message = {"type": "message", "content": [{"type": "output_text", "text": PIECE * DELTAS}]}
    end = {"type": "response.completed", "response": {"id": "resp_1", "output": [message]}}
    return [*[piece] * DELTAS, end]


def _anthropic() -> list[object]:
    piece = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": PIECE}}
    return [
        {"type": "message_start", "message": {"id": "msg_1", "content": [], "usage": {"input_tokens": 9}}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        *[piece] * DELTAS,
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": DELTAS}},
        {"type": "message_stop"},
    ]


def _gemini() -> list[object]:
    def chunk(text: str, **end: str) -> dict[str, object]:
        candidate = {"content": {"parts": [{"text": text}], "role": "model"}, **end, "index": 0}
        usage = {"promptTokenCount": 9, "candidatesTokenCount": DELTAS, "totalTokenCount": 9 + DELTAS}
        return {"candidates": [candidate], "usageMetadata": usage, "modelVersion": "m", "responseId": "r_1"}

    return [*[chunk(PIECE)] * DELTAS, chunk("", finishReason="STOP")]


FORMATS: dict[str, tuple[Callable[[str], alloy.Provider], Callable[[], list[object]]]] = {
    "chat": (lambda url: alloy.OpenAICompat("m", api_url=url), _chat),
    "responses": (lambda url: alloy.OpenAI("m", "sk-none", url), _responses),
    "anthropic": (lambda url: alloy.Anthropic("m", "sk-ant-none", url), _anthropic),
    "gemini": (lambda url: alloy.Gemini("m", "none", url), _gemini),
}
"""name -> (a provider for this server, the events of the answer)."""


def main() -> None:
    """Measure what was asked for, all by default."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.formats", description="CPU of a streamed delta."
    )
    parser.add_argument("names", nargs="*", metavar="name", help=f"{' '.join(FORMATS)}; all by default")
    parser.add_argument("--rounds", type=int, default=9, help="rounds that count")
    parser.add_argument("--serve", choices=FORMATS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        asyncio.run(_serve(options.serve))
        return
    if unknown := set(options.names) - set(FORMATS):
        parser.error(f"unknown: {', '.join(sorted(unknown))}; there are: {', '.join(FORMATS)}")
    print(f"{machine()}\n{f'µs of CPU a delta, {DELTAS:,} at once (bar 20)':48}      min   median      max")
    for name in options.names or FORMATS:
        with _server(name) as url:
            for label, ask in (("provider", _by_provider), ("stream_chat", _by_agent)):
                print(f"  {name:12} {label:32} {Spread.of(ask(name, url, options.rounds))}", flush=True)


def _by_provider(name: str, url: str, rounds: int) -> list[float]:
    provider = FORMATS[name][0](url)
    request = alloy.ModelRequest((alloy.Message("user", "hi"),))

    async def listen() -> int:
        heard: list[str] = []
        await provider.complete(request, lambda deltas: heard.extend(delta.text for delta in deltas))
        return len(heard)

    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        try:
            return _measured(lambda: runner.run(listen()), rounds)
        finally:
            runner.run(close_all())


def _by_agent(name: str, url: str, rounds: int) -> list[float]:
    agent = alloy.Agent.start(provider=FORMATS[name][0](url))

    def listen() -> int:
        heard: list[str] = []
        agent.reset()
        agent.stream_chat("hi", heard.append).raise_for_status()
        return len(heard)

    try:
        return _measured(listen, rounds)
    finally:
        alloy.shutdown()


def _measured(listen: Callable[[], int], rounds: int) -> list[float]:
    """Microseconds a delta, round by round; the first one warms up."""
    costs = []
    for _ in range(rounds + 1):
        began = time.process_time()
        heard = sum(listen() for _ in range(STREAMS))
        costs.append((time.process_time() - began) / heard * 1e6)
        if heard != DELTAS * STREAMS:
            raise AssertionError(f"{heard} deltas were heard of {DELTAS * STREAMS}")
    return costs[1:]


@contextmanager
def _server(name: str) -> Iterator[str]:
    command = [sys.executable, "-m", "benchmarks.formats", "--serve", name]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(child.stdout.readline())}"
        finally:
            child.terminate()


async def _serve(name: str) -> None:
    lines = (event if isinstance(event, str) else json.dumps(event) for event in FORMATS[name][1]())
    body = "".join(f"data: {line}\n\n" for line in lines).encode()
    head = (
        f"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: {len(body)}\r\n\r\n".encode()
    )

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while request := await reader.readuntil(b"\r\n\r\n"):
                length = request.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
                await reader.readexactly(int(length))
                writer.write(head + body)
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            writer.close()

    server: Any = await asyncio.start_server(answer, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    main()
