"""The requests of one agent: accepted here, taken by the agent's actor, finished exactly once.

The book is held by the runtime and not by the actor, so a crash loses no request: the next incarnation finds the
queue as it was. A request is queued, running or finished; `finish`: the first wins. All methods may be called from
any thread; callbacks run after the lock is released, on the thread that finished the request.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

from alloy_actors.conversation import Conversation
from alloy_actors.errors import AgentDownError, ConfigError, QueueFullError
from alloy_actors.journal import Accepted, Journal, Record, Seeded, Withdrawn
from alloy_actors.logs import log, traced
from supervisors.runtime import PooledFuture

if TYPE_CHECKING:
    import contextvars

    from alloy_actors.actors.guard import Link
    from alloy_actors.content import Message, Usage
    from alloy_actors.journal import Store
    from alloy_actors.result import Result
    from alloy_actors.turn import OnEvents

OnResult: TypeAlias = Callable[["Result"], object]

KEPT_RESULTS = 1000
"""Finished results that stay readable per agent, whatever their age."""


class Request:
    """One accepted request; all fields are the book's, read them only."""

    __slots__ = (
        "acknowledged",
        "callbacks",
        "cancel",
        "chain",
        "context",
        "finished_at",
        "id",
        "message",
        "on_events",
        "refused",
        "result",
        "state",
        "why_cancelled",
    )

    def __init__(
        self,
        request_id: str,
        message: Message,
        context: contextvars.Context,
        chain: tuple[Link, ...],
        on_events: OnEvents | None,
    ) -> None:
        self.id = request_id
        self.message = message
        self.context: contextvars.Context | None = context
        self.chain = chain
        self.on_events = on_events
        self.state: Literal["recording", "queued", "running", "finished"] = "recording"
        self.result: Result | None = None
        self.finished_at = 0.0
        self.acknowledged: PooledFuture[None] | None = None  # of a store that answers on a thread of its own
        self.refused: Exception | None = None  # by the store
        self.cancel: Callable[[str], None] | None = None  # how to cancel the run, once there is one
        self.why_cancelled: str | None = None  # asked for before there was a run
        self.callbacks: list[OnResult] = []


@dataclass(frozen=True, slots=True)
class Control:
    """A message for the actor that waits its turn between two runs."""

    message: object


class RequestBook:
    """See the module.

    Args:
        agent_id: Whose journal the requests are recorded in.
        store: Where.
        max_pending: How many may wait behind the running one.
        result_ttl: Seconds that a finished result is kept.
        wake: Called when there is something to take; must not block.
    """

    __slots__ = (
        "_closed",
        "_finished",
        "_journal",
        "_lock",
        "_max_pending",
        "_open",
        "_queue",
        "_result_ttl",
        "_running",
        "_settled",
        "_store",
        "_telling",
        "_wake",
        "agent_id",
    )

    def __init__(
        self, agent_id: str, store: Store, max_pending: int, result_ttl: float, wake: Callable[[], None]
    ) -> None:
        self.agent_id = agent_id
        self._store = store
        self._max_pending = max_pending
        self._result_ttl = result_ttl
        self._wake = wake
        self._lock = threading.RLock()  # a store may acknowledge at once, inside `append`
        self._journal: Journal | None = None
        self._queue: list[Request | Control] = []
        self._open: dict[str, Request] = {}  # recording, queued and running ones
        self._finished: dict[str, Request] = {}  # oldest first
        self._running: Request | None = None
        self._closed: str | None = None  # why nothing is accepted
        self._telling = 0  # results whose callbacks are being called
        self._settled: list[Callable[[], object]] = []

    def seed(self, messages: tuple[Message, ...], usage: Usage) -> None:
        """Begin the log with a conversation; before the first request, and only where there is no log yet."""
        conversation = Conversation()
        seeded = Seeded(messages, usage)
        conversation.apply(seeded)
        closing = conversation.closing("", "the earlier conversation broke off here")
        self._append((seeded,) if closing is None else (seeded, closing), _log_failure)

    def retire(self) -> None:
        """The agent is gone for good; see `Store.retire`."""
        if self._journal is not None:
            self._store.retire(self.agent_id, self._journal.token)

    def begin_incarnation(self) -> Journal:
        """A journal for a new incarnation; the ones before it can write no more."""
        with self._lock:
            token = self._store.take_token(self.agent_id)
            self._journal = Journal(self.agent_id, token, self._store)
            return self._journal

    def accept(self, request: Request) -> Request:
        """Take a request in; it is accepted when `recorded` has returned.

        Returns:
            The request itself, or the earlier one with the same id.

        Raises:
            QueueFullError: max_pending wait already.
            AgentDownError: The agent is stopped or parked.
            ConfigError: The id is known with another message.
        """
        with self._lock:
            self._prune()
            known = self._open.get(request.id) or self._finished.get(request.id)
            if known is not None:
                if known.message != request.message:
                    msg = f"request_id {request.id!r} was already used for another message: ids name one request"
                    raise ConfigError(msg)
                return known
            if self._closed is not None:
                raise AgentDownError(self._closed)
            self._check_room()
            self._open[request.id] = request
            # Under the lock, so that the log has the order of the queue and a token that is current.
            self._append(
                (Accepted(request.id, request.message),), lambda error: self._recorded(request, error)
            )
            if request.state == "recording" and request.refused is None:
                request.acknowledged = PooledFuture()
        return request

    def recorded(self, request: Request) -> None:
        """Wait until the store has the request, and let the agent know of it.

        Raises:
            AlloyError: The store could not take it.
        """
        if request.acknowledged is not None:
            request.acknowledged.get()
        self._after_recording(request)

    async def arecorded(self, request: Request) -> None:
        """`recorded` for coroutines."""
        if request.acknowledged is not None:
            await request.acknowledged
        self._after_recording(request)

    def control(self, control: Control) -> None:
        """Queue something behind the requests accepted so far.

        Raises:
            AgentDownError: The agent is stopped or parked.
        """
        with self._lock:
            if self._closed is not None:
                raise AgentDownError(self._closed)
            self._queue.append(control)
        self._wake()

    def take(self) -> Request | Control | None:
        """The next thing to do, None when there is none or a request is running. For the actor only."""
        with self._lock:
            if self._running is not None or not self._queue:
                return None
            item = self._queue.pop(0)
            if isinstance(item, Request):
                item.state = "running"
                self._running = item
            return item

    def began(self, request: Request, cancel: Callable[[str], None]) -> None:
        """The request's run exists; `cancel(why)` ends it."""
        with self._lock:
            request.cancel = cancel
            why = request.why_cancelled
        if why is not None:
            cancel(why)

    def finish(self, request_id: str, result: Result) -> bool:
        """Give the request its result and tell everyone who waits; False when it has one already."""
        with self._lock:
            request = self._open.pop(request_id, None)
            if request is None:
                return False
            callbacks = self._settle(request, result)
            more = bool(self._queue)
            self._telling += 1
        if more:
            self._wake()
        _tell(callbacks, result)
        with self._lock:
            self._telling -= 1
            settled = self._take_settled()
        for function in settled:
            function()
        return True

    def when_settled(self, function: Callable[[], object]) -> None:
        """Call `function` when every request has its result and everyone was told: now, if so."""
        with self._lock:
            self._settled.append(function)
            settled = self._take_settled()
        for waiting in settled:
            waiting()

    def cancel(self, request_id: str | None, why: str, cancelled: Callable[[Request], Result]) -> bool:
        """Cancel a request; None is the running one.

        Args:
            request_id: Which.
            why: Goes into the history.
            cancelled: Makes the result of a request that has not begun.

        Returns:
            Whether there was such a request that had not finished.
        """
        with self._lock:
            request = self._running if request_id is None else self._open.get(request_id)
        if request is not None and request.acknowledged is not None:
            request.acknowledged.get()  # a store that is about to answer: then it is queued, or refused
        with self._lock:
            if request is None or request.id not in self._open:
                return False
            if request is self._running:
                request.why_cancelled = why
                cancel = request.cancel
            else:
                cancel = None
                if request in self._queue:
                    self._queue.remove(request)
                self._append((Withdrawn(request.id),), _log_failure)
        if request.state != "running":
            self.finish(request.id, cancelled(request))
        elif cancel is not None:
            cancel(why)
        return True

    def close(self, why: str, outcome: Callable[[Request], Result | None]) -> None:
        """Refuse new requests and finish the open ones.

        Args:
            why: The text of the AgentDownError that `accept` raises until `reopen`.
            outcome: A request's result; None leaves it to its run, which is about to end.
        """
        with self._lock:
            self._closed = why
            self._queue.clear()
            requests = list(self._open.values())
        for request in requests:
            result = outcome(request)
            if result is not None:
                self.finish(request.id, result)

    def reopen(self) -> None:
        """Accept requests again, after a parked agent came back."""
        with self._lock:
            self._closed = None

    def on_finished(self, request: Request, callback: OnResult) -> None:
        """Call `callback(result)` when the request has its result: now, if it has."""
        with self._lock:
            result = request.result
            if result is None:
                request.callbacks.append(callback)
        if result is not None:
            _tell([callback], result)

    def forget(self, request: Request, callback: OnResult) -> None:
        """Take back what `on_finished` was given: its caller has stopped waiting."""
        with self._lock:
            if callback in request.callbacks:
                request.callbacks.remove(callback)

    def why_closed(self) -> str | None:
        """Why nothing is accepted; None when requests are."""
        return self._closed

    def running(self) -> Request | None:
        """The request whose run is on."""
        return self._running

    def pending(self) -> int:
        """How many requests wait behind the running one."""
        with self._lock:
            return len(self._open) - (self._running is not None)

    def result(self, request_id: str) -> Result | None:
        """The result of a finished request within `result_ttl`; None when it is not there (yet, or any more)."""
        with self._lock:
            self._prune()
            request = self._finished.get(request_id)
            return request.result if request is not None else None

    def compact(self, base: tuple[Record, ...], on_compacted: Callable[[Exception | None], object]) -> None:
        """Replace the log by `base` and the requests that wait."""
        with self._lock:
            waiting = tuple(
                Accepted(request.id, request.message)
                for request in self._open.values()
                if request is not self._running
            )
            assert self._journal is not None
            self._store.compact(self.agent_id, self._journal.token, base + waiting, on_compacted)

    def _check_room(self) -> None:
        waiting = len(self._open) - (self._running is not None)
        # An idle agent takes one at once: it does not wait.
        if waiting >= self._max_pending + (self._running is None):
            msg = f"{waiting} requests wait already (max_pending={self._max_pending}): wait for one, or raise max_pending"
            raise QueueFullError(msg)

    def _append(self, records: tuple[Record, ...], on_appended: Callable[[Exception | None], object]) -> None:
        if self._journal is None:
            self._journal = Journal(self.agent_id, self._store.take_token(self.agent_id), self._store)
        self._store.append(self.agent_id, self._journal.token, records, on_appended)

    def _recorded(self, request: Request, error: Exception | None) -> None:
        """The store has the request, or refused it."""
        with self._lock:
            if error is not None:
                self._open.pop(request.id, None)
                request.refused = error
            elif request.state == "recording" and request.id in self._open:
                request.state = "queued"
                self._queue.append(request)
            acknowledged = request.acknowledged
        if acknowledged is not None:
            acknowledged.set()

    def _after_recording(self, request: Request) -> None:
        if request.refused is not None:
            raise request.refused
        self._wake()

    def _take_settled(self) -> list[Callable[[], object]]:
        if self._open or self._telling or not self._settled:
            return []
        settled, self._settled = self._settled, []
        return settled

    def _settle(self, request: Request, result: Result) -> list[OnResult]:
        if request is self._running:
            self._running = None
        request.state = "finished"
        request.result = result
        request.finished_at = time.monotonic()
        callbacks, request.callbacks = request.callbacks, []
        # A kept result must not keep the caller's context, its listener, or the frames of what went wrong alive.
        request.context = request.on_events = request.cancel = None
        request.chain = ()
        _forget_frames(result.error)
        self._finished[request.id] = request
        self._prune()
        return callbacks

    def _prune(self) -> None:
        finished = self._finished
        while finished:
            oldest = next(iter(finished.values()))
            if len(finished) <= KEPT_RESULTS and time.monotonic() - oldest.finished_at < self._result_ttl:
                return
            del finished[oldest.id]


def _tell(callbacks: list[OnResult], result: Result) -> None:
    for callback in callbacks:
        try:
            callback(result)
        except Exception as error:
            log.error("result_callback_failed", request_id=result.request_id, **traced(error))


def _forget_frames(error: BaseException | None) -> None:
    """What went wrong was logged; its frames hold local variables, which may be large."""
    while error is not None:
        error.__traceback__ = None
        error = error.__cause__ or error.__context__


def _log_failure(error: Exception | None) -> None:
    if error is not None:
        log.error("append_failed", **traced(error))
