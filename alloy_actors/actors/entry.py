"""What the runtime knows of one agent, across all incarnations of its actor.

The actor owns the conversation; everything that must outlive an incarnation is here: the book of requests, the
current provider, the run that is on, and how the agent is doing. A handle (`AgentRef`) holds the entry and never
the actor.
"""

from __future__ import annotations

import os
import threading
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import pykka
from pykka import ActorDeadError

from alloy_actors.actors.book import RequestBook
from alloy_actors.actors.goodbye import say_goodbye
from alloy_actors.actors.health import Health
from alloy_actors.actors.loop_thread import loop_lag
from alloy_actors.actors.messages import WAKE, Fenced
from alloy_actors.actors.request import Request
from alloy_actors.actors.restoring import end_of_run, fold
from alloy_actors.actors.sleep import Sleep
from alloy_actors.actors.topics import AgentTopics
from alloy_actors.approvals import Approvals
from alloy_actors.content import NO_USAGE, Usage
from alloy_actors.errors import AgentDownError, AlloyError, CancelledError, CrashError
from alloy_actors.logs import log, traced
from alloy_actors.middleware import NO_HOOKS, Hooks
from alloy_actors.result import Result, Status
from supervisors.reasons import Crash, Shutdown
from supervisors.runtime import PooledFuture

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pykka import ActorRef

    from alloy_actors.actors.callbacks import Callbacks
    from alloy_actors.actors.pubsub import PubSub
    from alloy_actors.actors.run_handle import RunHandle
    from alloy_actors.approvals import Approval
    from alloy_actors.config import AgentConfig
    from alloy_actors.content import Message
    from alloy_actors.conversation import Conversation
    from alloy_actors.deadline import Deadline
    from alloy_actors.errors import FencedError
    from alloy_actors.journal import Journal, Record, Store
    from alloy_actors.provider import Provider
    from alloy_actors.tool_runner import ToolRunner
    from supervisors import ChildExit
    from supervisors.reasons import ExitReason

Condition: TypeAlias = Literal["starting", "up", "restarting", "parked", "stopped"]


class AgentEntry:
    """See the module. `ref`, `condition` and `run` change under the entry's lock."""

    __slots__ = (
        "_buried",
        "_folded",
        "_gave_up",
        "_lock",
        "_over",
        "_unwritten",
        "_waiting",
        "agent_id",
        "approvals",
        "book",
        "callbacks",
        "came_up_at",
        "condition",
        "config",
        "created_at",
        "fenced",
        "hooks",
        "last_exit",
        "last_ref",
        "name",
        "over",
        "pid",
        "provider",
        "ref",
        "reported",
        "restarts",
        "run",
        "runner",
        "sleep",
        "stop_requested",
        "store",
        "topics",
    )

    def __init__(
        self,
        name: str,
        agent_id: str,
        config: AgentConfig,
        store: Store,
        runner: ToolRunner,
        callbacks: Callbacks,
        pubsub: PubSub,
        over: Callable[[AgentEntry], object] = lambda _: None,
    ) -> None:
        self.name = name
        self.agent_id = agent_id
        self.config = config
        self.provider: Provider = config.provider  # the actor's handlers change it (set_model)
        self.store = store
        self.runner = runner
        self.callbacks = callbacks
        self.topics = AgentTopics(pubsub, agent_id, config.subscribe)
        self.book = RequestBook(agent_id, store, config.max_pending, config.result_ttl, self)
        self.sleep = Sleep(self, config.idle_timeout) if config.idle_timeout is not None else None
        self._over = over
        self.hooks = (
            Hooks(config.middleware, callbacks.run, config.loop or runner.loop)
            if config.middleware or config.on_compaction
            else NO_HOOKS
        )
        self.approvals = Approvals()
        self.condition: Condition = "starting"
        self._buried = False
        self._gave_up = False  # a run may be left that nobody waits for
        self.over = False  # nothing will be written or read any more
        self.ref: ActorRef[Any] | None = None
        self.last_ref: ActorRef[Any] | None = (
            None  # its supervisor knows a child that is away by its last ref
        )
        self.run: RunHandle | None = None
        self.restarts = 0
        self.came_up_at = 0.0
        self.last_exit: ExitReason | None = None
        self.created_at = datetime.now(UTC)
        self.pid = os.getpid()
        self._lock = threading.Lock()
        self._waiting: tuple[Callable[[], None], ...] = ()  # an idle agent keeps no empty lists
        # By the agent's own stop(); an actor that comes up nevertheless ends at once.
        self.stop_requested = False
        self.reported: str | None = None  # the run of an earlier process that is to end here, not to go on
        self.fenced: FencedError | None = None  # another process has the journal
        self._folded: tuple[Journal, Conversation] | None = None
        self._unwritten: tuple[Record, ...] = ()

    @property
    def suspending(self) -> bool:
        """Whether an end now leaves what is not done to the next start: unless the agent itself was stopped."""
        return self.store.durable and not self.stop_requested

    def take_up(self, *, report: bool) -> bool:
        """Read what the store has of this agent, before anybody hands in requests; whether there was anything.

        Args:
            report: Whether a run that was on ends with an error instead of going on.

        Raises:
            StoreError: It could not be read.
        """
        journal = self.book.begin_incarnation()
        records = self.store.load(self.agent_id)
        if not records:
            return False
        conversation, finished = fold(records, self.config.result_ttl, self.config.output)
        self._folded = journal, conversation
        for one in finished:
            self.book.remember(one.message, one.result, one.age)
        run = conversation.run
        if run is not None and run.message is not None:
            self.reported = run.request_id if report else None
            self.book.adopt(Request(run.request_id, run.message, None, (), None), "running")
            for request_id, message in run.steered.items():
                self.book.adopt(Request(request_id, message, None, (), None, "steer"), "joined")
        for accepted in conversation.waiting.values():
            request = Request(accepted.request_id, accepted.message, None, (), None, accepted.when_busy)
            self.book.adopt(request, "queued")
        return True

    def take_folded(self) -> tuple[Journal, Conversation] | None:
        """What `take_up` has read, and the right to write after it: for the first incarnation, if it comes up."""
        folded, self._folded = self._folded, None
        return folded if self.last_exit is None else None

    def beginning(self) -> tuple[Sequence[Message], Usage]:
        """The conversation that the first incarnation will have: the store's, else the one of the options."""
        if self._folded is None:
            return self.config.messages, self.config.usage
        conversation = self._folded[1]
        return conversation.messages, conversation.usage

    def leave_unwritten(self, records: tuple[Record, ...]) -> None:
        """Keep also what the store would not take from the last run, until somebody writes it before anything else."""
        with self._lock:
            self._unwritten += records

    def take_unwritten(self) -> tuple[Record, ...]:
        """What `leave_unwritten` has kept, for the one who writes it now."""
        with self._lock:
            records, self._unwritten = self._unwritten, ()
        return records

    @property
    def has_unwritten(self) -> bool:
        """Whether the log lacks something that happened."""
        return bool(self._unwritten)

    def recall(self) -> None:
        """Have the results in the book again, should the agent sleep.

        Raises:
            AgentDownError: It will never wake.
            StoreError: Its journal could not be read.
        """
        if self.sleep is None or not self.sleep.is_asleep:
            return
        if self.over:
            msg = f"agent {self.name!r} was asleep when it was stopped: what it kept is in the store"
            raise AgentDownError(msg)
        self.sleep.recall()

    def result(self, request_id: str) -> Result | None:
        """The result of a finished request, also while the agent sleeps.

        Raises:
            AgentDownError: It was stopped while it slept.
            StoreError: It sleeps, and its journal could not be read.
        """
        while True:
            self.recall()
            result = self.book.result(request_id)
            if result is not None or not self.book.has_let_go:
                return result

    def wake(self) -> None:
        """Tell the actor that its book may hold something; one that comes up reads the book anyway."""
        self._tell(WAKE)

    def heard(self, result: Result) -> None:
        """Of `BookOwner`: say a result on the agent's topic."""
        self.topics.publish(result)

    def lost(self, error: FencedError) -> None:
        """The journal is another process's: the actor ends, though no run of its own has met with it."""
        self._tell(Fenced(error))

    def _tell(self, message: object) -> None:
        ref = self.ref
        if ref is not None:
            try:
                ref.tell(message)
            except ActorDeadError:
                pass  # the next incarnation, if there is one, finds out when it starts

    def check_process(self) -> None:
        """Refuse to work in a forked child.

        Raises:
            AgentDownError: The agent lives in the parent process.
        """
        if self.pid != os.getpid():
            msg = (
                f"agent {self.name!r} lives in the process that started it; this one was forked from it: "
                "start agents after the fork, or use the spawn start method"
            )
            raise AgentDownError(msg)

    def up(self, ref: ActorRef[Any]) -> None:
        """An incarnation has restored the conversation and takes requests."""
        with self._lock:
            self.ref = self.last_ref = ref
            self.came_up_at = time.monotonic()
            if self.condition == "parked":
                self.book.reopen()
            self.condition = "up"
        self._notify()

    def actor_ended(self, exit_: ChildExit) -> None:
        """What the supervisor made of the actor's end; on its thread."""
        match exit_.decision:
            case "restart":
                self._restarting(exit_.reason)
            case "parked":
                self._parked(exit_.reason)
            case _:
                self._stopped(exit_.reason)

    def never_started(self, why: str) -> None:
        """Its supervisor would not start it."""
        self._stopped(Shutdown(why))

    def await_idle(self, deadline: Deadline) -> bool:
        """Wait until no run is on and the last one's result was told and published; whether that is so.

        A run that waits for a person is not waited for: that may take days.
        """
        while True:
            idle: PooledFuture[None] = PooledFuture()
            first = threading.Lock()

            def rouse(idle: PooledFuture[None] = idle, first: threading.Lock = first) -> None:
                if first.acquire(blocking=False):
                    idle.set(None)

            running = self.book.running()
            self.book.when_idle(rouse)
            self.approvals.when_waiting(running.id if running is not None else None, rouse)
            try:
                idle.get(timeout=deadline.remaining())
            except pykka.Timeout:
                return False
            if self.book.running() is None:  # what another agent's run waits for may have begun
                return True
            if self.pending_approvals():
                return False

    def await_end(self, deadline: Deadline) -> bool:
        """Wait until the agent has ended for good, its last run has left and all callbacks have been called."""
        while not self._buried:
            changed: PooledFuture[None] = PooledFuture()
            with self._lock:
                self._waiting += (changed.set,)
            try:
                if not self._buried:  # it may just have been
                    changed.get(timeout=deadline.remaining())
            except pykka.Timeout:
                self._give_up()
                break
        return self.callbacks.drained(deadline.remaining())

    def _give_up(self) -> None:
        """An actor, a provider or a tool will not end: whoever waits is told, whatever it does later."""
        log.warning("stop_timed_out", agent=self.name)
        self._gave_up = True
        error = CancelledError("the agent was stopped; its run did not end in time")
        self.book.close(
            self.book.why_closed() or f"agent {self.name!r} is being stopped",
            lambda request: self.outcome(request.id, "cancelled", error),
            withdraw=not self.suspending and self.fenced is None,
        )

    def _restarting(self, reason: ExitReason) -> None:
        """The actor ended and will be brought back."""
        self._gone("restarting", reason)
        self.restarts += 1

    def _parked(self, reason: ExitReason) -> None:
        """The actor ended too often in a row: everyone who waits is told."""
        self._gone("parked", reason)
        why = (
            f"agent {self.name!r} crashed too often and is parked (last: {_cause_of(reason)!r}); "
            "its supervisor tries it again after a while, or stop() it and start a new one"
        )
        self.book.close(
            why,
            lambda request: self.outcome(request.id, "error", AgentDownError(why), cause=_cause_of(reason)),
            withdraw=True,
        )
        self._notify()

    def _stopped(self, reason: ExitReason) -> None:
        """The actor ended for good. A run that is on leaves by its own door when the stop was orderly."""
        run = self.run
        interrupted = self.condition != "up" or (run is not None and run.ended)
        orderly = reason.ok
        # It leaves by its own door, or says in the log that it was interrupted; whoever waits is told then.
        leaving = (orderly or self.suspending) and self.fenced is None
        self._gone("stopped", reason, keep_run=leaving)
        if leaving and not orderly and run is not None:
            run.abandon(suspend=True)
        for_good = not self.suspending and self.fenced is None
        if for_good and interrupted and self.store.durable:
            self._end_run_in_log()
        if self.suspending and self.fenced is None and (run is None or run.ended):
            self._keep_taken()

        def outcome(request: Request) -> Result | None:
            run = self.run
            if self.fenced is not None:
                return self.outcome(request.id, "error", self.fenced)
            if leaving and request.state == "running" and run is not None and not run.ended:
                return None
            if self.suspending:
                return self.kept_for_later(request.id)
            error = CancelledError("the agent was stopped") if orderly else CrashError("the agent ended")
            return self.outcome(
                request.id, "cancelled" if orderly else "error", error, cause=_cause_of(reason)
            )

        self.book.close(f"agent {self.name!r} is stopped", outcome, withdraw=for_good)
        self.book.when_settled(self._bury)
        self._notify()

    def _end_run_in_log(self, *, fence: bool = False) -> None:
        """No incarnation will come to end, or to go on with, what the last one had to leave.

        Args:
            fence: The run may be there still: from here on it writes nothing.
        """
        why = "the agent was stopped"
        try:
            if fence:
                self.book.begin_incarnation()
            conversation, _ = fold((*self.store.load(self.agent_id), *self._unwritten), 0.0)
        except AlloyError as error:
            log.error("run_not_ended", agent=self.name, **traced(error))
            return
        if conversation.run is not None:
            self.book.note(*end_of_run(conversation, "cancelled", CancelledError(why), why))
        self.book.withdraw_taken(conversation.waiting)
        self.run = None

    def _keep_taken(self) -> None:
        """The last incarnation may have taken a request, and ended before the run could record it."""
        request = self.book.running()
        if request is None or not request.rides:
            return
        try:
            self.book.begin_incarnation()  # what that run did not write, it never will
            self.book.find_riding(self.store.load(self.agent_id), keep=True)
        except AlloyError as error:
            log.error("request_lost", agent=self.name, request_id=request.id, **traced(error))

    def kept_for_later(self, request_id: str) -> Result:
        """The result of a request that is not over: the system's next start goes on with it."""
        error = CancelledError(
            "the system was stopped; the request is kept in the store and goes on when the agent is started again"
        )
        return self.outcome(request_id, "cancelled", error)

    def _bury(self) -> None:
        """Everyone was told; when it has said goodbye, nothing of the agent is needed any more."""
        left = self._gave_up or (self.run is not None and self.run.ended)  # it crashed on its way to the door
        if left and self.store.durable and not self.suspending and self.fenced is None:
            self._end_run_in_log(fence=True)
        self.book.note(*self.take_unwritten())
        self.topics.unsubscribe()
        say_goodbye(self)
        self.callbacks.close()
        self._buried = True
        self._notify()

    def let_go(self) -> None:
        """It has said goodbye: its journal, and its name, are whoever's is next."""
        self.book.retire()
        self.over = True
        self._over(self)

    def outcome(
        self,
        request_id: str,
        status: Status,
        error: AlloyError,
        *,
        cause: BaseException | None = None,
        messages: tuple[Message, ...] = (),
    ) -> Result:
        """The result of a request that no run brings to its end."""
        error.__cause__ = cause
        return Result(request_id=request_id, status=status, error=error, messages=messages)

    def health(
        self,
        *,
        status: Literal["idle", "running", "asleep", "starting", "restarting", "parked", "stopped"],
        turns: int = 0,
        message_count: int = 0,
        usage: Usage = NO_USAGE,
        cost_cents: float | None = None,
    ) -> Health:
        """How the agent is; the actor adds what only it knows."""
        up = self.condition == "up"
        return Health(
            status=status,
            model=self.provider.model,
            turns=turns,
            message_count=message_count,
            usage=usage,
            uptime=time.monotonic() - self.came_up_at if up else 0.0,
            pending_count=self.book.pending(),
            pending_approvals=len(self.pending_approvals()),
            max_pending=self.config.max_pending,
            restarts=self.restarts,
            loop_lag=loop_lag(),
            cost_cents=cost_cents,
        )

    def pending_approvals(self) -> tuple[Approval, ...]:
        """The tool calls of the run that is on which wait for a decision."""
        running = self.book.running()
        return self.approvals.pending(running.id if running is not None else None)

    def health_while_away(self) -> Health:
        """How the agent is while there is no actor to ask."""
        condition = self.condition
        return self.health(status="idle" if condition == "up" else condition)

    def when_changed(self, stale: ActorRef[Any] | None, notify: Callable[[], None]) -> ActorRef[Any] | None:
        """The actor to talk to, or None and `notify()` at the next change of condition.

        Args:
            stale: An actor that is known to have ended.
            notify: Called once, on any thread.

        Raises:
            AgentDownError: There is none and none will come by itself.
        """
        self.check_process()
        with self._lock:
            if self.condition in ("parked", "stopped"):
                raise AgentDownError(self.book.why_closed() or f"agent {self.name!r} is {self.condition}")
            if self.condition == "up" and self.ref is not stale:
                return self.ref
            self._waiting += (notify,)
            return None

    def _gone(self, condition: Condition, reason: ExitReason, *, keep_run: bool = False) -> None:
        with self._lock:
            self.condition = condition
            self.ref = None
            self.last_exit = reason
            run = self.run
            if not keep_run:
                self.run = None
        if run is not None and not keep_run:
            run.abandon()

    def _notify(self) -> None:
        with self._lock:
            waiting, self._waiting = self._waiting, ()
        for notify in waiting:
            notify()


def _cause_of(reason: ExitReason) -> BaseException | None:
    return reason.exception if isinstance(reason, Crash) else None
