"""One task per element of an iterable, so many at a time; the results as they come.

Everything happens in the consumer's thread, between two of its `next()`: it starts tasks while there are free slots and
input, and waits for arrivals. A slot is free when the supervisor has forgotten the task, so that `max_concurrency` may
be as large as the supervisor's `max_children`.
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from supervisors.errors import CallTimeout, InvalidOption, TaskExited
from supervisors.links import traps_exit
from supervisors.reasons import TimedOut
from supervisors.runtime import Incarnation, PooledFuture
from supervisors.spec import BRUTAL_KILL, is_seconds
from supervisors.task_actor import MISSING, AnyRef, Ending, Failed, Ok, Owner, caller

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator

    from supervisors.clock import Clock, Timer
    from supervisors.spec import BrutalKill


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamOptions:
    """How a stream runs; see `TaskSupervisorRef.stream`.

    Raises:
        InvalidOption: Names the field and the value.
    """

    max_concurrency: int
    ordered: bool
    timeout: float | None
    on_timeout: str
    zip_input: bool
    link: bool
    shutdown: float | BrutalKill

    def __post_init__(self) -> None:
        count: object = self.max_concurrency
        if not isinstance(count, int) or isinstance(count, bool) or count < 1:
            raise InvalidOption("max_concurrency", count, "must be an int >= 1")
        if self.on_timeout not in {"raise", "stop_task"}:
            raise InvalidOption("on_timeout", self.on_timeout, 'must be "raise" or "stop_task"')
        if self.timeout is not None and not is_seconds(self.timeout):
            raise InvalidOption("timeout", self.timeout, "must be seconds >= 0, or None for no limit")
        if self.shutdown is not BRUTAL_KILL and not is_seconds(self.shutdown):
            raise InvalidOption("shutdown", self.shutdown, "must be BRUTAL_KILL, INFINITY or seconds >= 0")
        for name in ("ordered", "zip_input", "link"):
            if not isinstance(getattr(self, name), bool):
                raise InvalidOption(name, getattr(self, name), "must be True or False")


class Starter(Protocol):
    """The supervisor, as far as a stream needs one."""

    @property
    def clock(self) -> Clock:
        """Of the supervisor."""

    def begin(self, element: Any, owner: Owner) -> tuple[AnyRef, Ending]:
        """Start a task for one element."""

    def ask_to_stop(self, ref: AnyRef) -> None:
        """Have a task stopped, in some way; its ending will tell."""


@dataclass(slots=True)
class _Running:
    """A task of the stream."""

    ref: AnyRef
    ending: Ending
    element: Any
    timer: Timer | None = None
    overdue: bool = False


class _Arrivals:
    """What other threads tell the consumer: indices of tasks that ended or are overdue."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._items: deque[int] = deque()
        self._waiter: PooledFuture[None] | None = None

    def put(self, index: int) -> None:
        with self._lock:
            self._items.append(index)
            waiter, self._waiter = self._waiter, None
        if waiter is not None:
            waiter.set(None)

    def get(self, *, wait: bool) -> int | None:
        """Take the next one; None when there is none and `wait` is False."""
        while True:
            with self._lock:
                if self._items:
                    return self._items.popleft()
                if not wait:
                    return None
                waiter = self._waiter = PooledFuture()
            waiter.get()


@dataclass(slots=True)
class Stream:
    """The state of one stream; `results()` is the generator that users see."""

    starter: Starter
    elements: Iterable[Any]
    options: StreamOptions
    running: dict[int, _Running] = field(default_factory=dict)
    ready: deque[Ok[Any] | Failed] = field(default_factory=deque)
    held: dict[int, Ok[Any] | Failed] = field(default_factory=dict)  # ended, but not yet in turn
    arrivals: _Arrivals = field(default_factory=_Arrivals)

    def results(self) -> Generator[Ok[Any] | Failed, None, None]:
        """Generate the results; whoever asks for the first one is the owner of the tasks."""
        owner = caller()
        try:
            inputs = enumerate(self.elements)
            more = True
            turn = 0
            while True:
                while more and len(self.running) < self.options.max_concurrency:
                    more = self._start_next(inputs, owner)
                while self.ready:
                    yield self.ready.popleft()
                if not self.running:
                    return
                turn = self._take_arrivals(turn, owner)
        finally:
            # Waiting is for the consumer: the garbage collector may close a forgotten generator in any thread, even
            # in one that a task needs to end.
            self._stop_all(wait=caller() is owner)

    def _start_next(self, inputs: Iterator[tuple[int, Any]], owner: Owner) -> bool:
        """Start a task for the next element; False when there is none."""
        try:
            index, element = next(inputs)
        except StopIteration:
            return False
        ref, ending = self.starter.begin(element, owner)
        task = _Running(ref, ending, element if self.options.zip_input else MISSING)
        self.running[index] = task
        ending.listen(partial(self.arrivals.put, index))
        if self.options.timeout is not None:
            task.timer = self.starter.clock.call_later(
                self.options.timeout, partial(self.arrivals.put, index)
            )
        return True

    def _take_arrivals(self, turn: int, owner: Owner) -> int:
        """Wait for one arrival, take those that are there too, and put what is in turn into `ready`."""
        index = self.arrivals.get(wait=True)
        while index is not None:
            task = self.running.get(index)
            if task is not None:
                result = task.ending.peek()
                if result is None:
                    self._overdue(task)
                else:
                    self._ended(index, task, result, owner)
            index = self.arrivals.get(wait=False)
        while turn in self.held:
            self.ready.append(self.held.pop(turn))
            turn += 1
        return turn

    def _overdue(self, task: _Running) -> None:
        if self.options.on_timeout == "raise":
            raise CallTimeout(f"a task of the stream took over {self.options.timeout} s")
        task.overdue = True
        self.starter.ask_to_stop(task.ref)

    def _ended(self, index: int, task: _Running, result: Ok[Any] | Failed, owner: Owner) -> None:
        del self.running[index]
        if task.timer is not None:
            task.timer.cancel()
        if task.overdue:
            result = Failed(TimedOut())
        if isinstance(result, Failed):
            if self.options.link and not (isinstance(owner, Incarnation) and traps_exit(owner)):
                raise TaskExited(result.reason)
            result = replace(result, input=task.element)
        if self.options.ordered:
            self.held[index] = result
        else:
            self.ready.append(result)

    def _stop_all(self, *, wait: bool) -> None:
        """Stop what still runs, side by side; each is over, or abandoned, when this returns."""
        tasks = list(self.running.values())
        self.running.clear()
        for task in tasks:
            if task.timer is not None:
                task.timer.cancel()
            self.starter.ask_to_stop(task.ref)
        if wait:
            for task in tasks:
                task.ending.future.get()
