"""The log of an agent: what happened, in order, written before each effect.

Whoever appends holds a token. Every incarnation of an agent takes a new one before it reads the log, and an older
token is refused, so a run of a dead incarnation can write nothing. Folding the records (see
`alloy_actors.conversation`) gives the conversation: a live run and a restart read them with the same code.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeAlias

from alloy_actors.content import NO_USAGE, Message, StopReason, ToolResult, Usage

if TYPE_CHECKING:
    from alloy_actors.result import Status


@dataclass(frozen=True, slots=True)
class Seeded:
    """A conversation was given at the start, or the log was compacted to it."""

    messages: tuple[Message, ...]
    usage: Usage = NO_USAGE


@dataclass(frozen=True, slots=True)
class Accepted:
    """A request was accepted: from here on it is not lost."""

    request_id: str
    message: Message


@dataclass(frozen=True, slots=True)
class RunBegan:
    """The request left the queue; its message joins the conversation."""

    request_id: str
    message: Message


@dataclass(frozen=True, slots=True)
class RequestSent:
    """The provider is about to be asked."""

    request_id: str
    turn: int
    model: str


@dataclass(frozen=True, slots=True)
class Replied:
    """The provider's message; `tool_use` blocks in it are open calls until they have their results."""

    request_id: str
    message: Message
    stop_reason: StopReason
    usage: Usage


@dataclass(frozen=True, slots=True)
class ToolCallStarted:
    """A call is about to have its effect."""

    request_id: str
    call_id: str


@dataclass(frozen=True, slots=True)
class ToolCallEnded:
    """A call has its result."""

    request_id: str
    result: ToolResult


@dataclass(frozen=True, slots=True)
class Closed:
    """What the one door added, so that the history can be sent again.

    Args:
        results: For the calls of the last reply that had none, in call order.
        message: An assistant message where the history would else end with the user; it says what happened.
    """

    request_id: str
    results: tuple[ToolResult, ...] = ()
    message: Message | None = None


@dataclass(frozen=True, slots=True)
class RunEnded:
    """The run is over."""

    request_id: str
    status: Status


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """A request was cancelled before its run began."""

    request_id: str


@dataclass(frozen=True, slots=True)
class WasReset:
    """The conversation starts anew."""


@dataclass(frozen=True, slots=True)
class ModelChanged:
    """Later requests go to another model."""

    model: str


Record: TypeAlias = (
    Seeded
    | Accepted
    | RunBegan
    | RequestSent
    | Replied
    | ToolCallStarted
    | ToolCallEnded
    | Closed
    | RunEnded
    | Withdrawn
    | WasReset
    | ModelChanged
)

OnAppended: TypeAlias = Callable[[Exception | None], object]
"""Called once, on any thread, when the records are as safe as the store makes them, or with what went wrong."""


class Store(Protocol):
    """An append-only log per agent; every method may be called from any thread and none blocks for long."""

    def take_token(self, agent_id: str) -> int:
        """A token newer than all before it; from now on appends with older ones are refused."""

    def append(self, agent_id: str, token: int, records: Sequence[Record], on_appended: OnAppended) -> None:
        """Append all records or none, in call order; the outcome goes to `on_appended` (FencedError: old token)."""

    def compact(self, agent_id: str, token: int, records: Sequence[Record], on_compacted: OnAppended) -> None:
        """Replace the agent's log by `records`, all or nothing; the rules of `append` hold."""

    def load(self, agent_id: str) -> Sequence[Record]:
        """All records of the agent, oldest first; empty for an unknown one."""

    def retire(self, agent_id: str) -> None:
        """The agent was stopped: a store that does not outlive the process forgets it, others keep it."""

    def delete(self, agent_id: str) -> None:
        """Forget the agent's records and refuse all tokens given so far."""

    def agents(self) -> list[str]:
        """The ids of agents that have records."""

    def close(self) -> None:
        """Let go of files and threads; appends after this fail."""


@dataclass(frozen=True, slots=True)
class Journal:
    """The right to append to one agent's log, until a newer incarnation takes it over."""

    agent_id: str
    token: int
    store: Store

    async def append(self, *records: Record) -> None:
        """Return when the records are recorded.

        Raises:
            FencedError: A newer incarnation has the log.
            AlloyError: The store could not write.
        """
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[None] | None = None
        outcome: list[Exception | None] = []

        def settle(error: Exception | None) -> None:
            if waiter is not None and not waiter.done():
                if error is None:
                    waiter.set_result(None)
                else:
                    waiter.set_exception(error)

        def on_appended(error: Exception | None) -> None:
            outcome.append(error)
            # The store answered on a thread of its own; a synchronous answer never gets here with a waiter.
            if waiter is not None:
                loop.call_soon_threadsafe(settle, error)

        self.store.append(self.agent_id, self.token, records, on_appended)
        if not outcome:
            waiter = loop.create_future()
            # The answer may have come between the check and the assignment.
            if outcome:
                settle(outcome[0])
            await waiter
            return
        if (error := outcome[0]) is not None:
            raise error
