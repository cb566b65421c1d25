"""A client that answers from memory: what recorded exchanges are played back with."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    import httpx

_END_OF_EVENT = re.compile(rb"(?<=\n\n)|(?<=\r\n\r\n)")


@dataclass(frozen=True, slots=True)
class Canned:
    """One answer.

    Args:
        status: None where no answer came; then `failure` says why.
        headers: Without those that speak of the transfer.
        body: As far as it came; a stream arrives event by event.
        failure: Raised where the body ends; of an answer that never ended, a `CancelledError`, which is waited for.
    """

    status: int | None
    headers: Mapping[str, str]
    body: bytes
    failure: BaseException | None = None


Answer: TypeAlias = "Callable[[str, Mapping[str, str], bytes], Canned]"


def canned_client(answer: Answer) -> httpx.AsyncClient:
    """A client for `http_client=` that has `answer(url, headers, body)` say what comes back; what that raises ends the request."""
    import httpx

    class Stream(httpx.AsyncByteStream):
        def __init__(self, canned: Canned) -> None:
            self.canned = canned

        async def __aiter__(self) -> AsyncIterator[bytes]:
            for piece in _END_OF_EVENT.split(self.canned.body):
                if piece:
                    yield piece
                    await asyncio.sleep(0)
            await end(self.canned)

    async def end(canned: Canned) -> None:
        if isinstance(canned.failure, asyncio.CancelledError):
            await asyncio.get_running_loop().create_future()
        if canned.failure is not None:
            raise canned.failure

    async def respond(request: httpx.Request) -> httpx.Response:
        canned = answer(str(request.url), request.headers, await request.aread())
        if canned.status is None:
            await end(canned)
            raise httpx.ConnectError("there is neither an answer nor a failure")
        return httpx.Response(canned.status, headers=dict(canned.headers), stream=Stream(canned))

    return httpx.AsyncClient(transport=httpx.MockTransport(respond))
