"""A deadline is an instant; a timeout is a length."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass


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
