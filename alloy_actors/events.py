"""What happens in a run, as it happens: frozen values with a tag, numbered within the run.

Consumers `match` on the classes and end in `assert_never`. `RunFinished` comes last and exactly once.
"""

from __future__ import annotations

import time as clock
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from alloy_actors.plain_json import plain_json
from alloy_actors.result import summary

if TYPE_CHECKING:
    from alloy_actors.content import StopReason, Usage
    from alloy_actors.result import Result

ENVELOPE: Final = 1
"""The version of the JSON form. Events and members may be added to it; one that is there keeps its meaning."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EventBase:
    """What all events have.

    Args:
        request_id: Of the run's request.
        seq: 1, 2, 3 ... within a run; 0 where the run did not live to say its own end.
        turn: 1 is the first; 0 before it.
        time: When it happened: seconds since 1970 by the wall clock. Plays no part in comparisons.
        type: The tag.
    """

    request_id: str
    seq: int
    turn: int
    time: float = field(default_factory=clock.time, compare=False)
    type: str

    def to_json(self) -> bytes:
        """The event in its envelope: UTF-8 JSON on one line, with a `payload` that depends on the event.

        Source: docs/events.md#as-json.
        """
        return plain_json(self._envelope())

    def _envelope(self) -> dict[str, Any]:
        return {
            "v": ENVELOPE,
            "seq": self.seq,
            "correlation_id": self.request_id,
            "turn": self.turn,
            "ts_ms": round(self.time * 1000),
            "event": self.type,
            "payload": self._payload(),
        }

    def _payload(self) -> Any:
        return {item.name: getattr(self, item.name) for item in fields(self) if item.name not in _COMMON}


_COMMON: Final = frozenset(item.name for item in fields(EventBase))


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStarted(EventBase):
    """The run left the queue."""

    agent: str
    type: Literal["run_started"] = "run_started"


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnStarted(EventBase):
    """The next provider request is about to be sent."""

    model: str
    type: Literal["turn_started"] = "turn_started"


@dataclass(frozen=True, slots=True, kw_only=True)
class TextDelta(EventBase):
    """A piece of the answer."""

    text: str
    type: Literal["text_delta"] = "text_delta"

    def _payload(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True, kw_only=True)
class ThinkingDelta(EventBase):
    """A piece of the model's reasoning."""

    text: str
    type: Literal["thinking_delta"] = "thinking_delta"

    def _payload(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalRequested(EventBase):
    """A tool call waits until somebody decides: `agent.approve(request_id, id)` or `agent.deny(request_id, id, reason)`."""

    id: str
    name: str
    input: dict[str, Any]  # the arguments it would run with
    reason: str  # the middleware's
    type: Literal["approval_requested"] = "approval_requested"


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolStarted(EventBase):
    """A tool call is about to run (or to be answered without running: unknown tool, bad arguments)."""

    id: str
    name: str
    input: dict[str, Any]
    type: Literal["tool_start"] = "tool_start"


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolEnded(EventBase):
    """A tool call has its result; every `ToolStarted` gets one."""

    id: str
    name: str
    input: dict[str, Any]
    duration: float  # seconds, waiting for a worker included
    error: str | None  # the diagnostic, None for a success
    start_seq: int
    type: Literal["tool_end"] = "tool_end"

    def _payload(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "name": self.name,
            "input": self.input,
            "duration_ms": round(self.duration * 1000, 3),
            "error": self.error,
            "start_event_seq": self.start_seq,
        }


CompactedHow: TypeAlias = Literal["cleared", "summarised", "truncated"]
"""Old tool results were emptied; old messages became a summary; old messages were cut down."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Compacted(EventBase):
    """The conversation was made shorter, so that the next request fits the model's window."""

    how: CompactedHow
    tokens_before: int  # of the whole request, as far as is known
    tokens_after: int
    messages_before: int
    messages_after: int
    results_cleared: int  # tool results that were emptied; 0 where they became part of a summary
    type: Literal["compacted"] = "compacted"


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnRestarted(EventBase):
    """The agent crashed during this turn and asks the model again: discard the deltas of this turn heard so far."""

    attempt: int  # 2 for the first time that the run is taken up again
    type: Literal["turn_restarted"] = "turn_restarted"


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnFinished(EventBase):
    """The reply, and the results of its tool calls, are recorded."""

    stop_reason: StopReason
    usage: Usage
    type: Literal["turn_finished"] = "turn_finished"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFinished(EventBase):
    """The end of every run, whatever ended it."""

    result: Result
    type: Literal["run_finished"] = "run_finished"

    def _payload(self) -> dict[str, Any]:
        return summary(self.result)


Event: TypeAlias = (
    RunStarted
    | TurnStarted
    | TextDelta
    | ThinkingDelta
    | ApprovalRequested
    | ToolStarted
    | ToolEnded
    | Compacted
    | TurnRestarted
    | TurnFinished
    | RunFinished
)
"""What `on_event`, `astream` and `astream_chat` hand out; `match` on the classes, or look at `.type`."""
