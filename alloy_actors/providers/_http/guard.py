"""How long an exchange may take."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from alloy_actors.errors import ProviderTimeoutError

if TYPE_CHECKING:
    from alloy_actors.deadline import Deadline


@dataclass(frozen=True)
class Timeouts:
    """Seconds; the request's deadline bounds each of them."""

    connect: float = 10.0
    first_byte: float = 600.0  # until the response's headers; a plain reply begins when the model is done
    idle: float = 60.0  # between two pieces of a body


class Guard:
    """Ends an exchange when its time is up: deadline, first byte and idle times under one timer.

    `with guard:` is left early, without an error, when the time is up. Like asyncio.timeout, but `when` is a plain
    attribute that every piece of a body may move: the timer looks at it only when it goes off.
    """

    __slots__ = (
        "_cancelling",
        "_deadline",
        "_handle",
        "_latest",
        "_limits",
        "_loop",
        "_task",
        "_where",
        "answered",
        "expired",
        "when",
    )

    def __init__(self, where: str, limits: Timeouts, deadline: Deadline) -> None:
        self.answered = False
        self.expired = False
        self._where = where
        self._limits = limits
        self._deadline = deadline
        self.when = self._latest = 0.0  # loop time

    def __enter__(self) -> None:
        self._loop = asyncio.get_running_loop()
        task = asyncio.current_task()
        assert task is not None
        self._task = task
        self._cancelling = task.cancelling()
        now = self._loop.time()
        self._latest = now + self._deadline.remaining()
        self.when = min(now + self._limits.first_byte, self._latest)
        self._look_again(now)

    def __exit__(self, kind: object, error: object, trace: object) -> bool:
        self._handle.cancel()
        # A cancellation from elsewhere that came at the same time wins.
        return self.expired and self._task.uncancel() <= self._cancelling and kind is asyncio.CancelledError

    def heard(self) -> None:
        """A piece of the reply has come: the idle time begins anew."""
        self.answered = True
        self.when = min(self._loop.time() + self._limits.idle, self._latest)

    def end(self) -> None:
        """The time is up now."""
        self.when = 0.0
        self._handle.cancel()
        self._look()

    def timed_out(self) -> ProviderTimeoutError:
        """What to say of it."""
        where, limits = self._where, self._limits
        if self.when == self._latest:
            return ProviderTimeoutError(f"the time of the request was up before {where} had answered")
        if self.answered:
            return ProviderTimeoutError(f"{where} sent nothing more for {limits.idle:g} s")
        return ProviderTimeoutError(f"{where} did not begin to answer within {limits.first_byte:g} s")

    def _look(self) -> None:
        if self.expired:
            return
        now = self._loop.time()
        if now >= self.when:
            self.expired = True
            self._task.cancel()
        else:
            self._look_again(now)

    def _look_again(self, now: float) -> None:
        # A piece that comes from now on moves `when` to no earlier than this.
        self._handle = self._loop.call_at(min(now + self._limits.idle, self.when), self._look)
