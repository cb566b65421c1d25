"""A run's events: made and numbered here, only while somebody listens."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeAlias

from alloy_actors.content import TextBlock, ThinkingBlock
from alloy_actors.events import Event, TextDelta, ThinkingDelta, ToolEnded, ToolStarted
from alloy_actors.provider import Delta

if TYPE_CHECKING:
    from collections.abc import Iterator

    from alloy_actors.content import Message, ToolCall
    from alloy_actors.tool_runner import ToolOutcome

OnEvents: TypeAlias = Callable[[Sequence[Event]], None]
"""Called on the loop thread with the events of one moment, in order; must not block."""


class Reporter:
    """Hands the events of one run to a listener.

    Args:
        request_id: The run's.
        on_events: None when nobody listens; then no event is made and the wire does not stream.
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

    @property
    def listening(self) -> bool:
        """Whether anybody does."""
        return self._on_events is not None

    def silence(self) -> None:
        """Say nothing more: the run goes on elsewhere, and what it says there must not be mixed with this."""
        self._on_events = None

    def emit(self, event: Callable[..., Event], turn: int, **facts: object) -> int:
        """Make an event and hand it on; its seq, or 0 when nobody listens."""
        on_events = self._on_events
        if on_events is None:
            return 0
        seq = next(self._numbers)
        on_events((event(request_id=self._request_id, seq=seq, turn=turn, **facts),))
        return seq

    def listener_for(self, turn: int) -> Callable[[Sequence[Delta]], None] | None:
        """What a provider calls with its deltas; None when nobody listens, so that it need not stream."""
        self.heard = False
        self.partial.clear()
        return None if self._on_events is None else lambda deltas: self._hear(turn, deltas)

    def replied(self, turn: int, message: Message) -> None:
        """The reply is complete: one that came in one piece is heard now."""
        if self._on_events is not None and not self.heard:
            self._hear(turn, _deltas_of(message))
        self.partial.clear()

    def tool_started(self, turn: int, call: ToolCall) -> None:
        """A call is about to run."""
        if self._on_events is not None:
            self._started[call.id] = self.emit(
                ToolStarted, turn, id=call.id, name=call.name, input=call.input
            )

    def tool_ended(self, turn: int, outcome: ToolOutcome) -> None:
        """A call has its result; one that an earlier incarnation started is started here as well."""
        if self._on_events is None:
            return
        call = outcome.call
        if call.id not in self._started:
            self.tool_started(turn, call)
        self.emit(
            ToolEnded,
            turn,
            id=call.id,
            name=call.name,
            input=call.input,
            duration=outcome.duration,
            error=outcome.error,
            start_seq=self._started.pop(call.id),
        )

    def _hear(self, turn: int, deltas: Sequence[Delta]) -> None:
        on_events = self._on_events
        if on_events is None or not deltas:
            return
        self.heard = True
        request_id, numbers = self._request_id, self._numbers
        batch: list[Event] = []
        for kind, text in deltas:
            if kind == "text":
                self.partial.append(text)
                batch.append(TextDelta(request_id=request_id, seq=next(numbers), turn=turn, text=text))
            else:
                batch.append(ThinkingDelta(request_id=request_id, seq=next(numbers), turn=turn, text=text))
        on_events(batch)


def _deltas_of(message: Message) -> list[Delta]:
    """The deltas of a reply that came in one piece."""
    deltas: list[Delta] = []
    for block in message.blocks:
        if isinstance(block, TextBlock) and block.text:
            deltas.append(Delta("text", block.text))
        elif isinstance(block, ThinkingBlock) and block.thinking:
            deltas.append(Delta("thinking", block.thinking))
    return deltas
