"""A run's events: made and numbered here, only while somebody listens or telemetry asks for them."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final, TypeAlias

from alloy_actors import telemetry
from alloy_actors.content import TextBlock, ThinkingBlock
from alloy_actors.events import ENVELOPE, Event, TextDelta, ThinkingDelta, ToolEnded, ToolStarted
from alloy_actors.provider import Delta

if TYPE_CHECKING:
    from collections.abc import Iterator

    from alloy_actors.content import Message, ToolCall
    from alloy_actors.tool_runner import ToolOutcome

OnEvents: TypeAlias = Callable[[Sequence[Event]], None]
"""Called on the loop thread with the events of one moment, in order; must not block."""


_TOLD_OF: Final = frozenset({"alloy.event", "alloy.tool.start", "alloy.tool.stop"})


class Reporter:
    """Hands the events of one run to a listener.

    Args:
        request_id: The run's.
        on_events: None when nobody listens; then the wire does not stream, and no event is made unless telemetry asks.
        numbers: Where `seq` comes from; a run that is taken up again goes on counting.

    Attributes:
        partial: Text of the reply that is arriving, as far as it was heard.
        heard: Whether the provider itself has streamed in this turn.
    """

    def __init__(self, request_id: str, on_events: OnEvents | None, numbers: Iterator[int] | None) -> None:
        self.partial: list[str] = []
        self.heard = False
        self._request_id = request_id
        self._on_events = on_events
        self._numbers = numbers if numbers is not None else itertools.count(1)
        self._started: dict[str, int] = {}
        self._silent = False

    @property
    def _listening(self) -> bool:
        """Whether anybody wants events."""
        return self._on_events is not None or (
            bool(telemetry.wanted) and not self._silent and not _TOLD_OF.isdisjoint(telemetry.wanted)
        )

    def silence(self) -> None:
        """Say nothing more: the run goes on elsewhere, and what it says there must not be mixed with this."""
        self._on_events = None
        self._silent = True

    def emit(self, event: Callable[..., Event], turn: int, **facts: object) -> int:
        """Make an event and hand it on; its seq, or 0 when nobody listens."""
        if not self._listening:
            return 0
        seq = next(self._numbers)
        self._hand_on([event(request_id=self._request_id, seq=seq, turn=turn, **facts)])
        return seq

    def listener_for(self, turn: int) -> Callable[[Sequence[Delta]], None] | None:
        """What a provider calls with its deltas; None when nobody listens, so that it need not stream."""
        self.heard = False
        self.partial.clear()
        return None if self._on_events is None else lambda deltas: self._hear(turn, deltas)

    def replied(self, turn: int, message: Message) -> None:
        """The reply is complete: one that came in one piece is heard now."""
        if not self.heard and self._listening:
            self._hear(turn, _deltas_of(message))
        self.partial.clear()

    def tool_started(self, turn: int, call: ToolCall) -> None:
        """A call is about to run."""
        if not self._listening:
            return
        seq = self.emit(ToolStarted, turn, id=call.id, name=call.name, input=call.input)
        self._started[call.id] = seq
        if "alloy.tool.start" in telemetry.wanted:
            telemetry.emit("alloy.tool.start", {"event_seq": seq}, self._facts_of(call, turn))

    def tool_ended(self, turn: int, outcome: ToolOutcome) -> None:
        """A call has its result; one that an earlier incarnation started, or that never ran, is started here as well."""
        if not self._listening:
            return
        call = outcome.call
        if call.id not in self._started:
            self.tool_started(turn, call)
        start_seq = self._started.pop(call.id)
        seq = self.emit(
            ToolEnded,
            turn,
            id=call.id,
            name=call.name,
            input=call.input,
            duration=outcome.duration,
            error=outcome.error,
            start_seq=start_seq,
        )
        if "alloy.tool.stop" in telemetry.wanted:
            facts = {**self._facts_of(call, turn), "error": outcome.error, "start_event_seq": start_seq}
            measured = {"event_seq": seq, "duration_ms": outcome.duration * 1000}
            telemetry.emit("alloy.tool.stop", measured, facts)

    def _facts_of(self, call: ToolCall, turn: int) -> dict[str, object]:
        return {
            "correlation_id": self._request_id,
            "turn": turn,
            "tool_id": call.id,
            "tool_name": call.name,
        }

    def _hear(self, turn: int, deltas: Sequence[Delta]) -> None:
        if not deltas or not self._listening:
            return
        self.heard = True
        request_id, numbers, now = self._request_id, self._numbers, time.time()
        batch: list[Event] = []
        for kind, text in deltas:
            event = TextDelta if kind == "text" else ThinkingDelta
            if kind == "text":
                self.partial.append(text)
            batch.append(event(request_id=request_id, seq=next(numbers), turn=turn, time=now, text=text))
        self._hand_on(batch)

    def _hand_on(self, events: Sequence[Event]) -> None:
        if self._on_events is not None:
            self._on_events(events)
        if "alloy.event" in telemetry.wanted and not self._silent:
            for event in events:
                facts = {
                    "v": ENVELOPE,
                    "event": event.type,
                    "correlation_id": self._request_id,
                    "turn": event.turn,
                }
                telemetry.emit("alloy.event", {"seq": event.seq}, facts)


def _deltas_of(message: Message) -> list[Delta]:
    """The deltas of a reply that came in one piece."""
    deltas: list[Delta] = []
    for block in message.blocks:
        if isinstance(block, TextBlock) and block.text:
            deltas.append(Delta("text", block.text))
        elif isinstance(block, ThinkingBlock) and block.thinking:
            deltas.append(Delta("thinking", block.thinking))
    return deltas
