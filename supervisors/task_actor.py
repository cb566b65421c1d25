"""One function run as an actor, and how that ended.

A task has a thread of its own. A function of the user's may block for minutes, keep values in its thread, wait for tasks
it submits itself: on a shared pool the first two disturb the others, and the third needs a pool without a limit. The
thread is a daemon and is named after the task; starting it costs some 0.3 ms, and `max_children` bounds their number.
"""

from __future__ import annotations

import inspect
import threading
from dataclasses import dataclass
from enum import Enum
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

import pykka

from supervisors.reasons import Exit, ExitReason, Shutdown
from supervisors.runtime import Incarnation, PooledFuture, chain_here, current, lend_chain, stop_self

if TYPE_CHECKING:
    from collections.abc import Callable

    from supervisors.spec import ChildExit

T_co = TypeVar("T_co", covariant=True)
AnyRef = pykka.ActorRef[Any]
Owner = Incarnation | threading.Thread

_RUN: Final = object()


class Missing(Enum):
    """Type of `MISSING`."""

    MISSING = "missing"


MISSING: Final = Missing.MISSING
"""The `input` of a `Failed` whose stream was not asked for inputs."""


@dataclass(frozen=True, slots=True)
class Ok(Generic[T_co]):
    """A task returned `value`."""

    value: T_co


@dataclass(frozen=True, slots=True)
class Failed:
    """A task ended without a value; `input` is the element of a stream with `zip_input`, else MISSING."""

    reason: ExitReason
    input: Any = MISSING


class Ending:
    """How one task ended, and who wants to know.

    It is told by the supervisor, once the task's record is gone: whoever has a result may start the next task at once.
    """

    __slots__ = ("_listeners", "_lock", "_value", "future")

    def __init__(self) -> None:
        self.future: PooledFuture[Ok[Any] | Failed] = PooledFuture()
        self._value: Ok[Any] | None = None
        self._lock = threading.RLock()
        self._listeners: dict[object, Callable[[], object]] | None = {}

    def returned(self, value: Any) -> None:
        """Note what the function returned; in the task's thread."""
        self._value = Ok(value)

    def exited(self, child_exit: ChildExit) -> None:
        """Note the end; the `on_exit` of the task's spec."""
        self.settle(child_exit.reason)

    def settle(self, reason: ExitReason) -> None:
        """Tell everybody; only the first call counts. A value that is there wins over any reason."""
        with self._lock:
            listeners, self._listeners = self._listeners, None
        if listeners is None:
            return
        self.future.set(self._value or Failed(reason))
        for listener in listeners.values():
            listener()

    def peek(self) -> Ok[Any] | Failed | None:
        """Return the result if it is there."""
        return self.future.get() if self.future.done() else None

    def listen(self, function: Callable[[], object]) -> Callable[[], None]:
        """Call `function` once there is a result, at once if there is; returns what ends that."""
        token = object()
        with self._lock:
            waiting = self._listeners is not None
            if self._listeners is not None:
                self._listeners[token] = function
        if not waiting:
            self.future.get()  # the one who settles may not have set it yet
            function()

        def undo() -> None:
            with self._lock:
                if self._listeners is not None:
                    self._listeners.pop(token, None)

        return undo


class Work:
    """What a task does, and for whom.

    Args:
        function: Called once per incarnation.
        args: Positional.
        kwargs: By keyword.
        owner: Who gets the result; None: nobody, so that nobody's end matters.
        ending: Where the result goes; None with `owner`.
    """

    __slots__ = ("args", "callers", "ending", "function", "kwargs", "owner")

    def __init__(
        self,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        owner: Owner | None = None,
        ending: Ending | None = None,
    ) -> None:
        if not callable(function):
            raise TypeError(f"a task runs a function, not {function!r}")
        if inspect.iscoroutinefunction(function):
            raise TypeError(
                f"{label(function)} is a coroutine function, a task runs plain ones: wrap it with asyncio.run"
            )
        self.function = function
        self.args = args
        self.kwargs = kwargs
        self.owner = owner
        self.ending = ending
        self.callers = chain_here()


class TaskActor(pykka.ThreadingActor):
    """Runs one function and ends with it."""

    def __init__(self, work: Work) -> None:
        super().__init__()
        self._work: Work | None = work

    def on_start(self) -> None:
        assert self._work is not None
        if isinstance(self._work.owner, Incarnation) and not self._work.owner.is_current():
            raise Exit(Shutdown("the owner ended"))
        self.actor_ref.tell(_RUN)

    def on_receive(self, message: Any) -> None:
        if message is not _RUN:
            return
        work, self._work = self._work, None
        assert work is not None
        lend_chain((self.actor_ref, *work.callers))
        value = work.function(*work.args, **work.kwargs)
        me = current()
        if work.ending is not None and me is not None and me.is_current():
            work.ending.returned(value)
        stop_self()


def caller() -> Owner:
    """Say who calls: the incarnation of an actor, else the thread."""
    return current() or threading.current_thread()


def label(function: Any) -> str:
    """Name a function in a path."""
    while isinstance(function, partial):
        function = function.func
    return str(getattr(function, "__qualname__", None) or type(function).__qualname__)
