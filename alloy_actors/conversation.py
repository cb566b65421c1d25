"""The conversation: what folding an agent's records gives.

A live run, its agent and a restart all apply the same records with the same code, so they cannot disagree. The
invariant (a tool call is answered once, right after it; roles alternate; the history ends with the assistant when
no run is on) is restored by `closing()` at the end of every run, whatever ended it.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, assert_never

from alloy_actors.content import (
    DROPPED,
    NO_USAGE,
    Message,
    ProviderState,
    ToolResult,
    Usage,
    assistant,
    tool_results,
)
from alloy_actors.journal import (
    Accepted,
    ApprovalAsked,
    ApprovalDecided,
    Charged,
    Closed,
    ModelChanged,
    Reminded,
    Replied,
    RequestSent,
    RunBegan,
    RunEnded,
    RunResumed,
    RunSuspended,
    Seeded,
    Steered,
    ToolCallEnded,
    ToolCallStarted,
    WasCompacted,
    WasReset,
    Withdrawn,
)
from alloy_actors.result import ToolCallRecord

if TYPE_CHECKING:
    from collections.abc import Iterable

    from alloy_actors.content import StopReason, ToolCall
    from alloy_actors.journal import Record, Reminder

LEAST_PER_ESTIMATE: Final = 0.5
MOST_PER_ESTIMATE: Final = 4.0


@dataclass(slots=True)
class RunState:
    """What the log says of the run that is on: all that a new incarnation needs to go on with it.

    Attributes:
        request_id: The run's.
        message: What triggered it.
        before: How many messages the conversation had before it.
        attempt: 1, and one more for each time that it was taken up again after a crash.
        suspended: Whether an orderly stop of the system interrupted it.
        reply: The model's last reply, as long as there may be something left to do about it: until the user has said more,
            or the next request is prepared or sent.
        thinking: Of the newest reply that carries any.
        tool_calls: Those that have their results, in call order.
        approvals: Of the calls of the last reply, by call id: what was decided, else what was asked.
        steered: Messages of the requests that joined the run, by request id; they end with it.
        overflowed: The turn that the provider found too long and that was made shorter, as replies before it; None for none.
        reminded: How often the loop reminded the model, by what about.
    """

    request_id: str
    message: Message | None
    before: int
    attempt: int = 1
    suspended: bool = False
    reply: Replied | None = None
    thinking: str | None = None
    tool_calls: list[ToolCallRecord] = field(default_factory=list)
    approvals: dict[str, ApprovalAsked | ApprovalDecided] = field(default_factory=dict)
    steered: dict[str, Message] = field(default_factory=dict)
    overflowed: int | None = None
    reminded: Counter[Reminder] = field(default_factory=Counter)


class Conversation:
    """Owned by one thread at a time: an agent's handlers, or a run that got a `fork()` of it.

    Attributes:
        messages: In order. A list that is only appended to, and replaced when the conversation starts anew, is compacted,
            or its last message gets more words: others hold views of its beginning (`History`).
        usage: Of all runs.
        cost: Cents of all runs; None while no price is known.
        waiting: Accepted requests whose run has not begun, by id, oldest first.
        run: What is known of the run that is on; None between runs.
        turns: Replies of the running (else the last) run.
        stop_reason: Why the model stopped last in that run; None before its first reply.
        run_usage: Tokens of the running (else the last) run.
        run_cost: Cents of that run so far; None while no price is known.
        refused: So many tokens were more than the model takes, whatever is believed of it; 0 for nothing known.
        provider_state: What the provider of the last reply wants back; None before there was any, and after a switch.
    """

    __slots__ = (
        "_counted",
        "_ended",
        "_open",
        "_started",
        "cost",
        "messages",
        "provider_state",
        "refused",
        "run",
        "run_cost",
        "run_usage",
        "stop_reason",
        "turns",
        "usage",
        "waiting",
    )

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.usage: Usage = NO_USAGE
        self.cost: float | None = None
        self.waiting: dict[str, Accepted] = {}
        self.run: RunState | None = None
        self.turns = 0
        self.stop_reason: StopReason | None = None
        self.run_usage: Usage = NO_USAGE
        self.run_cost: float | None = None
        self.provider_state: ProviderState | None = None
        self.refused = 0
        self._counted = (
            0,
            0,
        )  # so many messages, and what goes with them, were so many tokens; 0: nobody has counted
        self._open: tuple[ToolCall, ...] = ()
        # Only while calls are open: an idle agent keeps no empty containers.
        self._ended: dict[str, ToolCallEnded] | None = None
        self._started: set[str] | None = None

    @property
    def running(self) -> str | None:
        """The request whose run began and did not end; None between runs."""
        return self.run.request_id if self.run is not None else None

    @property
    def unanswered(self) -> tuple[ToolCall, ...]:
        """The calls of the last reply that have no result yet, in call order."""
        ended = self._ended or {}
        return tuple(call for call in self._open if call.id not in ended)

    def was_started(self, call: ToolCall) -> bool:
        """Whether an unanswered call may have had its effect."""
        return self._started is not None and call.id in self._started

    def fork(self) -> Conversation:
        """A copy for a run to go on from; only between runs. The run appends to the same list of messages."""
        copy = Conversation()
        copy.messages = self.messages
        copy.usage = self.usage
        copy.cost = self.cost
        copy.provider_state = self.provider_state
        copy.refused = self.refused
        copy._counted = self._counted
        return copy

    def prompt_tokens(self, overhead: int, per_estimate: float = 1.0) -> int:
        """About how many tokens the next request has: what the provider counted last, and an estimate of what came since.

        Args:
            overhead: Tokens of what goes with the messages; only for where nobody has counted yet.
            per_estimate: Tokens of the model's own to one of an estimate; see `calibration`.
        """
        messages, tokens = self._counted
        estimated = sum(message.estimated_tokens for message in self.messages[messages:])
        if not tokens:
            estimated += overhead
        return tokens + int(per_estimate * estimated)

    def calibration(self, overhead: int) -> float:
        """Tokens by the provider's count to one of an estimate, in this conversation; 1.0 where nobody has counted.

        Bounded: what is far from any tokeniser's was no count of what was sent.

        Args:
            overhead: Tokens of what goes with the messages, by estimate.
        """
        messages, tokens = self._counted
        estimated = overhead + sum(message.estimated_tokens for message in self.messages[:messages])
        if not tokens or not estimated:
            return 1.0
        return min(max(tokens / estimated, LEAST_PER_ESTIMATE), MOST_PER_ESTIMATE)

    def state_for(self, origin: str | None) -> dict[str, Any] | None:
        """What goes back to the provider with this origin: {} after a reset, None where it may use its own start."""
        state = self.provider_state
        if state is None or (state.values and state.origin != origin):
            return None
        return state.values

    def replay(self, records: Iterable[Record]) -> None:
        """Apply records in order."""
        for record in records:
            self.apply(record)

    def apply(self, record: Record) -> None:
        """Take one record in."""
        match record:
            case Replied():
                self._replied(record)
            case ToolCallStarted():
                if self._started is None:
                    self._started = set()
                self._started.add(record.call_id)
            case ToolCallEnded():
                self._answer((record,))
            case RequestSent():
                if self.run is not None:
                    self.run.reply = None
                    self.run.approvals.clear()
            case ApprovalAsked() | ApprovalDecided():
                if self.run is not None:
                    self.run.approvals[record.call_id] = record
            case ModelChanged():
                self.provider_state = None
                self.refused = 0
                self._counted = (0, 0)
            case Accepted():
                self.waiting[record.request_id] = record
            case RunBegan():
                self.waiting.pop(record.request_id, None)
                self.run = RunState(record.request_id, record.message, len(self.messages))
                self.turns = 0
                self.stop_reason = None
                self.run_usage = NO_USAGE
                self.run_cost = None
                if record.message is not None:
                    self._say(record.message)
            case RunResumed():
                if self.run is not None:
                    self.run.attempt, self.run.suspended = record.attempt, False
            case RunSuspended():
                if self.run is not None:
                    self.run.suspended = True
            case Steered():
                self.waiting.pop(record.steering_id, None)
                if self.run is not None:
                    self.run.steered[record.steering_id] = record.message
                    self.run.reply = None
                self._say(record.message)
            case Reminded():
                if self.run is not None:
                    self.run.reminded[record.about] += 1
                    self.run.reply = None
                if record.message is not None:
                    self._say(record.message)
            case Closed():
                self._answer(ToolCallEnded(record.request_id, result) for result in record.results)
                if record.message is not None:
                    self.messages.append(record.message)
            case RunEnded():
                self.run = None
            case Withdrawn():
                self.waiting.pop(record.request_id, None)
            case Seeded():
                self.messages = list(record.messages)
                self.usage = record.usage
                self.cost = record.cost_cents
                self.provider_state = record.provider_state
                self._counted = (0, 0)
                self._open = self.messages[-1].tool_calls if self.messages else ()
            case Charged():
                self._charge(record.usage, record.cost_cents)
            case WasCompacted():
                self.messages = record.rebuilt(self.messages)
                self._counted = len(self.messages), record.tokens
                if self.run is not None:
                    self.run.reply = None
                    self.run.before = record.before
                    if record.refused:
                        self.run.overflowed = self.turns
                self.refused = record.refused or self.refused
            case WasReset():
                self.messages = []
                self._counted = (0, 0)
                self.provider_state = DROPPED
            case _:
                assert_never(record)

    def closing(
        self, request_id: str, why: str, partial: str = "", answer: Message | None = None
    ) -> Closed | None:
        """What must be added so that the history can be sent again; None when nothing is missing.

        Args:
            request_id: The run's.
            why: Goes to the model, so it can tell what happened: "the request was cancelled".
            partial: Text of a reply that was cut off; kept, and marked as cut.
            answer: What the assistant says last where a tool's result was the answer.
        """
        results = tuple(self._missing(call, why) for call in self.unanswered)
        message = None
        if partial:
            message = assistant(f"{partial}\n\n[This answer was cut off: {why}.]")
        elif self._open or (self.messages and self.messages[-1].role == "user"):
            message = answer or assistant(f"[No answer: {why}.]")
        return Closed(request_id, results, message) if results or message is not None else None

    def _missing(self, call: ToolCall, why: str) -> ToolResult:
        return unknown_outcome(call, why) if self.was_started(call) else not_executed(call, why)

    def _replied(self, record: Replied) -> None:
        self._charge(record.usage, record.cost_cents)
        self.turns += 1
        self.stop_reason = record.stop_reason
        if record.provider_state is not None:
            self.provider_state = ProviderState(record.message.origin, record.provider_state)
        if self.run is not None:
            self.run.reply = record
            self.run.thinking = record.message.thinking or self.run.thinking
        # A refused answer is not part of the conversation; the API would refuse it as well.
        if record.stop_reason != "refusal" and record.message.content:
            self.messages.append(record.message)
            self._open = record.message.tool_calls
            if record.usage.prompt_tokens:
                self._counted = len(self.messages), record.usage.prompt_tokens + record.usage.output_tokens

    def _charge(self, usage: Usage, cost_cents: float | None) -> None:
        self.usage += usage
        self.run_usage += usage
        if cost_cents is not None:
            self.run_cost = (self.run_cost or 0.0) + cost_cents
            self.cost = (self.cost or 0.0) + cost_cents

    def _say(self, message: Message) -> None:
        """The user's words; beside what the user said last where nobody has answered that, so that roles alternate."""
        last = self.messages[-1] if self.messages else None
        if last is not None and last.role == "user":
            # A new list: middleware may hold a view that ends here.
            self.messages = [*self.messages[:-1], Message("user", (*last.blocks, *message.blocks))]
        else:
            self.messages.append(message)

    def _answer(self, answers: Iterable[ToolCallEnded]) -> None:
        ended = self._ended = self._ended or {}
        for answer in answers:
            ended[answer.result.tool_use_id] = answer
        if all(call.id in ended for call in self._open):
            if self._open:
                # One user message holds all results, in call order, right after the calls.
                self.messages.append(tool_results(ended[call.id].result for call in self._open))
                if self.run is not None:
                    self.run.tool_calls += (_recorded(call, ended[call.id]) for call in self._open)
            self._open = ()
            self._ended = self._started = None


def unknown_outcome(call: ToolCall, why: str) -> ToolResult:
    """The answer to a call that was started, and of which nobody knows what it did."""
    text = f"The outcome of this call is unknown: {why} before it ended. It may have had its effect."
    return ToolResult(call.id, text, is_error=True)


def not_executed(call: ToolCall, why: str) -> ToolResult:
    """The answer to a call that was not started."""
    return ToolResult(call.id, f"Not executed: {why}.", is_error=True)


def _recorded(call: ToolCall, ended: ToolCallEnded) -> ToolCallRecord:
    error = ended.error
    if error is None and ended.result.is_error:
        error = ended.result.text
    return ToolCallRecord(
        id=call.id, name=call.name, input=call.input, duration=ended.duration, error=error, data=ended.data
    )
