"""Refs of supervisors: every operation, from any thread.

Changes travel to the supervisor's handler as a `Call` and come back through a future; queries read the locked
snapshot and never wait for anything. A blocking call that could never return (the supervisor waits for the caller) is
refused with `WouldDeadlock`.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Generic, Literal, Self, TypeVar, overload

import pykka

from supervisors.children import ChildInfo, Counts, State
from supervisors.core import gone
from supervisors.errors import CalleeExited, CallingSelf, CallTimeout, Fenced, WouldDeadlock
from supervisors.handles import Handle, nobody_comes
from supervisors.reasons import ExitReason, Shutdown, check_reason
from supervisors.runtime import Incarnation, PooledFuture, current, incarnation_of, request_stop
from supervisors.spec import INFINITY, ChildSpec, check_timeout, child_spec

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable
    from types import TracebackType

    from supervisors.handles import Change
    from supervisors.operations import DynamicCore, StaticCore

C = TypeVar("C", bound="StaticCore | DynamicCore")

AnyRef = pykka.ActorRef[Any]


class Call:
    """A message to a supervisor: call `function(*args)` in its handler."""

    __slots__ = ("args", "function")

    def __init__(self, function: Callable[..., None], args: tuple[Any, ...]) -> None:
        self.function = function
        self.args = args


class PendingReply:
    """The answer to one operation; refused when the supervisor ends first.

    blocks: The child of the supervisor that waits for it, or holds who does.
    """

    __slots__ = ("_owner", "blocks", "future")

    def __init__(self, owner: BaseSupervisorRef[Any], blocks: Incarnation | None) -> None:
        self.future: PooledFuture[Any] = PooledFuture()
        self.blocks = blocks
        self._owner = owner

    @property
    def wanted(self) -> bool:
        return not self.future.done()

    def ok(self, value: object) -> None:
        if self._owner.answered(self):
            self.future.set(value)

    def fail(self, error: BaseException) -> None:
        if self._owner.answered(self):
            self.future.set_exception((type(error), error, None))


class BaseSupervisorRef(pykka.ActorRef[Any], Generic[C]):
    """What refs of static and dynamic supervisors share."""

    core: C

    def attach(self, core: C) -> None:
        """Connect the ref with its supervisor; done once, when the supervisor is made."""
        self.core = core
        self._lock = threading.RLock()
        self._pending: set[PendingReply] = set()
        self._blocked: dict[Incarnation, set[PendingReply]] = {}  # by children that wait for their answers
        self._when_closed: list[Callable[[ExitReason], object]] = []
        self._closed: ExitReason | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    # Queries

    def which_children(self) -> list[ChildInfo]:
        """List the children, in start order."""
        self._check_alive()
        return self.core.table.infos()

    def count_children(self) -> Counts:
        """Count the children; costs the same for one and for a hundred thousand."""
        self._check_alive()
        return self.core.table.counts()

    def _check_alive(self) -> None:
        if self._closed is not None or not self.is_alive():
            raise gone()

    # The supervisor itself

    def stop(
        self, *, block: bool = True, timeout: float | None = None, reason: ExitReason | None = None
    ) -> Any:
        """End all children and the supervisor.

        Args:
            block: False returns a future instead of waiting.
            timeout: Seconds after which everything that is left gets the brutal step, side by side. None: every child
                has the time of its spec.
            reason: Of the supervisor's end; None: `Shutdown()`.

        Returns:
            Whether it was alive.

        Raises:
            InvalidOption, TypeError: `timeout` is no length of time, `reason` no ExitReason.
            WouldDeadlock: Called, with `block`, by something below this supervisor: it would wait for itself.
        """
        check_timeout(timeout)
        reason = Shutdown() if reason is None else reason
        check_reason(reason)
        if block:
            self.check_deadlock(everything=True)
        future: PooledFuture[bool] = PooledFuture()
        if self._closed is not None or not self.is_alive():
            future.set(False)
        else:
            if timeout is not None:
                self.tighten(self.core.port.clock.now() + timeout)
            self.when_closed(lambda _reason: future.set(True))
            request_stop(self, reason)
        return future.get() if block else future

    def tighten(self, deadline: float) -> None:
        """Let everything be over at `deadline` (seconds of the supervisor's clock) when it is stopped."""
        with self._lock:
            self.core.deadline = min(self.core.deadline, deadline)
        self.core.port.post(self.core.tighten)

    def wait(self, timeout: float | None = None) -> ExitReason:
        """Wait until the supervisor has ended; returns why.

        Raises:
            CallTimeout: It is still alive after `timeout` seconds.
        """
        check_timeout(timeout)
        future: PooledFuture[ExitReason] = PooledFuture()
        self.when_closed(future.set)
        try:
            return future.get(timeout=timeout)
        except pykka.Timeout as error:
            raise CallTimeout(f"{self} is still alive after {timeout} s") from error

    def when_closed(self, function: Callable[[ExitReason], object]) -> None:
        """Call `function` with the exit reason once the supervisor has ended, at once if it has."""
        with self._lock:
            reason = self._closed
            if reason is None:
                self._when_closed.append(function)
                return
        function(reason)

    def closed(self, reason: ExitReason) -> None:
        """Answer everybody who waits: the supervisor has ended, in whatever way."""
        with self._lock:
            if self._closed is not None:
                return
            self._closed = reason
            pending, self._pending = self._pending, set()
            waiting, self._when_closed = self._when_closed, []
        for reply in pending:
            reply.future.set_exception((CalleeExited, CalleeExited(reason), None))
        for function in waiting:
            function(reason)

    # Operations

    def answered(self, reply: PendingReply) -> bool:
        """Take `reply` off the list of those that wait; False when it has been answered."""
        with self._lock:
            if reply not in self._pending:
                return False
            self._pending.remove(reply)
            if reply.blocks is not None and (blocking := self._blocked.get(reply.blocks)) is not None:
                blocking.remove(reply)
                if not blocking:
                    del self._blocked[reply.blocks]
            return True

    def unblock(self, child: Incarnation) -> None:
        """Refuse what a child waits for: it has to end, and would not while it waits."""
        with self._lock:
            replies = list(self._blocked.get(child, ()))
        for reply in replies:
            reply.fail(_would_deadlock(self, child))

    def _submit(self, operation: Callable[..., None], *args: Any, block: bool) -> Any:
        self._check_alive()
        caller = current() if block else None
        reply = PendingReply(self, None if caller is None else self._child_above(caller))
        with self._lock:
            if self._closed is not None:
                raise gone()
            self._pending.add(reply)
            if reply.blocks is not None:
                self._blocked.setdefault(reply.blocks, set()).add(reply)
        if reply.blocks is not None and self._waits_for(reply.blocks):  # since the caller's own look
            self.unblock(reply.blocks)
        try:
            self.tell(Call(operation, (reply, *args)))
        except pykka.ActorDeadError:
            reply.fail(gone())
        return reply.future.get() if block else reply.future

    def check_deadlock(self, *, child: object = None, everything: bool = False) -> None:
        """Refuse a wait that could never end: the caller is something this supervisor waits for, or would."""
        caller = current()
        if caller is None:
            return
        if not caller.is_current():
            raise Fenced("this incarnation was abandoned")
        if caller.ref is self:
            raise CallingSelf("a supervisor cannot wait for itself; use block=False")
        below = self._child_above(caller)
        if below is None:
            return
        own = child is not None and (child is below.ref or child == below.id)
        if everything or own or self._waits_for(below):
            raise _would_deadlock(self, below)

    def _child_above(self, caller: Incarnation) -> Incarnation | None:
        """Find the child of this supervisor that is `caller` or holds it."""
        step: Incarnation | None = caller
        while step is not None:
            above = step.supervisor
            if above is self:
                return step
            step = None if above is None else incarnation_of(above)
        return None

    def _waits_for(self, child: Incarnation) -> bool:
        if child.state in {"starting", "stopping"}:
            return True
        record = self.core.table.record_of(child.id, child.ref)
        return record is not None and record.state in {State.STARTING, State.STOPPING}


def _would_deadlock(supervisor: BaseSupervisorRef[Any], child: Incarnation) -> WouldDeadlock:
    return WouldDeadlock(
        f"{supervisor.core.path} waits for its child {child.id!r}, which is or holds the caller: "
        "use stop_self() to end yourself, or block=False"
    )


class SupervisorRef(BaseSupervisorRef["StaticCore"]):
    """Ref of a `Supervisor`: its children are addressed by id. Also a context manager that stops it."""

    @overload
    def start_child(self, spec: object, *, block: Literal[True] = True) -> AnyRef | None: ...
    @overload
    def start_child(self, spec: object, *, block: Literal[False]) -> PooledFuture[AnyRef | None]: ...
    @overload
    def start_child(self, spec: object, *, block: bool) -> Any: ...
    def start_child(self, spec: object, *, block: bool = True) -> Any:
        """Append a child and start it; returns its ref, None when it answered IGNORE.

        Args:
            spec: A ChildSpec, an actor class or a tuple, as for `child_spec()`.
            block: False returns a future.

        Raises:
            StartFailed: It did not come up; nothing is kept.
            AlreadyStarted, AlreadyPresent: The id, or the name, is taken.
            NoProcError: The supervisor is not alive; so for all operations.
        """
        made = child_spec(spec)
        self.core.check(made)
        if block:
            self.check_deadlock()
        return self._submit(self.core.start_child, made, block=block)

    @overload
    def terminate_child(
        self, child_id: Hashable, *, timeout: float | None = None, block: Literal[True] = True
    ) -> ExitReason | None: ...
    @overload
    def terminate_child(
        self, child_id: Hashable, *, timeout: float | None = None, block: Literal[False]
    ) -> PooledFuture[ExitReason | None]: ...
    @overload
    def terminate_child(self, child_id: Hashable, *, timeout: float | None = None, block: bool) -> Any: ...
    def terminate_child(self, child_id: Hashable, *, timeout: float | None = None, block: bool = True) -> Any:
        """End a child, in some way, and keep its record `stopped`; returns why it ended, None when nothing ran.

        Args:
            child_id: Of the child.
            timeout: Seconds it gets to end by itself; its spec may say less.
            block: False returns a future; needed when a child ends itself through this.

        Raises:
            NotFound: No such child.
        """
        if block:
            self.check_deadlock(child=child_id)
        check_timeout(timeout)
        limit = INFINITY if timeout is None else timeout
        return self._submit(self.core.terminate_child, child_id, limit, block=block)

    @overload
    def restart_child(self, child_id: Hashable, *, block: Literal[True] = True) -> AnyRef | None: ...
    @overload
    def restart_child(self, child_id: Hashable, *, block: Literal[False]) -> PooledFuture[AnyRef | None]: ...
    @overload
    def restart_child(self, child_id: Hashable, *, block: bool) -> Any: ...
    def restart_child(self, child_id: Hashable, *, block: bool = True) -> Any:
        """Start a stopped or parked child again; returns its ref, None when it answered IGNORE.

        Raises:
            NotFound, Running, Restarting: Its state forbids that.
            StartFailed: It did not come up; it stays as it was.
        """
        if block:
            self.check_deadlock(child=child_id)
        return self._submit(self.core.restart_child, child_id, block=block)

    @overload
    def delete_child(self, child_id: Hashable, *, block: Literal[True] = True) -> None: ...
    @overload
    def delete_child(self, child_id: Hashable, *, block: Literal[False]) -> PooledFuture[None]: ...
    @overload
    def delete_child(self, child_id: Hashable, *, block: bool) -> Any: ...
    def delete_child(self, child_id: Hashable, *, block: bool = True) -> Any:
        """Forget a stopped child.

        Raises:
            NotFound, Running, Restarting: Its state forbids that.
        """
        if block:
            self.check_deadlock()
        return self._submit(self.core.delete_child, child_id, block=block)

    def child(self, child_id: Hashable, *, wait: float = 0.0) -> Handle:
        """Make a handle that finds the current incarnation of a child on every use.

        Args:
            child_id: Need not exist yet.
            wait: Seconds a use may wait while the child starts or restarts; one that is stopped or parked fails at once.
        """
        table = self.core.table

        def resolve() -> AnyRef | None:
            record = table.get(child_id)
            found = None if record is None or self._closed is not None else table.info(record).ref
            # A ref may be dead already: the supervisor hears of an end after everybody else.
            return found if found is not None and found.is_alive() else None

        def when_changed() -> Change:
            future: PooledFuture[None] = PooledFuture()
            undo = table.when_up(child_id, lambda: future.set(None))
            record = table.get(child_id)
            if record is None or not self.core.is_coming(record):
                undo()
                return nobody_comes()
            return future, undo

        def parked() -> bool:
            record = table.get(child_id)
            return record is not None and record.state is State.PARKED

        return Handle(resolve, label=child_id, wait=wait, when_changed=when_changed, parked=parked)

    def which_child(self, child_id: Hashable) -> ChildInfo:
        """Describe one child.

        Raises:
            NotFound: No such child.
        """
        self._check_alive()
        return self.core.table.info(self.core.find(child_id))

    def get_childspec(self, child_id: Hashable) -> ChildSpec:
        """Return the spec of one child; without its arguments when the child is temporary and up.

        Raises:
            NotFound: No such child.
        """
        self._check_alive()
        return self.core.find(child_id).spec


class DynamicSupervisorRef(BaseSupervisorRef["DynamicCore"]):
    """Ref of a `DynamicSupervisor`: its children are addressed by ref. Also a context manager that stops it."""

    @overload
    def start_child(self, spec: object, *, block: Literal[True] = True) -> AnyRef | None: ...
    @overload
    def start_child(self, spec: object, *, block: Literal[False]) -> PooledFuture[AnyRef | None]: ...
    @overload
    def start_child(self, spec: object, *, block: bool) -> Any: ...
    def start_child(self, spec: object, *, block: bool = True) -> Any:
        """Start one more child; returns its ref, None when it answered IGNORE. Its id is not looked at.

        Raises:
            MaxChildren: There are `max_children` already, those that wait for a restart included.
            StartFailed: It did not come up; nothing is kept.
            AlreadyStarted: Its name is taken.
            NoProcError: The supervisor is not alive; so for all operations.
        """
        made = child_spec(spec)
        self.core.check(made)
        if block:
            self.check_deadlock()
        return self._submit(self.core.start_child, made, block=block)

    @overload
    def terminate_child(
        self, ref: AnyRef, *, timeout: float | None = None, block: Literal[True] = True
    ) -> ExitReason | None: ...
    @overload
    def terminate_child(
        self, ref: AnyRef, *, timeout: float | None = None, block: Literal[False]
    ) -> PooledFuture[ExitReason | None]: ...
    @overload
    def terminate_child(self, ref: AnyRef, *, timeout: float | None = None, block: bool) -> Any: ...
    def terminate_child(self, ref: AnyRef, *, timeout: float | None = None, block: bool = True) -> Any:
        """End a child and forget it; returns why it ended, None when nothing ran.

        Args:
            ref: Its current ref; its last one when it waits for a restart or is parked.
            timeout: Seconds it gets to end by itself; its spec may say less.
            block: False returns a future; needed when a child ends itself through this.

        Raises:
            NotFound: Not a current child.
        """
        if block:
            self.check_deadlock(child=ref)
        check_timeout(timeout)
        limit = INFINITY if timeout is None else timeout
        return self._submit(self.core.terminate_child, ref, limit, block=block)

    @overload
    def restart_child(self, ref: AnyRef, *, block: Literal[True] = True) -> AnyRef | None: ...
    @overload
    def restart_child(self, ref: AnyRef, *, block: Literal[False]) -> PooledFuture[AnyRef | None]: ...
    @overload
    def restart_child(self, ref: AnyRef, *, block: bool) -> Any: ...
    def restart_child(self, ref: AnyRef, *, block: bool = True) -> Any:
        """Wake a parked child, addressed by its last ref; returns the new one.

        Raises:
            NotFound, Running, Restarting: Its state forbids that.
            StartFailed: It did not come up; it is parked again.
        """
        if block:
            self.check_deadlock(child=ref)
        return self._submit(self.core.restart_child, ref, block=block)

    def which_child(self, ref: AnyRef) -> ChildInfo:
        """Describe one child.

        Raises:
            NotFound: Not a current child.
        """
        self._check_alive()
        return self.core.table.info(self.core.find(ref))

    def get_childspec(self, ref: AnyRef) -> ChildSpec:
        """Return the spec of one child; without its arguments when the child is temporary and up.

        Raises:
            NotFound: Not a current child.
        """
        self._check_alive()
        return self.core.find(ref).spec
