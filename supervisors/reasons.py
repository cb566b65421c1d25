"""Why an incarnation of an actor ended.

`Normal`, `Shutdown` are the *shutdown family* (`reason.ok`): expected ends. Everything else is abnormal and makes
a permanent or transient child come back. Source: OTP's exit reasons; `Killed` covers the step that Python cannot
take for us (a thread cannot be killed, it can only be abandoned).
"""

from __future__ import annotations

import traceback as _traceback
from dataclasses import dataclass, field
from typing import Any, ClassVar

_CAUSE = "\nThe above exception was the direct cause of the following exception:\n\n"
_CONTEXT = "\nDuring handling of the above exception, another exception occurred:\n\n"


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


class _Trace:
    """Where an exception and those it came from were raised: noted at once, made text when somebody reads it.

    Python's own `TracebackException` asks the file system about every source file, which costs more than a restart.
    """

    __slots__ = ("_parts",)

    def __init__(self, exception: BaseException) -> None:
        """Note the places, and let go of the frames."""
        self._parts: list[tuple[BaseException, list[tuple[str, int, str]], str]] = []
        one: BaseException | None = exception
        link = ""
        while one is not None and all(one is not other for other, _, _ in self._parts):
            places = [
                (frame.f_code.co_filename, line, frame.f_code.co_name)
                for frame, line in _traceback.walk_tb(one.__traceback__)
            ]
            one.__traceback__ = None
            self._parts.append((one, places, link))
            if one.__cause__ is not None:
                link, one = _CAUSE, one.__cause__
            else:
                link, one = _CONTEXT, None if one.__suppress_context__ else one.__context__

    def text(self) -> str:
        """Say it as Python does, without the markers under the source lines."""
        lines: list[str] = []
        for exception, places, link in reversed(self._parts):
            if places:
                lines.append("Traceback (most recent call last):\n")
                frames = [_traceback.FrameSummary(*place, lookup_line=False) for place in places]
                lines += _traceback.StackSummary.from_list(frames).format()
            lines += _traceback.format_exception_only(exception)
            lines.append(link)
        return "".join(lines)


@dataclass(frozen=True, slots=True, init=False, repr=False)
class Crash(ExitReason):
    """An exception left a handler. Two crashes are equal when they hold the same exception object.

    A kept reason keeps no frames (and nothing that those frames hold) alive.
    """

    exception: BaseException = field(compare=False)
    _trace: str | _Trace = field(compare=False)
    _identity: int

    def __init__(self, exception: BaseException, traceback: str | _Trace = "") -> None:
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
        return cls(exception, _Trace(exception))

    @property
    def traceback(self) -> str:
        """The traceback as text, as Python prints it."""
        return self._trace if isinstance(self._trace, str) else self._trace.text()


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


@dataclass(frozen=True, slots=True)
class TimedOut(ExitReason):
    """A task of a stream took longer than the stream allows, and was stopped."""


class Exit(Exception):
    """Raise it in any callback of an actor to end that actor with `reason`.

    An ordinary `Exception` on purpose: as a `BaseException` it would stop all actors of the process if it ever ran
    in a pykka actor that this package has not instrumented.
    """

    def __init__(self, reason: ExitReason) -> None:
        check_reason(reason)
        super().__init__(reason)
        self.reason = reason


def check_reason(reason: object) -> None:
    """Refuse what is no exit reason where it is given: supervisors decide by it.

    Raises:
        TypeError: Says what was given.
    """
    if not isinstance(reason, ExitReason):
        raise TypeError(
            f"{reason!r} is no exit reason: Normal(), Shutdown(detail), Killed(), Crash.of(error) ..."
        )
