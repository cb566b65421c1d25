"""How a supervisor starts children and takes note of their ends.

Inputs are method calls made by the supervisor's handler, one at a time: a child came up (`child_started`), a child
ended (`child_exited`), a timer fired, an operation was asked for. Effects go through the `Port`. Nothing here waits.
The other parts of the state machine: `restarting.py` decides what comes back, `stopping.py` ends children.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from supervisors import events
from supervisors.children import Record, State, Stop
from supervisors.errors import (
    AlreadyRegistered,
    AlreadyStarted,
    InvalidChildSpec,
    NoProcError,
    Restarting,
    RestartIntensityExceeded,
    Running,
    StartFailed,
    StartTimeout,
)
from supervisors.events import bus
from supervisors.logs import load, log
from supervisors.reasons import Crash, Exit, ExitReason, Killed, Normal, Shutdown
from supervisors.restarting import Restarter, log_crash
from supervisors.spec import AutoShutdown, RestartType, Strategy

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from supervisors.children import Reply, Run, StartMode
    from supervisors.spec import ChildSpec

INTERRUPTED = "interrupt"  # detail of the Shutdown of a child in which KeyboardInterrupt was raised


class Core(Restarter):
    """The whole state machine, as far as static and dynamic supervisors share it."""

    @property
    def busy(self) -> bool:
        """Whether children are being ended or started together."""
        return False

    def is_coming(self, record: Record) -> bool:
        """Whether a child that does not run will, without anybody's doing: a caller may wait for it."""
        return record.state not in {State.STOPPED, State.PARKED, State.STOPPING}

    # Starting

    def start_child_record(self, spec: ChildSpec, mode: StartMode, reply: Reply | None) -> Record:
        """Make a record and start its first run; `reply` gets the ref, None (IGNORE) or an error."""
        record = Record(spec, mode)
        if reply is not None:
            record.starters = [reply]
        self.table.add(record)
        self.launch(record)
        return record

    def start_again(self, record: Record, reply: Reply) -> None:
        """Start a stopped or parked child because somebody asked for it: nothing is counted."""
        record.cancel_timer()
        record.mode = "manual"
        record.starters = [reply]
        self.table.move(record, State.STARTING)
        self.launch(record)

    def launch(self, record: Record) -> None:
        if record.spec.on_stuck == "hold" and self.has_zombie(record):
            record.held = True
            self.table.move(record, State.RESTARTING)
            return
        try:
            run = self.port.launch(record)
        except BaseException as error:  # also SystemExit: it is the child's failure, not the supervisor's
            self._start_failed(record, reason_of(error))
            return
        if run is None:
            self._ignored(record)
            return
        record.run = run
        timeout = record.spec.start_timeout
        record.timer = self._later(timeout, self._start_timed_out, record, run) if timeout < 1e9 else None

    def child_started(
        self, record: Record, run: Run, failure: ExitReason | None, *, ignored: bool = False
    ) -> None:
        """The start of `run` has an outcome: up when there is no `failure` and it was not `ignored`."""
        if record.run is not run:
            return
        stop = record.stop
        if failure is None and not ignored:
            if stop is None:
                self._up(record, run)
            return  # else: it was asked to stop meanwhile, its exit follows
        if stop is not None:
            self.run_ended(record, failure or Normal())
            return
        record.cancel_timer()
        record.run = None
        if ignored:
            self._ignored(record)
        else:
            self._start_failed(record, failure or Normal())

    def _up(self, record: Record, run: Run) -> None:
        record.cancel_timer()
        if record.mode == "manual":
            record.attempts = record.parks = 0
            record.trial = False
        self.table.up(record, run, self.port.clock.now())
        if record.spec.restart is RestartType.TEMPORARY:
            record.spec = record.spec.without_arguments()
        if load().is_configured():  # otherwise everything is printed, and nobody has asked for this
            log.debug("child_started", path=self.path, id=record.id, generation=record.generation)
        if bus.active:
            self.emit(
                events.ChildStarted(path=self.path, id=record.id, generation=record.generation, ref=run.ref)
            )
        self._started(record, run.ref)

    def _ignored(self, record: Record) -> None:
        keep = self.keeps_stopped and record.spec.restart is not RestartType.TEMPORARY
        self.settle(record, keep=keep)
        self._started(record, None)

    def _started(self, record: Record, result: object) -> None:
        starters, record.starters = record.starters, None
        for reply in starters or ():
            reply.ok(result)
        self.flush(record)
        if record.mode == "initial":
            self.initial_settled(record, None)

    def _start_timed_out(self, record: Record, run: Run) -> None:
        if record.run is run and record.stop is None and record.up_at is None:
            self.stop_child(
                record,
                None,
                timeout=0,
                cause=StartTimeout(
                    record.id, TimeoutError(f"on_start took over {record.spec.start_timeout} s")
                ),
            )

    def _start_failed(self, record: Record, reason: ExitReason | StartFailed) -> None:
        """A start came to nothing: tell who asked for it, or go on with the restart it belonged to."""
        error = start_error(record.id, reason)
        why = reason if isinstance(reason, ExitReason) else Crash(reason)
        if bus.active:
            self.emit(
                events.StartFailedEvent(
                    path=self.path, id=record.id, generation=record.generation, reason=why
                )
            )
        if record.mode == "restart" and self.stopping:
            self.stopped_for_good(record, why)
            self.flush(record)
            return
        if record.mode == "restart":
            record.last_exit = why
            log.warning("restart_failed", path=self.path, id=record.id, reason=repr(why))
            if self.too_many_zombies(record):
                return
            self.schedule(record, why, None)
            self.flush(record)
            return
        if record.mode == "manual" and record.parks:
            self.rest(record, why)
        else:
            self.settle(record, keep=record.mode == "manual")
        self.refuse_starters(record, error)
        self.flush(record)
        if self.too_many_zombies(record):
            return
        if record.mode == "initial":
            self.initial_settled(record, error)

    def restart_record(self, record: Record, reply: Reply, again: Callable[[], None]) -> None:
        """Start a child that does not run because somebody asked; `again` repeats that when it is in between."""
        if record.state in {State.STARTING, State.STOPPING}:
            self.defer(record, again)
        elif record.state is State.RUNNING:
            reply.fail(Running(f"child {record.id!r} runs"))
        elif record.state is State.RESTARTING:
            reply.fail(Restarting(f"child {record.id!r} is being restarted already"))
        else:
            self.start_again(record, reply)

    def check(self, spec: ChildSpec) -> None:
        """Refuse, in the caller's thread, a spec that does not go with the supervisor's flags, or would never start."""
        if spec.significant and self.options.auto_shutdown is AutoShutdown.NEVER:
            raise InvalidChildSpec("significant", True, "needs a supervisor with auto_shutdown")
        if spec.on_exceeded == "park" and self.options.strategy is not Strategy.ONE_FOR_ONE:
            raise InvalidChildSpec(
                "on_exceeded", "park", f"its siblings depend on it: {self.options.strategy}"
            )
        if getattr(spec.start, "child_type", None) == "supervisor":
            start: Any = spec.start
            start.check_start(self.arguments(spec), spec.kwargs)

    def arguments(self, spec: ChildSpec) -> tuple[Any, ...]:
        """Positional arguments of a start."""
        return spec.args

    # Exits

    def child_exited(self, record: Record, run: Run, reason: ExitReason) -> None:
        """A run that was up has ended; late news of a run that is not current is ignored."""
        if record.run is run:
            self.run_ended(record, reason)

    def run_ended(self, record: Record, reason: ExitReason) -> None:
        stop, record.stop = record.stop, None
        if stop is not None and stop.timer is not None:
            stop.timer.cancel()
        if stop is not None and stop.brutal and not isinstance(reason, Killed):
            reason = Killed()
        was_up, uptime = record.up_at is not None, self.port.clock.now() - (record.up_at or 0.0)
        record.cancel_timer()
        run = record.run
        assert run is not None
        self.table.ended(record, reason)
        if run.cleanup_error is not None and bus.active:
            self.emit(
                events.CleanupError(
                    path=self.path, id=record.id, generation=record.generation, exception=run.cleanup_error
                )
            )
        if not was_up:
            self._start_ended(record, stop, reason)
            return
        if bus.active:
            self.emit(
                events.ChildExited(
                    path=self.path,
                    id=record.id,
                    generation=record.generation,
                    reason=reason,
                    dropped=run.dropped,
                )
            )
        wanted = stop is not None and stop.wanted
        bystander = self.is_bystander(record) and not is_interrupt(reason)
        if not wanted and not self.stopping and not bystander:
            self._decide(record, reason, uptime)
            self.flush(record)
            return
        if wanted or bystander:
            self.report_shutdown_error(record, reason)
        self.ended_on_request(record, reason, uptime)
        self._finish_stop(record, stop, reason)

    def is_bystander(self, record: Record) -> bool:
        """Whether `record` would be ended anyway, because of the restart of another: its own end then decides nothing."""
        del record
        return False

    def ended_on_request(self, record: Record, reason: ExitReason, uptime: float | None) -> None:
        """A run has ended that had to; `uptime` is None when it was not up yet."""
        del uptime
        self.stopped_for_good(record, reason)

    def _start_ended(self, record: Record, stop: Stop | None, reason: ExitReason) -> None:
        """A run was ended by its supervisor before it was up."""
        if stop is not None and stop.cause is not None and not stop.thens and not self.stopping:
            self._start_failed(record, stop.cause)
            return
        self.refuse_starters(record, StartFailed(record.id, reason))
        if record.mode in {"initial", "new"}:
            self.settle(record, keep=False)
        else:
            self.ended_on_request(record, reason, None)
        self._finish_stop(record, stop, reason)

    def _finish_stop(self, record: Record, stop: Stop | None, reason: ExitReason) -> None:
        for then in stop.thens if stop is not None else ():
            then(record, reason)
        self.flush(record)
        self.too_many_zombies(record)

    def _decide(self, record: Record, reason: ExitReason, uptime: float) -> None:
        """Apply the restart type to an end nobody asked for."""
        restart = record.spec.restart
        if not reason.ok:
            log_crash(record, self.path, reason)
        if is_interrupt(reason):
            self.stopped_for_good(record, reason)
            self.port.interrupt()
        elif self.too_many_zombies(record):
            return
        elif restart is RestartType.PERMANENT or (restart is RestartType.TRANSIENT and not reason.ok):
            if reason == Killed(abandoned=True) and record.spec.on_stuck == "escalate":
                self.escalate(record, reason)
            else:
                self.schedule(record, reason, uptime)
        else:
            self.stopped_for_good(record, reason)
            if isinstance(reason, Shutdown) and isinstance(reason.detail, RestartIntensityExceeded):
                log.warning("supervisor_not_restarted", path=self.path, id=record.id, reason=repr(reason))
            if record.spec.significant:
                self.significant_ended()

    def significant_ended(self) -> None:
        """A significant child has ended by itself and stays so: end the supervisor too if that is what is wanted."""
        mode = self.options.auto_shutdown
        left = (
            one for one in self.table.records() if one.spec.significant and one.state is not State.STOPPED
        )
        if mode is AutoShutdown.ANY_SIGNIFICANT or (
            mode is AutoShutdown.ALL_SIGNIFICANT and next(left, None) is None
        ):
            self.stop(Shutdown())

    # For the two kinds of supervisor

    def initial_settled(self, record: Record, error: Exception | None) -> None:
        """An initial child is up, ignored, or has failed to start."""
        raise NotImplementedError

    def before_stop(self) -> None:
        for record in self.table.records():
            self.flush(record)


def is_interrupt(reason: ExitReason) -> bool:
    """Whether it was KeyboardInterrupt that ended a child."""
    return isinstance(reason, Shutdown) and reason.detail == INTERRUPTED


def reason_of(error: BaseException) -> ExitReason:
    """Translate what left a constructor or a start callable."""
    if isinstance(error, Exit):
        return error.reason
    if isinstance(error, SystemExit) and error.code in {None, 0}:
        return Normal()
    return Crash.of(error)


def start_error(child_id: Hashable, reason: ExitReason | StartFailed) -> Exception:
    """Make the exception that the caller of a start gets."""
    if isinstance(reason, StartFailed):
        return reason
    if isinstance(reason, Crash) and isinstance(reason.exception, AlreadyRegistered):
        return AlreadyStarted(reason.exception.ref, str(reason.exception))
    return StartFailed(child_id, reason)


def gone() -> NoProcError:
    """Make the error of an operation on a supervisor that stops or has ended."""
    return NoProcError("the supervisor is not alive")
