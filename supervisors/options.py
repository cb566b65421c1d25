"""The flags of a supervisor, checked before anything starts."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from supervisors.errors import InvalidOption
from supervisors.logs import log
from supervisors.spec import INFINITY, AutoShutdown, Strategy, is_seconds

if TYPE_CHECKING:
    from enum import Enum

    from supervisors.backoff import Backoff
    from supervisors.spec import OnExceeded


@dataclass(frozen=True, kw_only=True)  # without slots: the class has the defaults, for BaseSupervisor
class Options:
    """Flags of a supervisor.

    Args:
        strategy: Which children are restarted together: only the one that ended, all, or that one and those after it.
        max_restarts, max_seconds: At most that many restart attempts within that many seconds.
        auto_shutdown: Whether it ends, with `Shutdown()`, when any or all of its significant children have ended by
            themselves and are not restarted.
        on_exceeded: "escalate" ends the supervisor, "park" gives the one child a rest (one_for_one only).
        park_time: Seconds of the first rest; doubled per rest in a row, up to 30 minutes.
        max_zombies: Threads that would not end, before the supervisor gives up.
        backoff: For children that bring none.
        max_children, extra_args: Of a dynamic supervisor.

    Raises:
        InvalidOption: Names the field and the value.
    """

    strategy: Strategy | str = Strategy.ONE_FOR_ONE
    max_restarts: int = 3
    max_seconds: float = 5.0
    auto_shutdown: AutoShutdown | str = AutoShutdown.NEVER
    on_exceeded: OnExceeded = "escalate"
    park_time: float = 60.0
    max_zombies: int = 8
    backoff: Backoff | None = None
    max_children: float = INFINITY
    extra_args: tuple[Any, ...] = ()

    def __post_init__(self) -> None:
        put = object.__setattr__
        put(self, "strategy", _known(Strategy, "strategy", self.strategy))
        put(self, "auto_shutdown", _known(AutoShutdown, "auto_shutdown", self.auto_shutdown))
        for field in ("max_restarts", "max_zombies"):
            if not _is_count(getattr(self, field)):
                raise InvalidOption(field, getattr(self, field), "must be an int >= 0")
        for field in ("max_seconds", "park_time"):
            value = getattr(self, field)
            if not is_seconds(value) or value == 0 or math.isinf(value):
                raise InvalidOption(field, value, "must be finite seconds > 0")
        if self.on_exceeded not in {"escalate", "park"}:
            raise InvalidOption("on_exceeded", self.on_exceeded, 'must be "escalate" or "park"')
        if self.on_exceeded == "park" and self.strategy is not Strategy.ONE_FOR_ONE:
            raise InvalidOption("on_exceeded", "park", f"siblings depend on a child under {self.strategy}")
        if self.backoff is not None and not hasattr(self.backoff, "delay"):
            raise InvalidOption("backoff", self.backoff, "must be a Backoff")
        if self.max_children != INFINITY and not _is_count(self.max_children):
            raise InvalidOption("max_children", self.max_children, "must be an int >= 0 or INFINITY")
        extra: object = self.extra_args
        if isinstance(extra, str) or not isinstance(extra, Iterable):
            raise InvalidOption("extra_args", extra, "must be a tuple of arguments")
        put(self, "extra_args", tuple(extra))

    def only(self, field: str, value: object) -> None:
        """Refuse any other value of a flag: for supervisors that know no other."""
        chosen = getattr(self, field)
        if chosen != value:
            raise InvalidOption(field, chosen, f"must be {value} for this kind of supervisor")

    def warn_about(self, backoff: Backoff | None, **facts: object) -> None:
        """Log when the delays outlast the window, so that the restart limit could never be reached."""
        if backoff is None or backoff.max_attempts is not None:
            return
        if backoff.initial * self.max_restarts > self.max_seconds:
            log.warning(
                "restart_limit_out_of_reach",
                initial=backoff.initial,
                max_restarts=self.max_restarts,
                max_seconds=self.max_seconds,
                help="set Backoff(max_attempts=...) or a larger max_seconds",
                **facts,
            )


def _known(kind: type[Enum], field: str, value: object) -> Enum:
    try:
        return kind(value)
    except ValueError:
        valid = ", ".join(repr(member.value) for member in kind)
        raise InvalidOption(field, value, f"must be one of {valid}") from None


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


# Flags of every kind of supervisor.
SHARED_FLAGS = tuple(
    field.name for field in fields(Options) if field.name not in {"max_children", "extra_args"}
)
