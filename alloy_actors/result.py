"""What a run comes to."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from alloy_actors.content import NO_USAGE, Message, StopReason, Usage
from alloy_actors.errors import AlloyError, RunError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Self

Status: TypeAlias = Literal["completed", "max_turns", "budget_exceeded", "halted", "cancelled", "error"]


@dataclass(frozen=True, slots=True)
class ToolCallRecord:
    """What became of one tool call of a run.

    `duration` is in seconds and counts the wait for a worker; `error` is the diagnostic (None for a success);
    `data` is the structured value a tool returned beside its text.
    """

    id: str
    name: str
    input: dict[str, Any]
    duration: float
    error: str | None = None
    data: Any = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One run's outcome; every accepted request gets exactly one.

    Args:
        text: Of the run's last assistant message; also what there was of it when the run did not complete. Where a tool
            has ended the run (`halt_on_tool`), of that call's result.
        thinking: Of the newest assistant message of the run that carries any.
        messages: The whole history after the run, in order.
        usage: Tokens of this run.
        cost_cents: Cents for its provider requests, caches counted; None where no price is known.
        tool_calls: Those of this run, in call order.
        metadata: Under "provider_response" the provider's facts of the last reply; under "provider_state" what it
            wants back with the next request: `provider_state=` of a provider made anew.
        status: Why the run ended; `completed` and `max_turns` are ok.
        stop_reason: Why the model stopped last; None when it never answered. "max_tokens": the text is cut off.
        turns: Provider replies.
        error: What went wrong, as a value.
        request_id: The id given to, or made for, the request.
        output: Of a run with `output=`, a value of that type; None as long as there was no valid answer.
    """

    request_id: str
    status: Status
    text: str = ""
    thinking: str | None = None
    messages: Sequence[Message] = field(default=(), repr=False)
    usage: Usage = NO_USAGE
    cost_cents: float | None = None
    tool_calls: tuple[ToolCallRecord, ...] = ()
    metadata: dict[str, Any] = field(default_factory=dict)
    stop_reason: StopReason | None = None
    turns: int = 0
    error: AlloyError | None = None
    output: Any = None

    @property
    def ok(self) -> bool:
        """Whether the run ended as it should: completed, or at its turn limit."""
        return self.status in ("completed", "max_turns")

    def for_request(self, request_id: str) -> Self:
        """The same outcome, as that of a request that had joined the run."""
        return replace(self, request_id=request_id)

    def raise_for_status(self) -> Self:
        """Return the result itself when it is ok.

        Raises:
            RunError: Otherwise, from `error`, with this result as its `result`.
        """
        if self.ok:
            return self
        reason = f": {self.error}" if self.error is not None else ""
        msg = f"the run ended with status {self.status!r}{reason}"
        raise RunError(msg, self) from self.error


def summary(result: Result) -> dict[str, Any]:
    """What is worth writing down of a result, in values that have a JSON form; the history is not among it."""
    error = result.error
    return {
        "status": result.status,
        "text": result.text,
        "thinking": result.thinking,
        "stop_reason": result.stop_reason,
        "turns": result.turns,
        "usage": result.usage,
        "cost_cents": result.cost_cents,
        "tool_calls": result.tool_calls,
        "error": None if error is None else {"type": type(error).__name__, "message": str(error)},
        "output": result.output,
    }
