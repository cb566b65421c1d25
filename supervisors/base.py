"""The actor around a supervisor's state machine, and its port to the runtime."""

from __future__ import annotations

import random as _random
import threading
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

import pykka

from supervisors import roots
from supervisors.clock import system_clock
from supervisors.errors import (
    AlreadyRegistered,
    AlreadyStarted,
    Fenced,
    InvalidChildSpec,
    InvalidOption,
    NoProcError,
    StartFailed,
)
from supervisors.handles import Handle, Via
from supervisors.logs import load, log
from supervisors.options import SHARED_FLAGS, Options
from supervisors.reasons import Crash, ExitReason, Killed, Shutdown
from supervisors.refs import BaseSupervisorRef, Call
from supervisors.registry import names, whereis
from supervisors.runtime import (
    DEFER_START,
    Ignored,
    Incarnation,
    LaunchInfo,
    PooledActor,
    PooledFuture,
    StartFailure,
    Up,
    Zombie,
    abandon,
    current,
    launch,
    on_zombie_exit,
    request_stop,
    stop_self,
)
from supervisors.spec import ChildSpec
from supervisors.stopping import EXPIRED_GRACE, LEVEL_GRACE

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping, Sequence

    from supervisors.backoff import Backoff, RandomSource
    from supervisors.children import Record, Run
    from supervisors.clock import Clock
    from supervisors.operations import DynamicCore, StaticCore
    from supervisors.runtime import Outcome
    from supervisors.spec import AutoShutdown, OnExceeded, Strategy

C = TypeVar("C", bound="StaticCore | DynamicCore")

ORPHAN_TIME = 5.0  # seconds the children of a supervisor that broke get at most


class ActorPort:
    """The state machine's way to the runtime."""

    def __init__(self, ref: BaseSupervisorRef[Any], clock: Clock | None) -> None:
        self.ref = ref
        self.clock: Clock = clock or system_clock
        self.incarnation: Incarnation | None = None
        self.is_up = False

    def post(self, function: Callable[..., None], *args: Any) -> None:
        try:
            self.ref.tell(Call(function, args))
        except pykka.ActorDeadError:
            return

    def launch(self, record: Record) -> Run | None:
        core, spec = self.ref.core, record.spec
        info = LaunchInfo(
            child_id=record.id,
            path=(*core.path, label(record.id)),
            generation=record.generation + 1,
            supervisor=self.ref,
            names=() if spec.name is None else (spec.name,),
            ask_failure=spec.ask_failure,
        )
        launched = launch(
            spec.start,
            core.arguments(spec),
            spec.kwargs,
            info,
            on_started=partial(self._started, record),
            on_exit=partial(self._exited, record),
        )
        if isinstance(launched, Ignored):
            return None
        if self.incarnation is not None and not self.incarnation.is_current():
            # This supervisor was abandoned while a constructor hung: nobody would look after the child.
            request_stop(launched.ref, Shutdown("supervisor ended"))
            raise Fenced("the supervisor was abandoned")
        return launched

    def _started(self, record: Record, run: Incarnation, outcome: Outcome) -> None:
        match outcome:
            case Up():
                self.post(self.ref.core.child_started, record, run, None)
            case StartFailure():
                self.post(self.ref.core.child_started, record, run, outcome.reason)
            case Ignored():
                self.post(partial(self.ref.core.child_started, ignored=True), record, run, None)

    def _exited(self, record: Record, run: Incarnation, reason: ExitReason) -> None:
        self.post(self.ref.core.child_exited, record, run, reason)

    def request_stop(self, run: Run, reason: ExitReason, *, drain: bool, deadline: float) -> None:
        assert isinstance(run, Incarnation)
        if isinstance(run.ref, BaseSupervisorRef):
            run.ref.tighten(deadline)
        self.ref.unblock(run)
        request_stop(run.ref, reason, drain=drain)

    def abandon(self, run: Run) -> Zombie | None:
        assert isinstance(run, Incarnation)
        return abandon(run, Killed(abandoned=True))

    def run_hook(
        self, hook: Callable[[pykka.ActorRef[Any]], object], run: Run, done: Callable[[], None]
    ) -> None:
        def body() -> None:
            try:
                hook(run.ref)
            except Exception:
                log.exception("kill_hook_failed", ref=str(run.ref))
            done()

        try:
            threading.Thread(target=body, name=f"supervisors-kill-hook {run.ref}", daemon=True).start()
        except RuntimeError:  # no thread can start any more
            done()

    def levels_below(self, run: Run) -> int:
        return levels(run.ref)

    def can_start(self) -> bool:
        return threading.main_thread().is_alive()

    def up(self) -> None:
        assert self.incarnation is not None
        self.is_up = True
        self.incarnation.up()

    def end(self, reason: ExitReason) -> None:
        if self.is_up or self.incarnation is None:
            stop_self(reason)
        else:
            self.incarnation.fail_start(reason)

    def interrupt(self) -> None:
        roots.interrupt(self.ref.core.lineage[0])


class BaseSupervisor(PooledActor, Generic[C]):
    """What static and dynamic supervisors share: life cycle and message handling.

    No user code runs in its handlers except constructors of children, `children()` and `on_exit` callbacks.
    """

    # The flags, see `Options`: a subclass may set them.
    strategy: Strategy | str = Options.strategy
    max_restarts: int = Options.max_restarts
    max_seconds: float = Options.max_seconds
    auto_shutdown: AutoShutdown | str = Options.auto_shutdown
    on_exceeded: OnExceeded = Options.on_exceeded
    park_time: float = Options.park_time
    max_zombies: int = Options.max_zombies
    backoff: Backoff | None = Options.backoff

    dispatcher = "supervisors"
    child_type: ClassVar[str] = "supervisor"
    flags: ClassVar[tuple[str, ...]] = SHARED_FLAGS
    ref_class: ClassVar[type[BaseSupervisorRef[Any]]]
    core_class: ClassVar[type[Any]]

    def __init__(
        self, *, clock: Clock | None = None, random: RandomSource | None = None, **flags: Any
    ) -> None:
        super().__init__()
        unknown = flags.keys() - set(self.flags)
        if unknown:
            raise TypeError(f"unknown option {', '.join(sorted(unknown))}; known: {', '.join(self.flags)}")
        if clock is not None and not hasattr(clock, "call_later"):
            raise InvalidOption("clock", clock, "must be a Clock, as supervisors.testing.FakeClock is")
        if random is not None and not hasattr(random, "uniform"):
            raise InvalidOption("random", random, "must be a source of random numbers, as random.Random is")
        options = self._options(flags)
        self._clock = clock
        self._supervisor_ref = self.ref_class(self)
        self._port = ActorPort(self._supervisor_ref, clock)
        source = random or _random.Random()  # noqa: S311 # jitter, not a secret
        self._core: C = self.core_class(options, self._port, source)
        self._core.table.name_rests = name_rests
        self._supervisor_ref.attach(self._core)

    @property
    def actor_ref(self) -> Any:
        """The supervisor's ref, with its operations."""
        return self._supervisor_ref

    @classmethod
    def start(cls, *args: Any, name: Hashable | None = None, **kwargs: Any) -> Any:
        """Start a supervisor that is not itself supervised; returns its ref when it is up, None for IGNORE."""
        if name is not None:
            hash(name)  # TypeError before anything starts
        load()
        outcome: PooledFuture[Outcome] = PooledFuture()
        info = LaunchInfo(
            child_id=cls if name is None else name,
            path=(label(cls if name is None else name),),
            generation=0,
            supervisor=None,
            names=() if name is None else (name,),
        )
        try:
            launched = launch(
                cls,
                args,
                kwargs,
                info,
                on_started=lambda _run, result: outcome.set(result),
                on_exit=_root_ended,
            )
        except AlreadyRegistered as error:
            raise AlreadyStarted(error.ref, str(error)) from error
        assert isinstance(launched, Incarnation)  # IGNORE is for callables, this is a class
        try:
            result = outcome.get()
        except BaseException:  # Ctrl-C while it starts: nobody would have the ref
            interrupted: BaseSupervisorRef[Any] = launched.ref  # type: ignore[assignment] # a supervisor's own
            request_stop(interrupted, Shutdown("its start was interrupted"))
            roots.add(interrupted)  # if the process ends with that, it ends after its children
            interrupted.when_closed(lambda _reason: roots.discard(interrupted))
            raise
        match result:
            case StartFailure(reason):
                raise _start_error(cls, reason)
            case Up():
                ref: BaseSupervisorRef[Any] = launched.ref  # type: ignore[assignment] # a supervisor's own
                roots.add(ref)
                return ref
        return None

    @classmethod
    def ref(cls, name: Hashable) -> Any:
        """Find a supervisor by name, or by a Via.

        Raises:
            NoProcError: Nobody has that name, or it is no supervisor.
        """
        found = name.whereis() if isinstance(name, Handle) else whereis(name)
        if not isinstance(found, BaseSupervisorRef):
            raise NoProcError(f"no supervisor is named {name!r}")
        return found

    @classmethod
    def child_spec(cls, *args: Any, name: Hashable | None = None, **kwargs: Any) -> ChildSpec:
        """Make the spec of such a supervisor below another one; its id is its name, else its class.

        Args:
            args: As for `start`.
            name: As for `start`.
            kwargs: As for `start`; they are checked when the supervisor above is given the spec, before it starts anything.
        """
        return ChildSpec(id=cls if name is None else name, start=cls, args=args, kwargs=kwargs, name=name)

    @classmethod
    def check_start(cls, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        """Refuse arguments that a start would refuse. Those of a constructor of the user's own are not known here, flags are.

        Raises:
            InvalidOption, InvalidChildSpec, TypeError: As `start` does.
        """
        for argument in args:
            if isinstance(argument, Iterator):
                raise InvalidOption(
                    "children", argument, "can be read only once, and a restart needs them again: give a list"
                )
        cls._options({name: value for name, value in kwargs.items() if name in cls.flags})
        makes = next(base for base in cls.__mro__ if "__init__" in vars(base))
        if makes.__module__.partition(".")[0] == __package__:
            cls(*args, **kwargs)  # it checks, and nothing else

    @classmethod
    def _options(cls, flags: Mapping[str, Any]) -> Options:
        return Options(**{name: getattr(cls, name) for name in cls.flags} | dict(flags))

    # Life cycle, called by the runtime

    def on_start(self) -> Any:
        incarnation = current()
        assert incarnation is not None
        above = incarnation.supervisor
        parent = above if isinstance(above, BaseSupervisorRef) else None
        if self._clock is None and parent is not None:
            self._port.clock = parent.core.port.clock
        self._port.incarnation = incarnation
        self._core.path = incarnation.path
        self._core.lineage = (*(parent.core.lineage if parent is not None else ()), self.actor_urn)
        incarnation.add_watcher(self, self._ended)
        return DEFER_START

    def _ended(self, reason: ExitReason) -> None:
        """The supervisor has ended in whatever way; nobody may wait for it any longer."""
        self._supervisor_ref.closed(reason)
        end_orphans(self._supervisor_ref)

    def on_stop_requested(self, reason: ExitReason) -> bool:
        if self._core.stopping and isinstance(reason, Killed):
            self._core.deadline = min(self._core.deadline, self._port.clock.now())
            self._guarded(self._core.tighten, ())
        else:
            self._guarded(self._core.stop, (reason,))
        return True

    def on_receive(self, message: Any) -> None:
        if isinstance(message, Call):
            self._guarded(message.function, message.args)
        else:
            log.warning("unexpected_message", path=self._core.path, message=repr(message)[:200])

    def _guarded(self, function: Callable[..., None], args: tuple[Any, ...]) -> None:
        """Run one step; an error in it is a bug of this package and ends the supervisor, children first."""
        try:
            function(*args)
        except Exception as error:
            log.exception("supervisor_broken", path=self._core.path)
            if self._core.stopping:
                raise
            self._core.stop(Crash.of(error))


def name_rests(name: Hashable, rests: bool) -> None:  # noqa: FBT001 # what a table calls
    """Tell who looks for a parked child by its name that it is not on its way."""
    via = name if isinstance(name, Via) else names.via(name)
    via.note_parked(parked=rests)


def label(child_id: Hashable) -> str:
    """Say an id in a path."""
    return child_id.__qualname__ if isinstance(child_id, type) else str(child_id)


def levels(ref: pykka.ActorRef[Any]) -> int:
    """How many levels of supervisors `ref` is: 0 for a worker."""
    if not isinstance(ref, BaseSupervisorRef):
        return 0
    below = [levels(record.ref) for record in ref.core.table.supervisors() if record.ref is not None]
    return 1 + max(below, default=0)


def end_orphans(ref: BaseSupervisorRef[Any]) -> None:
    """End what a supervisor left running because it broke or was abandoned itself: children never outlive it."""
    table, clock = ref.core.table, ref.core.port.clock
    for record in table.records():
        run = record.run
        if not isinstance(run, Incarnation):
            continue
        wait = EXPIRED_GRACE + min(record.spec.shutdown_limit or 0.0, ORPHAN_TIME)
        if isinstance(run.ref, BaseSupervisorRef):
            run.ref.tighten(clock.now() + ORPHAN_TIME)
            wait += LEVEL_GRACE * levels(run.ref)
        request_stop(run.ref, Shutdown("supervisor ended"))
        timer = clock.call_later(wait, partial(abandon, run, Killed(abandoned=True)))
        if not run.add_watcher(timer, lambda _reason, timer=timer: timer.cancel()):  # type: ignore[misc] # a default
            timer.cancel()
    table.clear()


def _zombie_exited(zombie: Zombie, after: float) -> None:
    """Tell the supervisor of an abandoned child that its thread has ended after all."""
    above = zombie.incarnation.supervisor
    if isinstance(above, BaseSupervisorRef):
        core = above.core
        core.port.post(core.zombie_exited, zombie.incarnation, zombie.thread_name, after)


on_zombie_exit(_zombie_exited)


def _root_ended(run: Incarnation, reason: ExitReason) -> None:
    roots.discard(run.ref)
    if not reason.ok:
        log.error("root_ended", path=run.path, reason=repr(reason))


def _start_error(cls: type, reason: ExitReason) -> Exception:
    """Make the exception of a supervisor that did not start, without a layer that says nothing."""
    if isinstance(reason, Shutdown) and isinstance(reason.detail, Exception):
        return reason.detail
    if isinstance(reason, Crash):
        if isinstance(reason.exception, AlreadyRegistered):
            return AlreadyStarted(reason.exception.ref, str(reason.exception))
        if isinstance(reason.exception, (InvalidChildSpec, InvalidOption)):
            return reason.exception
    return StartFailed(label(cls), reason)
