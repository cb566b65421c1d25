"""The log of an agent: what happened, in order, written before each effect.

Whoever appends holds a token. Every incarnation of an agent takes a new one before it reads the log, and an older
token is refused, so a run of a dead incarnation can write nothing. Folding the records (see
`alloy_actors.conversation`) gives the conversation: a live run and a restart read them with the same code.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias

from alloy_actors.appending import Append
from alloy_actors.content import NO_USAGE, Message, ProviderState, StopReason, ToolResult, Usage

if TYPE_CHECKING:
    from alloy_actors.result import Status


WhenBusy: TypeAlias = Literal["queue", "reject", "steer", "interrupt"]
"""What becomes of a request that is handed in during a run: it waits behind others, is refused, joins the run at its next
turn, or ends the run and takes its place."""

Reminder: TypeAlias = Literal["until_tool", "output", "final_answer"]
"""The option of a run that its loop reminds the model of."""


@dataclass(frozen=True, slots=True)
class Seeded:
    """A conversation was given at the start, or the log was compacted to it."""

    messages: tuple[Message, ...]
    usage: Usage = NO_USAGE
    provider_state: ProviderState | None = None
    cost_cents: float | None = None


@dataclass(frozen=True, slots=True)
class Accepted:
    """A request was accepted: from here on it is not lost.

    Args:
        request_id: Its id.
        message: The user's.
        when_busy: What becomes of it while another run is on.
    """

    request_id: str
    message: Message
    when_busy: WhenBusy = "queue"


@dataclass(frozen=True, slots=True)
class RunBegan:
    """The request left the queue; its message joins the conversation (None: the run goes on from the history)."""

    request_id: str
    message: Message | None


@dataclass(frozen=True, slots=True)
class RunResumed:
    """A new incarnation goes on with a run that was on when the last one ended.

    Args:
        request_id: The run's.
        attempt: 2 for the first time, and so on: a run that goes on and on crashing must end.
    """

    request_id: str
    attempt: int


@dataclass(frozen=True, slots=True)
class RunSuspended:
    """The system was stopped in an orderly way while the run was on; the next start goes on with it, at no fault of its."""

    request_id: str


@dataclass(frozen=True, slots=True)
class Steered:
    """A request that steers joined the run `request_id`: its message is part of it, and so is its end.

    Args:
        request_id: The run's.
        steering_id: Of the request that joined; it is finished when the run is.
        message: The user's; joins the conversation.
    """

    request_id: str
    steering_id: str
    message: Message


@dataclass(frozen=True, slots=True)
class Reminded:
    """The loop was not content with the last reply, or says that the next is the last.

    Args:
        request_id: The run's.
        about: The option that it is about.
        message: Joins the conversation as the user's; None where the result of a call has said it.
    """

    request_id: str
    about: Reminder
    message: Message | None = None


@dataclass(frozen=True, slots=True)
class RequestSent:
    """The provider is about to be asked."""

    request_id: str
    turn: int
    model: str


@dataclass(frozen=True, slots=True)
class Replied:
    """The provider's message; `tool_use` blocks in it are open calls until they have their results.

    `provider_state` replaces what there was of it; None leaves it. `cost_cents` is None where no price is known.
    """

    request_id: str
    message: Message
    stop_reason: StopReason
    usage: Usage
    provider_state: dict[str, Any] | None = None
    cost_cents: float | None = None


@dataclass(frozen=True, slots=True)
class ApprovalAsked:
    """A call of the last reply must not run before somebody has decided about it.

    Args:
        request_id: The run's.
        call_id: The call's.
        reason: Why it is asked about.
    """

    request_id: str
    call_id: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class ApprovalDecided:
    """Somebody has.

    Args:
        request_id: The run's.
        call_id: The call's.
        approved: Whether it may run.
        reason: For the model, where it may not.
        input: The arguments that it may run with; None where it may not run.
    """

    request_id: str
    call_id: str
    approved: bool
    reason: str = ""
    input: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class ToolCallStarted:
    """A call is about to have its effect."""

    request_id: str
    call_id: str


@dataclass(frozen=True, slots=True)
class ToolCallEnded:
    """A call has its result.

    Args:
        request_id: The run's.
        result: What the model is told.
        duration: Seconds, the wait for a worker included.
        error: The diagnostic where it says more than the result's text; for `Result.tool_calls`.
        data: What the tool returned beside its text, as plain JSON data.
    """

    request_id: str
    result: ToolResult
    duration: float = 0.0
    error: str | None = None
    data: Any = None


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
    """The run is over.

    Args:
        request_id: The run's.
        status: Why.
        at: Seconds since the epoch (wall clock), so that a restart knows how old the result is.
        error_type: The class of the result's error; "" for none.
        error: Its text.
        text: The result's text; None where it is that of the last message.
    """

    request_id: str
    status: Status
    at: float = 0.0
    error_type: str = ""
    error: str = ""
    text: str | None = None


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """A request was over before its run began: cancelled, or else with an error; the fields as in `RunEnded`."""

    request_id: str
    at: float = 0.0
    error_type: str = ""
    error: str = ""


@dataclass(frozen=True, slots=True)
class WasReset:
    """The conversation starts anew."""


@dataclass(frozen=True, slots=True)
class Charged:
    """A request of a run has brought it no turn, and wants to be paid all the same: a summary, a reply that was cut off.

    Args:
        request_id: The run's.
        usage: Of that request.
        cost_cents: None where no price is known.
    """

    request_id: str
    usage: Usage
    cost_cents: float | None = None


Part: TypeAlias = Message | tuple[int, int]
"""A new message, or messages that were there before: where they begin in the list, and where they end."""


@dataclass(frozen=True, slots=True)
class WasCompacted:
    """The conversation was made shorter, in the middle of a run.

    Args:
        request_id: The run's.
        parts: The new list of messages; what has not changed is not written again.
        tokens: About how many the next request has.
        before: How many of the new messages were there before the run.
        refused: So many tokens the provider would not take, in the turn that is on; 0 where it was not asked.
    """

    request_id: str
    parts: tuple[Part, ...]
    tokens: int
    before: int = 0
    refused: int = 0

    def rebuilt(self, messages: Sequence[Message]) -> list[Message]:
        """The new list.

        Args:
            messages: The list before.
        """
        new: list[Message] = []
        for part in self.parts:
            if isinstance(part, Message):
                new.append(part)
            else:
                new += messages[part[0] : part[1]]
        return new


def parts_of(new: Sequence[Message], old: Sequence[Message]) -> tuple[Part, ...]:
    """A list of messages in terms of an earlier one: the same objects are the same messages."""
    where = {id(message): position for position, message in enumerate(old)}
    parts: list[Part] = []
    for message in new:
        position = where.get(id(message))
        last = parts[-1] if parts else None
        if position is None:
            parts.append(message)
        elif isinstance(last, tuple) and last[1] == position:
            parts[-1] = (last[0], position + 1)
        else:
            parts.append((position, position + 1))
    return tuple(parts)


@dataclass(frozen=True, slots=True)
class ModelChanged:
    """Later requests go to another model."""

    model: str


Record: TypeAlias = (
    Seeded
    | Accepted
    | RunBegan
    | RunResumed
    | RunSuspended
    | Steered
    | Reminded
    | RequestSent
    | Replied
    | ApprovalAsked
    | ApprovalDecided
    | ToolCallStarted
    | ToolCallEnded
    | Closed
    | RunEnded
    | Withdrawn
    | WasReset
    | ModelChanged
    | Charged
    | WasCompacted
)


def unfinished_by(records: Sequence[Record]) -> int:
    """By how many the records change the number of requests that were accepted and have no end."""
    change = 0
    for record in records:
        change += _CHANGES.get(type(record), 0)
    return change


_CHANGES: dict[type, int] = {
    Accepted: 1,
    RunEnded: -1,
    Withdrawn: -1,
    Steered: -1,  # who steers ends with the run
}


OnAppended: TypeAlias = Callable[[Exception | None], object]
"""Called once, on any thread, when the records are as safe as the store makes them, or with what went wrong."""


class Store(Protocol):
    """An append-only log per agent; every method may be called from any thread and none blocks for long."""

    durable: bool
    """Whether the records outlive the process."""

    def take_token(self, agent_id: str) -> int:
        """A token newer than all before it; from now on appends with older ones are refused."""

    def append(self, agent_id: str, token: int, records: Sequence[Record], on_appended: OnAppended) -> None:
        """Append all records or none, in call order; the outcome goes to `on_appended` (FencedError: old token)."""

    def compact(self, agent_id: str, token: int, records: Sequence[Record], on_compacted: OnAppended) -> None:
        """Replace the agent's log by `records`, all or nothing; the rules of `append` hold."""

    def load(self, agent_id: str) -> Sequence[Record]:
        """All records of the agent, oldest first; empty for an unknown one."""

    def retire(self, agent_id: str, token: int) -> None:
        """The agent was stopped: a store that does not outlive the process forgets it, others keep it.

        Nothing happens when `token` is not the newest: another incarnation has the log.
        """

    def delete(self, agent_id: str) -> None:
        """Forget the agent's records and refuse all tokens given so far."""

    def agents(self) -> list[str]:
        """The ids of agents that have records."""

    def unfinished(self) -> list[str]:
        """The ids of agents with an accepted request that has no end in the log, without reading whole logs."""

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
        recorded: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def settle(error: Exception | None) -> None:
            if recorded.done():
                return  # nobody waits any more
            if error is None:
                recorded.set_result(None)
            else:
                recorded.set_exception(error)

        self.append_soon(records, settle)
        await recorded

    def append_soon(self, records: Sequence[Record], on_appended: OnAppended) -> None:
        """Hand the records over without waiting: the outcome comes on the running loop, or before this returns."""
        Append(on_appended).hand_over(self, records)
