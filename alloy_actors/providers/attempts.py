"""One attempt at a provider: its bugs become errors of their own, and telemetry hears of it.

`alloy.provider.request` is told for every attempt and every provider that is asked.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final, get_args

from alloy_actors import telemetry
from alloy_actors.cancelling import is_cancelling
from alloy_actors.content import StopReason
from alloy_actors.errors import ConfigError, CrashError, ProviderError
from alloy_actors.logs import log, traced
from alloy_actors.provider import ModelReply

if TYPE_CHECKING:
    from alloy_actors.provider import ModelRequest, OnDeltas, Provider

NAME: Final = "alloy.provider.request"
STOP_REASONS: Final[tuple[str, ...]] = get_args(StopReason)

_NO_BUG = (ProviderError, ConfigError, GeneratorExit)


async def attempted(
    provider: Provider, request: ModelRequest, on_deltas: OnDeltas | None, attempt: int
) -> ModelReply:
    """`provider.complete(request, on_deltas)`; `attempt` is 1 for the first.

    Raises:
        ProviderError: The provider's.
        CrashError: It has a bug: it raised something else, or returned what is no reply.
    """
    began = time.monotonic()
    try:
        reply: object = await provider.complete(request, on_deltas)
    except BaseException as error:  # also SystemExit, which would end the loop for everyone
        _tell(provider, request, on_deltas, attempt, began, error)
        if isinstance(error, _NO_BUG) or (isinstance(error, asyncio.CancelledError) and is_cancelling()):
            raise
        name = type(provider).__name__
        log.error("provider_crashed", provider=name, request_id=request.request_id, **traced(error))
        msg = f"provider {name} raised {type(error).__name__}: {error}"
        raise CrashError(msg) from error
    _tell(provider, request, on_deltas, attempt, began, None)
    return _checked(provider, reply)


def _checked(provider: Provider, reply: object) -> ModelReply:
    if not isinstance(reply, ModelReply):
        msg = f"{type(provider).__name__}.complete() must return a ModelReply, got {type(reply).__name__}"
        raise CrashError(msg)
    if reply.stop_reason not in STOP_REASONS:
        known = ", ".join(STOP_REASONS)
        msg = f"{type(provider).__name__}.complete() gave the stop reason {reply.stop_reason!r}; there are {known}"
        raise CrashError(msg)
    ids = [call.id for call in reply.message.tool_calls]
    if len(set(ids)) < len(ids):
        msg = f"{type(provider).__name__}.complete() gave two tool calls of one reply the same id: {', '.join(ids)}"
        raise CrashError(msg)
    return reply


def _tell(
    provider: Provider,
    request: ModelRequest,
    on_deltas: OnDeltas | None,
    attempt: int,
    began: float,
    failure: BaseException | None,
) -> None:
    if NAME not in telemetry.wanted:
        return
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
