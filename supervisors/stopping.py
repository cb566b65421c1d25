"""How a supervisor ends its children: ask, wait, take the brutal step, abandon.

A pure state machine: everything that touches threads goes through a `Port`; what is awaited is an entry in a record
(`Record.stop`) and a timer, never a wait. Source of the steps: OTP `supervisor:shutdown/2`; a Python thread cannot be
killed, so the last step declares it dead and counts it (a zombie).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Protocol

from supervisors import events
from supervisors.children import ChildTable, Record, Run, State, Stop
from supervisors.errors import StartFailed
from supervisors.events import bus
from supervisors.logs import log
from supervisors.reasons import ExitReason, Killed, Normal, Shutdown
from supervisors.spec import RestartType

if TYPE_CHECKING:
    from collections.abc import Callable

    import pykka

    from supervisors.clock import Clock, Timer

BRUTAL_GRACE = 0.1  # seconds a thread gets to end after the brutal step, for a BRUTAL_KILL child
EXPIRED_GRACE = 1.0  # ... after a deadline that expired
HOOK_BUDGET = 1.0  # seconds for a kill_hook
LEVEL_GRACE = 0.5  # seconds more per level of supervisors below: they take their own brutal steps first


class ZombieInfo(Protocol):
    """A thread that would not end, as far as the state machine cares."""

    @property
    def thread_name(self) -> str: ...
    @property
    def stack(self) -> str: ...
    @property
    def since(self) -> float: ...


class Port(Protocol):
    """What the state machine of a supervisor needs of the world."""

    clock: Clock

    def post(self, function: Callable[..., None], *args: Any) -> None:
        """Call `function` later, in the supervisor's handler; dropped when the supervisor has ended."""

    def launch(self, record: Record) -> Run | None:
        """Construct and start a run; its outcome is posted to `child_started`, its end to `child_exited`.

        None: a start callable answered IGNORE. What construction raises is raised.
        """

    def request_stop(self, run: Run, reason: ExitReason, *, drain: bool, deadline: float) -> None:
        """Ask a run to end; `deadline` (clock seconds) is passed on to supervisors."""

    def abandon(self, run: Run) -> ZombieInfo | None:
        """Declare a run dead; None when it has ended meanwhile."""

    def run_hook(
        self, hook: Callable[[pykka.ActorRef[Any]], object], run: Run, done: Callable[[], None]
    ) -> None:
        """Call a kill hook on a thread of its own; `done` is called there afterwards."""

    def levels_below(self, run: Run) -> int:
        """How many levels of supervisors a run holds; 0 for a worker."""

    def can_start(self) -> bool:
        """Whether threads can still be started: False when the interpreter is on its way out."""

    def up(self) -> None:
        """All initial children are up."""

    def end(self, reason: ExitReason) -> None:
        """All children have ended after `stop`: end the supervisor (or fail its start) with `reason`."""

    def interrupt(self) -> None:
        """A child was ended by KeyboardInterrupt: the root is to shut down as for SIGINT."""


class Stopper:
    """The half of the state machine that ends children."""

    concurrent_stop = False  # ask all at once; else one at a time, in reverse start order
    keeps_stopped = True  # a child that ended for good keeps its record

    def __init__(self, port: Port, table: ChildTable) -> None:
        self.port = port
        self.table = table
        self.path: tuple[str, ...] = ()
        self.lineage: tuple[str, ...] = ()
        self.deadline = math.inf  # clock seconds at which everything must be over
        self.stopping = False
        self._brutal = False  # the supervisor itself is being killed
        self._final: ExitReason = Normal()
        self._deadline_timer: Timer | None = None
        self._to_stop: list[Record] = []
        self._pending = 0

    # One child

    def stop_child(
        self,
        record: Record,
        then: Callable[[Record, ExitReason], None] | None,
        *,
        timeout: float = math.inf,
        brutal: bool = False,
        cause: StartFailed | None = None,
    ) -> None:
        """End the current run of `record`; `then(record, reason)` is called when it has ended or was abandoned.

        Args:
            record: With a run.
            then: May be None.
            timeout: Seconds; the spec's `shutdown` and the inherited deadline may be shorter.
            brutal: Do not ask first.
            cause: Why the supervisor itself ends a start that is still in progress.
        """
        if record.stop is None:
            self._begin(record, timeout, brutal=brutal, cause=cause)
        elif brutal and not record.stop.brutal:
            self._kill(record, EXPIRED_GRACE)
        if then is not None and record.stop is not None:
            record.stop.wanted = True
            record.stop.thens.append(then)

    def _begin(self, record: Record, timeout: float, *, brutal: bool, cause: StartFailed | None) -> None:
        assert record.run is not None
        now = self.port.clock.now()
        own = record.spec.shutdown_limit
        length = max(0.0, min(timeout, self.deadline - now, 0.0 if own is None else own))
        stop = record.stop = Stop(now + length, cause)
        record.cancel_timer()
        self.table.move(record, State.STOPPING)
        if own is None or brutal:
            self._kill(record, BRUTAL_GRACE)
            return
        self.port.request_stop(record.run, Shutdown(), drain=record.spec.drain, deadline=stop.expires)
        if length == 0:
            self._kill(record, EXPIRED_GRACE)
        elif length < math.inf:
            stop.timer = self._later(length, self._expired, record, stop)

    def kill_run(self, run: Run) -> None:
        """Somebody takes the brutal step against a child: an end like any other, the restart type decides what follows."""
        record = self.table.record_of_run(run)
        if record is None:
            return  # it has ended
        if record.stop is not None:
            self.stop_child(record, None, brutal=True)
            return
        cause = None if record.up_at is not None else StartFailed(record.id, Killed())
        record.stop = Stop(self.port.clock.now(), cause, wanted=False)
        record.cancel_timer()
        self.table.move(record, State.STOPPING)
        self._kill(record, BRUTAL_GRACE)

    def _expired(self, record: Record, stop: Stop) -> None:
        if record.stop is stop and not stop.brutal:
            self._kill(record, EXPIRED_GRACE)

    def _kill(self, record: Record, grace: float) -> None:
        """Take the brutal step: flag, hook, a short grace; then the run is abandoned."""
        run, stop = record.run, record.stop
        assert run is not None
        assert stop is not None
        stop.brutal = True
        stop.expires = self.port.clock.now()
        if stop.timer is not None:
            stop.timer.cancel()
        self.port.request_stop(run, Killed(), drain=False, deadline=stop.expires)
        grace += LEVEL_GRACE * self.port.levels_below(run)
        if record.spec.kill_hook is None:
            stop.timer = self._later(grace, self._abandon, record, stop)
            return
        stop.timer = self._later(HOOK_BUDGET, self._after_hook, record, stop, grace)
        hooked = stop.timer

        def done() -> None:
            hooked.cancel()
            self.port.post(self._after_hook, record, stop, grace)

        self.port.run_hook(record.spec.kill_hook, run, done)

    def _after_hook(self, record: Record, stop: Stop, grace: float) -> None:
        if record.stop is stop:
            stop.timer = self._later(grace, self._abandon, record, stop)

    def _abandon(self, record: Record, stop: Stop) -> None:
        if record.stop is not stop or record.run is None:
            return
        run = record.run
        zombie = self.port.abandon(run)
        if zombie is None:
            return  # it has ended: its exit is on the way
        with self.table.lock:
            self.table.zombies[run] = record
        log.error(
            "child_abandoned", path=self.path, id=record.id, thread=zombie.thread_name, stack=zombie.stack
        )
        if bus.active:
            self.emit(
                events.ChildAbandoned(
                    path=self.path,
                    id=record.id,
                    generation=record.generation,
                    thread_name=zombie.thread_name,
                    stack=zombie.stack,
                )
            )
        self.run_ended(record, Killed(abandoned=True))

    def zombie_exited(self, run: Run, thread_name: str, after: float) -> None:
        """The thread of an abandoned run ended after all."""
        with self.table.lock:
            record = self.table.zombies.pop(run, None)
        if record is None:
            return
        log.info("zombie_exited", path=self.path, id=record.id, thread=thread_name, after=after)
        if bus.active:
            self.emit(
                events.ZombieExited(
                    path=self.path,
                    id=record.id,
                    generation=record.generation,
                    thread_name=thread_name,
                    after=after,
                )
            )
        self.zombie_gone(record)

    def report_shutdown_error(self, record: Record, reason: ExitReason) -> None:
        """Report an end that is not what was asked for; the stop succeeds all the same."""
        brutal_expected = record.spec.shutdown_limit is None or self._brutal
        if isinstance(reason, Killed) if brutal_expected else reason == Shutdown():
            return
        if reason.ok and record.spec.restart is not RestartType.PERMANENT:
            return
        log.error("shutdown_error", path=self.path, id=record.id, reason=repr(reason))
        if bus.active:
            self.emit(
                events.ShutdownError(
                    path=self.path, id=record.id, generation=record.generation, reason=reason
                )
            )

    # All children

    def stop(self, reason: ExitReason) -> None:
        """End all children, then the supervisor with `reason`; the first call wins, later ones change nothing."""
        if self.stopping:
            return
        self.stopping = True
        self._final = reason
        self._brutal = isinstance(reason, Killed)
        if self._brutal:
            self.deadline = min(self.deadline, self.port.clock.now())
        self.before_stop()
        for record in self.table.records():
            if record.run is None:
                self.cancel_attempt(record)
        self._to_stop = [record for record in self.table.records() if record.run is not None]
        self._arm_deadline()
        if self.concurrent_stop:
            self._stop_all_at_once()
        else:
            self._stop_next()

    def tighten(self) -> None:
        """`deadline` was moved: it may be over sooner now."""
        if self.stopping:
            self._arm_deadline()

    def _arm_deadline(self) -> None:
        if self._deadline_timer is not None:
            self._deadline_timer.cancel()
        left = self.deadline - self.port.clock.now()
        if left <= 0:
            self._deadline_over()
        elif left < math.inf:
            self._deadline_timer = self._later(left, self._deadline_over)

    def _deadline_over(self) -> None:
        """Take the brutal step with everything that is left, side by side."""
        if not self.stopping or self.port.clock.now() < self.deadline:
            return
        for record in self.table.records():
            if record.run is None:
                continue
            if record.stop is None:
                self.stop_child(record, None, brutal=self._brutal)  # no time left: the brutal step is next
            elif not record.stop.brutal:
                self._kill(record, EXPIRED_GRACE)

    def _stop_all_at_once(self) -> None:
        waiting, self._to_stop = self._to_stop, []
        self._pending = len(waiting) + 1
        for record in waiting:
            self.stop_child(record, self._one_stopped)
        self._one_stopped()

    def _one_stopped(self, _record: Record | None = None, _reason: ExitReason | None = None) -> None:
        self._pending -= 1
        if self._pending == 0:
            self._all_stopped()

    def _stop_next(self, _record: Record | None = None, _reason: ExitReason | None = None) -> None:
        while self._to_stop:
            record = self._to_stop.pop()
            if record.run is not None:
                self.stop_child(record, self._stop_next)
                return
        self._all_stopped()

    def _all_stopped(self) -> None:
        if self._deadline_timer is not None:
            self._deadline_timer.cancel()
        if bus.active:
            self.emit(events.SupervisorStopped(path=self.path, reason=self._final))
        self.port.end(self._final)

    # Shared small things

    def emit(self, event: events.Event) -> None:
        bus.publish(self.lineage, event)

    def _later(self, delay: float, function: Callable[..., None], *args: Any) -> Timer:
        return self.port.clock.call_later(delay, lambda: self.port.post(function, *args))

    # For the other half

    def run_ended(self, record: Record, reason: ExitReason) -> None:
        """A run that was up, or was stopped before it was, is over."""
        raise NotImplementedError

    def cancel_attempt(self, record: Record) -> None:
        """Give up a restart attempt that is pending."""
        raise NotImplementedError

    def before_stop(self) -> None:
        """Answer what waits for a supervisor that now stops."""
        raise NotImplementedError

    def zombie_gone(self, record: Record) -> None:
        """A start of `record` may have waited for that thread."""
        raise NotImplementedError
