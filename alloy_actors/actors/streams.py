"""Events on their way from a run to the one who listens."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from alloy_actors.errors import CrashError
from alloy_actors.events import RunFinished, TextDelta, ThinkingDelta, TurnFinished, TurnRestarted
from alloy_actors.logs import log, traced

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Sequence

    from alloy_actors.events import Event
    from alloy_actors.result import Result

V = TypeVar("V")

BUFFERED = 1000
"""Events a slow asyncio listener may lag behind before deltas are merged; others are never dropped."""


class Listener:
    """Hands events to the callables given to `stream` and `stream_chat`, on the thread that waits there.

    A callable that raises is logged once and not called again; the run goes on and its result is complete. After a
    crash the model is asked again: `on_chunk` is not told twice what it has heard, and when the answer begins
    differently this time, `diverged` is the error to end the request with.
    """

    def __init__(
        self, on_chunk: Callable[[str], object] | None, on_event: Callable[[Event], object] | None
    ) -> None:
        self.diverged: CrashError | None = None
        self._on_chunk = on_chunk
        self._on_event = on_event
        self._last: RunFinished | None = None
        self._heard = False
        self._said: list[str] = []  # to on_chunk in this turn
        self._again = ""  # what it was told in this turn before the crash, and has not come again so far

    def hear(self, events: Sequence[Event]) -> None:
        """Pass events on."""
        for event in events:
            if isinstance(event, RunFinished):
                self._last = event  # said when the result is there for everyone
                continue
            if isinstance(event, TextDelta):
                self._chunk(event.text)
            elif isinstance(event, TurnFinished):
                if self._again:
                    self._diverge()
                self._said.clear()
            elif isinstance(event, TurnRestarted):
                self._again = "".join(self._said)
                self._said.clear()
            if self._on_event is not None:
                self._on_event = _try(self._on_event, event, "on_event")

    def finish(self, result: Result) -> None:
        """The request has its result; one whose run could not stream to us still says its text and its end."""
        if not self._heard and result.text:
            self._chunk(result.text)
        if self._on_event is not None:
            self._on_event = _try(self._on_event, self._last or run_finished(result), "on_event")

    def _chunk(self, text: str) -> None:
        self._heard = True
        if self._on_chunk is None or self.diverged is not None:
            return
        self._said.append(text)
        if self._again:
            common = min(len(text), len(self._again))
            if text[:common] != self._again[:common]:
                self._diverge()
                return
            self._again, text = self._again[common:], text[common:]
        if text:
            self._on_chunk = _try(self._on_chunk, text, "on_chunk")

    def _diverge(self) -> None:
        self.diverged = CrashError(
            "the agent crashed, and the model's answer was another one when it was asked again"
        )


def run_finished(result: Result) -> RunFinished:
    """The last event of a request whose run did not live to send it."""
    return RunFinished(request_id=result.request_id, seq=0, turn=result.turns, result=result)


class EventBuffer:
    """Events for one asyncio consumer: filled on the runtime's loop thread, read on the consumer's loop."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._lock = threading.Lock()
        self._events: deque[Event] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._ended = False
        self._last: RunFinished | None = None

    def push(self, events: Sequence[Event]) -> None:
        """Add events; from any thread."""
        with self._lock:
            if self._ended:
                events = ()
            for event in events:
                if isinstance(event, RunFinished):
                    self._last = event  # said when the result is there for everyone
                elif len(self._events) < BUFFERED or not self._merge(event):
                    self._events.append(event)
            waiter, self._waiter = self._waiter, None
        if waiter is not None:
            try:
                self._loop.call_soon_threadsafe(_release, waiter)
            except RuntimeError:
                pass  # the consumer's loop is closed: nobody listens any more

    def finish(self, result: Result) -> None:
        """The request has its result; from any thread."""
        with self._lock:
            self._events.append(self._last or run_finished(result))
            self._ended = True
        self.push(())

    async def read(self) -> AsyncGenerator[Event, None]:
        """The events up to and including `RunFinished`."""
        while True:
            waiter: asyncio.Future[None] | None = None
            with self._lock:
                batch = list(self._events)
                self._events.clear()
                if not batch:
                    self._waiter = waiter = self._loop.create_future()
            if waiter is not None:
                await waiter
            for event in batch:
                yield event
                if isinstance(event, RunFinished):
                    return

    def _merge(self, event: Event) -> bool:
        last = self._events[-1]
        if (
            isinstance(event, TextDelta | ThinkingDelta)
            and isinstance(last, TextDelta | ThinkingDelta)
            and type(last) is type(event)
            and last.turn == event.turn
        ):
            self._events[-1] = replace(last, text=last.text + event.text, seq=event.seq, time=event.time)
            return True
        return False


def _release(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)


def _try(callback: Callable[[V], object], value: V, name: str) -> Callable[[V], object] | None:
    """Call it; None when it raised, and is not to be called again."""
    try:
        callback(value)
    except Exception as error:
        log.error("callback_failed", callback=name, **traced(error))
        return None
    return callback
