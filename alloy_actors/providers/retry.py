"""Ask again when asking again can help."""

from __future__ import annotations

import random as randomness
from typing import TYPE_CHECKING

from alloy_actors.errors import ProviderError
from alloy_actors.logs import log
from alloy_actors.pauses import pause
from alloy_actors.providers.attempts import attempted

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from alloy_actors.provider import Delta, ModelReply, ModelRequest, OnDeltas, Provider


async def complete_with_retry(
    provider: Provider,
    request: ModelRequest,
    on_deltas: OnDeltas | None = None,
    *,
    max_retries: int = 3,
    backoff: float = 1.0,
    random: Callable[[float, float], float] = randomness.uniform,
) -> ModelReply:
    """Ask `provider`, again after errors that are `retryable`, at most `max_retries` times more.

    Before attempt n + 1 it waits a random time of up to `2 * backoff * 2 ** (n - 1)` seconds (full jitter: 2, 4, 8
    by default), but never less than the provider asked for. It gives up at once when that wait would outlast the
    request's deadline, and never asks again once a delta was handed out: the listener would hear the text twice.

    Args:
        provider: See `Provider`.
        request: Its deadline bounds everything, waits included.
        on_deltas: See `Provider.complete`.
        max_retries: 0 asks once.
        backoff: Seconds.
        random: A uniform pick between two numbers; for tests.

    Raises:
        ProviderError: The last one.
    """
    heard = False

    def listen(deltas: Sequence[Delta]) -> None:
        nonlocal heard
        heard = True
        assert on_deltas is not None
        on_deltas(deltas)

    attempt = 1
    while True:
        try:
            return await attempted(provider, request, None if on_deltas is None else listen, attempt)
        except ProviderError as error:
            if heard or not error.retryable or attempt > max_retries:
                raise
            wait = max(random(0.0, 2 * backoff * 2 ** (attempt - 1)), error.retry_after or 0.0)
            if wait >= request.deadline.remaining():
                raise
            log.info(
                "provider_retry",
                request_id=request.request_id,
                model=provider.model,
                attempt=attempt,
                wait=round(wait, 3),
                error=type(error).__name__,
                status=error.status,
            )
        attempt += 1
        await pause(wait)
