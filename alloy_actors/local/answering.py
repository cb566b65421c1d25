"""Send a reply, plain or as a stream, with the fault that was ordered."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

from aiohttp import web
from pydantic_core import to_json

from alloy_actors.local.errors import ApiError
from alloy_actors.local.wire import DONE, ChunkWriter, completion, stream_deltas

if TYPE_CHECKING:
    from alloy_actors.local.directives import Directives
    from alloy_actors.local.script import Reply

_PAGE = b"<html><body>This is not JSON, as ordered by the directive in the model's name.</body></html>"
_ORDERED = ApiError(
    "An error after the status 200, as ordered by the directive in the model's name.", type_="server_error"
)


@dataclass(frozen=True, slots=True)
class Answer:
    """A reply and how to send it.

    fault: The fault due for this request; None if none was ordered, or it has been shown often enough.
    usage: Send usage; in a stream only if the client asked for it.
    gate: Opens when the stream may go on after `gate_after` deltas; None if it need not wait.
    """

    reply: Reply
    model: str
    identifier: str
    directives: Directives
    fault: str | None
    usage: bool
    gate: asyncio.Event | None = None


async def send_plain(request: web.Request, answer: Answer) -> web.StreamResponse:
    """Answer with one JSON body."""
    match answer.fault:
        case "hang" | "stall":
            await silence()
        case "disconnect":
            return hang_up(request)
        case "empty":
            return web.Response(content_type="application/json")
        case "not_json":
            return web.Response(body=_PAGE, content_type="text/html")
        case "error":
            return web.Response(body=to_json(_ORDERED.body()), content_type="application/json")
    body = to_json(
        completion(
            answer.reply,
            identifier=answer.identifier,
            model=answer.model,
            created=int(time.time()),
            usage=answer.usage,
        )
    )
    if answer.fault == "cut":
        response = web.StreamResponse(headers={"content-type": "application/json"})
        response.content_length = len(body)
        await response.prepare(request)
        await response.write(body[: len(body) // 2])
        _close(request)
        return response
    return web.Response(body=body, content_type="application/json")


async def send_stream(request: web.Request, answer: Answer) -> web.StreamResponse:
    """Answer with server-sent events."""
    if answer.fault == "hang":
        await silence()
    if answer.fault == "disconnect":
        return hang_up(request)
    response = web.StreamResponse(headers={"content-type": "text/event-stream", "cache-control": "no-cache"})
    await response.prepare(request)
    if answer.fault == "empty":
        return response
    writer = ChunkWriter(
        identifier=answer.identifier, model=answer.model, created=int(time.time()), usage=answer.usage
    )
    chunks = [writer.delta(delta) for delta in stream_deltas(answer.reply)]
    if answer.directives.stamp:
        chunks.insert(1, writer.delta({"content": f"{time.monotonic():.6f} "}))
    broken = answer.fault not in {None, "no_done"}
    if broken:
        del chunks[max(1, len(chunks) // 2) :]
    before = answer.directives.gate_after if answer.gate is not None else 0
    await _write_paced(response, chunks[:before], answer.directives)
    if answer.gate is not None:
        await answer.gate.wait()
    await _write_paced(response, chunks[before:], answer.directives)
    match answer.fault:
        case "stall":
            await silence()
        case "cut":
            _close(request)
            return response
        case "not_json":
            await response.write(b"data: " + _PAGE + b"\n\n")
        case "error":
            await response.write(b"data: " + to_json(_ORDERED.body()) + b"\n\n")
    if not broken:
        end = writer.delta({}, answer.reply.finish)
        if answer.usage:
            end += writer.usage(answer.reply)
        await response.write_eof(end if answer.fault == "no_done" else end + DONE)
    return response


async def silence() -> NoReturn:
    """Wait until the client closes its socket, which cancels the handler, or the server ends."""
    await asyncio.get_running_loop().create_future()
    raise AssertionError("unreachable: nobody resolves that future")


def hang_up(request: web.Request) -> web.StreamResponse:
    """Close the socket; the response returned is never written."""
    _close(request)
    return web.Response()


def _close(request: web.Request) -> None:
    if request.transport is not None:  # None: the client was faster
        request.transport.close()


async def _write_paced(response: web.StreamResponse, chunks: list[bytes], directives: Directives) -> None:
    step = directives.per_write
    for start in range(0, len(chunks), step):
        if directives.pause and start:
            await asyncio.sleep(directives.pause)
        await response.write(b"".join(chunks[start : start + step]))
