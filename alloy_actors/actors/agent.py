"""The agent's actor: sole owner of the conversation, one message at a time, never blocking.

It takes requests from its book one by one, lets a run carry each on the loop thread, and meanwhile answers
everything else at once. When it crashes, the next incarnation reads the journal and goes on with what was in flight,
once: a request that crashes its agent twice ends with an error.
"""

from __future__ import annotations

import asyncio
import contextvars
import itertools
from functools import partial
from typing import TYPE_CHECKING, Any

from pykka import ActorDeadError

from alloy_actors.actors import messages as msg
from alloy_actors.actors.goodbye import session_of
from alloy_actors.actors.guard import CHAIN, Link
from alloy_actors.actors.loop_thread import loop_thread
from alloy_actors.actors.request import Control, Request, accepted_as
from alloy_actors.actors.request_log import into
from alloy_actors.actors.run_handle import RunHandle
from alloy_actors.config import check_tools
from alloy_actors.content import DROPPED, NO_HISTORY, History
from alloy_actors.conversation import Conversation
from alloy_actors.deadline import RunTime
from alloy_actors.errors import BusyError, CrashError, FencedError
from alloy_actors.journal import ModelChanged, Seeded
from alloy_actors.ledger import NotAcceptedError
from alloy_actors.logs import log
from alloy_actors.run_spec import RunSpec
from alloy_actors.turn import Run
from supervisors.reasons import Crash, Shutdown
from supervisors.runtime import PooledActor, PooledFuture, stop_self

if TYPE_CHECKING:
    from pykka import ActorRef

    from alloy_actors.actors.entry import AgentEntry
    from alloy_actors.actors.health import Health
    from alloy_actors.content import Usage
    from alloy_actors.conversation import RunState
    from alloy_actors.errors import AlloyError
    from alloy_actors.journal import Journal, Record
    from alloy_actors.session import Session


MAX_ATTEMPTS = 2
"""How often a run is tried before its request ends with an error."""


class DrillError(Exception):
    """What `agent.crash()` raises inside the actor."""


class AgentActor(PooledActor):
    """See the module. Everything but the conversation is in the entry, which outlives the actor."""

    def __init__(self, entry: AgentEntry) -> None:
        super().__init__()
        self._entry = entry
        self._conversation = Conversation()
        self._journal: Journal | None = None
        self._request: Request | None = None  # whose run is on
        self._taken: Request | None = None  # whose run is to be begun next
        self._before_run = NO_HISTORY  # while it is on: the run appends to the conversation's list

    def on_start(self) -> None:
        # A stop that comes before the conversation is restored must find this actor.
        self._entry.last_ref = self.actor_ref
        # Nothing slow here: a supervisor waits for it. Nobody else knows the actor yet, so this is the first message.
        self.actor_ref.tell(msg.RESTORE)

    def on_receive(self, message: Any) -> Any:
        match message:
            case msg.Wake():
                self._take_next()
            case msg.Doze():
                self._doze()
            case msg.RunDone():
                self._run_done(message)
            case msg.RunCrashed():
                if isinstance(message.bug, Exception):
                    raise message.bug
                text = f"the run ended with {type(message.bug).__name__}"
                raise CrashError(text) from message.bug
            case msg.Fenced():
                self._fenced(message.error)
            case msg.Restore():
                self._restore()
            case msg.GetMessages():
                self._awake()
                return self._messages()
            case msg.GetUsage():
                return self._usage()
            case msg.GetHealth():
                return self._health()
            case msg.GetSession():
                self._awake()
                return self._session()
            case msg.SetModel():
                self._awake()
                self._set_model(message)
            case msg.Reset():
                self._awake()
                return self._reset()
            case msg.CrashNow():
                raise DrillError(message.reason or "crashed on purpose")
            case _:
                log.warning("unexpected_message", agent=self._entry.name, message=type(message).__name__)
        return None

    def on_stop(self) -> None:
        entry = self._entry
        if entry.sleep is not None:
            entry.sleep.cancel()
        if (run := entry.run) is not None:
            if entry.fenced is not None:
                run.abandon()
            elif entry.suspending:
                run.abandon(suspend=True)
            else:
                run.cancel("the agent was stopped")

    def on_failure(self, *_error: object) -> None:
        if self._entry.sleep is not None:
            self._entry.sleep.cancel()
        if (run := self._entry.run) is not None:
            run.abandon()

    # -- coming up ---------------------------------------------------------------------------------------------

    def _restore(self) -> None:
        entry = self._entry
        if entry.stop_requested:
            stop_self()
            return
        if entry.run is not None:  # of an incarnation that could not say goodbye
            entry.run.abandon()
            entry.run = None
        entry.take_unwritten()  # what is in the log is what counts
        if entry.sleep is not None:
            entry.sleep.end()  # the last incarnation's
        if (folded := entry.take_folded()) is not None:
            self._journal, self._conversation = folded
        else:
            self._journal = entry.book.begin_incarnation()
            records = entry.store.load(entry.agent_id)
            self._conversation.replay(records)
            entry.book.find_riding(records)
            entry.book.withdraw_finished(self._conversation.waiting)
        conversation = self._conversation
        taken = entry.book.running()
        if taken is not None and (taken.rides or taken.id in conversation.waiting):
            self._taken = taken  # by the last incarnation, which ended before its run had begun
        if conversation.run is not None:
            self._take_up(conversation.run)
        entry.up(self.actor_ref)
        if entry.last_exit is not None:
            entry.book.note()  # another process may have taken the log over, and gone on with what was ours
        self._watch()
        self._take_next()

    def _take_up(self, state: RunState) -> None:
        """A run was on when the last incarnation ended: go on with it, or let it end at once."""
        entry = self._entry
        request = entry.book.running()
        if request is None or request.id != state.request_id:  # its caller was told already
            assert state.message is not None
            nobodys = Request(state.request_id, state.message, None, (), None)
            told = entry.book.result(state.request_id)
            why = told.error if told is not None else None
            self._go_on(nobodys, state, why or CrashError("the end of this request was not recorded"))
            return
        entry.book.joined(state.steered)
        error: CrashError | None = None
        if entry.reported == state.request_id:  # also when the first incarnation did not get that far
            error = CrashError("the process ended during this request; its conversation was kept")
        elif state.attempt >= MAX_ATTEMPTS and not state.suspended:
            error = CrashError("the agent crashed again during this request; its conversation was kept")
            error.__cause__ = entry.last_exit.exception if isinstance(entry.last_exit, Crash) else None
        self._go_on(request, state, error)

    def _fenced(self, error: FencedError) -> None:
        """A newer incarnation in this process is the normal case; another process ends this agent."""
        if self._journal is not None and self._entry.book.is_current(self._journal):
            log.error("agent_fenced", agent=self._entry.name, error=str(error))
            self._entry.fenced = error
            stop_self(Shutdown("fenced"))

    # -- sleeping ----------------------------------------------------------------------------------------------

    def _doze(self) -> None:
        sleep = self._entry.sleep
        assert sleep is not None
        if self._request is None and sleep.begin(self._conversation):
            self._conversation, self._before_run = Conversation(), NO_HISTORY
        else:
            self._watch()

    def _awake(self) -> None:
        """Have the conversation here."""
        sleep = self._entry.sleep
        if sleep is None:
            return
        sleep.used()
        if (conversation := sleep.end()) is not None:
            self._conversation = conversation
            self._watch()

    def _watch(self) -> None:
        if (sleep := self._entry.sleep) is not None:
            sleep.watch(partial(_tell, self.actor_ref, msg.DOZE))

    # -- runs --------------------------------------------------------------------------------------------------

    def _take_next(self) -> None:
        while self._request is None and self._journal is not None:
            sleep = self._entry.sleep
            if sleep is not None and (sleep.is_recalled or self._taken or self._entry.book.has_next()):
                self._awake()  # first: what is taken and not begun would be lost with this incarnation
            item, self._taken = self._taken or self._entry.book.take(), None
            if item is None:
                return
            if isinstance(item, Control):
                self.on_receive(item.message)
            else:
                self._begin(item)

    def _begin(self, request: Request) -> None:
        self._before_run = History(self._conversation.messages)
        self._start(request, self._conversation.fork())

    def _go_on(self, request: Request, state: RunState, failure: AlloyError | None) -> None:
        """Continue a run of an earlier incarnation where its records end; with a failure it ends there."""
        interrupted = self._conversation
        self._before_run = History(interrupted.messages, state.before)
        self._conversation = interrupted.fork()
        self._start(request, interrupted, failure)

    def _start(self, request: Request, conversation: Conversation, failure: AlloyError | None = None) -> None:
        entry = self._entry
        assert self._journal is not None
        self._request = request
        if request.time is None:
            request.time = RunTime(entry.config.timeout)
        on_events = entry.topics.listeners(request.on_events)
        if request.numbers is None:
            request.numbers = itertools.count(1)
        spec = RunSpec(
            request_id=request.id,
            agent=entry.name,
            message=request.message,
            config=entry.config,
            provider=entry.provider,
            on_events=on_events,
            numbers=request.numbers,
            time=request.time,
            approvals=entry.approvals,
            steering=partial(entry.book.take_steering, self._journal),
            hooks=entry.hooks,
            asker=request.chain[0].entry.agent_id if request.chain else entry.agent_id,
            accepted=accepted_as(request) if request.rides else None,
            recorded=partial(entry.book.is_recorded, request) if request.rides else None,
        )
        unwritten = entry.take_unwritten()
        run = Run(spec, conversation, self._journal, entry.runner, unwritten)
        run.failure = failure
        # A request that is begun twice must not share a context; one from an earlier process has none.
        context = request.context.copy() if request.context is not None else contextvars.Context()
        context.run(CHAIN.set, (*request.chain, Link(entry, request)))
        handle = RunHandle(request.id, run)
        carry = partial(_carry, run, handle, entry, self.actor_ref, unwritten)
        handle.task = loop_thread().start(carry, context, may_cancel=handle.may_cancel)
        entry.run = handle
        entry.book.began(request, handle.cancel)

    def _run_done(self, message: msg.RunDone) -> None:
        if self._request is None or self._request.id != message.request_id:
            return  # of a run this incarnation did not begin
        if message.conversation is not None:
            self._conversation = message.conversation
        else:  # there was no run, and it has begun to append
            self._conversation.messages = list(self._before_run)
        self._request = None
        self._entry.run = None
        if self._entry.sleep is not None:
            self._entry.sleep.used()
        self._take_next()

    # -- answers -----------------------------------------------------------------------------------------------

    def _messages(self) -> tuple[Any, ...]:
        """The history; during a run with the message that triggered it, without what it has come to so far."""
        if self._request is None:
            return tuple(self._conversation.messages)
        return (*self._before_run, self._request.message)

    def _usage(self) -> Usage:
        sleep = self._entry.sleep
        remembered = sleep.remembered if sleep is not None else None
        return self._conversation.usage if remembered is None else remembered.usage

    def _health(self) -> Health:
        sleep = self._entry.sleep
        if sleep is not None and (remembered := sleep.remembered) is not None:
            return self._entry.health(
                status="asleep",
                turns=remembered.turns,
                message_count=remembered.message_count,
                usage=remembered.usage,
                cost_cents=remembered.cost_cents,
            )
        return self._entry.health(
            status="idle" if self._request is None else "running",
            turns=self._conversation.turns,
            message_count=(
                len(self._conversation.messages) if self._request is None else len(self._before_run) + 1
            ),
            usage=self._conversation.usage,
            cost_cents=self._conversation.cost,
        )

    def _session(self) -> Session:
        conversation = self._conversation
        if self._request is None:
            return session_of(self._entry, conversation.messages, conversation, "idle")
        return session_of(self._entry, self._before_run, conversation, "running")

    def _set_model(self, message: msg.SetModel) -> None:
        self._refuse_while_busy("set_model")
        check_tools(message.provider, self._entry.config.tools)
        self._note(ModelChanged(message.provider.model))
        self._entry.provider = message.provider

    def _reset(self) -> PooledFuture[None]:
        """Forget the conversation; the future is set when the store has done so as well."""
        self._refuse_while_busy("reset")
        base = Seeded((), self._conversation.usage, DROPPED, self._conversation.cost)
        self._conversation.apply(base)
        unwritten, journal = self._entry.take_unwritten(), self._journal  # it is over with that as well
        assert journal is not None
        written: PooledFuture[None] = PooledFuture()

        def answer(error: Exception | None) -> None:
            if error is not None and self._entry.book.is_current(journal):
                self._entry.leave_unwritten(unwritten)  # the log is as it was, and lacks what it lacked
            self._fail_on_error(error)  # the next incarnation has what the log has
            into(written)(error)

        self._entry.book.compact((base,), answer)
        return written

    def _refuse_while_busy(self, call: str) -> None:
        if self._request is not None:
            text = (
                f"agent {self._entry.name!r} is in run {self._request.id!r}: "
                f"wait for it, cancel_request() it, or call {call}(..., when_idle=True)"
            )
            raise BusyError(text)

    def _note(self, record: ModelChanged) -> None:
        """Record something that is no part of a run."""
        assert self._journal is not None
        self._conversation.apply(record)
        if self._entry.has_unwritten:
            self._entry.leave_unwritten((record,))  # in order, with the next run
            return
        self._journal.store.append(
            self._journal.agent_id, self._journal.token, (record,), self._fail_on_error
        )

    def _fail_on_error(self, error: Exception | None) -> None:
        if isinstance(error, FencedError):
            _tell(self.actor_ref, msg.Fenced(error))
        elif error is not None:
            # The store's word may come on its own thread: let the actor fail in its own.
            _tell(self.actor_ref, msg.RunCrashed("", error))


async def _carry(
    run: Run,
    handle: RunHandle,
    entry: AgentEntry,
    actor: ActorRef[AgentActor],
    unwritten: tuple[Record, ...],
) -> None:
    """A run, which was given `unwritten`, and what becomes of it. Holds no actor, only its ref, so that a dead one is let go."""
    request_id = run.spec.request_id
    try:
        result = await run.execute()
    except asyncio.CancelledError:
        handle.ended = True
        if run.suspended:
            entry.book.finish(request_id, entry.kept_for_later(request_id))
        raise
    except NotAcceptedError as error:
        entry.leave_unwritten(unwritten)
        _tell(actor, msg.RunDone(request_id, None))
        entry.book.refuse(request_id, error.refusal)
        return
    except FencedError as error:  # a newer incarnation has the conversation, and closes it
        failed: BaseException | None = None
        if entry.book.is_current(run.journal):  # it is another process's
            entry.book.refuse(request_id, error)
        _tell(actor, msg.Fenced(error))
    except BaseException as bug:
        failed = bug
        _tell(actor, msg.RunCrashed(request_id, bug))
    else:
        # In this order: who has the result finds it in messages() as well.
        entry.leave_unwritten(run.unwritten)
        _tell(actor, msg.RunDone(request_id, run.conversation))
        entry.book.finish(request_id, result)
        return
    handle.ended = True
    if entry.condition == "stopped":  # no incarnation will come to close it
        error_ = CrashError("the run failed while its agent was being stopped")
        entry.book.finish(request_id, entry.outcome(request_id, "error", error_, cause=failed))


def _tell(actor: ActorRef[AgentActor], message: object) -> None:
    try:
        actor.tell(message)
    except ActorDeadError:
        pass  # it ended meanwhile: the next incarnation has the journal
