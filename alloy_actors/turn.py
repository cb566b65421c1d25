"""The loop: ask, record, run tools, record, repeat; and the one door by which every run leaves.

No actor and no socket in sight: a run gets a provider, a tool runner, a journal, its copy of the conversation and
an optional listener, and comes to exactly one `Result`. Each record is written before its effect.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, Final, assert_never

from alloy_actors.answers import AT_LIMIT, Answers
from alloy_actors.budget import Budget
from alloy_actors.cancelling import forgive_cancellation, is_cancelling
from alloy_actors.compacting import Compacting
from alloy_actors.completion import Completion
from alloy_actors.consent import Consent
from alloy_actors.content import History, ToolResult
from alloy_actors.conversation import unknown_outcome
from alloy_actors.deadline import RunTime
from alloy_actors.errors import (
    AlloyError,
    BudgetExceededError,
    ContextOverflowError,
    CrashError,
    FencedError,
    HaltedError,
    OutputError,
    ProviderError,
    ProviderTimeoutError,
)
from alloy_actors.errors import CancelledError as RunCancelledError
from alloy_actors.errors import TimeoutError as RunTimeoutError
from alloy_actors.events import RunFinished, RunStarted, TurnFinished, TurnRestarted
from alloy_actors.hearing import Hearing
from alloy_actors.journal import (
    RunBegan,
    RunEnded,
    RunResumed,
    RunSuspended,
    Steered,
    ToolCallEnded,
    ToolCallStarted,
)
from alloy_actors.ledger import Ledger
from alloy_actors.logs import log, traced
from alloy_actors.output import SUBMIT
from alloy_actors.provider import ModelReply
from alloy_actors.reporting import Reporter
from alloy_actors.result import Result, Status
from alloy_actors.run_spec import COMPLETED, Cancellation
from alloy_actors.run_watch import RunWatch
from alloy_actors.tool_runner import ToolOutcome
from alloy_actors.tooldef import ToolContext

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from alloy_actors.content import Message, ToolCall
    from alloy_actors.conversation import Conversation
    from alloy_actors.deadline import Deadline
    from alloy_actors.journal import Journal, Record
    from alloy_actors.middleware import Block
    from alloy_actors.run_spec import Ending, RunSpec
    from alloy_actors.tool_runner import Cancelled, ToolRunner
    from alloy_actors.tooldef import Tool

_TICK: Final = 0.01  # seconds: timers of a loop may be early by its clock's grain


class Run:
    """One run. `conversation` belongs to the run until `execute` has returned.

    Where the conversation's log says that this very run is on, it was interrupted: it goes on from there.

    Attributes:
        failure: What the run ends with, as an error, when its task is cancelled; None ends it as cancelled. Set before
            the start it ends there: the run was interrupted, and is not to go on.
        abandoned: Set before the task is cancelled when its agent is gone: the run then just ends, and whoever
            restores the conversation goes on with it, or closes it.
        suspended: Set beside `abandoned` when that is an orderly stop: the next start goes on with the run.
        leaving: The run is at its door: there is nothing left to cancel.
    """

    def __init__(
        self,
        spec: RunSpec,
        conversation: Conversation,
        journal: Journal,
        runner: ToolRunner,
        unwritten: Iterable[Record] = (),
    ) -> None:
        self.spec = spec
        self.conversation = conversation
        self.journal = journal
        self._cancelled = Cancellation()
        self._why_cancelled = "the request was cancelled"
        self.failure: AlloyError | None = None
        self.abandoned = False
        self.suspended = False
        self.leaving = False
        self._ledger = Ledger(journal, conversation, unwritten, spec.recorded)
        self._runner = runner
        self._tools: dict[str, Tool] = {tool.name: tool for tool in spec.config.tools}
        if spec.config.output is not None:
            self._tools[SUBMIT] = spec.config.output.tool
        self._time = spec.time or RunTime(spec.config.timeout)
        self._reporter = Reporter(spec.request_id, spec.on_events, spec.numbers)
        self._watch = RunWatch(spec)
        consent = Consent(spec, conversation, self._ledger, self._reporter, self._time)
        self._hearing = Hearing(spec, conversation, self._ledger, consent)
        self._answers = Answers(spec, conversation, self._ledger)
        self._completion = Completion(
            spec,
            conversation,
            self._ledger,
            self._reporter,
            self._time,
            Budget(spec.config, conversation),
            self._cancelled,
        )
        self._compacting = Compacting(
            spec, conversation, self._ledger, self._reporter, self._hearing, self._completion
        )
        self._reply: ModelReply | None = None

    @property
    def _deadline(self) -> Deadline:
        return self._time.deadline

    @property
    def unwritten(self) -> tuple[Record, ...]:
        """What the store would not take; the next run of this conversation writes it first."""
        return self._ledger.unwritten

    def cancel(self, why: str, failure: AlloyError | None = None) -> None:
        """Begin nothing more; whoever calls this cancels the run's task next. From any thread.

        Args:
            why: Goes into the history.
            failure: What the run ends with, as an error; None ends it as cancelled.
        """
        self._why_cancelled, self.failure = why, failure
        self._cancelled.told = True

    def abandon(self, *, suspend: bool = False) -> None:
        """Let the run end without its door, and without another word to whoever listens."""
        self.suspended = suspend
        self.abandoned = True
        self._reporter.silence()

    async def execute(self) -> Result:
        """Run to the end, whatever the end is.

        Raises:
            FencedError: A newer incarnation of the agent has taken over; nothing more was written.
            NotAcceptedError: Nothing was written; the conversation is of no use.
            Exception: A bug. The door was not used: whoever restores the conversation closes it.
        """
        self._watch.began()
        try:
            result = await self._to_the_door()
        except BaseException as error:
            self._watch.failed(error)
            raise
        self._watch.ended(result.status, result.turns)
        return result

    async def _to_the_door(self) -> Result:
        failed = self.failure
        if failed is not None:  # there is nothing to go on with
            return await self._leave("error", failed, "the agent crashed and was restarted")
        status: Status
        error: AlloyError | None = None
        why = ""
        limit = self._time.limit()
        try:
            async with limit:
                status, error = await self._turns()
        except FencedError:
            raise
        except (
            ProviderTimeoutError
        ) as failure:  # it knows the deadline too: whoever notices first, it is the run's
            status, error = "error", self._out_of_time() if self._deadline.remaining() < _TICK else failure
        except BudgetExceededError as exceeded:
            status, error = "budget_exceeded", exceeded
        except AlloyError as failure:  # the provider's, or the store's
            status, error = "error", failure
        except TimeoutError:
            if not limit.expired():
                raise  # a hook's own
            status, error = "error", self._out_of_time()
        except asyncio.CancelledError as stray:
            if self.abandoned:
                await self._suspend()
                raise
            if not self._cancelled.told and not is_cancelling():
                raise CrashError(
                    "a hook ended with CancelledError, though nobody has cancelled the run"
                ) from stray
            forgive_cancellation()
            if self.failure is not None:
                status, error = "error", self.failure
            else:
                status, error = "cancelled", RunCancelledError(self._why_cancelled)
        if status == "error" and error is not None:
            status, error = await self._failing(error)
        if error is not None:
            why = _as_reason(error)
        elif status == "max_turns":
            why = f"the limit of {self.spec.config.max_turns} turns was reached"
        return await self._leave(status, error, why)

    def _out_of_time(self) -> RunTimeoutError:
        return RunTimeoutError(f"the run did not end within timeout={self.spec.config.timeout:g} seconds")

    async def _turns(self) -> Ending:
        spec, conversation = self.spec, self.conversation
        ended: Ending | None = None
        if conversation.running == spec.request_id:
            ended = await self._take_up()
        else:
            self._reporter.emit(RunStarted, conversation.turns, agent=spec.agent)
            if spec.accepted is not None:
                self._ledger.note(spec.accepted)
            self._ledger.note(RunBegan(spec.request_id, spec.message))
        while ended is None:
            if not self._answers.may_ask(self._deadline):
                return AT_LIMIT
            self._watch.turn_began(conversation.turns + 1)
            ended = await self._turn()
        return ended

    async def _turn(self) -> Ending | None:
        """One turn, its request asked once more where it was too long and could be made shorter."""
        ended = await self._compacting.before_request() or await self._hearing.halted("before_completion")
        if ended is not None:
            return ended
        try:
            self._reply = await self._completion.ask(last=self._answers.is_last)
        except ContextOverflowError as error:
            ended = await self._compacting.after_overflow(error)
        else:
            return await self._finish_turn(self._reply)
        return ended or await self._turn()

    async def _take_up(self) -> Ending | None:
        """Go on where the last incarnation was interrupted."""
        state = self.conversation.run
        assert state is not None
        attempt = state.attempt if state.suspended else state.attempt + 1
        self._ledger.note(RunResumed(self.spec.request_id, attempt))
        await self._ledger.flush()  # counted before anything can go wrong again
        log.info("run_resumed", agent=self.spec.agent, request_id=self.spec.request_id, attempt=attempt)
        if state.reply is None:
            self._reporter.emit(TurnRestarted, self.conversation.turns + 1, attempt=attempt)
            return None
        self._watch.turn_began(self.conversation.turns)
        last = state.reply
        self._reply = reply = ModelReply(last.message, last.stop_reason, last.usage)
        return await self._finish_turn(reply)

    async def _finish_turn(self, reply: ModelReply) -> Ending | None:
        """What the reply asks for, then what the user has said meanwhile; None goes on with another turn."""
        ended = await self._act_on(reply)
        self._reporter.emit(
            TurnFinished, self.conversation.turns, stop_reason=reply.stop_reason, usage=reply.usage
        )
        if self._answers.closing is not None:  # a tool has ended the run
            return ended
        paused = reply.stop_reason == "pause_turn" and not reply.message.tool_calls
        if ended in (None, COMPLETED) and not paused and self._join():
            ended = None
        if ended is None:
            self._watch.turn_ended(None)
        return ended

    def _join(self) -> bool:
        """Let steering messages join; whether there were any. They wait for the next run when this one may not go on."""
        spec = self.spec
        if spec.steering is None or self.conversation.turns >= spec.config.max_turns:
            return False
        steering = spec.steering()
        self._ledger.note(
            *(Steered(spec.request_id, request_id, message) for request_id, message in steering)
        )
        return bool(steering)

    async def _act_on(self, reply: ModelReply) -> Ending | None:
        """What the stop reason asks for; None goes on with another turn."""
        match reply.stop_reason:
            case "tool_use" | "end_turn" | "pause_turn" if reply.message.tool_calls:
                return await self._act_on_calls(reply.message)  # they are to be answered, whatever it says
            case "tool_use" | "end_turn":  # without calls there were only tools that the provider ran itself
                return await self._complete_with(reply.message)
            case "pause_turn":
                return None
            case "max_tokens":
                if not reply.message.tool_calls:
                    return await self._complete_with(reply.message, cut=True)
                return self._answers.cut_off(reply.message)
            case "refusal":
                return "error", ProviderError(f"the model refused to answer: {reply.refusal}", code="refusal")
            case _:
                assert_never(reply.stop_reason)

    async def _complete_with(self, message: Message, *, cut: bool = False) -> Ending | None:
        """A final answer; None goes on: something is missing in it."""
        ended = self._answers.weighed(message, cut=cut)
        if ended != self._answers.good:
            return ended
        return await self._hearing.halted("after_completion", message) or ended

    async def _act_on_calls(self, message: Message) -> Ending | None:
        calls: Sequence[ToolCall] = self.conversation.unanswered
        if self._answers.is_last:
            calls = self._answers.refuse(self.conversation.unanswered)
        ended = await self._run_tools(calls) or self._answers.after_tools(message)
        if self._answers.closing is not None and ended is not None:
            return await self._hearing.halted("after_completion", self._answers.closing) or ended
        return ended

    async def _run_tools(self, calls: Sequence[ToolCall]) -> Ending | None:
        """Answer the calls that have no result yet; None goes on."""
        doubtful = [call for call in calls if self._is_doubtful(call)]
        allowed = [call for call in calls if call not in doubtful]
        blocked: list[tuple[ToolCall, Block]] = []
        if allowed:
            ended = await self._hearing.halted("after_tool_request", allowed)
            if ended is None:
                ended = await self._hearing.of_calls(allowed, blocked)
            if ended is not None:
                return ended
        for call in doubtful:
            result = unknown_outcome(call, "the agent crashed")
            await self.ended(ToolOutcome(call, result, 0.0, result.text))
        for call, block in blocked:
            result = ToolResult(call.id, f"Blocked: {block.reason}", is_error=True)
            await self.ended(ToolOutcome(call, result, 0.0, result.text))
        config = self.spec.config
        await self._runner.run(
            allowed,
            self._tools,
            self._context,
            timeout=config.tool_timeout,
            deadline=self._deadline,
            observer=self,
        )
        if "after_tool_execution" in self.spec.hooks:
            answers = [
                block for block in self.conversation.messages[-1].blocks if isinstance(block, ToolResult)
            ]
            return await self._hearing.halted("after_tool_execution", answers)
        return None

    async def _failing(self, error: AlloyError) -> Ending:
        """Let the middleware see a failure; a cancel that comes meanwhile changes nothing about it."""
        try:
            return await self._hearing.of_failure(error, self._deadline)
        except asyncio.CancelledError:
            if self.abandoned:
                await self._suspend()
                raise
            forgive_cancellation()
        return "error", error

    def _is_doubtful(self, call: ToolCall) -> bool:
        """Whether an earlier incarnation may have done what the call asks for, and doing it again may do harm."""
        if not self.conversation.was_started(call):
            return False
        tool = self._tools.get(call.name)
        return tool is None or not tool.idempotent

    async def starting(self, calls: Sequence[ToolCall]) -> None:
        """Of `ToolObserver`: these calls are about to have their effect, side by side."""
        request_id = self.spec.request_id
        self._cancelled.check()
        self._ledger.note(*(ToolCallStarted(request_id, call.id) for call in calls))
        await self._ledger.flush()
        for call in calls:
            self._reporter.tool_started(self.conversation.turns, call)

    async def ended(self, outcome: ToolOutcome) -> None:
        """Of `ToolObserver`: a call has its result; in the order in which they end."""
        result = outcome.result
        error = outcome.error if outcome.error != result.text else None
        self._ledger.note(
            ToolCallEnded(self.spec.request_id, result, round(outcome.duration, 6), error, outcome.data)
        )
        if self.conversation.unanswered:
            self._ledger.begin_soon()  # the others may take long; the last result goes with what comes next
        self._reporter.tool_ended(self.conversation.turns, outcome)

    def _context(self, call: ToolCall, cancelled: Cancelled) -> ToolContext:
        spec = self.spec
        return ToolContext(
            agent=spec.agent,
            request_id=spec.request_id,
            turn=self.conversation.turns,
            tool_call_id=call.id,
            working_directory=spec.config.working_directory,
            context=spec.config.context,
            deadline=self._deadline,
            cancelled=cancelled,
        )

    async def _suspend(self) -> None:
        """An orderly stop: say so, so that going on later does not count as a crash."""
        if not self.suspended:
            return
        forgive_cancellation()
        self._ledger.note(RunSuspended(self.spec.request_id))
        try:
            await self._ledger.flush()
        except AlloyError as failure:  # then the next start counts a crash
            log.error("append_failed", agent=self.spec.agent, **traced(failure))

    async def _leave(self, status: Status, error: AlloyError | None, why: str) -> Result:
        """The one door: open calls answered, partial text kept and marked, one `RunFinished`, one result."""
        self.leaving = True
        self._watch.turn_ended(status)
        request_id, conversation = self.spec.request_id, self.conversation
        partial = "".join(self._reporter.partial)
        why = why or "the model returned an empty answer"
        closing = conversation.closing(request_id, why, partial, self._answers.closing)
        if closing is not None:
            self._ledger.note(closing)
        state = conversation.run
        said = self._answers.closing or (self._reply.message if self._reply is not None else None)
        text = partial or (said.text if said is not None else "")
        last = conversation.messages[-1]
        text_in_log = None if last.role == "assistant" and last.text == text else text
        self._ledger.note(_end_of(request_id, status, error, text_in_log))
        try:
            await self._ledger.flush()
        except FencedError:
            raise
        except AlloyError as failure:  # the store failed: the caller is told, and the next run tries again
            if error is None:
                status, error = "error", failure
                # What the caller is told, also later.
                self._ledger.amend(_end_of(request_id, status, error, text_in_log))
        result = Result(
            request_id=request_id,
            status=status,
            text=text,
            thinking=state.thinking if state is not None else None,
            messages=History(conversation.messages),
            usage=conversation.run_usage,
            cost_cents=conversation.run_cost,
            tool_calls=tuple(state.tool_calls) if state is not None else (),
            metadata=self._facts(recovered=state is not None and state.overflowed is not None),
            stop_reason=conversation.stop_reason,
            turns=conversation.turns,
            error=error,
            output=self._answers.output if error is None else None,
        )
        self._reporter.emit(RunFinished, conversation.turns, result=result)
        return result

    def _facts(self, *, recovered: bool) -> dict[str, Any]:
        """The metadata of the result."""
        facts: dict[str, Any] = {}
        if self._reply is not None and self._reply.metadata:
            facts["provider_response"] = self._reply.metadata
        state = self.conversation.state_for(getattr(self.spec.provider, "origin", None))
        if state:
            facts["provider_state"] = state
        if recovered:
            facts["run"] = {"prompt_too_long_recovery": True}
        return facts


def _end_of(request_id: str, status: Status, error: AlloyError | None, text: str | None) -> RunEnded:
    if error is None:
        return RunEnded(request_id, status, time.time(), text=text)
    return RunEnded(request_id, status, time.time(), type(error).__name__, str(error), text)


def _as_reason(error: AlloyError) -> str:
    """What the model is told about the end of a run; a provider's own words stay out of the history."""
    match error:
        case RunCancelledError() | HaltedError():
            return str(error)
        case RunTimeoutError():
            return "the time for the request was up"
        case BudgetExceededError():
            return "the budget was used up"
        case ProviderError(code="refusal"):
            return "the model refused to answer"
        case OutputError():
            return "the answer did not have the form that was asked for"
        case _:
            return "the model could not be reached or failed"
