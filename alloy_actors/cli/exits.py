"""Exit codes: how a run ended, for scripts."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from alloy_actors.result import Result, Status

DONE = 0
FAILED = 1  # the model's side, a tool server, the store; and what `doctor` and `store check` found
USAGE = 2  # a wrong flag, no key, a file that is none of ours
CLOSED_PIPE = 128 + signal.SIGPIPE
CANCELLED = 128 + signal.SIGINT

BY_STATUS: dict[Status, int] = {
    "completed": DONE,
    "error": FAILED,
    "max_turns": 3,
    "budget_exceeded": 4,
    "halted": 5,
    "cancelled": CANCELLED,
}

HELP = (
    "Exit codes: 0 completed, 1 the run failed, 2 a mistake in the command line, 3 the turn limit was reached, 4 the budget "
    "was used up, 5 halted, 130 cancelled (Ctrl-C), 141 nobody reads the output any more, 143 ended by SIGTERM."
)


def code_of(result: Result, signum: int | None = None) -> int:
    """The exit code for a result; `signum` is the signal that cancelled the run, if one did."""
    if result.status == "cancelled" and signum is not None:
        return 128 + signum
    return BY_STATUS[result.status]
