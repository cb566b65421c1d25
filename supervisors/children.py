"""The records of one supervisor's children, and what others may see of them.

A record is what a supervisor knows of one child: its spec, its state, its current run. Only the supervisor's handler
changes records; every change of what others see goes through `ChildTable` under its lock, so that queries from any
thread read a consistent snapshot and never wait for an operation in progress.
"""

from __future__ import annotations

import itertools
import threading
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Literal, Protocol

from supervisors.spec import RestartType

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    import pykka

    from supervisors.clock import Timer
    from supervisors.errors import StartFailed
    from supervisors.reasons import ExitReason
    from supervisors.spec import ChildSpec, ChildType


class State(StrEnum):
    """What a child is doing, as its supervisor sees it."""

    STARTING = "starting"  # asked for by somebody, not up yet
    RUNNING = "running"
    STOPPING = "stopping"
    RESTARTING = "restarting"  # a restart attempt is pending, delayed or in progress
    STOPPED = "stopped"  # the record is kept, nothing runs
    PARKED = "parked"  # restarted too often; rests until a trial start


class Run(Protocol):
    """One incarnation, as far as the state machine cares."""

    @property
    def id(self) -> Hashable:
        """Of the child."""

    @property
    def ref(self) -> pykka.ActorRef[Any]:
        """Of the actor."""

    @property
    def cleanup_error(self) -> BaseException | None:
        """What `on_stop` or `on_failure` raised."""

    @property
    def dropped(self) -> int:
        """How many messages nobody waits for were left in its inbox."""

    def is_current(self) -> bool:
        """False once it has ended or was abandoned."""


class Reply(Protocol):
    """Where the result of an operation goes, exactly once."""

    @property
    def wanted(self) -> bool:
        """Whether somebody still waits for it: an operation that was refused meanwhile is not carried out."""

    def ok(self, value: object) -> None:
        """Hand over the result."""

    def fail(self, error: BaseException) -> None:
        """Hand over an exception to raise in the caller."""


StartMode = Literal["initial", "new", "manual", "restart"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildInfo:
    """A child at one moment. Times are seconds of the supervisor's clock."""

    id: Hashable  # None under a dynamic supervisor
    ref: pykka.ActorRef[Any] | None
    state: State
    type: ChildType
    restart: RestartType
    significant: bool
    generation: int  # 0 for the first incarnation; -1 before it was up
    restarts: int
    started_at: float | None
    last_exit: ExitReason | None
    next_attempt_at: float | None
    held_by_zombie: bool  # the next start waits until the thread of an abandoned incarnation has ended


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """How many children a supervisor has; `workers` and `supervisors` count records, alive or not."""

    specs: int
    active: int
    supervisors: int
    workers: int
    restarting: int
    parked: int
    zombies: int


class Stop:
    """One stop in progress of one run."""

    __slots__ = ("brutal", "cause", "expires", "thens", "timer", "wanted")

    def __init__(self, expires: float, cause: StartFailed | None = None, *, wanted: bool = True) -> None:
        self.wanted = (
            wanted  # by the supervisor, or who asks it; else the child was killed, and may come back
        )
        self.expires = expires  # when the brutal step is due, in seconds of the clock
        self.cause = cause  # why the supervisor itself ends a start
        self.brutal = False
        self.timer: Timer | None = None
        self.thens: list[Callable[[Record, ExitReason], None]] = []


class Record:
    """What a supervisor knows of one child."""

    __slots__ = (
        "attempts",
        "deferred",
        "generation",
        "held",
        "id",
        "key",
        "last_exit",
        "mode",
        "next_attempt_at",
        "parks",
        "position",
        "ref",
        "restarts",
        "run",
        "spec",
        "starters",
        "state",
        "stop",
        "timer",
        "trial",
        "up_at",
    )

    def __init__(self, spec: ChildSpec, mode: StartMode) -> None:
        self.id = spec.id
        self.key: Hashable = None  # given by the table, with the position in start order
        self.position = -1
        self.spec = spec
        self.mode: StartMode = mode  # why the current or last start was made
        self.state = State.STARTING
        self.run: Run | None = None
        self.ref: pykka.ActorRef[Any] | None = None  # of the run, or of the last one
        self.generation = -1
        self.restarts = 0
        self.up_at: float | None = None  # None while nothing is up
        self.last_exit: ExitReason | None = None
        self.next_attempt_at: float | None = None
        self.attempts = 0  # restart attempts in a row
        self.parks = 0  # in a row
        self.trial = False  # the current run is the one trial start after a rest
        self.held = False  # the next start waits for the thread of an abandoned run
        self.timer: Timer | None = None  # of the start in progress, or of the next attempt
        self.stop: Stop | None = None
        self.starters: list[Reply] | None = None  # who waits for this start
        self.deferred: list[Callable[[], None]] | None = (
            None  # operations that wait until the state is settled
        )

    def cancel_timer(self) -> None:
        """Drop the pending start timeout or attempt."""
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None


def nobody_cares(_name: Hashable, _rests: bool) -> None:  # noqa: FBT001 # the shape of a callback
    """Do nothing."""


class ChildTable:
    """Records in start order, with everything needed to count them in O(1)."""

    def __init__(self, *, by_ref: bool) -> None:
        self.lock = threading.RLock()
        self._by_ref = by_ref
        self._positions = itertools.count()
        self._records: dict[Hashable, Record] = {}
        self._refs: dict[
            str, Record
        ] = {}  # urn of the current or last ref, when children are addressed by ref
        self._states = dict.fromkeys(State, 0)
        self._supervisors = 0
        self.zombies: dict[object, Record] = {}
        self._when_up: dict[Hashable, list[Callable[[], object]]] = {}
        self.name_rests = nobody_cares  # told of the name of a child that is parked, and that is not any more

    def __len__(self) -> int:
        return len(self._records)

    def get(self, key: Hashable) -> Record | None:
        """Find a record by the id of the child or, under a dynamic supervisor, by its number."""
        with self.lock:
            return self._records.get(key)

    def by_ref(self, ref: pykka.ActorRef[Any]) -> Record | None:
        """Find the record whose current or last ref this is."""
        with self.lock:
            return self._refs.get(ref.actor_urn)

    def record_of(self, child_id: Hashable, ref: pykka.ActorRef[Any]) -> Record | None:
        """Find a child by both of its addresses; a start in progress has no ref yet under a dynamic supervisor."""
        return self.by_ref(ref) if self._by_ref else self.get(child_id)

    def record_of_run(self, run: Run) -> Record | None:
        """Find the child whose current run this is."""
        record = self.record_of(run.id, run.ref)
        if record is None and self._by_ref:  # its ref is entered when it is up
            record = next((one for one in self.records() if one.run is run), None)
        return record if record is not None and record.run is run else None

    def records(self) -> list[Record]:
        """List the records in start order."""
        with self.lock:
            return list(self._records.values())

    def supervisors(self) -> list[Record]:
        """List the records of children that are supervisors."""
        if not self._supervisors:
            return []
        return [record for record in self.records() if record.spec.type == "supervisor"]

    def add(self, record: Record) -> None:
        """Append a record; its place in start order never changes."""
        with self.lock:
            record.position = next(self._positions)
            record.key = record.position if self._by_ref else record.id
            self._records[record.key] = record
            self._states[record.state] += 1
            self._supervisors += record.spec.type == "supervisor"

    def remove(self, record: Record) -> None:
        with self.lock:
            del self._records[record.key]
            self._states[record.state] -= 1
            self._supervisors -= record.spec.type == "supervisor"
            self._forget_ref(record)
        self._left(record, record.state)
        self._wake(record)

    def clear(self) -> None:
        """Let go of all records: the supervisor has ended."""
        with self.lock:
            records = self.records()
            self._records.clear()
            self._refs.clear()
            self._states = dict.fromkeys(State, 0)
            self._supervisors = 0
        for record in records:
            self._left(record, record.state)
            self._wake(record)

    def contains(self, record: Record) -> bool:
        return self._records.get(record.key) is record

    def move(self, record: Record, state: State, next_attempt_at: float | None = None) -> None:
        """Change the state of a record."""
        with self.lock:
            before = record.state
            self._states[before] -= 1
            self._states[state] += 1
            record.state = state
            record.next_attempt_at = next_attempt_at
        if before is not state:
            self._left(record, before)
        if state is State.PARKED and record.spec.name is not None:
            self.name_rests(record.spec.name, True)
        if state in {State.STOPPED, State.PARKED}:
            self._wake(record)

    def _left(self, record: Record, state: State) -> None:
        """Take note that a record is not in `state` any more."""
        if state is State.PARKED and record.spec.name is not None:
            self.name_rests(record.spec.name, False)

    def up(self, record: Record, run: Run, now: float) -> None:
        """Enter that `run` is up: a new generation."""
        with self.lock:
            self._forget_ref(record)
            record.ref = run.ref
            if self._by_ref:
                self._refs[run.ref.actor_urn] = record
            record.generation += 1
            record.restarts += record.mode == "restart"
            record.up_at = now
            self.move(record, State.RUNNING)
        self._wake(record)

    def _wake(self, record: Record) -> None:
        """Tell those who wait for a child."""
        if self._when_up:
            with self.lock:
                waiting = self._when_up.pop(record.key, ())
            for function in waiting:
                function()

    def when_up(self, key: Hashable, function: Callable[[], object]) -> Callable[[], None]:
        """Call `function` once, when that child is up next, or will not come by itself; returns what ends that."""
        with self.lock:
            self._when_up.setdefault(key, []).append(function)

        def undo() -> None:
            with self.lock:
                waiting = self._when_up.get(key, [])
                if function in waiting:
                    waiting.remove(function)
                if not waiting:
                    self._when_up.pop(key, None)

        return undo

    def ended(self, record: Record, reason: ExitReason) -> None:
        """Enter that the current run is over; the state is changed by what is decided next."""
        with self.lock:
            record.run = None
            record.up_at = None
            record.last_exit = reason

    def _forget_ref(self, record: Record) -> None:
        if self._by_ref and record.ref is not None:
            self._refs.pop(record.ref.actor_urn, None)

    def info(self, record: Record) -> ChildInfo:
        """Describe one child."""
        with self.lock:
            alive = record.state in {State.RUNNING, State.STOPPING} and record.up_at is not None
            return ChildInfo(
                id=None if self._by_ref else record.id,
                ref=record.ref if alive else None,
                state=record.state,
                type=record.spec.type or "worker",
                restart=RestartType(record.spec.restart),
                significant=record.spec.significant,
                generation=record.generation,
                restarts=record.restarts,
                started_at=record.up_at,
                last_exit=record.last_exit,
                next_attempt_at=record.next_attempt_at,
                held_by_zombie=record.held,
            )

    def infos(self) -> list[ChildInfo]:
        """Describe all children, in start order."""
        with self.lock:
            return [self.info(record) for record in self._records.values()]

    def counts(self) -> Counts:
        """Count in O(1)."""
        with self.lock:
            total = len(self._records)
            return Counts(
                specs=total,
                active=self._states[State.RUNNING] + self._states[State.STOPPING],
                supervisors=self._supervisors,
                workers=total - self._supervisors,
                restarting=self._states[State.RESTARTING],
                parked=self._states[State.PARKED],
                zombies=len(self.zombies),
            )
