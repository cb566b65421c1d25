"""What one may ask of a supervisor, by the state of the child it is about.

`StaticCore` addresses children by id and keeps the records of those that ended; `DynamicCore` addresses them by ref
and keeps nothing. Both run in the supervisor's handler and answer through a `Reply`, at once or later.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from supervisors.children import State
from supervisors.core import Core, gone
from supervisors.errors import (
    AlreadyPresent,
    AlreadyStarted,
    MaxChildren,
    NotFound,
    Restarting,
    Running,
    StartFailed,
)
from supervisors.groups import GroupCore
from supervisors.reasons import Crash, Shutdown
from supervisors.spec import AutoShutdown, Strategy

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable

    import pykka

    from supervisors.backoff import RandomSource
    from supervisors.children import Record, Reply
    from supervisors.options import Options
    from supervisors.spec import ChildSpec
    from supervisors.stopping import Port


class StaticCore(GroupCore):
    """Children with ids, started in order, stopped in reverse order."""

    def __init__(self, options: Options, port: Port, random: RandomSource) -> None:
        super().__init__(options, port, random, by_ref=False)
        self._initial: deque[ChildSpec] = deque()
        self._waiting: list[Callable[[], None]] = []  # what was asked for while it was not up, or busy

    def start_initial(self, specs: Iterable[ChildSpec]) -> None:
        """Start the initial children, each when the one before it is up; then the supervisor is up."""
        self._initial.extend(specs)
        self._start_next()

    def _start_next(self) -> None:
        if self.stopping:
            return
        if self._initial:
            spec = self._initial.popleft()
            self.start_child_record(spec, "initial", None)
            return
        self.is_up = True
        self.port.up()
        self.advance()
        self.at_rest()

    def initial_settled(self, record: Record, error: Exception | None) -> None:
        if self.stopping:
            return
        if error is None:
            self.port.post(self._start_next)
            return
        failed = error if isinstance(error, StartFailed) else StartFailed(record.id, Crash(error))
        self.stop(Shutdown(failed))

    def before_stop(self) -> None:
        super().before_stop()
        self.at_rest()

    def at_rest(self) -> None:
        waiting, self._waiting = self._waiting, []
        for operation in waiting:
            self.port.post(operation)

    def significant_ended(self) -> None:
        if self.is_up:
            super().significant_ended()
        else:
            self._waiting.append(self.significant_ended)

    def _not_now(self, reply: Reply, operation: Callable[[], None], *, busy: bool) -> bool:
        """Whether `operation` cannot be carried out now: it is refused, or will be repeated."""
        if not reply.wanted:
            return True
        if self.stopping:
            reply.fail(gone())
        elif busy or not self.is_up:
            self._waiting.append(operation)
        else:
            return False
        return True

    def find(self, child_id: Hashable) -> Record:
        """Find a child by its id."""
        try:
            record = self.table.get(child_id)
        except TypeError:  # unhashable
            record = None
        if record is None:
            raise NotFound(f"no child {child_id!r}")
        return record

    def start_child(self, reply: Reply, spec: ChildSpec) -> None:
        """Append a child and start it."""

        def again() -> None:
            self.start_child(reply, spec)

        if self._not_now(reply, again, busy=self.busy):
            return
        record = self.table.get(spec.id)
        if record is None:
            self.start_child_record(spec, "new", reply)
        elif record.state in {State.STARTING, State.STOPPING}:
            self.defer(record, again)
        elif record.state is State.RUNNING and record.ref is not None:
            reply.fail(AlreadyStarted(record.ref, f"child {spec.id!r} already runs"))
        else:
            reply.fail(
                AlreadyPresent(f"child {spec.id!r} is {record.state}: restart_child() or delete_child() it")
            )

    def terminate_child(self, reply: Reply, child_id: Hashable, timeout: float) -> None:
        """End a child; its record is kept `stopped`."""

        def again() -> None:
            self.terminate_child(reply, child_id, timeout)

        if not self._not_now(reply, again, busy=False):
            self._answer(reply, child_id, lambda record: self.terminate(record, reply, timeout))

    def restart_child(self, reply: Reply, child_id: Hashable) -> None:
        """Start a stopped or parked child again."""

        def again() -> None:
            self.restart_child(reply, child_id)

        def act(record: Record) -> None:
            self.restart_record(record, reply, again)

        if not self._not_now(reply, again, busy=self.busy):
            self._answer(reply, child_id, act)

    def delete_child(self, reply: Reply, child_id: Hashable) -> None:
        """Forget a stopped child."""

        def again() -> None:
            self.delete_child(reply, child_id)

        def act(record: Record) -> None:
            if record.state in {State.STARTING, State.STOPPING}:
                self.defer(record, again)
            elif record.state is State.RUNNING:
                reply.fail(Running(f"child {child_id!r} runs: terminate_child() it first"))
            elif record.state is State.STOPPED:
                self.table.remove(record)
                reply.ok(None)
            else:
                reply.fail(Restarting(f"child {child_id!r} is {record.state}: terminate_child() it first"))

        if not self._not_now(reply, again, busy=self.busy):
            self._answer(reply, child_id, act)

    def _answer(self, reply: Reply, child_id: Hashable, act: Callable[[Record], None]) -> None:
        try:
            record = self.find(child_id)
        except NotFound as error:
            reply.fail(error)
        else:
            act(record)


class DynamicCore(Core):
    """Children without ids, started on demand, stopped all at once. Every operation is O(1)."""

    concurrent_stop = True
    keeps_stopped = False

    def __init__(self, options: Options, port: Port, random: RandomSource) -> None:
        super().__init__(options, port, random, by_ref=True)
        options.only("strategy", Strategy.ONE_FOR_ONE)
        options.only("auto_shutdown", AutoShutdown.NEVER)

    def initial_settled(self, record: Record, error: Exception | None) -> None:
        """There are no initial children."""

    def arguments(self, spec: ChildSpec) -> tuple[Any, ...]:
        return self.options.extra_args + spec.args

    def find(self, ref: pykka.ActorRef[Any]) -> Record:
        """Find the child whose current or last ref this is."""
        record = self.table.by_ref(ref) if hasattr(ref, "actor_urn") else None
        if record is None:
            raise NotFound(f"no child {ref!r}; a dynamic supervisor's children are addressed by ref")
        return record

    def start_child(self, reply: Reply, spec: ChildSpec) -> None:
        """Start one more child."""
        if self.stopping:
            reply.fail(gone())
        elif len(self.table) >= self.options.max_children:
            reply.fail(MaxChildren(f"max_children={self.options.max_children} is reached"))
        else:
            self.start_child_record(spec, "new", reply)

    def terminate_child(self, reply: Reply, ref: pykka.ActorRef[Any], timeout: float) -> None:
        """End a child and forget it."""
        record = self._record(reply, ref)
        if record is not None:
            self.terminate(record, reply, timeout)

    def restart_child(self, reply: Reply, ref: pykka.ActorRef[Any]) -> None:
        """Wake a parked child."""
        record = self._record(reply, ref)
        if record is not None:
            self.restart_record(record, reply, lambda: self.restart_child(reply, ref))

    def _record(self, reply: Reply, ref: pykka.ActorRef[Any]) -> Record | None:
        if self.stopping:
            reply.fail(gone())
            return None
        try:
            return self.find(ref)
        except NotFound as error:
            reply.fail(error)
            return None
