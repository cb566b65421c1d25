"""What people do about tool calls that wait for them; part of the handle on an agent."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from alloy_actors.approvals import Verdict
from alloy_actors.config import check_name
from alloy_actors.errors import ConfigError
from alloy_actors.middleware import check_arguments

if TYPE_CHECKING:
    from alloy_actors.actors.entry import AgentEntry
    from alloy_actors.approvals import Approval

DENIED = "the person who was asked said no"


class ApprovalCalls:
    """None of these waits for anything: they may be called on any thread and loop, and inside `on_event`."""

    __slots__ = ()
    _entry: AgentEntry

    def approvals(self) -> list[Approval]:
        """The tool calls that wait for a decision, in call order; empty where none does."""
        self._entry.check_process()
        return list(self._entry.pending_approvals())

    def approve(self, request_id: str, call_id: str, *, input: dict[str, Any] | None = None) -> bool:  # noqa: A002  (the tool call's own word)
        """Let a tool call run that waits for it.

        Args:
            request_id: Of the run; the event and the `Approval` have it.
            call_id: Of the call.
            input: Other arguments to run it with, all of them; the model still sees the call it made.

        Returns:
            False when it was decided already, or its run is over: the first decision counts.

        Raises:
            ConfigError: This agent has asked for no such approval, or `input` is no dict of plain JSON data.
        """
        if input is not None:
            check_arguments("approve: input", "input", input)
        # A copy: what was checked is what runs, whatever the caller does to its dict.
        verdict = Verdict(approved=True, input=copy.deepcopy(input))
        return self._decide("approve", request_id, call_id, verdict)

    def deny(self, request_id: str, call_id: str, reason: str = DENIED) -> bool:
        """Do not let a tool call run that waits for a decision: the model is told the reason, and the run goes on.

        Returns:
            As `approve`.

        Raises:
            ConfigError: This agent has asked for no such approval, or the reason is no text.
        """
        check_name("deny", "reason", reason)
        return self._decide("deny", request_id, call_id, Verdict(approved=False, reason=reason))

    def _decide(self, call: str, request_id: str, call_id: str, verdict: Verdict) -> bool:
        entry = self._entry
        entry.check_process()
        run = entry.book.running()
        running = run is not None and run.id == request_id
        decided = entry.approvals.decide(request_id, call_id, verdict, running=running)
        if decided is None:
            waiting = ", ".join(f"({one.request_id!r}, {one.call_id!r})" for one in entry.pending_approvals())
            msg = (
                f"{call}: agent {entry.name!r} has asked for no approval of call {call_id!r} in request {request_id!r}; "
                f"waiting: {waiting or 'none'}"
            )
            raise ConfigError(msg)
        return decided
