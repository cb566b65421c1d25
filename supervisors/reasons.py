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


@dataclass(frozen=True, slots=True, init=False, repr=False)
class Crash(ExitReason):
    """An exception left a handler. Two crashes are equal when they hold the same exception object.

    A kept reason keeps no frames (and nothing that those frames hold) alive.
    """

    exception: BaseException = field(compare=False)
    _trace: str | _traceback.TracebackException = field(compare=False)
    _identity: int

    def __init__(self, exception: BaseException, traceback: str | _traceback.TracebackException = "") -> None:
        object.__setattr__(self, "exception", exception)
        object.__setattr__(self, "_trace", traceback)
        object.__setattr__(self, "_identity", id(exception))

    def __repr__(self) -> str:
        try:
            return f"Crash({self.exception!r})"
        except Exception:  # the user's __repr__ is broken, and supervisors say reasons a lot
            return f"Crash({type(self.exception).__name__})"

    @classmethod
    def of(cls, exception: BaseException) -> Crash:
        """Make a reason of a caught exception and let go of its frames."""
        # Where it was is noted now; that becomes text when somebody reads it, which costs ten times as much.
        trace = _traceback.TracebackException.from_exception(exception, lookup_lines=False)
        _let_go(exception)
        return cls(exception, trace)

    @property
    def traceback(self) -> str:
        """The traceback as text, as Python prints it."""
        return self._trace if isinstance(self._trace, str) else "".join(self._trace.format())


def _let_go(exception: BaseException) -> None:
    """Drop the frames of an exception and of those it came from."""
    seen: set[int] = set()
    todo: list[BaseException | None] = [exception]
    while todo:
        one = todo.pop()
        if one is not None and id(one) not in seen:
            seen.add(id(one))
            one.__traceback__ = None
            todo += (one.__cause__, one.__context__)


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
