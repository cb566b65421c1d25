"""Futures with a callback, a cancel and a real `await`; in the rest they are pykka's.

Nothing is allocated for waiting until somebody waits: a future is one lock, used once as a compare-and-swap, an outcome
and a list of those to wake. Each entry of the list is taken by exactly one thread, the setter or the one that added it.

Derived futures (`map`, `filter`, `reduce`, `join`) know their parents, so they can be awaited and called back too. A
hook of `set_get_hook` (pykka's `ref.stop(block=False)` uses one) is opaque: whoever awaits it costs a thread.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import functools
import queue
import sys
import threading
import time
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast

import pykka

from supervisors.runtime.blocking import block_on
from supervisors.runtime.logs import report

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable

    from pykka._types import OptExcInfo

T = TypeVar("T")
J = TypeVar("J")
M = TypeVar("M")
R = TypeVar("R")

Outcome = tuple[Any, "OptExcInfo | None"]


class _Source(Protocol):
    """Where a future that nobody sets gets its outcome from."""

    def resolve(self, future: PooledFuture[Any], timeout: float | None) -> Outcome:
        """Wait for it, in the getter's thread."""

    def done(self) -> bool:
        """Whether `resolve` would return at once."""

    def follow(self, future: PooledFuture[Any]) -> None:
        """See to it that the future is settled without a getter."""


class PooledFuture(pykka.Future[T]):
    """A value that comes later. `get` on a pool thread is managed blocking: another worker takes over."""

    __slots__ = ("_cancelled", "_once", "_outcome", "_source", "_waiting")

    def __init__(self) -> None:
        # Not pykka's __init__: its hook lives in `_source` here.
        self._once = threading.Lock()
        self._outcome: Outcome | None = None
        self._waiting: list[Callable[[], object]] = []
        self._source: _Source | None = None
        self._cancelled = False

    # Results

    def get(self, *, timeout: float | None = None) -> T:
        outcome = self._outcome
        if outcome is None:
            outcome = self._wait(timeout) if self._source is None else self._source.resolve(self, timeout)
        value, exc_info = outcome
        if exc_info is None:
            result: T = value
            return result
        kind, error, traceback = exc_info
        if error is None:
            error = cast("type[BaseException]", kind)()
        if error.__traceback__ is not traceback:
            raise error.with_traceback(traceback)
        raise error

    def set(self, value: T | None = None) -> None:
        """Set the value.

        Raises:
            queue.Full: It has an outcome, or a hook. After `cancel` the value is dropped instead.
        """
        if self._source is not None or not self._settle((value, None)):
            self._refuse()

    def set_exception(self, exc_info: OptExcInfo | None = None) -> None:
        """Set the exception to raise in `get`, by default the one being handled.

        Raises:
            queue.Full: As for `set`.
        """
        assert exc_info is None or len(exc_info) == 3
        if self._source is not None or not self._settle((None, exc_info or sys.exc_info())):
            self._refuse()

    def set_get_hook(self, func: Callable[[float | None], T]) -> None:
        if self._outcome is not None:
            raise queue.Full
        self._source = _Hook(func)

    def cancel(self) -> bool:
        """Give up: `get` raises `concurrent.futures.CancelledError`, and a later outcome is dropped.

        Returns:
            False when there is an outcome already. The actor that was asked is not told.
        """
        if self._outcome is not None:
            return False
        self._cancelled = True  # before the swap: who loses to it must see it
        error = concurrent.futures.CancelledError()
        if not self._settle((None, (type(error), error, None))):
            self._cancelled = False
            return False
        return True

    def cancelled(self) -> bool:
        """Whether `cancel` came first."""
        return self._cancelled and self._outcome is not None

    def done(self) -> bool:
        """Whether `get` would return at once."""
        return self._outcome is not None or (self._source is not None and self._source.done())

    def add_done_callback(self, function: Callable[[PooledFuture[T]], object]) -> None:
        """Call `function(self)` once there is an outcome: in the setter's thread, or at once in this one.

        What it raises is logged and goes no further.
        """
        self._notify(partial(_run_callback, function, self))

    # Derived futures

    def filter(self: pykka.Future[Iterable[J]], func: Callable[[J], bool]) -> PooledFuture[Iterable[J]]:
        return _derive((self,), lambda values: list(filter(func, values[0])))

    def join(self: pykka.Future[Any], *futures: pykka.Future[Any]) -> PooledFuture[Iterable[Any]]:
        return _derive((self, *futures), list)

    def map(self, func: Callable[[T], M]) -> PooledFuture[M]:
        return _derive((self,), lambda values: func(values[0]))

    def reduce(self: pykka.Future[Iterable[J]], func: Callable[[R, J], R], *args: R) -> PooledFuture[R]:
        return _derive((self,), lambda values: functools.reduce(func, values[0], *args))

    def __await__(self) -> Generator[Any, None, T]:
        """Wait without blocking the loop that runs the awaiting task."""
        if self._outcome is None:
            loop = asyncio.get_running_loop()
            waiter: asyncio.Future[None] = loop.create_future()

            def wake() -> None:
                with contextlib.suppress(RuntimeError):  # the loop was closed: nobody waits any more
                    loop.call_soon_threadsafe(_finish, waiter)

            self._notify(wake)
            try:
                yield from waiter
            finally:
                with contextlib.suppress(ValueError):
                    self._waiting.remove(wake)
        return self.get()

    __iter__ = __await__

    # Inside

    def _settle(self, outcome: Outcome) -> bool:
        """Publish an outcome; False when another was first."""
        if not self._once.acquire(blocking=False):
            return False
        self._publish(outcome)
        return True

    def _publish(self, outcome: Outcome) -> None:
        """Publish; only for the thread that acquired `_once`."""
        self._outcome = outcome
        if self._waiting:
            self._wake()

    def _wake(self) -> None:
        waiting = self._waiting
        while waiting:
            try:
                wake = waiting.pop(0)
            except IndexError:  # another thread was faster
                return
            wake()

    def _notify(self, wake: Callable[[], object], *, first: bool = False) -> None:
        """Call `wake` when there is an outcome; it must not raise."""
        if first:
            self._waiting.insert(0, wake)
        else:
            self._waiting.append(wake)
        if self._outcome is not None:
            self._wake()
        elif self._source is not None and not first:
            self._source.follow(self)

    def _wait(self, timeout: float | None) -> Outcome:
        """Wait until another thread publishes the outcome."""
        lock = threading.Lock()
        lock.acquire()
        wake = lock.release
        self._notify(wake, first=True)  # getters before callbacks, which may take their time
        try:
            if self._outcome is None:
                block_on(lock, timeout, for_answer=True)
        finally:
            with contextlib.suppress(ValueError):
                self._waiting.remove(wake)
        if self._outcome is None:
            raise pykka.Timeout(f"{timeout} seconds")
        return self._outcome

    def _refuse(self) -> None:
        if not self._cancelled:
            raise queue.Full


class _Derived:
    """The source of `map` and its like: a function of the values of other futures."""

    __slots__ = ("compute", "followed", "parents")

    def __init__(self, parents: tuple[pykka.Future[Any], ...], compute: Callable[[list[Any]], Any]) -> None:
        self.parents = parents
        self.compute = compute
        self.followed = False

    def resolve(self, future: PooledFuture[Any], timeout: float | None) -> Outcome:
        deadline = None if timeout is None else time.monotonic() + timeout
        values = [parent.get(timeout=_left(deadline)) for parent in self.parents]
        if not future._once.acquire(blocking=False):  # another getter computes, or has computed
            return future._outcome or future._wait(_left(deadline))
        try:
            outcome: Outcome = (self.compute(values), None)
        except BaseException as error:
            outcome = (None, (type(error), error, error.__traceback__))
            future._publish(outcome)
            if not isinstance(error, Exception):
                raise
        else:
            future._publish(outcome)
        return outcome

    def done(self) -> bool:
        return all(isinstance(parent, PooledFuture) and parent.done() for parent in self.parents)

    def follow(self, future: PooledFuture[Any]) -> None:
        if self.followed:
            return
        self.followed = True
        if not all(isinstance(parent, PooledFuture) for parent in self.parents):
            _settle_in_thread(future)
            return
        missing = list(self.parents)

        def parent_done(_parent: object) -> None:
            missing.pop()
            if not missing:
                _settle_by_get(future)

        for parent in self.parents:
            cast("PooledFuture[Any]", parent).add_done_callback(parent_done)


class _Hook:
    """The source of a future with a get hook: a function nobody can look into, run in the getter's thread."""

    __slots__ = ("followed", "func", "gate")

    def __init__(self, func: Callable[[float | None], Any]) -> None:
        self.func = func
        self.gate = threading.Lock()
        self.followed = False

    def resolve(self, future: PooledFuture[Any], timeout: float | None) -> Outcome:
        deadline = None if timeout is None else time.monotonic() + timeout
        if not self.gate.acquire(blocking=False) and not block_on(self.gate, timeout):
            raise pykka.Timeout(f"{timeout} seconds")
        try:
            if future._outcome is None:
                future._settle((self.func(_left(deadline)), None))
        finally:
            self.gate.release()
        assert future._outcome is not None
        return future._outcome

    def done(self) -> bool:
        return False

    def follow(self, future: PooledFuture[Any]) -> None:
        if not self.followed:
            self.followed = True
            _settle_in_thread(future)


def _derive(parents: tuple[pykka.Future[Any], ...], compute: Callable[[list[Any]], Any]) -> PooledFuture[Any]:
    future: PooledFuture[Any] = PooledFuture()
    future._source = _Derived(parents, compute)
    return future


def _left(deadline: float | None) -> float | None:
    return None if deadline is None else max(0.0, deadline - time.monotonic())


def _settle_by_get(future: PooledFuture[Any]) -> None:
    """Give a future with a source its outcome, also when that is an exception."""
    try:
        future.get()
    except BaseException as error:
        future._settle((None, (type(error), error, error.__traceback__)))


def _settle_in_thread(future: PooledFuture[Any]) -> None:
    threading.Thread(target=_settle_by_get, args=(future,), name="supervisors-future", daemon=True).start()


def _run_callback(function: Callable[[PooledFuture[T]], object], future: PooledFuture[T]) -> None:
    try:
        function(future)
    except BaseException as error:
        report("future_callback_failed", error, callback=repr(function))


def _finish(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)
