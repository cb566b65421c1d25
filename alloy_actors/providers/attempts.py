"""Telemetry of one attempt at a provider: `alloy.provider.request`, for every attempt and every provider that is asked."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from alloy_actors import telemetry

if TYPE_CHECKING:
    from alloy_actors.provider import ModelReply, ModelRequest, OnDeltas, Provider

NAME = "alloy.provider.request"


async def attempted(
    provider: Provider, request: ModelRequest, on_deltas: OnDeltas | None, attempt: int
) -> ModelReply:
    """`provider.complete(request, on_deltas)`, told about once it is over; `attempt` is 1 for the first."""
    if NAME not in telemetry.wanted:
        return await provider.complete(request, on_deltas)
    began = time.monotonic()
    failure: BaseException | None = None
    try:
        return await provider.complete(request, on_deltas)
    except BaseException as error:
        failure = error
        raise
    finally:
        telemetry.emit(
            NAME,
            {"duration_ms": (time.monotonic() - began) * 1000},
            {
                "provider": type(provider).__name__,
                "model": provider.model,
                "streaming": on_deltas is not None,
                "attempt": attempt,
                "result": "ok" if failure is None else "error",
                "error": None if failure is None else type(failure).__name__,
                "request_id": request.request_id,
            },
        )
