"""Where plain (`def`) tools run: a bounded pool of worker actors under a supervisor.

A call goes into one queue. A worker that is awake drains it; one that sleeps is on top of a stack, so nobody searches
for it; where there is none and the limit allows, another is started. Workers are pykka's `ThreadingActor`s: a tool may
block for minutes, and with a thread of its own an actor can be abandoned alone. They are TEMPORARY children: nothing
restarts them, the pool replaces what it loses.

A call that nobody waits for any more loses its worker at once: the slot is free, the supervisor ends the actor (and
declares it dead if its thread will not end), and until the tool returns the thread counts as stuck.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import pykka

from alloy_actors.actors.tool_job import Job, Outbox
from alloy_actors.actors.tool_worker import WAKE, Slots, ToolWorker, ToolWorkers
from alloy_actors.errors import ToolError
from supervisors import BRUTAL_KILL, ChildSpec, RestartType
from supervisors.clock import system_clock
from supervisors.errors import NotFound, SupervisorError
from supervisors.reasons import Shutdown
from supervisors.runtime import request_stop

if TYPE_CHECKING:
    from collections.abc import Callable

    from supervisors.clock import Clock, Timer
    from supervisors.reasons import ExitReason
    from supervisors.refs import DynamicSupervisorRef
    from supervisors.runtime import PooledFuture

IDLE_TIMEOUT: Final = 5.0
"""Seconds after which a worker without work ends."""

_UNLIMITED: Final = 1_000_000_000  # zombies: the pool has its own limit, and answers it instead of giving up


@dataclass(frozen=True, slots=True)
class ToolPoolStatistics:
    """The pool at one moment.

    Args:
        limit: Workers that may run at the same time.
        busy: Workers that run a tool.
        idle: Workers without work.
        blocked: Workers whose tool waits for another agent; their slots are free.
        stuck: Threads of calls that nobody waits for any more.
        queued: Calls that wait for a worker.
        started: Workers started so far.
    """

    limit: int
    busy: int
    idle: int
    blocked: int
    stuck: int
    queued: int
    started: int


class ToolPool:
    """Runs plain functions on worker threads; the `Workers` of a `ToolRunner`.

    It works as long as what `child_spec()` describes runs under some supervisor, and takes calls before that.

    Args:
        workers: Tools that may run at the same time. Those that wait for another agent do not count.
        max_stuck: Calls that nobody waits for any more and that have not returned; beyond that many no further call
            is taken.
        idle_timeout: Seconds a worker stays without work.
        clock: For `idle_timeout`.
    """

    def __init__(
        self,
        workers: int = 32,
        max_stuck: int = 64,
        *,
        idle_timeout: float = IDLE_TIMEOUT,
        clock: Clock = system_clock,
    ) -> None:
        self._limit = workers
        self._max_stuck = max_stuck
        self._idle_timeout = idle_timeout
        self._clock = clock
        self._lock = threading.Lock()
        self._queue: deque[Job] = deque()  # also jobs that were abandoned, which are skipped
        self._queued = 0
        self._stuck = 0
        self._started = 0
        self._slots: Slots | None = None
        self._closed = False
        self._timer: Timer | None = None
        self._outbox: Outbox | None = None

    def child_spec(self) -> ChildSpec:
        """Describe the pool's supervisor, as a child of another."""
        return ChildSpec(id="tools", start=ToolWorkers, args=(self,), kwargs={"max_zombies": _UNLIMITED})

    def statistics(self) -> ToolPoolStatistics:
        """The pool now."""
        with self._lock:
            slots = self._slots
            return ToolPoolStatistics(
                limit=self._limit,
                busy=slots.busy if slots is not None else 0,
                idle=len(slots.idle) if slots is not None else 0,
                blocked=slots.blocked if slots is not None else 0,
                stuck=self._stuck,
                queued=self._queued,
                started=self._started,
            )

    # Calls, on a loop

    async def call(self, function: Callable[[], object], *, name: str) -> object:
        """Run `function` on a worker and return what it returns; cancelling the await abandons it.

        Args:
            function: Called once, or never when the await is cancelled before a worker is free.
            name: Of the tool, for the model.

        Raises:
            ToolError: Too many calls are stuck, the pool is closed, or no thread can be started.
        """
        loop = asyncio.get_running_loop()
        outbox = self._outbox
        if outbox is None or outbox.loop is not loop:  # a system's calls all come from one loop
            outbox = self._outbox = Outbox(loop)
        job = Job(function, name, outbox, loop.create_future())
        self._submit(job)
        try:
            return await job.future
        except asyncio.CancelledError:
            self._abandon(job)
            raise

    def _submit(self, job: Job) -> None:
        with self._lock:
            if self._closed:
                raise ToolError(f"Tool {job.name} was not run: the system has been stopped.")
            if self._stuck > self._max_stuck:
                raise ToolError(
                    f"Tool {job.name} was not run: {self._stuck} earlier calls did not end in time and still hold "
                    f"their threads (max_stuck_tools={self._max_stuck})."
                )
            self._queue.append(job)
            self._queued += 1
            more = self._more_hands()
        self._bring(more)

    def _abandon(self, job: Job) -> None:
        """Nobody waits for the job any more."""
        with self._lock:
            if job.ended:
                return
            job.ended = True
            worker = job.worker
            if worker is None:
                self._queued -= 1
                return
            worker.stuck = True
            self._stuck += 1
            self._free_slot(worker)
            more = self._more_hands()
        self._bring(more)
        self._end(worker)

    # Workers, on their threads

    def arrived(self) -> int:
        """A worker has started; returns its number."""
        with self._lock:
            self._started += 1
            return self._started

    def drain(self, worker: ToolWorker) -> bool:
        """Run what there is to run; False when the worker shall end."""
        with self._lock:
            job = self._next(worker)
        while job is not None:
            job.run()
            done = job
            with self._lock:
                if worker.stuck:
                    self._stuck -= 1
                    worker.left = True
                    job = None
                else:
                    job.ended = True
                    worker.slots.busy -= 1
                    job = self._next(worker)
            # Only now: whoever sees the result and calls again at once finds this worker free.
            done.deliver()
            del done  # an idle worker keeps nothing alive
        return not worker.left

    def _next(self, worker: ToolWorker) -> Job | None:
        """The next job; None when the worker may sleep, or has left."""
        slots = worker.slots
        if self._closed or slots is not self._slots or slots.active > self._limit:
            worker.left = True
            slots.active -= 1
            return None
        while self._queue:
            job = self._queue.popleft()
            if not job.ended:
                self._queued -= 1
                slots.busy += 1
                job.worker = worker
                return job
        worker.idle_since = self._clock.now()
        slots.idle.append(worker)
        if self._timer is None:
            self._timer = self._clock.call_later(self._idle_timeout, self._retire)
        return None

    def leave(self, worker: ToolWorker) -> None:
        """The worker ends; usually known already."""
        with self._lock:
            if worker.left or worker.stuck:
                return
            worker.left = True
            if worker in worker.slots.idle:
                worker.slots.idle.remove(worker)
            worker.slots.active -= 1
            more = self._more_hands()
        self._bring(more)

    def worker_blocks(self, worker: ToolWorker) -> None:
        """The tool of this worker waits for another agent: its slot is free meanwhile."""
        with self._lock:
            if worker.stuck:
                return
            worker.slots.busy -= 1
            worker.slots.active -= 1
            worker.slots.blocked += 1
            worker.blocked = True
            more = self._more_hands()
        self._bring(more)

    def worker_runs(self, worker: ToolWorker) -> None:
        """The wait is over. There may be one too many now: the next to finish its tool ends."""
        with self._lock:
            if worker.stuck:
                return
            worker.slots.blocked -= 1
            worker.slots.active += 1
            worker.slots.busy += 1
            worker.blocked = False

    def _free_slot(self, worker: ToolWorker) -> None:
        slots = worker.slots
        if worker.blocked:
            slots.blocked -= 1
        else:
            slots.busy -= 1
            slots.active -= 1

    # Comings and goings

    def _more_hands(self) -> ToolWorker | Slots | None:
        """Who shall help with the queue: a worker to wake, the slots to start one in (it is counted), or nobody."""
        slots = self._slots
        if not self._queued or slots is None or self._closed:
            return None
        if slots.idle:
            return slots.idle.pop()
        if slots.active < self._limit:
            slots.active += 1
            return slots
        return None

    def _bring(self, more: ToolWorker | Slots | None) -> None:
        """Do what `_more_hands` decided, without the lock."""
        if isinstance(more, ToolWorker):
            try:
                more.actor_ref.tell(WAKE)
            except pykka.ActorDeadError:  # ended by somebody else's hand
                self.leave(more)
        elif more is not None:
            spec = ChildSpec(
                id="worker",
                start=ToolWorker,
                args=(self, more),
                restart=RestartType.TEMPORARY,
                shutdown=BRUTAL_KILL,
            )
            try:
                more.ref.start_child(spec, block=False).add_done_callback(partial(self._start_ended, more))
            except SupervisorError as error:
                self._not_started(more, error)

    def _start_ended(self, slots: Slots, future: PooledFuture[Any]) -> None:
        try:
            future.get(timeout=0)
        except Exception as error:
            self._not_started(slots, error)

    def _not_started(self, slots: Slots, error: Exception) -> None:
        with self._lock:
            slots.active -= 1
            hopeless = slots is self._slots and slots.active <= 0 and slots.blocked == 0
            lost = self._take_all() if hopeless else []
        for job in lost:
            job.refuse(f"no worker could be started ({error})")

    def _take_all(self) -> list[Job]:
        jobs = [job for job in self._queue if not job.ended]
        for job in jobs:
            job.ended = True
        self._queue.clear()
        self._queued = 0
        return jobs

    def _end(self, worker: ToolWorker) -> None:
        """Let the supervisor end a worker, and declare it dead if its thread goes on."""
        try:
            worker.slots.ref.terminate_child(worker.actor_ref, block=False)
        except (NotFound, SupervisorError):  # it, or the supervisor, is gone already
            return

    def _retire(self) -> None:
        """End the workers that have slept long enough."""
        with self._lock:
            self._timer = None
            slots = self._slots
            tired: list[ToolWorker] = []
            if slots is None or self._closed:
                return
            now = self._clock.now()
            while slots.idle and slots.idle[0].idle_since + self._idle_timeout <= now:
                worker = slots.idle.popleft()
                worker.left = True
                slots.active -= 1
                tired.append(worker)
            if slots.idle:
                delay = slots.idle[0].idle_since + self._idle_timeout - now
                self._timer = self._clock.call_later(delay, self._retire)
        for worker in tired:
            request_stop(worker.actor_ref, Shutdown("idle"))

    # The supervisor

    def attach(self, ref: DynamicSupervisorRef) -> None:
        """The supervisor has started, for the first time or again; workers of an earlier one end on their own."""
        with self._lock:
            self._slots = Slots(ref)
            waiting = self._queued
        ref.when_closed(self._detached)
        for _ in range(min(waiting, self._limit)):
            with self._lock:
                more = self._more_hands()
            self._bring(more)

    def _detached(self, reason: ExitReason) -> None:
        if reason.ok:  # asked to stop; after a crash it comes back
            self.close()

    def close(self) -> None:
        """Take no more calls and answer those that wait; the supervisor ends the workers."""
        with self._lock:
            self._closed = True
            timer, self._timer = self._timer, None
            lost = self._take_all()
        if timer is not None:
            timer.cancel()
        for job in lost:
            job.refuse("the system has been stopped")
