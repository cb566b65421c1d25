"""A circuit breaker for calls: after too many failures in a row it refuses at once, and tries again later, one call at a time.

It stands beside the supervisors and needs none. Source: Nygard's pattern in Pekko's form; a failed probe doubles the time
to the next one.

    closed     calls go through; `max_failures` failures in a row open it; a success sets the count to 0
    open       calls raise CircuitOpen; after the reset timeout the next call is the probe
    half_open  the probe is under way, other calls raise CircuitOpen; its success closes, its failure opens
"""

from __future__ import annotations

import functools
import inspect
import math
import threading
from contextvars import ContextVar
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, ParamSpec, TypeVar, cast

from supervisors.clock import system_clock
from supervisors.errors import CircuitOpen, InvalidOption
from supervisors.logs import log
from supervisors.reasons import Exit
from supervisors.spec import is_seconds

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from supervisors.clock import Clock

P = ParamSpec("P")
R = TypeVar("R")


class CircuitState(StrEnum):
    """What a circuit breaker does with calls; see the module."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class _Attempt:
    """One call that was let through."""

    __slots__ = ("breaker", "epoch", "outer", "started")

    def __init__(self, breaker: CircuitBreaker, epoch: int, started: float, outer: _Attempt | None) -> None:
        self.breaker = breaker
        self.epoch = epoch
        self.started = started
        self.outer = outer


# The `with` blocks that the running code is in, innermost first; of each thread and each asyncio task its own.
_inner: Final[ContextVar[_Attempt | None]] = ContextVar("supervisors_circuit_attempt", default=None)


class CircuitBreaker:
    """Guards calls of one service; thread-safe.

    Use it as a decorator of a function or a coroutine function, as `breaker.call(function, ...)`, or as `with breaker:`
    around the call. A call that was begun in an earlier state counts no more when it ends.

    Args:
        max_failures: In a row, to open it.
        reset_timeout: Seconds from opening to the first probe; doubled for each probe that fails, 1800 at most unless
            `max_reset_timeout` says otherwise.
        call_timeout: Seconds after which a call counts as failed; it is not interrupted, and its value is returned.
            None: no limit, only a probe counts as failed when it takes longer than the reset timeout.
        max_reset_timeout: Seconds. None: 1800, or `reset_timeout` if that is more.
        is_failure: Tells for an exception whether it speaks against the service, else it counts as a success; None: all
            do. `Exit`, with which an actor ends itself, and what is no `Exception` (cancellation, Ctrl-C) say nothing.
        name: For messages.
        clock: For tests.

    Raises:
        InvalidOption: An argument is out of range.
    """

    def __init__(
        self,
        *,
        max_failures: int = 5,
        reset_timeout: float = 60.0,
        call_timeout: float | None = None,
        max_reset_timeout: float | None = None,
        is_failure: Callable[[Exception], bool] | None = None,
        name: str = "",
        clock: Clock = system_clock,
    ) -> None:
        limit: object = max_failures
        if not isinstance(limit, int) or isinstance(limit, bool) or limit < 1:
            raise InvalidOption("max_failures", limit, "must be an int >= 1")
        _check_seconds("reset_timeout", reset_timeout)
        if call_timeout is not None:
            _check_seconds("call_timeout", call_timeout)
        longest = max(1800.0, reset_timeout) if max_reset_timeout is None else max_reset_timeout
        _check_seconds("max_reset_timeout", longest)
        if longest < reset_timeout:
            raise InvalidOption("max_reset_timeout", longest, f"is less than reset_timeout={reset_timeout}")
        if is_failure is not None and not callable(is_failure):
            raise InvalidOption("is_failure", is_failure, "must be a function of an exception")
        self.name = name
        self._max_failures = max_failures
        self._reset_timeout = reset_timeout
        self._call_timeout = call_timeout
        self._max_reset_timeout = longest
        self._is_failure = is_failure
        self._clock = clock
        self._lock = threading.RLock()
        self._state = CircuitState.CLOSED
        self._epoch = 0  # counts transitions
        self._failures = 0  # in a row
        self._period = reset_timeout  # until the next probe
        self._probe_at = 0.0  # when it is due; when half open: when the one under way counts as failed
        self._listeners: list[Callable[[CircuitState, CircuitState], object]] = []
        self._news: list[
            tuple[CircuitState, CircuitState]
        ] = []  # transitions that listeners do not know of yet

    def __repr__(self) -> str:
        return f"<CircuitBreaker {self.name} {self._state}>".replace("  ", " ")

    @property
    def state(self) -> CircuitState:
        """What it does now; an open one becomes half open with the next call that is due."""
        return self._state

    @property
    def failures(self) -> int:
        """How many calls in a row have failed."""
        return self._failures

    def listen(self, function: Callable[[CircuitState, CircuitState], object]) -> Callable[[], None]:
        """Call `function(old, new)` at each transition, in the thread that causes it; returns what ends that.

        What it raises is logged.
        """
        with self._lock:
            self._listeners.append(function)

        def undo() -> None:
            with self._lock:
                if function in self._listeners:
                    self._listeners.remove(function)

        return undo

    # Three ways to use it

    def call(self, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Return `function(*args, **kwargs)`.

        Raises:
            CircuitOpen: It was not called.
        """
        with self:
            return function(*args, **kwargs)

    def __call__(self, function: Callable[P, R], /) -> Callable[P, R]:
        """Guard every call of `function`; of a coroutine function what is awaited."""
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def guarded_coroutine(*args: P.args, **kwargs: P.kwargs) -> Any:
                with self:
                    return await function(*args, **kwargs)

            return cast("Callable[P, R]", guarded_coroutine)

        @functools.wraps(function)
        def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
            with self:
                return function(*args, **kwargs)

        return guarded

    def __enter__(self) -> None:
        now = self._clock.now()
        try:
            with self._lock:
                self._let_through(now)
                epoch = self._epoch
        finally:
            self._tell()
        _inner.set(_Attempt(self, epoch, now, _inner.get()))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        attempt = _inner.get()
        if attempt is None or attempt.breaker is not self:
            raise RuntimeError("a `with breaker:` block must end where it began: in the same thread and task")
        _inner.set(attempt.outer)
        failed: bool | None = error is not None
        if error is not None and (isinstance(error, Exit) or not isinstance(error, Exception)):
            failed = None
        elif error is not None and self._is_failure is not None:
            failed = self._is_failure(error)
        now = self._clock.now()
        if self._call_timeout is not None and now - attempt.started > self._call_timeout:
            failed = True
        with self._lock:
            if attempt.epoch == self._epoch:
                self._take(failed, now)
        self._tell()

    # Transitions, under the lock

    def _let_through(self, now: float) -> None:
        """Let a call through, as the probe if one is due, or refuse it."""
        if self._state is CircuitState.HALF_OPEN and now >= self._probe_at:
            self._open(now)  # the probe has not come back
        if self._state is CircuitState.CLOSED:
            return
        if self._state is CircuitState.HALF_OPEN:
            raise CircuitOpen(0.0, self.name)
        if now < self._probe_at:
            raise CircuitOpen(self._probe_at - now, self.name)
        self._probe_at = now + (self._period if self._call_timeout is None else self._call_timeout)
        self._move(CircuitState.HALF_OPEN)

    def _take(self, failed: bool | None, now: float) -> None:  # noqa: FBT001 # private; None says neither
        """Take note of how a call of the present state ended."""
        if failed is None:
            if self._state is CircuitState.HALF_OPEN:  # the probe told nothing: the next call is another one
                self._probe_at = now
                self._move(CircuitState.OPEN)
        elif not failed:
            self._failures = 0
            self._period = self._reset_timeout
            if self._state is CircuitState.HALF_OPEN:
                self._move(CircuitState.CLOSED)
        else:
            self._failures += 1
            if self._state is CircuitState.HALF_OPEN or self._failures >= self._max_failures:
                self._open(now)

    def _open(self, now: float) -> None:
        if self._state is CircuitState.HALF_OPEN:
            self._period = min(self._period * 2, self._max_reset_timeout)
        self._probe_at = now + self._period
        self._move(CircuitState.OPEN)

    def _move(self, state: CircuitState) -> None:
        self._news.append((self._state, state))
        self._state = state
        self._epoch += 1

    def _tell(self) -> None:
        """Tell listeners of transitions; outside of the lock, so that they may use the breaker."""
        if not self._news:
            return
        with self._lock:
            news, self._news = self._news, []
            listeners = list(self._listeners)
        for old, new in news:
            log.info("circuit_changed", circuit=self.name, old=old, new=new)
            for listener in listeners:
                try:
                    listener(old, new)
                except Exception:
                    log.exception("circuit_listener_failed", circuit=self.name)


def _check_seconds(field: str, value: object) -> None:
    if not is_seconds(value) or value == 0 or math.isinf(cast("float", value)):
        raise InvalidOption(field, value, "must be finite seconds > 0")
