"""How long to wait before a restart attempt.

`delay(n) = min(maximum, initial * factor**n) * uniform(1 - jitter, 1)` for n attempts in a row so far. Jitter goes
down, so no delay exceeds `maximum`. The supervisor resets n when an incarnation was up for `reset_after` seconds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

from supervisors.errors import InvalidOption
from supervisors.spec import is_seconds

_LARGEST_EXPONENT = 700.0  # exp() of more than 709 overflows a float


class RandomSource(Protocol):
    """What jitter needs of a random generator; `random.Random` is one."""

    def uniform(self, a: float, b: float, /) -> float:
        """Return a number between a and b."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """Exponentially growing delays between restart attempts.

    Args:
        initial: Seconds before the first restart attempt.
        maximum: Seconds no delay exceeds.
        factor: Growth per attempt in a row.
        jitter: Share of the delay that is random: 0 is exact, 1 is anything from 0 to the delay.
        reset_after: Seconds of uptime that make the next delay `initial` again; None: `maximum`.
        max_attempts: Restart attempts in a row without a reset; one more failure counts as intensity exceeded.
            None: no limit.

    Raises:
        InvalidOption: A value is out of range.
    """

    initial: float = 0.2
    maximum: float = 30.0
    factor: float = 2.0
    jitter: float = 0.2
    reset_after: float | None = None
    max_attempts: int | None = None

    def __post_init__(self) -> None:
        for field in ("initial", "maximum", "factor", "jitter"):
            value = getattr(self, field)
            if not is_seconds(value) or math.isinf(value):
                raise InvalidOption(f"backoff.{field}", value, "must be a finite number >= 0")
        if self.maximum < self.initial:
            raise InvalidOption("backoff.maximum", self.maximum, f"is less than initial={self.initial}")
        if self.factor < 1:
            raise InvalidOption("backoff.factor", self.factor, "must be >= 1")
        if self.jitter > 1:
            raise InvalidOption("backoff.jitter", self.jitter, "must be between 0 and 1")
        if self.reset_after is not None and not is_seconds(self.reset_after):
            raise InvalidOption("backoff.reset_after", self.reset_after, "must be seconds >= 0")
        limit: object = self.max_attempts
        if limit is not None and (not isinstance(limit, int) or isinstance(limit, bool) or limit < 0):
            raise InvalidOption("backoff.max_attempts", limit, "must be an int >= 0 or None")

    @property
    def reset_uptime(self) -> float:
        """Seconds of uptime after which the attempts start from 0 again."""
        return self.maximum if self.reset_after is None else self.reset_after

    def base(self, attempts: int) -> float:
        """Seconds before jitter, after `attempts` attempts in a row."""
        exponent = attempts * math.log(self.factor)
        if exponent > _LARGEST_EXPONENT:
            return self.maximum if self.initial > 0 else 0.0
        return float(min(self.maximum, self.initial * self.factor**attempts))

    def delay(self, attempts: int, random: RandomSource) -> float:
        """Seconds to wait before the next attempt, after `attempts` attempts in a row."""
        base = self.base(attempts)
        return base if self.jitter == 0 else base * random.uniform(1 - self.jitter, 1)
