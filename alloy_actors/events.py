"""What happens in a run, as it happens: frozen values with a tag, numbered within the run.

Consumers `match` on the classes and end in `assert_never`. `RunFinished` comes last and exactly once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

if TYPE_CHECKING:
    from alloy_actors.content import StopReason, Usage
    from alloy_actors.result import Result


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStarted:
    """The run left the queue."""

    request_id: str
    seq: int  # 1, 2, 3 ... within a run
    turn: int  # 0 before the first turn
    agent: str
    type: Literal["run_started"] = "run_started"


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnStarted:
    """The next provider request is about to be sent."""

    request_id: str
    seq: int
    turn: int
    model: str
    type: Literal["turn_started"] = "turn_started"


@dataclass(frozen=True, slots=True, kw_only=True)
class TextDelta:
    """A piece of the answer."""

    request_id: str
    seq: int
    turn: int
    text: str
    type: Literal["text_delta"] = "text_delta"


@dataclass(frozen=True, slots=True, kw_only=True)
class ThinkingDelta:
    """A piece of the model's reasoning."""

    request_id: str
    seq: int
    turn: int
    text: str
    type: Literal["thinking_delta"] = "thinking_delta"


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolStarted:
    """A tool call is about to run (or to be answered without running: unknown tool, bad arguments)."""

    request_id: str
    seq: int
    turn: int
    id: str
    name: str
    input: dict[str, Any]
    type: Literal["tool_start"] = "tool_start"


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolEnded:
    """A tool call has its result; every `ToolStarted` gets one."""

    request_id: str
    seq: int
    turn: int
    id: str
    name: str
    input: dict[str, Any]
    duration: float  # seconds, waiting for a worker included
    error: str | None  # the diagnostic, None for a success
    start_seq: int
    type: Literal["tool_end"] = "tool_end"


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnRestarted:
    """The agent crashed during this turn and asks the model again: discard the deltas of this turn heard so far."""

    request_id: str
    seq: int
    turn: int
    attempt: int  # 2 for the first time that the run is taken up again
    type: Literal["turn_restarted"] = "turn_restarted"


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnFinished:
    """The reply, and the results of its tool calls, are recorded."""

    request_id: str
    seq: int
    turn: int
    stop_reason: StopReason
    usage: Usage
    type: Literal["turn_finished"] = "turn_finished"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFinished:
    """The end of every run, whatever ended it."""

    request_id: str
    seq: int
    turn: int
    result: Result
    type: Literal["run_finished"] = "run_finished"


Event: TypeAlias = (
    RunStarted
    | TurnStarted
    | TextDelta
    | ThinkingDelta
    | ToolStarted
    | ToolEnded
    | TurnRestarted
    | TurnFinished
    | RunFinished
)
"""What `on_event`, `astream` and `astream_chat` hand out; `match` on the classes, or look at `.type`."""
