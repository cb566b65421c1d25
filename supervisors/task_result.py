"""The result of a task, for the one who submitted it: wait for it, look for it, give it up, alone or several at once."""

from __future__ import annotations

import queue
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, Literal, Protocol, TypeVar, cast

import pykka

from supervisors.errors import CallTimeout, InvalidOption, TaskExited
from supervisors.reasons import Crash, Killed, Shutdown
from supervisors.runtime import PooledFuture
from supervisors.spec import BRUTAL_KILL, check_timeout
from supervisors.task_actor import AnyRef, Ending, Failed, Ok, Owner, caller

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from supervisors.spec import BrutalKill

T = TypeVar("T")

SHUTDOWN = 5.0  # seconds a task gets to end by itself


class Stopper(Protocol):
    """The supervisor, as far as a task needs it."""

    def ask_to_stop(self, ref: AnyRef, timeout: float | BrutalKill = SHUTDOWN) -> None:
        """Have a task stopped, in some way; its ending will tell."""


class Task(Generic[T]):
    """A submitted function; made by `submit()`.

    Only its owner may use it: the actor, or the thread that belongs to none, that submitted it. It can be awaited once:
    after a result, a timeout of `result()`, `shutdown()` or `ignore()` it is of no more use, and the methods raise
    ValueError.

    ref: Of the actor that runs it; monitor it, or look for it among `children()`.
    """

    __slots__ = ("_is_linked", "_is_over", "_owner", "_supervisor", "_untie", "ending", "ref")

    def __init__(
        self,
        supervisor: Stopper,
        ref: AnyRef,
        owner: Owner,
        ending: Ending,
        untie: Callable[[], object] | None,
    ) -> None:
        self.ref = ref
        self.ending = ending
        self._supervisor = supervisor
        self._owner = owner
        self._is_linked = untie is not None
        self._untie = untie
        self._is_over = False

    def __repr__(self) -> str:
        return f"<Task {self.ref}>"

    def result(self, timeout: float | None = 5.0) -> T:
        """Wait for the value, `timeout` seconds at most (None: no limit).

        Raises:
            TaskExited: It ended without one; a crash is the `__cause__`.
            CallTimeout: It is not through. It goes on, unless it is linked, and its result is dropped.
            ValueError: Not called by the owner, or the task was awaited already.
        """
        check_timeout(timeout)
        self.check_use()
        try:
            found = self.ending.future.get(timeout=timeout)
        except pykka.Timeout:
            self.give_up()
            raise CallTimeout(f"{self} is not through after {timeout} s") from None
        return cast("T", self.take(found))

    def poll(self, timeout: float | None = 0.0) -> Ok[T] | Failed | None:
        """Wait up to `timeout` seconds; None: it still runs, ask again."""
        check_timeout(timeout)
        self.check_use()
        try:
            found = self.ending.future.get(timeout=timeout)
        except pykka.Timeout:
            return None
        self._is_over = True
        return found

    def shutdown(self, timeout: float | BrutalKill = SHUTDOWN) -> Ok[T] | Failed | None:
        """Stop the task and wait for that; a result that is already there wins.

        Args:
            timeout: Seconds it gets to end by itself, at most those of its `submit(shutdown=...)`; then it is abandoned.
                BRUTAL_KILL does not ask it first.

        Returns:
            None when it stopped as asked.
        """
        if timeout is not BRUTAL_KILL:
            check_timeout(timeout)
        self.check_use()
        self._is_over = True
        if self._untie is not None:
            self._untie()
        if not self.ending.future.done():
            self._supervisor.ask_to_stop(self.ref, timeout)
        found = self.ending.future.get()
        if isinstance(found, Failed):
            asked = found.reason == Shutdown()
            killed = timeout is BRUTAL_KILL and isinstance(found.reason, Killed)
            return None if asked or killed else found
        return found

    def ignore(self) -> Ok[T] | Failed | None:
        """Take the result if it is there; else let the task go on, unlinked, for nobody."""
        found = self.poll()
        self._is_over = True
        if self._untie is not None:
            self._untie()
        return found

    def check_use(self) -> None:
        """Refuse a caller that is not the owner, and a task that was awaited already."""
        if caller() is not self._owner:
            raise ValueError(f"{self} belongs to {self._owner}: only its owner may use it")
        if self._is_over:
            raise ValueError(f"{self} was awaited, shut down or ignored already")

    def ask_to_stop(self) -> None:
        """Have it stopped without waiting for that; it can still be awaited."""
        self._supervisor.ask_to_stop(self.ref)

    def take(self, found: Ok[Any] | Failed) -> Any:
        """Make a value or an exception of a result; the task is over then."""
        self._is_over = True
        if isinstance(found, Ok):
            return found.value
        cause = found.reason.exception if isinstance(found.reason, Crash) else None
        raise TaskExited(found.reason) from cause

    def give_up(self) -> None:
        """Wait for it no longer; a linked task is asked to stop."""
        self._is_over = True
        if self._untie is not None:
            self._untie()
        if self._is_linked:
            self._supervisor.ask_to_stop(self.ref)


def result_all(tasks: Sequence[Task[T]], timeout: float | None = 5.0) -> list[T]:
    """Wait for the values of all tasks, in the order of `tasks`, under one timeout in seconds.

    Raises:
        TaskExited: One ended without a value; raised at once. The others go on and can still be awaited.
        CallTimeout: Some are not through; those are given up, as by `result()`.
        ValueError: As for `result()`; nothing was waited for then.
    """
    check_timeout(timeout)
    for task in tasks:
        _check_task(task)
    _wait(tasks, len(tasks), timeout, or_a_failure=True)
    for task in tasks:
        if isinstance(failed := task.ending.peek(), Failed):
            task.take(failed)
    late = [task for task in tasks if task.ending.peek() is None]
    for task in late:
        task.give_up()
    if late:
        raise CallTimeout(f"{len(late)} of {len(tasks)} tasks are not through after {timeout} s")
    return [task.take(task.ending.future.get()) for task in tasks]


def poll_all(
    tasks: Sequence[Task[T]],
    timeout: float | None = 5.0,
    *,
    limit: int | None = None,
    on_timeout: Literal["nothing", "ignore", "stop_task"] = "nothing",
) -> list[Ok[T] | Failed | None]:
    """Wait until the tasks, or `limit` of them, are through; None for each that is not.

    Args:
        tasks: The results are in their order.
        timeout: Seconds for all of them together; None: no limit.
        limit: Return when so many are through.
        on_timeout: What becomes of those that are not: "nothing", so that they may be polled again; "ignore"; or
            "stop_task" asks them to stop, all at once, and waits for that.
    """
    check_timeout(timeout)
    count: object = len(tasks) if limit is None else limit
    if limit is not None and (not isinstance(count, int) or isinstance(count, bool) or count < 1):
        raise InvalidOption("limit", limit, "must be an int >= 1, or None")
    if on_timeout not in {"nothing", "ignore", "stop_task"}:
        raise InvalidOption("on_timeout", on_timeout, 'must be "nothing", "ignore" or "stop_task"')
    for task in tasks:
        _check_task(task)
    _wait(tasks, len(tasks) if limit is None else min(limit, len(tasks)), timeout)
    late = {task for task in tasks if not task.ending.future.done()}
    if on_timeout == "stop_task":
        for task in late:
            task.ask_to_stop()
    last_word = {"nothing": Task.poll, "ignore": Task.ignore, "stop_task": Task.shutdown}[on_timeout]
    return [last_word(task) if task in late else task.poll() for task in tasks]


def _wait(
    tasks: Sequence[Task[Any]], enough: int, timeout: float | None, *, or_a_failure: bool = False
) -> None:
    """Wait until `enough` of the tasks are through, or one has failed, or the time is over."""
    if enough == 0:
        return
    done: PooledFuture[None] = PooledFuture()
    through: list[None] = []  # `append` is atomic

    def one_ended(task: Task[Any]) -> None:
        through.append(None)
        if len(through) >= enough or (or_a_failure and isinstance(task.ending.peek(), Failed)):
            with suppress(queue.Full):
                done.set(None)

    undos = [task.ending.listen(partial(one_ended, task)) for task in tasks]
    try:
        with suppress(pykka.Timeout):
            done.get(timeout=timeout)
    finally:
        for undo in undos:
            undo()


def _check_task(task: object) -> None:
    if not isinstance(task, Task):
        raise TypeError(f"{task!r} is no Task: submit() returns one")
    task.check_use()
