"""Ask another provider when the first one cannot answer."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from alloy_actors.errors import ProviderError
from alloy_actors.logs import log
from alloy_actors.providers.limits import cooling
from alloy_actors.providers.retry import Candidate

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from alloy_actors.provider import ModelReply, ModelRequest, OnDeltas, Provider

SOONER: Final = 0.9  # of a wait: one that is as long, on the same key perhaps, is no way out


async def complete_with_fallback(
    providers: Sequence[Provider],
    request_for: Callable[[Provider], Awaitable[ModelRequest]],
    on_deltas: OnDeltas | None = None,
    *,
    max_retries: int = 3,
    backoff: float = 1.0,
    asker: str = "",
) -> tuple[ModelReply, Provider]:
    """Ask the first provider, and each next one where those before it could not answer.

    Each has the same number of retries (see `complete_with_retry`). Nobody else is asked once a delta was handed out,
    when the deadline has passed, or after an error that is not `switchable`: no other provider could do better with
    what was asked.

    One that is cooling down, or asks to wait, for longer than the next pause between attempts may take is passed over
    while another one need not be waited for that long. It is asked after all when the others have failed.

    Args:
        providers: n of them, n > 0; one named twice is asked once.
        request_for: The request for one of them, made when it is to be asked; all have one deadline.
        on_deltas: See `Provider.complete`.
        max_retries: Of each.
        backoff: Seconds.
        asker: See `complete_with_retry`.

    Returns:
        The reply, and whose it is.

    Raises:
        ProviderError: The last one.
        CrashError: A provider has a bug.
    """
    if len(providers) == 1:
        only = Candidate(providers[0], max_retries=max_retries, backoff=backoff, asker=asker)
        return await only.ask(await request_for(only.provider), on_deltas), only.provider
    distinct = {id(provider): provider for provider in providers}.values()
    candidates = deque(
        Candidate(provider, max_retries=max_retries, backoff=backoff, asker=asker) for provider in distinct
    )
    last: ProviderError | None = None

    def other_way(seconds: float) -> bool:
        return any(
            not other.passed_over and cooling(other.provider) < SOONER * seconds for other in candidates
        )

    while True:
        candidate = candidates.popleft()
        if seconds := candidate.pass_over(other_way):
            candidates.append(candidate)
            _say(candidate, candidates[0], cooling=round(seconds, 3))
            continue
        request = await request_for(candidate.provider)
        if last is not None and request.deadline.expired:
            raise last
        try:
            reply = await candidate.ask(request, on_deltas, other_way)
        except ProviderError as error:
            if candidate.passed_over:
                candidates.append(candidate)
            if candidate.heard or not candidates or not may_help(error) or request.deadline.expired:
                raise
            last = error
            _say(candidate, candidates[0], error=type(error).__name__, status=error.status)
        else:
            return reply, candidate.provider


def _say(candidate: Candidate, then: Candidate, **facts: object) -> None:
    log.warning("provider_fallback", model=candidate.provider.model, to=then.provider.model, **facts)


def may_help(error: ProviderError) -> bool:
    """Whether another provider may answer what was answered with this error."""
    # A model or an address that is not there is missing at this provider only.
    return error.switchable or error.status in {404, 410}
