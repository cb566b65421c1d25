"""What a run is asked to do, and how one may end."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

from alloy_actors.errors import AlloyError, HaltedError
from alloy_actors.middleware import NO_HOOKS, Halt, Hooks
from alloy_actors.result import Status

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from alloy_actors.approvals import Approvals
    from alloy_actors.config import RunConfig
    from alloy_actors.content import Message
    from alloy_actors.deadline import RunTime
    from alloy_actors.journal import Accepted
    from alloy_actors.provider import Provider
    from alloy_actors.reporting import OnEvents

Ending: TypeAlias = tuple[Status, AlloyError | None]
"""How a run ends, and what went wrong."""

COMPLETED: Final[Ending] = ("completed", None)


class Cancellation:
    """Whether somebody was told that a run is cancelled; may be set from any thread."""

    __slots__ = ("told",)

    def __init__(self) -> None:
        self.told = False

    def check(self) -> None:
        """Have no effect after that: the run's task hears of it a moment later.

        Raises:
            asyncio.CancelledError: Somebody was told.
        """
        if self.told:
            raise asyncio.CancelledError


def halted_by(halt: Halt) -> Ending:
    """The ending that a middleware asks for."""
    return "halted", HaltedError(f"Halted by middleware: {halt.reason}")


@dataclass(frozen=True, slots=True)
class RunSpec:
    """What a run is asked to do.

    Args:
        request_id: Names the run in records, events and logs.
        agent: The agent's name.
        message: What the user says; None continues from the history alone.
        config: Limits, tools, system prompt.
        provider: Who answers (an agent's may have been switched since its start).
        on_events: None when nobody listens; then no event is made and the wire does not stream.
        numbers: The seq of the next event; None begins at 1.
        time: What it may still take; None is all of `config.timeout`.
        steering: Takes what the user has said since, as (request id, message); asked where a turn has ended.
        hooks: Of the middleware.
        asker: Who takes turns with other agents where requests to a provider wait; "" is this run by itself.
        approvals: Where people decide about tool calls; None where nobody can.
        accepted: Of a request that is not in the log: the run begins with it. Should the store not take the first thing
            that the run writes, there was no run.
        recorded: Called on the loop when the store has taken the first thing that the run wrote.
    """

    request_id: str
    agent: str
    message: Message | None
    config: RunConfig
    provider: Provider
    on_events: OnEvents | None = None
    numbers: Iterator[int] | None = None
    time: RunTime | None = None
    steering: Callable[[], Sequence[tuple[str, Message]]] | None = None
    hooks: Hooks = NO_HOOKS
    asker: str = ""
    approvals: Approvals | None = None
    accepted: Accepted | None = None
    recorded: Callable[[], object] | None = None
