"""The conversation: what folding an agent's records gives.

A live run, its agent and a restart all apply the same records with the same code, so they cannot disagree. The
invariant (a tool call is answered once, right after it; roles alternate; the history ends with the assistant when
no run is on) is restored by `closing()` at the end of every run, whatever ended it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, assert_never

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
    Closed,
    ModelChanged,
    Replied,
    RequestSent,
    RunBegan,
    RunEnded,
    Seeded,
    ToolCallEnded,
    ToolCallStarted,
    WasReset,
    Withdrawn,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from alloy_actors.content import ToolCall
    from alloy_actors.journal import Record


class Conversation:
    """Owned by one thread at a time: an agent's handlers, or a run that got a `fork()` of it.

    Attributes:
        messages: In order. A list that is only appended to, and replaced when the conversation starts anew: others
            hold views of its beginning (`History`).
        usage: Of all runs.
        waiting: Messages of accepted requests whose run has not begun, by request id, oldest first.
        running: The request whose run began and did not end; None between runs.
        turns: Replies of the running (else the last) run.
        run_usage: Tokens of the running (else the last) run.
        provider_state: What the provider of the last reply wants back; None before there was any, and after a switch.
    """

    __slots__ = (
        "_open",
        "_results",
        "_started",
        "messages",
        "provider_state",
        "run_usage",
        "running",
        "turns",
        "usage",
        "waiting",
    )

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.usage: Usage = NO_USAGE
        self.waiting: dict[str, Message] = {}
        self.running: str | None = None
        self.turns = 0
        self.run_usage: Usage = NO_USAGE
        self.provider_state: ProviderState | None = None
        self._open: tuple[ToolCall, ...] = ()
        # Only while calls are open: an idle agent keeps no empty containers.
        self._results: dict[str, ToolResult] | None = None
        self._started: set[str] | None = None

    def fork(self) -> Conversation:
        """A copy for a run to go on from; only between runs. The run appends to the same list of messages."""
        copy = Conversation()
        copy.messages = self.messages
        copy.usage = self.usage
        copy.provider_state = self.provider_state
        return copy

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
                self.usage += record.usage
                self.run_usage += record.usage
                self.turns += 1
                if record.provider_state is not None:
                    self.provider_state = ProviderState(record.message.origin, record.provider_state)
                # A refused answer is not part of the conversation; the API would refuse it as well.
                if record.stop_reason != "refusal" and record.message.content:
                    self.messages.append(record.message)
                    self._open = record.message.tool_calls
            case ToolCallStarted():
                if self._started is None:
                    self._started = set()
                self._started.add(record.call_id)
            case ToolCallEnded():
                self._answer((record.result,))
            case RequestSent():
                pass
            case ModelChanged():
                self.provider_state = None
            case Accepted():
                self.waiting[record.request_id] = record.message
            case RunBegan():
                self.waiting.pop(record.request_id, None)
                self.running = record.request_id
                self.turns = 0
                self.run_usage = NO_USAGE
                self.messages.append(record.message)
            case Closed():
                self._answer(record.results)
                if record.message is not None:
                    self.messages.append(record.message)
            case RunEnded():
                self.running = None
            case Withdrawn():
                self.waiting.pop(record.request_id, None)
            case Seeded():
                self.messages = list(record.messages)
                self.usage = record.usage
                self.provider_state = record.provider_state
                self._open = self.messages[-1].tool_calls if self.messages else ()
            case WasReset():
                self.messages = []
                self.provider_state = DROPPED
            case _:
                assert_never(record)

    def closing(self, request_id: str, why: str, partial: str = "") -> Closed | None:
        """What must be added so that the history can be sent again; None when nothing is missing.

        Args:
            request_id: The run's.
            why: Goes to the model, so it can tell what happened: "the request was cancelled".
            partial: Text of a reply that was cut off; kept, and marked as cut.
        """
        answered = self._results or {}
        results = tuple(self._missing(call, why) for call in self._open if call.id not in answered)
        message = None
        if partial:
            message = assistant(f"{partial}\n\n[This answer was cut off: {why}.]")
        elif self._open or (self.messages and self.messages[-1].role == "user"):
            message = assistant(f"[No answer: {why}.]")
        return Closed(request_id, results, message) if results or message is not None else None

    def _missing(self, call: ToolCall, why: str) -> ToolResult:
        if self._started is not None and call.id in self._started:
            text = f"The outcome of this call is unknown: {why} before it ended. It may have had its effect."
        else:
            text = f"Not executed: {why}."
        return ToolResult(call.id, text, is_error=True)

    def _answer(self, results: Iterable[ToolResult]) -> None:
        answered = self._results = self._results or {}
        for result in results:
            answered[result.tool_use_id] = result
        if all(call.id in answered for call in self._open):
            if self._open:
                # One user message holds all results, in call order, right after the calls.
                self.messages.append(tool_results(answered[call.id] for call in self._open))
            self._open = ()
            self._results = self._started = None
