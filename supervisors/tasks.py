"""Functions run as supervised actors: submit one and take its result, let it run, or stream many.

A task supervisor is a dynamic supervisor whose children each run one function. They are temporary unless `start_child`
says otherwise. Source: Elixir's `Task.Supervisor`; unlike there a task is not linked to its owner unless asked for.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeVar, cast

from supervisors.base import BaseSupervisor
from supervisors.children import State
from supervisors.errors import InvalidOption, NoProcError
from supervisors.links import signal, tie, untie
from supervisors.operations import DynamicCore
from supervisors.options import SHARED_FLAGS, Options
from supervisors.reasons import ExitReason, NoProc, Normal
from supervisors.refs import BaseSupervisorRef
from supervisors.runtime import Incarnation, incarnation_of, request_stop
from supervisors.spec import BRUTAL_KILL, INFINITY, ChildSpec, RestartType, check_timeout
from supervisors.streams import Stream, StreamOptions
from supervisors.task_actor import AnyRef, Ending, Failed, Ok, Owner, TaskActor, Work, caller, label
from supervisors.task_result import SHUTDOWN, Task

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Hashable, Iterable

    from supervisors.children import Reply
    from supervisors.clock import Clock
    from supervisors.spec import BrutalKill

T = TypeVar("T")


class TaskCore(DynamicCore):
    """Children that can also be killed one by one."""

    def kill_child(self, reply: Reply, ref: AnyRef) -> None:
        """End a child without asking it first."""
        record = self._record(reply, ref)
        if record is None:
            return
        if record.run is None:
            self.terminate(record, reply, 0.0)
        else:
            self.stop_child(record, lambda _record, reason: reply.ok(reason), brutal=True)


class TaskSupervisorRef(BaseSupervisorRef["TaskCore"]):
    """Ref of a `TaskSupervisor`. Also a context manager that stops it."""

    def attach(self, core: TaskCore) -> None:
        super().attach(core)
        self._open: dict[Ending, AnyRef] = {}  # tasks somebody may wait for
        self.when_closed(self._orphan)

    @property
    def clock(self) -> Clock:
        """Of the supervisor."""
        return self.core.port.clock

    def submit(
        self,
        function: Callable[..., T],
        /,
        *args: Any,
        link: bool = False,
        shutdown: float | BrutalKill = SHUTDOWN,
        **kwargs: Any,
    ) -> Task[T]:
        """Run `function(*args, **kwargs)` in a task of its own; the caller, an actor or a thread, owns the task.

        Args:
            function: A plain function; it may block. `stop_requested()`, `sleep()` and `current()` work in it.
            *args: Positional arguments of the function.
            **kwargs: Keywords of the function; for one that is named like an option of ours use `functools.partial`.
            link: End the owner with the task and the task with the owner, unless that is `Normal`; an owner with
                `trap_exit` gets an `ExitSignal` instead. Only inside an actor.
            shutdown: Seconds it gets to end by itself when it is stopped, or BRUTAL_KILL.

        Raises:
            MaxChildren: The supervisor's `max_children` run already.
            StartFailed: No thread could be started.
            NoProcError: The supervisor is not alive.
            TypeError, ValueError: An argument of ours is out of range.
        """
        owner = caller()
        if link and not isinstance(owner, Incarnation):
            raise InvalidOption("link", link, "only an actor can be linked, and this thread is none")
        ending = Ending()
        ref = self._begin(Work(function, args, kwargs, owner, ending), RestartType.TEMPORARY, shutdown)
        unlink = _link(owner, ref) if link and isinstance(owner, Incarnation) else None
        return Task(self, ref, owner, ending, unlink)

    def start_child(
        self,
        function: Callable[..., object],
        /,
        *args: Any,
        restart: RestartType | str = RestartType.TEMPORARY,
        shutdown: float | BrutalKill = SHUTDOWN,
        **kwargs: Any,
    ) -> AnyRef:
        """Run a function whose result nobody wants; returns the ref of its actor.

        Args:
            function: As for `submit`, so are the other arguments.
            *args: Positional arguments.
            **kwargs: Keywords.
            shutdown: As for `submit`.
            restart: "permanent" calls the function again whenever it has ended, "transient" when it raised.

        Raises:
            MaxChildren, StartFailed, NoProcError, TypeError, ValueError: As for `submit`.
        """
        return self._begin(Work(function, args, kwargs), restart, shutdown)

    def stream(
        self,
        function: Callable[[Any], T],
        iterable: Iterable[Any],
        /,
        *,
        max_concurrency: int | None = None,
        ordered: bool = True,
        timeout: float | None = 5.0,
        on_timeout: Literal["raise", "stop_task"] = "raise",
        zip_input: bool = False,
        link: bool = False,
        shutdown: float | BrutalKill = SHUTDOWN,
    ) -> Generator[Ok[T] | Failed, None, None]:
        """Call `function(element)` in a task each; generates an `Ok(value)` or `Failed(reason)` for each element.

        Nothing starts before the first result is asked for; whoever does that is the consumer and owns the tasks. When the
        consumer closes the generator, or anything raises, the running tasks are stopped before control returns.

        Args:
            function: As for `submit`.
            iterable: Of n elements, which may be without end: the next one is taken when a task can start.
            max_concurrency: Tasks at a time; None: the number of CPUs.
            ordered: Results in the order of the elements, so that a slow one delays those behind it; else as they come.
            timeout: Seconds for each task, from its start; None: no limit.
            on_timeout: "raise" ends the stream with CallTimeout; "stop_task" makes it `Failed(TimedOut())`, once the task
                has ended or was abandoned, and goes on.
            zip_input: Let failures carry their element.
            link: A failed task ends the stream with TaskExited, unless the consumer is an actor with `trap_exit`; the end
                of a consumer that is an actor ends the tasks.
            shutdown: Seconds a task gets to end by itself when it is stopped, or BRUTAL_KILL.

        Raises:
            TypeError, ValueError: At once, when an argument is out of range.
            MaxChildren, StartFailed, NoProcError: From the generator, as for `submit`.
        """
        options = StreamOptions(
            max_concurrency=(os.cpu_count() or 1) if max_concurrency is None else max_concurrency,
            ordered=ordered,
            timeout=timeout,
            on_timeout=on_timeout,
            zip_input=zip_input,
            link=link,
            shutdown=shutdown,
        )
        Work(function, (), {})  # refuses now what is no function
        return Stream(_StreamStarter(self, function, options), iter(iterable), options).results()

    def children(self) -> list[AnyRef]:
        """List the refs of the tasks that run."""
        return [
            info.ref
            for info in self.which_children()
            if info.ref is not None and info.state is State.RUNNING and info.ref.is_alive()
        ]

    def terminate_child(self, ref: AnyRef, *, timeout: float | None = None) -> ExitReason | None:
        """Stop a task and wait for that; returns why it ended.

        Args:
            ref: Of its actor.
            timeout: Seconds it gets to end by itself, at most its `shutdown`.

        Raises:
            NotFound: It is no task of this supervisor, or has ended.
        """
        check_timeout(timeout)
        self.check_deadlock(child=ref)
        limit = INFINITY if timeout is None else timeout
        reason: ExitReason | None = self._submit(self.core.terminate_child, ref, limit, block=True)
        return reason

    def ask_to_stop(self, ref: AnyRef, timeout: float | BrutalKill = INFINITY) -> None:
        """Stop a task without waiting for that; harmless when it has ended."""
        with suppress(NoProcError):  # then it is stopped with its supervisor
            if timeout is BRUTAL_KILL:
                self._submit(self.core.kill_child, ref, block=False)
            else:
                self._submit(self.core.terminate_child, ref, timeout, block=False)

    def _begin(self, work: Work, restart: RestartType | str, shutdown: float | BrutalKill) -> AnyRef:
        ending = work.ending
        spec = ChildSpec(
            id=label(work.function),
            start=TaskActor,
            args=(work,),
            restart=restart,
            shutdown=shutdown,
            on_exit=None if ending is None else ending.exited,
        )
        self.check_deadlock()
        ref: AnyRef = self._submit(self.core.start_child, spec, block=True)
        if ending is not None:
            self._open[ending] = ref
            ending.listen(lambda: self._open.pop(ending, None))
            if self._closed is not None:
                self._orphan()
        return ref

    def _orphan(self, _reason: ExitReason | None = None) -> None:
        """The supervisor has ended and tells of no more ends: hear of them from the tasks."""
        for ending, ref in list(self._open.items()):
            run = incarnation_of(ref)
            if run is None or not run.add_watcher(ending, ending.settle):
                ending.settle((run and run.exit_reason) or NoProc())


@dataclass(frozen=True, slots=True)
class _StreamStarter:
    """What a stream needs of its supervisor."""

    supervisor: TaskSupervisorRef
    function: Callable[..., Any]
    options: StreamOptions

    @property
    def clock(self) -> Clock:
        return self.supervisor.clock

    def begin(self, element: Any, owner: Owner) -> tuple[AnyRef, Ending]:
        link = self.options.link and isinstance(owner, Incarnation)
        task = self.supervisor.submit(self.function, element, shutdown=self.options.shutdown)
        if link:
            _end_with(cast("Incarnation", owner), task.ref)
        return task.ref, task.ending

    def ask_to_stop(self, ref: AnyRef) -> None:
        self.supervisor.ask_to_stop(ref)


class TaskSupervisor(BaseSupervisor[TaskCore]):
    """Runs functions in tasks of their own, any number of them. The flags are those of `Options`."""

    max_children: float = Options.max_children

    flags: ClassVar[tuple[str, ...]] = (*SHARED_FLAGS, "max_children")
    ref_class: ClassVar[type[BaseSupervisorRef[Any]]] = TaskSupervisorRef
    core_class: ClassVar[type[Any]] = TaskCore

    @classmethod
    def start(cls, *args: Any, name: Hashable | None = None, **kwargs: Any) -> TaskSupervisorRef:
        """Start a task supervisor without tasks.

        Args:
            args: None, unless a subclass takes some.
            name: Registered in `names`.
            kwargs: Flags (see `Options`); `clock` and `random` for tests.

        Raises:
            InvalidOption, TypeError: Before anything starts.
            AlreadyStarted: The name is taken.
        """
        return cast("TaskSupervisorRef", super().start(*args, name=name, **kwargs))

    @classmethod
    def ref(cls, name: Hashable) -> TaskSupervisorRef:
        return cast("TaskSupervisorRef", super().ref(name))

    def on_start(self) -> Any:
        result = super().on_start()
        self._core.options.warn_about(self._core.options.backoff)
        self._port.post(self._port.up)
        return result


def _link(owner: Incarnation, ref: AnyRef) -> Callable[[], None]:
    """Link a task with its owner; returns what unlinks them."""
    task = incarnation_of(ref)
    assert task is not None
    if not tie(owner, task):  # one was quick to end
        for ended, other in ((task, owner), (owner, task)):
            if ended.exit_reason is not None:
                signal(other, ended.ref, ended.exit_reason)
    return partial(untie, owner, task)


def _end_with(owner: Incarnation, ref: AnyRef) -> None:
    """Ask a task to stop when its owner ends, unless that ends `Normal`; the end of the task is for the stream to tell."""
    task = incarnation_of(ref)
    assert task is not None

    def owner_ended(reason: ExitReason) -> None:
        if not isinstance(reason, Normal):
            request_stop(ref, reason)

    if not owner.add_watcher(task, owner_ended):
        owner_ended(owner.exit_reason or Normal())
    elif not task.add_watcher(owner, lambda _reason: owner.remove_watcher(task)):
        owner.remove_watcher(task)
