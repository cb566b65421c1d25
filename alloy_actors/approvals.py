"""Approvals: what a person has to decide before a tool call runs, and where the decision is left.

An agent has one `Approvals`, which outlives the incarnations of its actor: a decision that comes while the agent is away
waits for it. What a process decided is in the log as well (see `alloy_actors.consent`).
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """A tool call that waits for a decision.

    Args:
        request_id: The run's.
        call_id: The call's.
        turn: Of the reply that makes the call; 1 is the run's first.
        name: The tool's.
        input: The arguments it would run with.
        reason: Why it is asked about; the middleware's words.
    """

    request_id: str
    call_id: str
    turn: int
    name: str
    input: dict[str, Any]
    reason: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was decided.

    Args:
        approved: Whether the call may run.
        reason: For the model, where it may not.
        input: The arguments to run it with, where it may; None keeps those that were shown.
    """

    approved: bool
    reason: str = ""
    input: dict[str, Any] | None = None


class _Slot:
    __slots__ = ("approval", "notify", "verdict")

    def __init__(self, approval: Approval, notify: Callable[[str], object]) -> None:
        self.approval = approval
        self.notify = notify
        self.verdict: Verdict | None = None


_NOTHING: dict[str, _Slot] = {}  # never written to: an idle agent keeps no empty containers


class Approvals:
    """One agent's; every method may be called from any thread, and none waits."""

    __slots__ = ("_on_waiting", "_request_id", "_slots")

    _lock = threading.Lock()  # shared: it is held for a few look-ups at a time

    def __init__(self) -> None:
        self._request_id: str | None = None  # whose approvals these are: an agent has one run at a time
        self._slots = _NOTHING  # by call id
        self._on_waiting: tuple[Callable[[], object], ...] = ()

    def ask(self, approval: Approval, notify: Callable[[str], object]) -> bool:
        """Let it be decided; whether it has been already, while nobody was there to be told.

        Args:
            approval: Takes the place of an earlier one of the same call.
            notify: Called once with the call's id, on whatever thread decides; before this returns where it is decided.
        """
        with self._lock:
            if self._request_id != approval.request_id:
                self._request_id, self._slots = approval.request_id, {}
            slot = self._slots.get(approval.call_id)
            if slot is None or slot.approval.turn != approval.turn:  # a model may use an id again
                slot = self._slots[approval.call_id] = _Slot(approval, notify)
            slot.approval, slot.notify = approval, notify
            decided = slot.verdict is not None
            on_waiting: tuple[Callable[[], object], ...] = ()
            if not decided:
                on_waiting, self._on_waiting = self._on_waiting, ()
        if decided:
            notify(approval.call_id)
        for tell in on_waiting:
            tell()
        return decided

    def decide(self, request_id: str, call_id: str, verdict: Verdict, *, running: bool = True) -> bool | None:
        """Leave a decision: False where there is one already, or the run is over; None where nobody has asked."""
        with self._lock:
            slot = self._slots.get(call_id) if request_id == self._request_id else None
            if slot is None:
                return None
            if slot.verdict is not None or not running:
                return False
            if verdict.approved and verdict.input is None:
                # What was shown is what runs, whatever a hook makes of the call later.
                verdict = replace(verdict, input=slot.approval.input)
            slot.verdict, notify = verdict, slot.notify
        notify(call_id)
        return True

    def verdict(self, call_id: str) -> Verdict:
        """What was decided about a call whose `notify` was called."""
        with self._lock:
            verdict = self._slots[call_id].verdict
        assert verdict is not None
        return verdict

    def when_waiting(self, request_id: str | None, tell: Callable[[], object]) -> None:
        """Call `tell()`, once, when something waits for a decision: now, where it does in that request's run."""
        with self._lock:
            waits = bool(self._pending(request_id))
            if not waits:
                self._on_waiting += (tell,)
        if waits:
            tell()

    def pending(self, request_id: str | None) -> tuple[Approval, ...]:
        """What waits in that request's run, in call order."""
        with self._lock:
            return self._pending(request_id)

    def _pending(self, request_id: str | None) -> tuple[Approval, ...]:
        if request_id is None or request_id != self._request_id:
            return ()
        return tuple(slot.approval for slot in self._slots.values() if slot.verdict is None)
