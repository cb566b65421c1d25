"""The requests of one agent: accepted here, taken by the agent's actor, finished exactly once.

The book is held by the runtime and not by the actor, so a crash loses no request: the next incarnation finds the
queue as it was. A request is queued, running or finished; `finish`: the first wins. One that steers joins the run
that is on and finishes with it. All methods may be called from any thread; callbacks run after the lock is released,
on the thread that finished the request.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Literal, Protocol

from alloy_actors.actors.kept import KeptResults
from alloy_actors.actors.line import Line
from alloy_actors.actors.request import Control, Request, accepted_as, tell
from alloy_actors.actors.request_log import LogOwner, RequestLog, into
from alloy_actors.actors.rest import Rest
from alloy_actors.conversation import Conversation
from alloy_actors.errors import AgentDownError, AlloyError, BusyError, ConfigError, QueueFullError
from alloy_actors.journal import Accepted, Seeded, Withdrawn
from alloy_actors.logs import log, traced
from alloy_actors.result import Result
from supervisors.runtime import PooledFuture

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from alloy_actors.actors.request import Cancel, OnResult
    from alloy_actors.actors.restoring import Finished
    from alloy_actors.content import Message
    from alloy_actors.journal import Journal, OnAppended, Record, Store


class LetGoError(Exception):
    """The results have to be read from the log first."""


INTERRUPTED = "the request was interrupted by a newer message"


class BookOwner(LogOwner, Protocol):
    """Whose book it is; none of this may block."""

    def wake(self) -> None:
        """There is something to take."""

    def heard(self, result: Result) -> object:
        """A request has its result; told after those who wait for it."""


class RequestBook:
    """See the module.

    Args:
        agent_id: Whose journal the requests are recorded in.
        store: Where.
        max_pending: How many may wait behind the running one.
        result_ttl: Seconds that a finished result is kept.
        owner: Whose it is.
    """

    __slots__ = (
        "_began",
        "_close_late",
        "_closed",
        "_draining",
        "_finished",
        "_joined",
        "_lock",
        "_log",
        "_max_pending",
        "_open",
        "_owner",
        "_queue",
        "_rest",
        "_running",
        "agent_id",
        "has_let_go",
    )

    def __init__(
        self,
        agent_id: str,
        store: Store,
        max_pending: int,
        result_ttl: float,
        owner: BookOwner,
    ) -> None:
        self.agent_id = agent_id
        self._max_pending = max_pending
        self._owner = owner
        self._lock = threading.RLock()  # a store may acknowledge at once, inside `append`
        self._log = RequestLog(agent_id, store, self._lock, owner)
        self._began = 0.0  # the newest incarnation
        self._queue = Line()
        self._open: dict[str, Request] = {}  # recording, queued and running ones
        self._finished = KeptResults(result_ttl)
        self.has_let_go = False  # the finished ones that are not here are in the log
        self._running: Request | None = None
        self._joined: tuple[Request, ...] = ()  # those that are part of its run
        self._closed: str | None = None  # why nothing is accepted
        self._close_late: Callable[[], object] | None = None  # for what was being recorded when it was closed
        self._draining: str | None = None  # why nothing is accepted but what running runs need
        self._rest = Rest()

    def seed(self, seeded: Seeded) -> None:
        """Begin the log with a conversation; before the first request, and only where there is no log yet.

        Raises:
            StoreError: The store could not take it.
        """
        conversation = Conversation()
        conversation.apply(seeded)
        closing = conversation.closing("", "the earlier conversation broke off here")
        written: PooledFuture[None] = PooledFuture()
        with self._lock:
            self._log.append((seeded,) if closing is None else (seeded, closing), into(written))
        written.get()

    def note(self, *records: Record) -> None:
        """Write records that nobody waits for; see `RequestLog.note`."""
        with self._lock:
            self._log.note(*records)

    def retire(self) -> None:
        """The agent is gone for good; see `Store.retire`."""
        self._log.retire()

    def begin_incarnation(self) -> Journal:
        """A journal for a new incarnation; the ones before it can write no more."""
        with self._lock:
            self._began = time.monotonic()
            return self._log.begin_incarnation()

    def accept(
        self, request: Request, *, bounded: bool = True, rides: bool = False, named: bool = False
    ) -> Request:
        """Take a request in; it is accepted when `recorded` has returned.

        Args:
            request: A new one.
            rides: Its caller waits for nothing but the result: an agent that has nothing else to do begins with it at
                once, and its run records it together with its own beginning. If the store does not take that, there was
                no request, and its `refused` says why.
            bounded: Whether `max_pending` holds, and a drain refuses it. What a topic says has nobody to try again: it is
                kept for the next start.
            named: Its id is the caller's own: there may have been one with it.

        Returns:
            The request itself, or the earlier one with the same id.

        Raises:
            QueueFullError: max_pending wait already.
            BusyError: There is another request, and this one is not to wait.
            AgentDownError: The agent is stopped or parked, or its system is about to be.
            ConfigError: The id is known with another message.
            LetGoError: It may be known, but the sleeping agent has let go of what there was.
        """
        with self._lock:
            if named and self.has_let_go and self._closed is None:
                raise LetGoError
            known = self._open.get(request.id) or self._finished.get(request.id)
            if known is not None:
                if known.message != request.message:
                    msg = f"request_id {request.id!r} was already used for another message: ids name one request"
                    raise ConfigError(msg)
                return known
            self._check_open(request, bounded=bounded)
            if request.when_busy == "reject" and self._open:
                msg = "the agent has another request: wait for it, or hand this one in with when_busy='queue'"
                raise BusyError(msg)
            if bounded:
                self._check_room()
            rides = rides and not self._open and not self._queue and request.when_busy == "queue"
            self._open[request.id] = request
            if rides:
                request.rides, request.state, request.acknowledged = True, "queued", PooledFuture()
                self._queue.add(request)
            else:
                self._record(request)
        if rides:
            self._owner.wake()
        return request

    def adopt(self, request: Request, state: Literal["queued", "running", "joined"]) -> None:
        """Take in a request that the log has and nobody here knows of: it was accepted in an earlier process.

        Args:
            request: A new one.
            state: What the log says of it: whether its run has begun, or it is part of the run that has.
        """
        with self._lock:
            if request.id in self._open or request.id in self._finished:
                return
            self._open[request.id] = request
            if state == "joined":
                self._join(request)
                return
            request.state = state
            if state == "running":
                self._running = request
            else:
                self._queue.add(request)
                if request.when_busy == "interrupt" and self._running is not None:
                    self._running.why_cancelled = INTERRUPTED

    def remember(self, message: Message, result: Result, age: float) -> None:
        """Keep a result from an earlier process readable.

        Args:
            message: What the user said.
            result: The result.
            age: Seconds since it was there.
        """
        with self._lock:
            if result.request_id not in self._open and result.request_id not in self._finished:
                request = Request(result.request_id, message, None, (), None)
                request.state, request.result = "finished", result
                self._finished.keep(request, age)

    def let_go(self) -> bool:
        """Forget the results that are kept, as far as the log has them; False when there is something to do."""
        with self._lock:
            if self._open or self._queue or self._closed is not None or self._draining is not None:
                return False
            if self._log.is_behind:
                return False
            self._finished.let_go(self._log.lacks_until)
            self.has_let_go = True
            return True

    def recalled(self, finished: Iterable[Finished]) -> None:
        """Keep again what was let go of."""
        with self._lock:
            for one in finished:
                self.remember(one.message, one.result, one.age)
            self.has_let_go = False

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

    def when_recorded(self, request: Request) -> None:
        """`recorded` for those who cannot wait: the agent is woken when the store has the request."""
        if request.acknowledged is None:
            self._settle_recording(request)
        else:
            request.acknowledged.add_done_callback(lambda _: self._settle_recording(request))

    def control(self, control: Control) -> None:
        """Queue something behind the requests accepted so far.

        Raises:
            AgentDownError: The agent is stopped or parked.
        """
        with self._lock:
            if self._closed is not None:
                raise AgentDownError(self._closed)
            self._queue.add(control)
        self._owner.wake()

    def take(self) -> Request | Control | None:
        """The next thing to do, None when there is none or a request is running. For the actor only."""
        with self._lock:
            if self._running is not None:
                return None
            item = self._queue.take(only_awaited=self._draining is not None)
            if isinstance(item, Request):
                item.state = "running"
                self._running = item
                if self._queue.interrupts() and self._draining is None:
                    item.why_cancelled = INTERRUPTED
            return item

    def has_next(self) -> bool:
        """Whether `take` may give something."""
        with self._lock:
            return self._running is None and bool(self._queue)

    def take_steering(self, journal: Journal) -> list[tuple[str, Message]]:
        """Requests that steer, in order: from here on they are part of the run that is on.

        Args:
            journal: The run's. One whose actor has crashed may come here before it hears of its end; it gets none, since it
                could not write down that it had them.
        """
        with self._lock:
            if not self._log.is_current(journal):
                return []
            steering = self._queue.take_steering()
            for request in steering:
                self._join(request)
            return [(request.id, request.message) for request in steering]

    def joined(self, request_ids: Collection[str]) -> None:
        """What the log says has joined the run that is on; what it does not say waits again, in front."""
        with self._lock:
            back = [request for request in self._joined if request.id not in request_ids]
            self._joined = tuple(request for request in self._joined if request.id in request_ids)
            for request in back:
                request.state = "queued"
            self._queue.put_back(back)

    def began(self, request: Request, cancel: Cancel) -> None:
        """The request's run exists; `cancel(why)` ends it."""
        with self._lock:
            request.cancel = cancel
            why = request.why_cancelled
        if why is not None:
            cancel(why)

    def finish(self, request_id: str, result: Result) -> bool:
        """Give the request its result and tell everyone who waits; False when it has one already.

        What has joined its run gets the same result under its own id.
        """
        with self._lock:
            request = self._open.get(request_id)
            if request is None:
                return False
            finished = [request]
            if request is self._running:
                finished += self._joined
                self._joined = ()
            told = []
            for one in finished:
                its = result if one is request else result.for_request(one.id)
                told.append((self._settle(one, its), its))
            heard = [] if request.refused is not None else [self._owner.heard]
            more = bool(self._queue)
            self._rest.telling += 1
        if more:
            self._owner.wake()
        for callbacks, its in told:
            tell([*callbacks, *heard], its)
        with self._lock:
            self._rest.telling -= 1
        self._call_due()
        return True

    def is_recorded(self, request: Request) -> None:
        """The run that a request rides on has written its beginning."""
        with self._lock:
            if request.rides:
                request.is_recorded()

    def find_riding(self, records: Iterable[Record], *, keep: bool = False) -> None:
        """Whether the last incarnation's run came to record the request that rides on it.

        Args:
            records: The log, to which that run can add no more.
            keep: Record it if it did not: no run will.
        """
        with self._lock:
            request = self._running
            if request is None or not request.rides:
                return
            if any(isinstance(record, Accepted) and record.request_id == request.id for record in records):
                request.is_recorded()
            elif keep:
                self._keep(request)

    def refuse(self, request_id: str, error: AlloyError) -> None:
        """The store did not take a request that rides; nothing happens when it has it."""
        with self._lock:
            request = self._open.get(request_id)
            if request is None or not request.rides:
                return
            request.refused = error
        self.finish(request_id, Result(request_id=request_id, status="error", error=error))

    def when_settled(self, function: Callable[[], object]) -> None:
        """Call `function` when every request has its result and everyone was told: now, if so."""
        with self._lock:
            self._rest.when_settled(function)
        self._call_due()

    def when_idle(self, function: Callable[[], object]) -> None:
        """Call `function` when no run is on and everyone was told of the last one's end: now, if so."""
        with self._lock:
            self._rest.when_idle(function)
        self._call_due()

    def recording(self, request_id: str | None) -> PooledFuture[None] | None:
        """What is set when the store has answered about a request that `cancel` would wait for."""
        with self._lock:
            request = self._open.get(request_id) if request_id is not None else None
            return request.acknowledged if request is not None and request.state == "recording" else None

    def cancel(self, request_id: str | None, why: str, cancelled: Callable[[Request], Result]) -> bool:
        """Cancel a request; None is the running one.

        Args:
            request_id: Which.
            why: Goes into the history.
            cancelled: Makes the result of a request that has not begun.

        Returns:
            Whether there was such a request that had not finished. One that has joined a run cannot be taken back.
        """
        if (recording := self.recording(request_id)) is not None:
            recording.get()  # a store that is about to answer: then it is queued, or refused
        with self._lock:
            request = self._running if request_id is None else self._open.get(request_id)
            if request is None or request.id not in self._open or request.state == "joined":
                return False
            if request is self._running:
                request.why_cancelled = why
                cancel = request.cancel
            else:
                cancel = None
                if request in self._queue:
                    self._queue.remove(request)
                self._log.withdraw([(request, None)])
        if request.state != "running":
            self.finish(request.id, cancelled(request))
        elif cancel is not None:
            cancel(why)
        return True

    def fail(self, request_id: str, error: AlloyError) -> None:
        """End the run of a request with an error; nothing happens when it is not running."""
        with self._lock:
            request = self._open.get(request_id)
            cancel = request.cancel if request is not None else None
        if cancel is not None:
            cancel(str(error), error)

    def drain(self, why: str) -> None:
        """Begin nothing more, and accept nothing more, but what runs that are on wait for.

        Args:
            why: The text of the AgentDownError that `accept` raises.
        """
        with self._lock:
            self._draining = why

    def close(self, why: str, outcome: Callable[[Request], Result | None], *, withdraw: bool) -> None:
        """Refuse new requests and finish the open ones.

        Args:
            why: The text of the AgentDownError that `accept` raises until `reopen`.
            outcome: A request's result; None leaves it to its run, which is about to end. Makes a value and no more: it is
                asked under the lock, because the log says what its callers are told.
            withdraw: Whether the log shall say that those that wait are over; else a later start goes on with them.
        """
        with self._lock:
            self._closed = why
            self._close_late = lambda: self.close(why, outcome, withdraw=withdraw)
            waiting = self._queue.clear()
            if not withdraw:
                for request in waiting:
                    if request.rides:
                        self._keep(request)
            requests = [
                request for request in self._open.values() if request.state not in ("joined", "recording")
            ]
            results = {request.id: outcome(request) for request in requests}
            if withdraw:
                self._log.withdraw((request, results[request.id]) for request in waiting)
        for request_id, result in results.items():
            if result is not None:
                self.finish(request_id, result)

    def reopen(self) -> None:
        """Accept requests again, after a parked agent came back."""
        with self._lock:
            self._closed = self._close_late = None

    def withdraw_finished(self, request_ids: Iterable[str]) -> None:
        """Say in the log that requests are over that wait there, and whose callers were told already."""
        with self._lock:
            over = [request_id for request_id in request_ids if self._is_told(request_id)]
            if over:
                now = time.time()
                self._log.note(*(Withdrawn(request_id, now) for request_id in over))

    def withdraw_taken(self, request_ids: Collection[str]) -> None:
        """Say in the log that the request is over whose run was about to begin, if it is among those that wait there."""
        with self._lock:
            if self._running is not None and self._running.id in request_ids:
                self._log.withdraw([(self._running, None)])

    def on_finished(self, request: Request, callback: OnResult) -> None:
        """Call `callback(result)` when the request has its result: now, if it has."""
        with self._lock:
            result = request.result
            if result is None:
                request.callbacks.append(callback)
        if result is not None:
            tell([callback], result)

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

    def is_current(self, journal: Journal) -> bool:
        """Whether no newer incarnation in this process has the log."""
        return self._log.is_current(journal)

    def pending(self) -> int:
        """How many requests wait behind the running one."""
        with self._lock:
            return self._waiting()

    def result(self, request_id: str) -> Result | None:
        """The result of a finished request within `result_ttl`; None when it is not there (yet, or any more)."""
        with self._lock:
            request = self._finished.get(request_id)
            return request.result if request is not None else None

    def compact(self, base: tuple[Record, ...], on_compacted: OnAppended) -> None:
        """Replace the log by `base` and the requests that wait."""
        with self._lock:
            waiting = tuple(
                accepted_as(request)
                for request in self._open.values()
                if request.state in ("recording", "queued") and not request.rides
            )
            self._log.replace(base + waiting, on_compacted)

    def _record(self, request: Request) -> None:
        # Under the lock, so that the log has the order of the queue and a token that is current.
        self._log.append((accepted_as(request),), lambda error: self._recorded(request, error))
        if request.state == "recording" and request.refused is None:
            request.acknowledged = PooledFuture()

    def _keep(self, request: Request) -> None:
        """Record one that rides and has no run to do so; it is over when the store has answered."""
        request.state = "recording"
        if self._running is request:
            self._running = None
        self._log.append((accepted_as(request),), lambda error: self._kept(request, error))

    def _kept(self, request: Request, error: Exception | None) -> None:
        if isinstance(error, AlloyError):
            self.refuse(request.id, error)
            return
        request.rides = False
        self._recorded(request, error)

    def _check_open(self, request: Request, *, bounded: bool) -> None:
        if self._closed is not None:
            raise AgentDownError(self._closed)
        if self._draining is not None and bounded and not request.chain:
            raise AgentDownError(self._draining)

    def _is_told(self, request_id: str) -> bool:
        """Whether a request was over when the newest incarnation began; one that ended since is in its log by itself."""
        if request_id in self._open:
            return False
        kept = self._finished.get(request_id)
        return kept is None or kept.finished_at < self._began

    def _waiting(self) -> int:
        return len(self._open) - (self._running is not None) - len(self._joined)

    def _join(self, request: Request) -> None:
        request.state = "joined"
        self._joined += (request,)

    def _check_room(self) -> None:
        waiting = self._waiting()
        # An idle agent takes one at once: it does not wait.
        if waiting >= self._max_pending + (self._running is None):
            msg = f"{waiting} requests wait already (max_pending={self._max_pending}): wait for one, or raise max_pending"
            raise QueueFullError(msg)

    def _recorded(self, request: Request, error: Exception | None) -> None:
        """The store has the request, or refused it."""
        with self._lock:
            if error is not None:
                self._open.pop(request.id, None)
                request.refused = error
            elif request.state == "recording" and request.id in self._open:
                request.state = "queued"
                self._queue.add(request)
            acknowledged, close = request.acknowledged, self._close_late
        if close is not None:
            close()
        if acknowledged is not None:
            acknowledged.set()
        self._log.check(error)

    def _after_recording(self, request: Request) -> None:
        if request.refused is not None:
            raise request.refused
        if request.when_busy == "interrupt":
            self._interrupt(request)
        self._owner.wake()

    def _settle_recording(self, request: Request) -> None:
        if request.refused is not None:
            log.error("request_lost", agent=self.agent_id, request_id=request.id, **traced(request.refused))
        else:
            self._owner.wake()

    def _interrupt(self, request: Request) -> None:
        """End the run that is on in favour of a request that waits."""
        with self._lock:
            running = self._running
            if running is None or request.state != "queued":
                return
            running.why_cancelled = INTERRUPTED
            cancel = running.cancel
        if cancel is not None:
            cancel(INTERRUPTED)

    def _call_due(self) -> None:
        with self._lock:
            due = self._rest.due(running=self._running is not None, open_=bool(self._open))
        for function in due:
            function()

    def _settle(self, request: Request, result: Result) -> list[OnResult]:
        del self._open[request.id]
        if request is self._running:
            self._running = None
        if request.rides:
            request.is_recorded()
        callbacks = request.settle(result)
        if request.refused is None:
            self._finished.keep(request)
        return callbacks
