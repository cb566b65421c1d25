"""One child spec started n times, each key always served by the same one of them: for what one actor is too few.

Source: Elixir's `PartitionSupervisor`. How a key is mapped to a partition is not specified; it differs between processes
and changes with the number of partitions.
"""

from __future__ import annotations

import dataclasses
import os
from collections import deque
from typing import TYPE_CHECKING, Any, ClassVar, cast

import pykka

from supervisors.base import BaseSupervisor
from supervisors.errors import InvalidOption, NoProcError, Restarting, Running
from supervisors.handles import Handle, nobody_comes
from supervisors.operations import StaticCore
from supervisors.refs import BaseSupervisorRef
from supervisors.registry import names
from supervisors.runtime import PooledFuture
from supervisors.spec import AutoShutdown, ChildSpec, RestartType, child_spec

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable

    from supervisors.backoff import RandomSource
    from supervisors.children import Record, Reply
    from supervisors.handles import Change
    from supervisors.options import Options
    from supervisors.runtime import Incarnation
    from supervisors.stopping import Port

AnyRef = pykka.ActorRef[Any]


class _Step:
    """The answer to one step of a resize."""

    __slots__ = ("_then",)
    wanted = True

    def __init__(self, then: Callable[[BaseException | None], None]) -> None:
        self._then = then

    def ok(self, _value: object) -> None:
        self._then(None)

    def fail(self, error: BaseException) -> None:
        self._then(error)


class PartitionCore(StaticCore):
    """Children 0 to n-1, of which the first `current` serve keys."""

    def __init__(self, options: Options, port: Port, random: RandomSource) -> None:
        super().__init__(options, port, random)
        options.only("auto_shutdown", AutoShutdown.NEVER)
        self.most = 0
        self.current = 0  # read by any thread
        self._queue: deque[tuple[Reply, int]] = deque()
        self._resizing = False

    def revives(self, record: Record) -> bool:
        return cast("int", record.id) < self.current

    def resize(self, reply: Reply, count: int) -> None:
        """Let the first `count` children serve; `reply` gets how many did before. One resize after the other."""
        self._queue.append((reply, count))
        if not self._resizing:
            self._resize_next()

    def _resize_next(self) -> None:
        self._resizing = bool(self._queue)
        if self._resizing:
            reply, count = self._queue.popleft()
            self._step(reply, count, self.current, self.current)

    def _step(self, reply: Reply, count: int, before: int, running: int) -> None:
        """Stop or start one more child; `running` is one more than the last index that shall run so far."""
        if running > count:
            self.current = count  # no key goes there any more, then it is stopped

            def stopped(error: BaseException | None) -> None:
                self._go_on(reply, count, before, running - 1, error)

            self.terminate_child(_Step(stopped), running - 1, float("inf"))
        elif running < count:

            def started(error: BaseException | None) -> None:
                if error is None or isinstance(error, (Running, Restarting)):  # it is there, or on its way
                    self.current = running + 1
                    error = None
                self._go_on(reply, count, before, running + 1, error)

            self.restart_child(_Step(started), running)
        else:
            reply.ok(before)
            self.port.post(self._resize_next)

    def _go_on(
        self, reply: Reply, count: int, before: int, running: int, error: BaseException | None
    ) -> None:
        if error is None:
            self.port.post(self._step, reply, count, before, running)
        else:
            reply.fail(error)
            self.port.post(self._resize_next)


class PartitionSupervisorRef(BaseSupervisorRef["PartitionCore"]):
    """Ref of a `PartitionSupervisor`. Also a context manager that stops it."""

    @property
    def partitions(self) -> int:
        """How many partitions serve keys now."""
        self._check_alive()
        return self.core.current

    def index(self, key: Hashable) -> int:
        """Return the number of the partition that serves `key`: an int modulo their number, else by hash.

        Raises:
            NoProcError: There are no partitions, or the supervisor is not alive.
            TypeError: The key is not hashable.
        """
        count = self.partitions
        if count == 0:
            raise NoProcError("the supervisor has no partitions now: resize() it")
        return (abs(key) if isinstance(key, int) else hash(key)) % count

    def ref(self, key: Hashable) -> AnyRef:
        """Return the ref of the partition that serves `key`; a new one after a restart.

        Raises:
            NoProcError: It does not run just now.
            TypeError: As for `index`.
        """
        number = self.index(key)
        record = self.core.table.get(number)
        found = None if record is None else self.core.table.info(record).ref
        if found is None or not found.is_alive():
            raise NoProcError(f"partition {number} does not run now")
        return found

    def resize(self, count: int) -> int:
        """Let `count` partitions serve, 0 to as many as it was started with; returns how many did before.

        Fewer: no key goes to the last ones any more, then they are stopped. More: those are started again. The keys are
        mapped anew, so what partitions remember for their keys has to be found elsewhere.

        Raises:
            InvalidOption: Out of range.
            StartFailed: One did not start; those before it serve.
        """
        most, wanted = self.core.most, cast("object", count)
        if not isinstance(wanted, int) or isinstance(wanted, bool) or not 0 <= wanted <= most:
            raise InvalidOption("count", count, f"must be an int from 0 to {most}")
        self.check_deadlock(everything=True)
        before: int = self._submit(self.core.resize, count, block=True)
        return before


class PartitionVia(Handle):
    """Whoever serves a key of a partition supervisor now: a target, not a name."""

    def claim(self, incarnation: Incarnation) -> None:
        """Refuse to be the name of an actor.

        Raises:
            ValueError: Always.
        """
        raise ValueError(f"{self} says who serves a key; {incarnation.ref} cannot be registered under it")


class PartitionSupervisor(BaseSupervisor[PartitionCore]):
    """Keeps n children of one spec running, and finds the one that serves a key. The flags are those of `Options`.

    The child may be anything: a worker, or a `DynamicSupervisor` to have several start children side by side.
    """

    ref_class: ClassVar[type[BaseSupervisorRef[Any]]] = PartitionSupervisorRef
    core_class: ClassVar[type[Any]] = PartitionCore

    def __init__(
        self,
        child_spec: object,
        *,
        partitions: int | None = None,
        with_arguments: Callable[[tuple[Any, ...], int], Iterable[Any]] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self._specs = _partition(child_spec, partitions, with_arguments)
        self._core.most = self._core.current = len(self._specs)
        for spec in self._specs:
            self._core.check(spec)

    @classmethod
    def start(cls, *args: Any, name: Hashable | None = None, **kwargs: Any) -> PartitionSupervisorRef:
        """Start the supervisor; returns when all partitions are up.

        Args:
            args: `child_spec`: a ChildSpec, an actor class or a tuple. Its id is not looked at; the partitions have the
                ids 0 to n-1.
            name: Required: how everybody finds the partitions. Registered in `names`, or a Via.
            kwargs: `partitions`: their number, None: that of the CPUs; `with_arguments(args, number)` returns the arguments
                of one partition; the flags; `clock` and `random` for tests.

        Raises:
            InvalidOption, InvalidChildSpec, TypeError: Before anything starts.
            StartFailed: A partition did not come up; those before it were stopped.
            AlreadyStarted: The name is taken.
        """
        _check_given(args, kwargs, name)
        return cast("PartitionSupervisorRef", super().start(*args, name=name, **kwargs))

    @classmethod
    def ref(cls, name: Hashable) -> PartitionSupervisorRef:
        return cast("PartitionSupervisorRef", super().ref(name))

    @classmethod
    def child_spec(cls, *args: Any, name: Hashable | None = None, **kwargs: Any) -> ChildSpec:
        _check_given(args, kwargs, name)
        return super().child_spec(*args, name=name, **kwargs)

    @classmethod
    def via(cls, supervisor: Hashable, key: Hashable, *, wait: float = 0.0) -> PartitionVia:
        """Make a handle that finds, on every use, the partition that serves `key`.

        Args:
            supervisor: The name of a partition supervisor, a Via of it, or its ref.
            key: Any hashable.
            wait: Seconds a use may wait while the partition, or the supervisor of that name, starts or restarts.
        """

        def find() -> PartitionSupervisorRef | None:
            if isinstance(supervisor, Handle):
                found = supervisor.whereis()
            else:
                found = supervisor if isinstance(supervisor, pykka.ActorRef) else names.whereis(supervisor)
            return found if isinstance(found, PartitionSupervisorRef) else None

        def resolve() -> AnyRef | None:
            found = find()
            try:
                return None if found is None else found.ref(key)
            except NoProcError:
                return None

        def when_changed() -> Change:
            found = find()
            if found is None and not isinstance(supervisor, (Handle, pykka.ActorRef)):
                return names.registrations.when_registered(supervisor)
            return _when_up(found, key)

        return PartitionVia(resolve, label=(supervisor, key), wait=wait, when_changed=when_changed)

    def on_start(self) -> Any:
        result = super().on_start()
        specs, self._specs = self._specs, []
        self._core.options.warn_about(specs[0].backoff or self._core.options.backoff)
        self._port.post(self._core.start_initial, specs)
        return result


def _when_up(supervisor: PartitionSupervisorRef | None, key: Hashable) -> Change:
    """Return a future that is set when the partition of `key` is up next, and what gives that up."""
    future: PooledFuture[None] = PooledFuture()
    try:
        number = None if supervisor is None else supervisor.index(key)
    except NoProcError:
        number = None
    if supervisor is not None and number is not None:
        table = supervisor.core.table
        undo = table.when_up(number, lambda: future.set(None))
        record = table.get(number)
        if record is None or supervisor.core.is_coming(record):
            return future, undo
        undo()
    return nobody_comes()


def _check_given(args: tuple[Any, ...], kwargs: dict[str, Any], name: Hashable | None) -> None:
    if name is None:
        raise InvalidOption("name", name, "is missing: partitions are found by the name of their supervisor")
    if not args and "child_spec" not in kwargs:
        raise InvalidOption("child_spec", None, "is missing: what to start in each partition")


def _partition(
    what: object,
    partitions: int | None,
    with_arguments: Callable[[tuple[Any, ...], int], Iterable[Any]] | None,
) -> list[ChildSpec]:
    """Make the specs of the partitions."""
    count: object = (os.cpu_count() or 1) if partitions is None else partitions
    if not isinstance(count, int) or isinstance(count, bool) or count < 1:
        raise InvalidOption("partitions", partitions, "must be an int >= 1, or None")
    if with_arguments is not None and not callable(with_arguments):
        raise InvalidOption("with_arguments", with_arguments, "must be a function (args, number) -> args")
    spec = child_spec(what)
    if spec.name is not None:
        raise InvalidOption(
            "child_spec", what, f"has the name {spec.name!r}, which only one partition could take"
        )
    if spec.restart is RestartType.TEMPORARY:
        raise InvalidOption(
            "child_spec", what, "is temporary: a partition that ended would be gone for its keys"
        )
    specs = []
    for number in range(count):
        args: object = spec.args if with_arguments is None else with_arguments(spec.args, number)
        if not isinstance(args, (tuple, list)):
            raise InvalidOption(
                "with_arguments", with_arguments, f"returned {args!r}, not a tuple of arguments"
            )
        specs.append(dataclasses.replace(spec, id=number, args=tuple(args)))
    return specs
