"""Ask again when asking again can help."""

from __future__ import annotations

import math
import random as randomness
import time
from typing import TYPE_CHECKING

from alloy_actors.errors import ProviderError
from alloy_actors.logs import log
from alloy_actors.pauses import pause
from alloy_actors.providers.attempts import attempted
from alloy_actors.providers.limits import Busy, cooling, limiter_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from alloy_actors.provider import Delta, ModelReply, ModelRequest, OnDeltas, Provider
    from alloy_actors.providers.limits import Limiter


async def complete_with_retry(
    provider: Provider,
    request: ModelRequest,
    on_deltas: OnDeltas | None = None,
    *,
    max_retries: int = 3,
    backoff: float = 1.0,
    asker: str = "",
    random: Callable[[float, float], float] = randomness.uniform,
) -> ModelReply:
    """Ask `provider`, again after errors that are `retryable`, at most `max_retries` times more.

    Before attempt n + 1 it waits a random time of up to `2 * backoff * 2 ** (n - 1)` seconds (full jitter: 2, 4, 8
    by default), but never less than the provider asked for. It gives up at once when that wait would outlast the
    request's deadline, and never asks again once a delta was handed out: the listener would hear the text twice.

    Where the provider names a key, its limits hold (see `limits`), and after a rate limit or an overload the wait is
    the cool-down that all requests with that key share.

    Args:
        provider: See `Provider`.
        request: Its deadline bounds everything, waits included.
        on_deltas: See `Provider.complete`.
        max_retries: 0 asks once.
        backoff: Seconds.
        asker: Whose turn it is where requests wait for one another; "" is the request's own.
        random: A uniform pick between two numbers; for tests.

    Raises:
        ProviderError: The last one.
        CrashError: The provider has a bug.
    """
    candidate = Candidate(provider, max_retries=max_retries, backoff=backoff, asker=asker, random=random)
    return await candidate.ask(request, on_deltas)


class Candidate:
    """One of the providers that may answer a request, and what it has been asked so far.

    Attributes:
        provider: Whom to ask.
        made: Attempts so far.
        heard: A delta was handed out: nobody may be asked any more.
        passed_over: It would have had to be waited for, and another one can be asked meanwhile; it may be asked again.
    """

    def __init__(
        self,
        provider: Provider,
        *,
        max_retries: int,
        backoff: float,
        asker: str,
        random: Callable[[float, float], float] = randomness.uniform,
    ) -> None:
        self.provider = provider
        self.made = 0
        self.heard = False
        self.passed_over = False
        self._not_before = 0.0  # monotonic seconds; where no limiter knows
        self._max_retries = max_retries
        self._backoff = backoff
        self._asker = asker
        self._random = random

    def pass_over(self, other_way: Callable[[float], bool]) -> float:
        """Seconds that its key cools down, if that is not to be waited for; else 0.0. `other_way` is that of `ask`."""
        seconds = cooling(self.provider)
        if seconds <= self._longest_pause() or not other_way(seconds):
            return 0.0
        self.passed_over = True
        return seconds

    async def ask(
        self,
        request: ModelRequest,
        on_deltas: OnDeltas | None,
        other_way: Callable[[float], bool] = lambda _seconds: False,
    ) -> ModelReply:
        """See `complete_with_retry`.

        Args:
            request: See there.
            on_deltas: See there.
            other_way: Whether somebody else can be asked who need not be waited for so many seconds. Consulted before
                a wait that is longer than the next pause between attempts could be.

        Raises:
            ProviderError: The last one.
            CrashError: The provider has a bug.
        """
        self.passed_over = False
        if self._not_before:  # what was not waited for when others could be asked first
            await pause(max(self._not_before - time.monotonic(), 0.0))
            self._not_before = 0.0
        listen = None if on_deltas is None else self._listener(on_deltas)
        while True:
            limiter = limiter_of(self.provider)
            number = 0
            if limiter is not None:
                if not limiter.enter_now():
                    await self._enter(limiter, request, other_way)
                number = limiter.number
            self.made += 1
            try:
                reply = await attempted(self.provider, request, listen, self.made)
            except ProviderError as error:
                cooled = None
                if limiter is not None and isinstance(error, Busy):
                    cooled = limiter
                    facts = {"model": self.provider.model, "request_id": request.request_id}
                    cooled.refused(number, error, self._backoff, **facts)
                wait = self._wait_before_next(error, request, cooled, other_way)
                if wait is None:
                    raise
            else:
                if limiter is not None:
                    limiter.answered(number)
                return reply
            finally:
                if limiter is not None:
                    limiter.leave()
            if cooled is None:  # else the next attempt waits for its turn
                await pause(wait)

    def _listener(self, on_deltas: OnDeltas) -> OnDeltas:
        def listen(deltas: Sequence[Delta]) -> None:
            self.heard = True
            on_deltas(deltas)

        return listen

    def _wait_before_next(
        self,
        error: ProviderError,
        request: ModelRequest,
        cooled: Limiter | None,
        other_way: Callable[[float], bool],
    ) -> float | None:
        """Seconds, those of the cool-down where there is one; None when this attempt was the last one for now."""
        if self.heard or not error.retryable or self.made > self._max_retries:
            return None
        if cooled is not None:
            wait = cooled.cooling()
        else:
            wait = max(self._random(0.0, self._longest_pause()), error.retry_after or 0.0)
        if wait >= request.deadline.remaining():
            return None
        if wait > self._longest_pause() and other_way(wait):
            self.passed_over = True
            if cooled is None:
                self._not_before = time.monotonic() + wait
            return None
        log.info(
            "provider_retry",
            request_id=request.request_id,
            model=self.provider.model,
            attempt=self.made,
            wait=round(wait, 3),
            error=type(error).__name__,
            status=error.status,
        )
        return wait

    async def _enter(
        self, limiter: Limiter, request: ModelRequest, other_way: Callable[[float], bool]
    ) -> None:
        patience = self._longest_pause()
        hurried = other_way(patience)
        try:
            await limiter.enter(
                self._asker or request.request_id, request.deadline, patience if hurried else math.inf
            )
        except Busy:
            self.passed_over = hurried
            raise

    def _longest_pause(self) -> float:
        """Seconds that the pause before the next attempt may take, if the provider asks for nothing."""
        return 2.0 * self._backoff * 2.0 ** (max(self.made, 1) - 1)
