"""What a supervisor must do, said a second time and as plainly as possible: the specification as a small program.

Here everybody obeys at once: a child that is asked to stop has stopped, a start has its outcome, so between two calls
nothing is in progress but delays. Whatever a real supervisor does must come to the same: the same starts and stops in the
same order, the same states, the same end. Restart rules after OTP's supervisor; delays are ours.
"""

from __future__ import annotations

from dataclasses import dataclass, field

RUNNING, STOPPED, RESTARTING = "running", "stopped", "restarting"
UP, FAIL, IGNORE = "up", "fail", "ignore"


@dataclass(eq=False)
class Child:
    """A record; `plan` are the outcomes of its next starts, after them it comes up."""

    id: object
    restart: str
    significant: bool
    plan: list[str]
    position: int
    state: str = STOPPED
    ups: int = 0
    up_at: float = 0.0
    attempts: int = 0  # in a row
    due: tuple[float, int] | None = (
        None  # of its next attempt, under one_for_one; what was planned first is first
    )


@dataclass(eq=False)
class Group:
    """A restart of several children that waits for its time."""

    first: int
    failed: list[Child]
    due: float
    left: set[Child] = field(default_factory=set)  # terminated by hand meanwhile


class Model:
    """See the module; times are seconds."""

    def __init__(
        self,
        *,
        strategy: str = "one_for_one",
        auto_shutdown: str = "never",
        max_restarts: int = 3,
        max_seconds: float = 5.0,
        backoff=None,
        dynamic: bool = False,
    ) -> None:
        self.strategy, self.auto_shutdown, self.dynamic = strategy, auto_shutdown, dynamic
        self.max_restarts, self.max_seconds, self.backoff = max_restarts, max_seconds, backoff
        self.now = 0.0
        self.children: list[Child] = []
        self.log: list[tuple[str, object]] = []
        self.ended: tuple | None = None
        self._times: list[float] = []
        self._group: Group | None = None
        self._positions = self._plans = 0

    def find(self, child_id: object) -> Child | None:
        return next((child for child in self.children if child.id == child_id), None)

    def running(self) -> list[Child]:
        return [child for child in self.children if child.state == RUNNING]

    # Operations: each returns what the caller sees

    def start_child(self, child_id: object, restart: str, significant: bool, plan: list[str]) -> str | None:
        found = self.find(child_id)
        if found is not None:
            return "AlreadyStarted" if found.state == RUNNING else "AlreadyPresent"
        child = Child(child_id, restart, significant, plan, self._positions)
        self._positions += 1
        self.children.append(child)
        outcome = self._start(child)
        if outcome == FAIL:
            self.children.remove(child)
            return "StartFailed"
        return UP if outcome == UP else None

    def terminate_child(self, child_id: object) -> str | None:
        child = self.find(child_id)
        if child is None:
            return "NotFound"
        ran, group = child.state == RUNNING, self._group
        if group is not None and child.position >= group.first:
            group.left.add(child)
            group.failed = [other for other in group.failed if other is not child]
        if ran:
            self._stop(child)
        if ran or child.state != STOPPED:
            self._settle(child)
        if group is not None and not group.failed:
            self._drop_group()
        return "Shutdown" if ran else None

    def restart_child(self, child_id: object) -> str | None:
        child = self.find(child_id)
        if child is None:
            return "NotFound"
        if child.state != STOPPED:
            return "Running" if child.state == RUNNING else "Restarting"
        if self._group is not None:
            self._group.left.discard(child)
        outcome = self._start(child)
        if outcome == UP:
            child.attempts = 0
            return UP
        self._settle(child)
        return "StartFailed" if outcome == FAIL else None

    def delete_child(self, child_id: object) -> str | None:
        child = self.find(child_id)
        if child is None:
            return "NotFound"
        if child.state != STOPPED:
            return "Running" if child.state == RUNNING else "Restarting"
        self.children.remove(child)
        return None

    def stop(self, why: tuple = ("stopped",)) -> None:
        """End all children, the last first, then the supervisor."""
        for child in reversed(self.running()):
            self._stop(child)
        self.ended = why

    # Ends of children, and time

    def exit(self, child_id: object, *, ok: bool) -> None:
        """A running child ends by itself; `ok`: as it was meant to."""
        child = self.find(child_id)
        assert child is not None
        assert child.state == RUNNING
        if child.restart == "temporary" or (child.restart == "transient" and ok):
            self._settle(child)
            if child.significant:
                self._significant_ended()
            return
        enough = self.max_seconds if self.backoff is None else self.backoff.reset_uptime
        if self.now - child.up_at >= enough:
            child.attempts = 0
        child.state = RESTARTING
        self._failed(child, was_up=True)

    def advance(self, seconds: float) -> None:
        """Let time pass; attempts are made when they are due."""
        end = self.now + seconds
        while self.ended is None and (due := self.next_due()) is not None and due <= end:
            self.now = due
            if self._group is not None:
                self._attempt_group()
            else:
                self._attempt(min(self._waiting(), key=lambda child: child.due))
        self.now = end

    def _waiting(self) -> list[Child]:
        return [child for child in self.children if child.due is not None]

    def next_due(self) -> float | None:
        """When the next attempt will be made."""
        if self._group is not None:
            return self._group.due
        return min((child.due[0] for child in self._waiting()), default=None)

    # Restarts

    def _failed(self, child: Child, *, was_up: bool = False) -> None:
        """A run, or a start that was an attempt, came to nothing."""
        limit = None if self.backoff is None else self.backoff.max_attempts
        if limit is not None and child.attempts >= limit:
            self._give_up(child)
            return
        delay = 0.0 if self.backoff is None else self.backoff.base(child.attempts)
        if self.strategy != "one_for_one":
            self._join_group(child, self.now + delay, was_up=was_up)
        elif self.backoff is None:
            self._attempt(child)
        else:
            self._plans += 1
            child.due = (self.now + delay, self._plans)

    def _attempt(self, child: Child) -> None:
        child.due = None
        if self._is_one_too_many():
            self._give_up(child)
            return
        child.attempts += 1
        if self._start(child) == FAIL:
            child.state = RESTARTING
            self._failed(child)

    def _join_group(self, child: Child, due: float, *, was_up: bool) -> None:
        first = 0 if self.strategy == "one_for_all" else child.position
        if self._group is None:
            self._group = Group(first, [child], due)
        else:
            self._group.first = min(self._group.first, first)
            self._group.failed = [other for other in self._group.failed if other is not child] + [child]
            self._group.due = max(self._group.due, due)
        if self.backoff is None:
            self._attempt_group()
        elif was_up:  # who depends on it must not wait for the delay; after a failed start the others are as they should be
            self._stop_members()

    def _attempt_group(self) -> None:
        """One attempt is one entry, however many children it restarts."""
        group = self._group
        if self._is_one_too_many():
            self._give_up(group.failed[-1])
            return
        for child in group.failed:
            child.attempts += 1
        self._stop_members()
        members = [child for child in self._members() if child not in group.left]
        for number, child in enumerate(members):
            if self._start(child) == FAIL:
                child.state = RESTARTING
                for other in members[number + 1 :]:
                    other.state = STOPPED
                self._group = None
                self._failed(child)
                if self._group is not None:
                    self._group.left |= group.left
                return
        self._group = None

    def _members(self) -> list[Child]:
        return [child for child in self.children if child.position >= self._group.first]

    def _stop_members(self) -> None:
        for child in reversed(self._members()):
            if child.state == RUNNING:
                self._stop(child)
                child.state = RESTARTING
                if child.restart == "temporary":
                    self.children.remove(child)

    def _drop_group(self) -> None:
        """Nobody is left whose restart it was."""
        members, self._group = self._members(), None
        for child in members:
            if child.state == RESTARTING:
                self._settle(child)

    def _is_one_too_many(self) -> bool:
        self._times = [time for time in self._times if time >= self.now - self.max_seconds] + [self.now]
        return len(self._times) > self.max_restarts

    def _give_up(self, child: Child) -> None:
        self._settle(child)
        self.stop(("gave up", child.id))

    # One child

    def _start(self, child: Child) -> str:
        self.log.append(("start", child.id))
        outcome = child.plan.pop(0) if child.plan else UP
        if outcome == UP:
            child.state = RUNNING
            child.ups += 1
            child.up_at = self.now
        else:
            child.state = STOPPED
            if outcome == IGNORE:
                self._settle(child)
        return outcome

    def _stop(self, child: Child) -> None:
        self.log.append(("stop", child.id))
        child.state = STOPPED
        if self.now - child.up_at >= (
            self.max_seconds if self.backoff is None else self.backoff.reset_uptime
        ):
            child.attempts = 0

    def _settle(self, child: Child) -> None:
        """It has ended for good: what it was is kept, or forgotten."""
        child.state, child.due, child.attempts = STOPPED, None, 0
        if self.dynamic or child.restart == "temporary":
            self.children.remove(child)

    def _significant_ended(self) -> None:
        left = [child for child in self.children if child.significant and child.state != STOPPED]
        if self.auto_shutdown == "any_significant" or (self.auto_shutdown == "all_significant" and not left):
            self.stop(("significant",))
