"""What all agents of the process share of one key at one provider: a cool-down, a cap, and a fair queue.

A `Limiter` lives while requests with its key are on, wait, or would have to; it belongs to one event loop (runs have
the runtime's; a provider that is asked on another loop has limits there as well). Where nothing has to wait it costs
a look-up and two additions: no task, no future, no clock.

The queue has one head: it alone pauses, until the cool-down is over, for its distance to the request before it, or
for a place in flight; the others wait for it. So whoever leaves can look after the next, and nobody stampedes.
"""

from __future__ import annotations

import asyncio
import math
import os
import random
import time
from collections import deque
from typing import TYPE_CHECKING, Any, Final

from alloy_actors.deadline import NEVER
from alloy_actors.errors import OverloadedError, ProviderTimeoutError, RateLimitError
from alloy_actors.logs import log
from alloy_actors.pauses import pause

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from alloy_actors.deadline import Deadline

LONGEST: Final = 3600.0  # seconds: a server whose clock is wrong may ask for years
LONGEST_OF_OURS: Final = 60.0  # seconds, where the provider does not say how long
GRAIN: Final = 0.002  # seconds that a loop's timer may be early
DISTANCE: Final = 0.05  # seconds between two requests after a cool-down; halved with each success
SPREAD: Final = 5.0  # seconds over which many waiters leave
MOST: Final = 10_000  # requests in flight, unless told otherwise

Busy = (RateLimitError, OverloadedError)
"""What cools a key down."""


class Limiter:
    """For one key on one loop; only to be used there.

    Attributes:
        in_flight: Requests that are on.
        most: How many may be; the smallest number that a provider with this key brought along.
    """

    __slots__ = (
        "_distance",
        "_drop",
        "_head",
        "_now",
        "_number",
        "_place",
        "_queue",
        "_random",
        "_refusals",
        "_timer",
        "_until",
        "_why",
        "in_flight",
        "most",
    )

    def __init__(
        self,
        most: int,
        drop: Callable[[], object] = lambda: None,
        *,
        now: Callable[[], float] = time.monotonic,
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self.in_flight = 0
        self.most = most
        self._drop = drop
        self._now = now
        self._random = uniform
        self._queue = FairQueue()
        self._head = False  # whether there is one; without it the queue is empty
        self._place: asyncio.Future[None] | None = None  # what the head waits for when all places are taken
        self._until = 0.0  # when the cool-down ends; 0 when there is none
        self._number = 0  # of the cool-down
        self._refusals = 0  # cool-downs in a row
        self._distance = 0.0
        self._why: RateLimitError | OverloadedError | None = None
        self._timer: asyncio.TimerHandle | None = None

    @property
    def waiting(self) -> int:
        """Requests that wait."""
        return len(self._queue) + self._head

    def cooling(self) -> float:
        """Seconds until the cool-down is over; 0.0 when there is none."""
        return max(self._until - self._now(), 0.0) if self._until else 0.0

    def enter_now(self) -> bool:
        """Take a place in flight if nobody has to wait."""
        if self._head or self._until or self.in_flight >= self.most:
            return False
        self.in_flight += 1
        return True

    async def enter(
        self, asker: Hashable = "", deadline: Deadline = NEVER, patience: float = math.inf
    ) -> None:
        """Take a place in flight, in one's turn.

        Args:
            asker: Who takes turns with whom; those of one asker come in order.
            deadline: The request's.
            patience: Seconds; a cool-down that takes longer is not waited for.

        Raises:
            RateLimitError: The cool-down ends after `deadline`, or `patience`; OverloadedError where it began with one.
            ProviderTimeoutError: There was no place before `deadline`.
        """
        if self.enter_now():
            return
        latest = min(self._now() + patience, deadline.at)
        self._check(latest)
        try:
            async with asyncio.timeout(deadline.within(None)):
                await self._wait(asker, latest)
        except TimeoutError:
            raise ProviderTimeoutError(
                f"the time of the request was up before it was its turn: {self.in_flight} requests with this key are in "
                f"flight, {self.waiting} wait (max_in_flight={self.most})"
            ) from None
        finally:
            self._let_go()

    def leave(self) -> None:
        """Give the place back."""
        self.in_flight -= 1
        if self._place is not None and not self._place.done():
            self._place.set_result(None)
        self._let_go()

    @property
    def number(self) -> int:
        """Of the last cool-down: to be noted when a request leaves, and given back with what became of it."""
        return self._number

    def answered(self, number: int) -> None:
        """A request was answered; one from after the cool-down shows that it has helped."""
        if (self._refusals or self._distance) and number == self._number:
            self._refusals = 0
            self._distance = self._distance / 2 if self._distance > GRAIN else 0.0

    def refused(
        self, number: int, error: RateLimitError | OverloadedError, backoff: float, **facts: object
    ) -> None:
        """The provider has had enough: nobody sends until the time that it asked for, or a growing one, is over.

        Args:
            number: What `number` was when the request left. Refusals of requests that left before this cool-down began
                make it no longer, unless they ask for that.
            error: Its `retry_after` is honoured, up to an hour.
            backoff: Seconds; the base of the time: 1 to 2 times that, then 2 to 4, 4 to 8.
            facts: For the log.
        """
        now = self._now()
        seconds = min(error.retry_after or 0.0, LONGEST)
        news = number == self._number or self._until <= now
        if news:
            self._number += 1
            self._refusals += 1
            ours = min(backoff * 2.0 ** min(self._refusals, 32), LONGEST_OF_OURS)
            seconds = max(seconds, self._random(ours / 2, ours))
        until = now + seconds + GRAIN
        if until > self._until:
            self._until, self._why = until, error
            self._queue.refuse(until, self._error)
        if news:
            log.warning(
                "provider_cooling_down",
                seconds=round(seconds, 3),
                error=type(error).__name__,
                status=error.status,
                in_flight=self.in_flight,
                waiting=self.waiting,
                **facts,
            )

    async def _wait(self, asker: Hashable, latest: float) -> None:
        if self._head:
            turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._queue.add(asker, turn, latest)
            try:
                await turn
            except BaseException:
                self._queue.remove(asker, turn)
                if turn.done() and not turn.cancelled() and turn.exception() is None:
                    self._next()  # it was this one's turn when it was cancelled
                raise
        self._head = True
        try:
            await self._go(latest)
        finally:
            self._next()

    async def _go(self, latest: float) -> None:
        """The head's way out."""
        distant = False
        while True:
            if self._until:
                self._check(latest)
                until = self._until
                if (seconds := until - self._now()) > 0:
                    await pause(seconds)
                if self._until == until:  # nobody was refused meanwhile
                    self._until = 0.0
                    self._distance = min(DISTANCE, SPREAD / (len(self._queue) + 1))
                distant = True
            elif self._distance and not distant:
                await pause(self._random(self._distance / 2, self._distance * 3 / 2))
                distant = True
            elif self.in_flight >= self.most:
                self._place = asyncio.get_running_loop().create_future()
                try:
                    await self._place
                finally:
                    self._place = None
            else:
                self.in_flight += 1
                return

    def _next(self) -> None:
        """The head has left: the next one's turn."""
        self._head = self._queue.wake()
        if not self._head:
            self._distance = 0.0

    def _check(self, latest: float) -> None:
        if self._until > latest and self._until > self._now():
            raise self._error()

    def _error(self) -> RateLimitError | OverloadedError:
        """For a request that cannot wait that long; a new one, as it will have a traceback of its own."""
        why, seconds = self._why, self.cooling()
        assert why is not None
        return type(why)(
            f"not sent: the key is cooling down for {seconds:.3g} s more, after: {why}",
            status=why.status,
            code=why.code,
            request_id=why.request_id,
            retry_after=seconds,
        )

    def _let_go(self) -> None:
        """Keep nothing of a key that nobody uses, once its cool-down is over."""
        if self.in_flight or self._head or self._timer is not None:
            return
        if seconds := self.cooling():
            self._timer = asyncio.get_running_loop().call_later(seconds, self._look_again)
        else:
            self._drop()

    def _look_again(self) -> None:
        self._timer = None
        self._let_go()


class FairQueue:
    """One after another from each asker in turn; of one asker, the first come first."""

    __slots__ = ("_count", "_lanes")

    def __init__(self) -> None:
        self._lanes: dict[Hashable, deque[tuple[asyncio.Future[None], float]]] = {}
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, asker: Hashable, turn: asyncio.Future[None], latest: float) -> None:
        """Wait; `latest` is for `refuse`."""
        self._lanes.setdefault(asker, deque()).append((turn, latest))
        self._count += 1

    def remove(self, asker: Hashable, turn: asyncio.Future[None]) -> None:
        """Wait no longer; harmless for one whose turn has come."""
        lane = self._lanes.get(asker, ())
        for item in lane:
            if item[0] is turn:
                assert isinstance(lane, deque)
                lane.remove(item)
                self._count -= 1
                if not lane:
                    del self._lanes[asker]
                return

    def wake(self) -> bool:
        """Tell the next that it is its turn; False when nobody waits."""
        while self._lanes:
            asker = next(iter(self._lanes))
            lane = self._lanes.pop(asker)
            turn, _ = lane.popleft()
            self._count -= 1
            if lane:
                self._lanes[asker] = lane  # at the end now
            if not turn.done():
                turn.set_result(None)
                return True
        return False

    def refuse(self, until: float, error: Callable[[], Exception]) -> None:
        """Send away those that cannot wait until then."""
        late = [
            (asker, turn) for asker, lane in self._lanes.items() for turn, latest in lane if latest < until
        ]
        for asker, turn in late:
            self.remove(asker, turn)
            if not turn.done():
                turn.set_exception(error())


_limiters: dict[asyncio.AbstractEventLoop, dict[Hashable, Limiter]] = {}
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_limiters.clear)  # the requests are the parent's


def limiter_of(provider: object) -> Limiter | None:
    """Of the provider's key, on the running loop; None for a provider that names none.

    A key is the provider's `limit_key`, else its `origin`; `max_in_flight` may be an attribute as well.
    """
    key = _key_of(provider)
    if key is None:
        return None
    loop = asyncio.get_running_loop()
    limiters = _limiters.get(loop)
    if limiters is None:
        for other in [other for other in _limiters if other.is_closed()]:
            del _limiters[other]
        limiters = _limiters[loop] = {}
    limiter = limiters.get(key)
    if limiter is None:
        limiter = limiters[key] = Limiter(_most(), _dropper(limiters, key))
    limiter.most = min(limiter.most, getattr(provider, "max_in_flight", None) or limiter.most)
    return limiter


def cooling(provider: object) -> float:
    """Seconds for which nothing may be sent to a provider, on the running loop."""
    key = _key_of(provider)
    limiter = _limiters.get(asyncio.get_running_loop(), {}).get(key)
    return limiter.cooling() if limiter is not None else 0.0


def _key_of(provider: Any) -> Hashable | None:
    key: Hashable | None = getattr(provider, "limit_key", None) or getattr(provider, "origin", None)
    return key


def _dropper(limiters: dict[Hashable, Limiter], key: Hashable) -> Callable[[], object]:
    return lambda: limiters.pop(key, None)


_open_files: int | None = None


def _most() -> int:
    """Three quarters of the files that the process may have open, as each request is a socket."""
    global _open_files
    if _open_files is None:
        try:
            import resource
        except ImportError:  # Windows
            _open_files = MOST
        else:
            soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
            _open_files = MOST if soft == resource.RLIM_INFINITY else max(1, min(MOST, soft * 3 // 4))
    return _open_files
