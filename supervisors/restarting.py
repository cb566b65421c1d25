"""When a child comes back: restart intensity, back-off, rests, and what becomes of a record without a run.

Source: OTP supervisor and Elixir's DynamicSupervisor for the window; back-off and parking are ours.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from supervisors import events
from supervisors.children import ChildTable, Record, State
from supervisors.errors import RestartIntensityExceeded, StartFailed, TooManyZombies
from supervisors.events import bus
from supervisors.logs import log
from supervisors.reasons import Crash, ExitReason, Killed, Normal, Shutdown
from supervisors.spec import ChildExit, RestartType
from supervisors.stopping import Stopper
from supervisors.window import RestartWindow

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    import pykka

    from supervisors.backoff import Backoff, RandomSource
    from supervisors.children import Reply
    from supervisors.options import Options
    from supervisors.spec import Decision
    from supervisors.stopping import Port

MAX_PARK_TIME = 1800.0  # seconds; rests double up to this


class Restarter(Stopper):
    """The part of the state machine that brings children back, or gives up on them."""

    def __init__(self, options: Options, port: Port, random: RandomSource, *, by_ref: bool) -> None:
        super().__init__(port, ChildTable(by_ref=by_ref))
        self.options = options
        self.random = random
        self.window = RestartWindow(options.max_restarts, options.max_seconds)

    def launch(self, record: Record) -> None:
        """Start a run of `record`."""
        raise NotImplementedError

    def schedule(self, record: Record, reason: ExitReason, uptime: float | None) -> None:
        """Decide when `record` is started again; `uptime` is None when it was an attempt that failed."""
        if not self.port.can_start():
            self.stopped_for_good(record, reason)
            return
        if uptime is not None:
            self.note_uptime(record, uptime)
        backoff = self._backoff(record)
        if record.trial:
            self._park(record, reason)
        elif (
            backoff is not None
            and backoff.max_attempts is not None
            and record.attempts >= backoff.max_attempts
        ):
            self.exceeded(record, reason)
        else:
            self.come_back(record, reason, backoff, was_up=uptime is not None)

    def note_uptime(self, record: Record, uptime: float) -> None:
        """Start the count of attempts again after a run that was up for long enough."""
        backoff = self._backoff(record)
        enough = self.options.max_seconds if backoff is None else backoff.reset_uptime
        if uptime >= enough:
            record.attempts = record.parks = 0
            record.trial = False

    def come_back(self, record: Record, reason: ExitReason, backoff: Backoff | None, *, was_up: bool) -> None:
        """Make or plan the next attempt, after the end of a run that `was_up` or an attempt that failed."""
        if backoff is None and was_up:
            self._attempt(record, reason, announce=True)
            return
        delay = 0.0 if backoff is None else backoff.delay(record.attempts, self.random)
        now = self.port.clock.now()
        self.table.move(record, State.RESTARTING, now + delay)
        self.announce(record, reason, delay)
        record.held = False
        if backoff is None:  # behind what already waits, so that requests get in between attempts
            self.port.post(self._attempt_due, record, record.attempts)
        else:
            record.timer = self._later(delay, self._attempt_due, record, record.attempts)

    def _attempt_due(self, record: Record, attempts: int) -> None:
        waiting = record.state is State.RESTARTING and record.run is None
        if waiting and record.attempts == attempts and not self.stopping and self.table.contains(record):
            record.timer = None
            self._attempt(record, record.last_exit or Normal(), announce=False)

    def _attempt(self, record: Record, reason: ExitReason, *, announce: bool) -> None:
        """Enter a restart attempt in the window and make it."""
        if not self._own_account(record) and self.window.record(self.port.clock.now(), record.key):
            self.exceeded(record, reason)
            return
        self.table.move(record, State.RESTARTING)
        if announce:
            self.announce(record, reason, 0.0)
        record.attempts += 1
        record.mode = "restart"
        self.launch(record)

    def announce(self, record: Record, reason: ExitReason, delay: float) -> None:
        log.warning("child_restarts", path=self.path, id=record.id, delay=delay, attempt=record.attempts + 1)
        if bus.active:
            self.emit(
                events.RestartScheduled(
                    path=self.path,
                    id=record.id,
                    generation=record.generation,
                    delay=delay,
                    attempt=record.attempts + 1,
                )
            )
        self.notify(record, reason, "restart", delay)

    def exceeded(self, record: Record, reason: ExitReason) -> None:
        if (record.spec.on_exceeded or self.options.on_exceeded) == "park":
            self._park(record, reason)
        else:
            self.escalate(record, reason)

    def escalate(self, record: Record, reason: ExitReason, error: Exception | None = None) -> None:
        """Give up: end all children and the supervisor itself."""
        log.error("intensity_exceeded", path=self.path, id=record.id, reason=repr(reason))
        if bus.active:
            self.emit(
                events.IntensityExceeded(
                    path=self.path, id=record.id, generation=record.generation, reason=reason
                )
            )
        if self.table.contains(record) and record.run is None:
            self.stopped_for_good(record, reason)
        self.stop(Shutdown(error or RestartIntensityExceeded(record.id, reason)))

    def _park(self, record: Record, reason: ExitReason) -> None:
        """Give one child a rest; its entries in the window are not the others' debt."""
        record.parks += 1
        self.window.forget(record.key)
        period = self.rest(record, reason)
        log.warning(
            "child_parked",
            path=self.path,
            id=record.id,
            seconds=period,
            parks=record.parks,
            reason=repr(reason),
        )
        if bus.active:
            self.emit(
                events.ChildParked(
                    path=self.path,
                    id=record.id,
                    generation=record.generation,
                    reason=reason,
                    park_time=period,
                )
            )

    def rest(self, record: Record, reason: ExitReason) -> float:
        period = min(self.options.park_time * 2.0 ** min(record.parks - 1, 60), MAX_PARK_TIME)
        record.cancel_timer()
        self.table.move(record, State.PARKED, self.port.clock.now() + period)
        record.timer = self._later(period, self._trial, record, record.parks)
        self.notify(record, reason, "parked", period)
        return period

    def _trial(self, record: Record, parks: int) -> None:
        """The rest is over: one start, which counts nowhere."""
        if record.state is State.PARKED and record.parks == parks and not self.stopping:
            record.timer = None
            record.trial = True
            record.mode = "restart"
            self.table.move(record, State.RESTARTING)
            self.launch(record)

    def reset_backoff(self, child_id: Hashable, ref: pykka.ActorRef[Any]) -> None:
        """A child says that it is well: its next delay is the first one again."""
        record = self.table.record_of(child_id, ref)
        if record is not None and record.ref is ref:
            record.attempts = record.parks = 0
            record.trial = False

    def _backoff(self, record: Record) -> Backoff | None:
        return record.spec.backoff or self.options.backoff

    def _own_account(self, record: Record) -> bool:
        """Whether the child's attempts are limited one by one and end in a rest: then they are no one else's."""
        backoff = self._backoff(record)
        park = (record.spec.on_exceeded or self.options.on_exceeded) == "park"
        return park and backoff is not None and backoff.max_attempts is not None

    # Ends

    def stopped_for_good(self, record: Record, reason: ExitReason) -> None:
        self.settle(record, keep=True)
        self.notify(record, reason, "stopped" if self.table.contains(record) else "removed", 0.0)

    def settle(self, record: Record, *, keep: bool) -> None:
        """Leave a record without a run: stopped when it is kept, else removed."""
        record.cancel_timer()
        record.held = False
        if keep and self.keeps_stopped and record.spec.restart is not RestartType.TEMPORARY:
            self.table.move(record, State.STOPPED)
            record.attempts = record.parks = 0
            record.trial = False
        elif self.table.contains(record):
            self.table.remove(record)

    def cancel_attempt(self, record: Record) -> None:
        if record.state is not State.STOPPED:
            self.refuse_starters(record, StartFailed(record.id, record.last_exit or Normal()))
            self.stopped_for_good(record, record.last_exit or Normal())

    def terminate(self, record: Record, reply: Reply, timeout: float) -> None:
        """End a child because somebody asked; `reply` gets its exit reason, None when nothing ran."""
        if record.run is None:
            self.cancel_attempt(record)
            reply.ok(None)
            self.flush(record)
            return
        self.stop_child(record, lambda _record, reason: reply.ok(reason), timeout=timeout)

    def refuse_starters(self, record: Record, error: Exception) -> None:
        """Tell those who wait for a start that it came to nothing."""
        starters, record.starters = record.starters, None
        for reply in starters or ():
            reply.fail(error)

    def defer(self, record: Record, operation: Callable[[], None]) -> None:
        """Repeat an operation when the state of `record` is settled."""
        if record.deferred is None:
            record.deferred = []
        record.deferred.append(operation)

    def flush(self, record: Record) -> None:
        deferred, record.deferred = record.deferred, None
        for operation in deferred or ():
            self.port.post(operation)

    def notify(self, record: Record, reason: ExitReason, decision: Decision, delay: float) -> None:
        hook = record.spec.on_exit
        if hook is None:
            return
        try:
            hook(ChildExit(record.id, record.ref, record.generation, reason, decision, delay))
        except Exception:
            log.exception("on_exit_failed", path=self.path, id=record.id)

    # Zombies

    def has_zombie(self, record: Record) -> bool:
        with self.table.lock:
            return any(other is record for other in self.table.zombies.values())

    def too_many_zombies(self, record: Record) -> bool:
        """Escalate when more threads would not end than the supervisor may leave behind."""
        count = len(self.table.zombies)
        if self.stopping or count <= self.options.max_zombies:
            return False
        self.escalate(record, record.last_exit or Killed(abandoned=True), TooManyZombies(count))
        return True

    def zombie_gone(self, record: Record) -> None:
        if record.held and not self.has_zombie(record) and not self.stopping and self.table.contains(record):
            record.held = False
            self.launch(record)


def log_crash(record: Record, path: tuple[str, ...], reason: ExitReason) -> None:
    """Log the cause of an abnormal end, once per incarnation; failing to log must not hurt the supervisor."""
    try:
        # Logs that are not wanted should not cost a formatted traceback; not every kind of logger can tell.
        wanted = getattr(log, "is_enabled_for", None)
        if wanted is not None and not wanted(logging.ERROR):
            return
        log.error(
            "child_crashed",
            path=path,
            id=record.id,
            generation=record.generation,
            reason=repr(reason),
            traceback=reason.traceback if isinstance(reason, Crash) else None,
        )
    except Exception:  # for want of memory, or because a log handler is broken
        return
