"""Restarts of several children together: one_for_all and rest_for_one.

A group restart has up to three parts, each a state of `Group` and none of them a wait: the members are ended, the last
first; the attempt falls due, is entered in the window once, whatever the number of members, and waits for the threads of
abandoned members that hold what the next run needs; the members are started, the first first. A start that fails ends the
attempt and plans the next one. Source: OTP supervisor, `restart_multiple_children/3`; delays and merging are ours.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from supervisors.children import State
from supervisors.core import Core
from supervisors.reasons import Killed, Normal
from supervisors.spec import RestartType, Strategy

if TYPE_CHECKING:
    from supervisors.backoff import Backoff
    from supervisors.children import Record, Reply
    from supervisors.clock import Timer
    from supervisors.reasons import ExitReason


class Group:
    """One restart of all children from a place in start order on.

    first: Position of the first member.
    failed: Whose restart it is, the latest last; without any left it is dropped.
    left: Members that were stopped by hand meanwhile: this restart does not start them.
    due: Clock seconds of the attempt.
    plan: How often the attempt was planned; the timer of an earlier plan is void.
    counted: The attempt has been entered in the window.
    to_end: Members still to be ended, while that is under way.
    to_start: Members still to be started, once that has begun.
    awaited: The member whose end or start has to come next.
    """

    __slots__ = (
        "awaited",
        "counted",
        "due",
        "failed",
        "first",
        "left",
        "plan",
        "timer",
        "to_end",
        "to_start",
    )

    def __init__(self, first: int, due: float) -> None:
        self.first = first
        self.failed: dict[Record, None] = {}
        self.left: set[Record] = set()
        self.due = due
        self.plan = 0
        self.timer: Timer | None = None
        self.counted = False
        self.to_end: list[Record] | None = None
        self.to_start: deque[Record] | None = None
        self.awaited: Record | None = None

    def merge(self, first: int, due: float) -> None:
        """Make the attempt that is planned, or still ends members, one for earlier members too."""
        self.first = min(self.first, first)
        self.due = max(self.due, due)
        self.counted = False

    def begin_anew(self, first: int, due: float) -> None:
        """Forget the attempt that was starting members: another one, from `first` on, takes its place."""
        self.first, self.due = first, due
        self.failed.clear()
        self.counted = False
        self.to_start = self.awaited = None


class GroupCore(Core):
    """The state machine of supervisors whose children may depend on each other."""

    is_up = False  # all initial children are up
    _group: Group | None = None

    @property
    def busy(self) -> bool:
        """Whether members are being ended or started: operations on children wait for that, a stop does not."""
        group = self._group
        return group is not None and (group.to_end is not None or group.to_start is not None)

    def is_coming(self, record: Record) -> bool:
        if super().is_coming(record):
            return True
        group = self._group  # any thread may ask
        return group is not None and record.position >= group.first and record not in group.left

    # What becomes of an end

    def come_back(self, record: Record, reason: ExitReason, backoff: Backoff | None, *, was_up: bool) -> None:
        if self.options.strategy is Strategy.ONE_FOR_ONE:
            super().come_back(record, reason, backoff, was_up=was_up)
            return
        now = self.port.clock.now()
        is_planned = self._group is not None and not self._group.counted
        at_once = was_up and backoff is None and not is_planned
        if at_once and self.window.record(now, record.key):
            self.exceeded(record, reason)
            return
        delay = 0.0 if backoff is None else backoff.delay(record.attempts, self.random)
        group = self._join(record, now + delay)
        self.table.move(record, State.RESTARTING, None if at_once else group.due)
        self.announce(record, reason, max(0.0, group.due - now))
        if at_once:
            self._count(group)
        else:
            self._plan(group)
        if was_up:
            group.to_end = self._members(group)  # now, not when the attempt is due: they depend on it
        elif group.to_end is None:
            for member in self._waiting_members(group):
                if member not in group.failed:
                    self.table.move(member, State.STOPPED)
        self.advance()

    def _join(self, record: Record, due: float) -> Group:
        """Make `record` a cause of the group restart: of the one that is planned or still ends members, or a new one."""
        group = self._group
        first = 0 if self.options.strategy is Strategy.ONE_FOR_ALL else record.position
        if group is None:
            group = self._group = Group(first, due)
        elif group.to_start is not None:
            group.begin_anew(first, due)  # members before that one are up
        else:
            group.merge(first, due)
        group.failed[record] = None
        return group

    def is_bystander(self, record: Record) -> bool:
        group = self._group
        return group is not None and group.to_end is not None and record.position >= group.first

    def ended_on_request(self, record: Record, reason: ExitReason, uptime: float | None) -> None:
        group = self._group
        if group is None or self.stopping or not self.is_bystander(record) or not self._comes_along(record):
            super().ended_on_request(record, reason, uptime)
        elif reason == Killed(abandoned=True) and record.spec.on_stuck == "escalate":
            self.escalate(record, reason)
        else:
            if uptime is not None:
                self.note_uptime(record, uptime)
            self.table.move(record, State.RESTARTING, None if group.counted else group.due)
            self.notify(record, reason, "restart", max(0.0, group.due - self.port.clock.now()))

    # The attempt

    def _plan(self, group: Group) -> None:
        """Let the attempt fall due at `group.due`; behind what already waits when that is now."""
        group.plan += 1
        if group.timer is not None:
            group.timer.cancel()
            group.timer = None
        delay = group.due - self.port.clock.now()
        if delay <= 0:
            self.port.post(self._due, group, group.plan)
        else:
            group.timer = self._later(delay, self._due, group, group.plan)

    def _due(self, group: Group, plan: int) -> None:
        if group is not self._group or group.plan != plan or not group.failed:
            return
        record = next(reversed(group.failed))
        if self.window.record(self.port.clock.now(), record.key):
            self.exceeded(record, record.last_exit or Normal())
        else:
            self._count(group)
            if group.to_end is None:
                group.to_end = self._members(group)
            self.advance()

    def _count(self, group: Group) -> None:
        """The attempt has been entered in the window: go on as soon as the members have ended."""
        group.counted = True
        for record in group.failed:
            record.attempts += 1

    def advance(self) -> None:
        """Do what comes next; called whenever that may have changed."""
        group = self._group
        if group is None or group.awaited is not None or self.stopping or not self.is_up:
            return
        if group.to_end is not None and self._end_last_member(group, group.to_end):
            return
        group.to_end = None
        if not group.failed and group.to_start is None:
            self._drop(group)
        elif group.counted:
            self._start_members(group)
        if not self.busy:
            self.at_rest()

    def _end_last_member(self, group: Group, members: list[Record]) -> bool:
        """End the last member that runs; False when none does."""
        while members and members[-1].run is None:
            members.pop()
        if not members:
            return False
        record = group.awaited = members[-1]
        # One that somebody else starts or stops is waited for; then it is looked at again.
        if record.stop is None and record.state is not State.STARTING:
            self.stop_child(record, None)
        return True

    def _start_members(self, group: Group) -> None:
        """Start the next member."""
        if group.to_start is None:
            members = [one for one in self._members(group) if one.run is None and self._comes_along(one)]
            for record in members:
                record.held = record.spec.on_stuck == "hold" and self.has_zombie(record)
                if record.held:
                    self.table.move(record, State.RESTARTING)
            if any(record.held for record in members):
                return  # all wait, until `zombie_gone`
            group.to_start = deque(members)
        while group.to_start:
            record = group.to_start.popleft()
            if self.table.contains(record) and record.run is None and self._comes_along(record):
                group.awaited = record
                record.mode = "restart"
                self.table.move(record, State.RESTARTING)
                self.launch(record)
                return
        self._group = None

    def flush(self, record: Record) -> None:
        super().flush(record)
        group = self._group
        if group is not None and group.awaited is record and (record.run is None or record.up_at is not None):
            group.awaited = None
            self.port.post(self.advance)

    def zombie_gone(self, record: Record) -> None:
        group = self._group
        if group is None or not group.counted or record.position < group.first:
            super().zombie_gone(record)
        self.advance()

    # Giving up

    def terminate(self, record: Record, reply: Reply, timeout: float) -> None:
        group = self._group
        if group is not None and record.position >= group.first:
            group.left.add(record)
            group.failed.pop(record, None)
        super().terminate(record, reply, timeout)
        self.advance()

    def start_again(self, record: Record, reply: Reply) -> None:
        if self._group is not None:
            self._group.left.discard(record)
        super().start_again(record, reply)

    def before_stop(self) -> None:
        super().before_stop()
        if self._group is not None:
            self._forget(self._group)

    def _drop(self, group: Group) -> None:
        """Give up the restart: whoever it was for has been stopped by hand, and the others depend on that."""
        self._forget(group)
        for record in self._waiting_members(group):
            self.stopped_for_good(record, record.last_exit or Normal())

    def _forget(self, group: Group) -> None:
        self._group = None
        if group.timer is not None:
            group.timer.cancel()

    # Who belongs to it

    def _members(self, group: Group) -> list[Record]:
        return [record for record in self.table.records() if record.position >= group.first]

    def _waiting_members(self, group: Group) -> list[Record]:
        """List the members that were ended for this restart and have not been started yet."""
        return [
            record
            for record in self._members(group)
            if record.state is State.RESTARTING and record.run is None
        ]

    def _comes_along(self, record: Record) -> bool:
        """Whether the group restart starts a member: also one that had been stopped before it, by hand or by itself."""
        return (self._group is None or record not in self._group.left) and self.revives(record)

    def revives(self, record: Record) -> bool:
        """Whether a group restart may start a child at all."""
        return record.spec.restart is not RestartType.TEMPORARY

    # For the kind of supervisor

    def at_rest(self) -> None:
        """No members are being ended or started any more."""
        raise NotImplementedError
