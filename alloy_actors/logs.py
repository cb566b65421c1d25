"""How this package logs: fixed words, facts as keys, and tracebacks as text.

A traceback goes in as text because renderers that get the exception itself may show the local variables of every
frame, and those hold prompts and keys. structlog is not imported with the package, but when a system is started; see
`supervisors.logs`, which the loop does not know.
"""

from __future__ import annotations

import contextlib
import functools
import traceback
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from types import ModuleType

_BOUND: Final[ContextVar[dict[str, Any]]] = ContextVar("alloy_bound", default={})  # noqa: B039  (never written to)
"""What every line says in this context: the agent, request and turn of the run, which owns the dictionary."""


class _Logger:
    """Like structlog's, but that a record cannot be written makes nothing worse: what it speaks of is bad enough."""

    def __getattr__(self, method: str) -> Any:
        import structlog

        say = getattr(structlog.get_logger("alloy_actors"), method)

        def try_to_say(event: str, **facts: object) -> None:
            try:
                say(event, **{**_BOUND.get(), **facts})
            except (
                Exception
            ) as error:  # a processor of the user's, a stream that is closed or takes no such text
                with contextlib.suppress(Exception):
                    say(event, not_said=type(error).__qualname__)

        return try_to_say


log: Any = _Logger()


def bind_run(agent: str, request_id: str) -> None:
    """Have what is logged in this context from now on name the run; lines of the user's tools and hooks as well.

    Those hear of it through structlog's context variables, where a `request_id` of the user's own stays as it is.
    """
    structlog = _contextvars()
    ours = _BOUND.get().get("request_id")  # a run that a tool of another one has started
    theirs = structlog.get_contextvars().get("request_id", ours)
    _BOUND.set({"agent": agent, "request_id": request_id, "turn": 0})
    if theirs == ours:
        structlog.bind_contextvars(agent=agent, request_id=request_id, turn=0)
    else:
        structlog.bind_contextvars(agent=agent, turn=0)


def bind_turn(turn: int) -> None:
    """The same for the turn of the run, whose task this has to be."""
    _BOUND.get()["turn"] = turn
    _contextvars().bind_contextvars(turn=turn)


@functools.cache
def _contextvars() -> ModuleType:
    """structlog's; an import statement in each run would cost more than the rest."""
    from structlog import contextvars

    return contextvars


def traced(error: BaseException) -> dict[str, str]:
    """The traceback of `error` as a key for a log record; structlog's renderers print `exception` as a block."""
    text = "".join(traceback.format_exception(error)).rstrip()
    # Half a surrogate pair, as in names of files, is refused by most streams.
    return {"exception": text.encode("utf-8", "backslashreplace").decode()}
