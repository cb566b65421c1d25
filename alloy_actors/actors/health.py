"""How an agent is doing, as a value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from alloy_actors.content import Usage


@dataclass(frozen=True, slots=True)
class Health:
    """How an agent is doing.

    Args:
        status: "idle" or "running" while it is up, "asleep" when it was idle for `idle_timeout`; else "starting",
            "restarting", "parked" or "stopped".
        model: The model that answers the next request.
        turns: Replies in the last run that has ended.
        message_count: Messages in the conversation.
        usage: Tokens of all its runs.
        cost_cents: Cents of all its runs; None where no price is known, and while there is no actor to ask.
        uptime: Seconds since this incarnation came up; 0.0 while none is up.
        pending_count: Requests that wait behind the running one.
        max_pending: How many may.
        pending_approvals: Tool calls of the running request that wait until somebody approves or denies them.
        restarts: How often it was brought back.
        loop_lag: Seconds by which the runtime's event loop is late; 0.0 when it is at ease.
    """

    status: Literal["idle", "running", "asleep", "starting", "restarting", "parked", "stopped"]
    model: str
    turns: int
    message_count: int
    usage: Usage
    uptime: float
    pending_count: int
    max_pending: int
    restarts: int
    loop_lag: float
    cost_cents: float | None = None
    pending_approvals: int = 0

    @property
    def busy(self) -> bool:
        """Whether a run is on."""
        return self.status == "running"
