"""What a new incarnation finds in the log: the conversation, what waits, and the results that are still worth keeping."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from alloy_actors import errors
from alloy_actors.content import History
from alloy_actors.conversation import Conversation
from alloy_actors.journal import Accepted, RunEnded, Withdrawn
from alloy_actors.output import UnfitError
from alloy_actors.result import Result

if TYPE_CHECKING:
    from collections.abc import Iterable

    from alloy_actors.content import Message
    from alloy_actors.journal import Record
    from alloy_actors.output import Output
    from alloy_actors.result import Status


@dataclass(frozen=True, slots=True)
class Finished:
    """A request that has its end in the log.

    Args:
        message: What the user said.
        result: As far as the log knows it: without the provider's metadata. Its `output` is read from its text again,
            and None where that does not fit (any more).
        age: Seconds since it ended.
    """

    message: Message
    result: Result
    age: float


def fold(
    records: Iterable[Record], max_age: float, output: Output | None = None
) -> tuple[Conversation, list[Finished]]:
    """The conversation, and the results of at most `max_age` seconds ago, oldest first.

    Args:
        records: The agent's.
        max_age: Seconds.
        output: What the agent's answers are.
    """
    conversation = Conversation()
    finished: list[Finished] = []
    now = time.time()
    for record in records:
        if isinstance(record, RunEnded) and now - record.at <= max_age:
            finished += _ended(conversation, record, now, output)
        elif isinstance(record, Withdrawn) and now - record.at <= max_age:
            accepted = conversation.waiting.get(record.request_id)
            if accepted is not None:
                finished.append(_withdrawn(accepted, record, now))
        conversation.apply(record)
    return conversation, finished


def end_of_run(
    conversation: Conversation, status: Status, error: errors.AlloyError, why: str
) -> list[Record]:
    """What ends the run that is on, in the log, where nothing goes on with it.

    Args:
        conversation: Of that moment.
        status: Of the result.
        error: Of the result.
        why: What the model is told.
    """
    assert conversation.run is not None
    request_id = conversation.run.request_id
    closing = conversation.closing(request_id, why)
    ended = RunEnded(request_id, status, time.time(), type(error).__name__, str(error), "")
    return [closing, ended] if closing is not None else [ended]


def _ended(conversation: Conversation, record: RunEnded, now: float, output: Output | None) -> list[Finished]:
    run = conversation.run
    if run is None:
        return []
    messages = History(conversation.messages)
    last = messages[-1] if messages else None
    result = Result(
        request_id=record.request_id,
        status=record.status,
        text=_text(record, last),
        thinking=run.thinking,
        messages=messages,
        usage=conversation.run_usage,
        cost_cents=conversation.run_cost,
        tool_calls=tuple(run.tool_calls),
        stop_reason=conversation.stop_reason,
        turns=conversation.turns,
        error=_error(record),
        output=_read(output, last) if record.status in ("completed", "max_turns") else None,
    )
    age = now - record.at
    found = [Finished(run.message, result, age)] if run.message is not None else []
    for request_id, message in run.steered.items():
        found.append(Finished(message, result.for_request(request_id), age))
    return found


def _text(record: RunEnded, last: Message | None) -> str:
    if record.text is not None:
        return record.text
    return last.text if last is not None and last.role == "assistant" else ""


def _read(output: Output | None, last: Message | None) -> Any:
    if output is None or last is None:
        return None
    try:
        return output.read_text(last)
    except UnfitError:
        return None


def _withdrawn(accepted: Accepted, record: Withdrawn, now: float) -> Finished:
    status: Status = "error" if record.error_type else "cancelled"
    error = _error(record) or errors.CancelledError("the request was cancelled before its run began")
    result = Result(request_id=record.request_id, status=status, error=error)
    return Finished(accepted.message, result, now - record.at)


def _error(record: RunEnded | Withdrawn) -> errors.AlloyError | None:
    """The error as far as it was written down: its class and its words."""
    if not record.error_type:
        return None
    cls = getattr(errors, record.error_type, None)
    if isinstance(cls, type) and issubclass(cls, errors.AlloyError) and cls is not errors.RunError:
        return cls(record.error)
    return errors.AlloyError(record.error)
