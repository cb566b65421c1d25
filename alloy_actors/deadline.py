"""A deadline is an instant; a timeout is a length. A run's time is a deadline that waits while the run waits for a person."""

from __future__ import annotations

import asyncio
import math
import time
import weakref
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True, slots=True)
class Deadline:
    """An instant on the monotonic clock, fixed once and passed on, so that waits do not add up."""

    at: float

    @classmethod
    def after(cls, seconds: float | None) -> Deadline:
        """The instant `seconds` from now; None is never."""
        return NEVER if seconds is None else cls(time.monotonic() + seconds)

    def remaining(self) -> float:
        """Seconds left, never below 0; `math.inf` without a limit."""
        return max(self.at - time.monotonic(), 0.0)

    def within(self, seconds: float | None) -> float | None:
        """The smaller of `seconds` and what is left, as a timeout: None where neither is a limit."""
        left = self.remaining() if seconds is None else min(self.remaining(), seconds)
        return None if left == math.inf else left

    @property
    def expired(self) -> bool:
        """Whether the instant has passed."""
        return time.monotonic() >= self.at


NEVER = Deadline(math.inf)


class RunTime:
    """How long a run may still take, over its pauses and all incarnations of its agent; used on the loop.

    Attributes:
        deadline: The instant as things stand. It is replaced by a later one when a pause ends.
    """

    __slots__ = ("_left", "_pause", "_timer", "deadline")

    def __init__(self, seconds: float) -> None:
        self.deadline = Deadline.after(seconds)
        self._left = 0.0
        self._pause: object = None
        # Weak: it knows the run's task, and that this; who enters it keeps it.
        self._timer: weakref.ref[asyncio.Timeout] | None = None

    def limit(self) -> asyncio.Timeout:
        """What ends the block it is entered around when the time is up, pauses not counted.

        A pause in which an earlier incarnation was interrupted ends here.
        """
        self._go_on()
        timer = asyncio.timeout(self.deadline.remaining())
        self._timer = weakref.ref(timer)
        return timer

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Let no time pass inside the block."""
        timer, mine = self._timer() if self._timer is not None else None, object()
        self._left, self._pause, self.deadline = self.deadline.remaining(), mine, NEVER
        if timer is not None and not timer.expired():
            timer.reschedule(None)
        try:
            yield
        finally:
            if self._pause is mine:  # else a newer incarnation has the run, and its time
                self._go_on()
                if timer is not None and not timer.expired():
                    timer.reschedule(asyncio.get_running_loop().time() + self.deadline.remaining())

    def _go_on(self) -> None:
        if self._pause is not None:
            self._pause, self.deadline = None, Deadline.after(self._left)
