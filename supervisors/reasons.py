"""Why an incarnation of an actor ended.

`Normal`, `Shutdown` are the *shutdown family* (`reason.ok`): expected ends. Everything else is abnormal and makes
a permanent or transient child come back. Source: OTP's exit reasons; `Killed` covers the step that Python cannot
take for us (a thread cannot be killed, it can only be abandoned).
"""

from __future__ import annotations

import traceback as _traceback
from dataclasses import dataclass, field
from typing import Any, ClassVar


@dataclass(frozen=True, slots=True)
class ExitReason:
    """Base of all reasons; compare with `==`, match on the classes."""

    ok: ClassVar[bool] = False


@dataclass(frozen=True, slots=True)
class Normal(ExitReason):
    """Finished: by itself, by `ref.stop()`, or by `stop_self()`."""

    ok: ClassVar[bool] = True


@dataclass(frozen=True, slots=True)
class Shutdown(ExitReason):
    """Asked by its supervisor to stop, or declared by the actor itself; `detail` says more."""

    detail: Any = None
    ok: ClassVar[bool] = True


@dataclass(frozen=True, slots=True)
class Crash(ExitReason):
    """An exception left a handler. Two crashes are equal when they hold the same exception object.

    `traceback` is text, so that a kept reason keeps no frames (and nothing that those frames hold) alive.
    """

    exception: BaseException = field(compare=False)
    traceback: str = field(default="", compare=False, repr=False)
    _identity: int = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_identity", id(self.exception))

    @classmethod
    def of(cls, exception: BaseException) -> Crash:
        """Make a reason of a caught exception and let go of its frames."""
        text = "".join(_traceback.format_exception(exception))
        exception.__traceback__ = None
        return cls(exception, text)


@dataclass(frozen=True, slots=True)
class Killed(ExitReason):
    """Ended by the brutal step; `abandoned` when its thread still runs and is only counted."""

    abandoned: bool = False


@dataclass(frozen=True, slots=True)
class NoProc(ExitReason):
    """Was not alive when it was monitored; `parked` when its supervisor has given it a rest."""

    parked: bool = False


@dataclass(frozen=True, slots=True)
class Unknown(ExitReason):
    """An actor that was not started through this package ended: nobody could record why."""


class Exit(Exception):
    """Raise it in any callback of an actor to end that actor with `reason`.

    An ordinary `Exception` on purpose: as a `BaseException` it would stop all actors of the process if it ever ran
    in a pykka actor that this package has not instrumented.
    """

    def __init__(self, reason: ExitReason) -> None:
        super().__init__(reason)
        self.reason = reason
