"""The loop: ask, record, run tools, record, repeat; and the one door by which every run leaves.

No actor and no socket in sight: a run gets a provider, a tool runner, a journal, its copy of the conversation and
an optional listener, and comes to exactly one `Result`. Each record is written before its effect.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias, assert_never

from alloy_actors.content import History, TextBlock, ThinkingBlock, ToolResult
from alloy_actors.deadline import Deadline
from alloy_actors.errors import AlloyError, CrashError, FencedError, MalformedReplyError, ProviderError
from alloy_actors.errors import CancelledError as RunCancelledError
from alloy_actors.errors import TimeoutError as RunTimeoutError
from alloy_actors.events import (
    Event,
    RunFinished,
    RunStarted,
    TextDelta,
    ThinkingDelta,
    ToolEnded,
    ToolStarted,
    TurnFinished,
    TurnStarted,
)
from alloy_actors.journal import (
    Replied,
    RequestSent,
    RunBegan,
    RunEnded,
    ToolCallEnded,
    ToolCallStarted,
)
from alloy_actors.logs import log, traced
from alloy_actors.provider import Delta, ModelReply, ModelRequest
from alloy_actors.providers.retry import complete_with_retry
from alloy_actors.result import Result, Status, ToolCallRecord
from alloy_actors.tooldef import ToolContext

if TYPE_CHECKING:
    from alloy_actors.config import RunConfig
    from alloy_actors.content import Message, ToolCall
    from alloy_actors.conversation import Conversation
    from alloy_actors.journal import Journal, Record
    from alloy_actors.provider import Provider
    from alloy_actors.tool_runner import Cancelled, ToolOutcome, ToolRunner
    from alloy_actors.tooldef import Tool

OnEvents: TypeAlias = Callable[[Sequence[Event]], None]
"""Called on the loop thread with the events of one moment, in order; must not block."""


@dataclass(frozen=True, slots=True)
class RunSpec:
    """What a run is asked to do.

    Args:
        request_id: Names the run in records, events and logs.
        agent: The agent's name.
        message: What the user says; None continues from the history alone.
        config: Limits, tools, system prompt.
        provider: Who answers (an agent's may have been switched since its start).
        on_events: None when nobody listens; then no event is made and the wire does not stream.
    """

    request_id: str
    agent: str
    message: Message | None
    config: RunConfig
    provider: Provider
    on_events: OnEvents | None = None


class Run:
    """One run. `conversation` belongs to the run until `execute` has returned.

    Attributes:
        why_cancelled: Read when the run's task is cancelled; goes into the history.
        abandoned: Set before the task is cancelled when its agent is gone: the run then just ends, and whoever
            restores the conversation closes it.
        leaving: The run is at its door: there is nothing left to cancel.
    """

    def __init__(
        self, spec: RunSpec, conversation: Conversation, journal: Journal, runner: ToolRunner
    ) -> None:
        self.spec = spec
        self.conversation = conversation
        self.why_cancelled = "the request was cancelled"
        self.abandoned = False
        self.leaving = False
        self._journal = journal
        self._runner = runner
        self._tools: dict[str, Tool] = {tool.name: tool for tool in spec.config.tools}
        self._deadline = Deadline.after(spec.config.timeout)
        self._seq = 0
        self._reply: ModelReply | None = None
        self._thinking: str | None = None
        self._partial: list[str] = []  # text of the reply that is arriving
        self._heard = False  # whether the provider itself streamed in this turn
        self._records: list[ToolCallRecord] = []
        self._start_seqs: dict[str, int] = {}

    async def execute(self) -> Result:
        """Run to the end, whatever the end is.

        Raises:
            FencedError: A newer incarnation of the agent has taken over; nothing more was written.
            Exception: A bug. The door was not used: whoever restores the conversation closes it.
        """
        status: Status
        error: AlloyError | None = None
        why = ""
        try:
            async with asyncio.timeout(self._deadline.remaining()):
                status, error = await self._turns()
        except FencedError:
            raise
        except AlloyError as failure:  # the provider's, or the store's
            status, error = "error", failure
        except TimeoutError:
            limit = self.spec.config.timeout
            status, error = (
                "error",
                RunTimeoutError(f"the run did not end within timeout={limit:g} seconds"),
            )
        except asyncio.CancelledError:
            if self.abandoned:
                raise
            _forgive_cancellation()
            status, error = "cancelled", RunCancelledError(self.why_cancelled)
        if error is not None:
            why = _as_reason(error)
        elif status == "max_turns":
            why = f"the limit of {self.spec.config.max_turns} turns was reached"
        return await self._leave(status, error, why)

    async def _turns(self) -> tuple[Status, AlloyError | None]:
        spec = self.spec
        self._emit(RunStarted, agent=spec.agent)
        if spec.message is not None:
            await self._record(RunBegan(spec.request_id, spec.message))
        while self.conversation.turns < spec.config.max_turns:
            reply = await self._ask()
            ended = await self._act_on(reply)
            self._emit(TurnFinished, stop_reason=reply.stop_reason, usage=reply.usage)
            if ended is not None:
                return ended
        return "max_turns", None

    async def _ask(self) -> ModelReply:
        """One provider request and its record."""
        spec = self.spec
        turn = self.conversation.turns + 1
        await self._record(RequestSent(spec.request_id, turn, spec.provider.model))
        self._emit(TurnStarted, turn=turn, model=spec.provider.model)
        request = ModelRequest(
            messages=tuple(self.conversation.messages),
            tools=spec.config.tools,
            system_prompt=spec.config.system_prompt,
            deadline=self._deadline,
            request_id=spec.request_id,
            provider_state=self.conversation.state_for(getattr(spec.provider, "origin", None)),
        )
        self._heard = False
        self._partial.clear()
        reply = await self._complete(request)
        if spec.on_events is not None and not self._heard:
            self._on_deltas(_deltas_of(reply))
        self._partial.clear()
        self._reply = reply
        self._thinking = reply.message.thinking or self._thinking
        await self._record(
            Replied(spec.request_id, reply.message, reply.stop_reason, reply.usage, reply.provider_state)
        )
        return reply

    async def _complete(self, request: ModelRequest) -> ModelReply:
        """The reply; what a provider raises beside its errors is a bug of the provider, and a value for the run."""
        spec = self.spec
        name = type(spec.provider).__name__
        try:
            reply: object = await complete_with_retry(
                spec.provider,
                request,
                self._on_deltas if spec.on_events is not None else None,
                max_retries=spec.config.max_retries,
                backoff=spec.config.retry_backoff,
            )
        except (ProviderError, asyncio.CancelledError, GeneratorExit):
            raise
        except BaseException as bug:  # also SystemExit, which would end the loop for everyone
            log.error(
                "provider_crashed", provider=name, agent=spec.agent, request_id=spec.request_id, **traced(bug)
            )
            msg = f"provider {name} raised {type(bug).__name__}: {bug}"
            raise CrashError(msg) from bug
        if not isinstance(reply, ModelReply):
            msg = f"{name}.complete() must return a ModelReply, got {type(reply).__name__}"
            raise CrashError(msg)
        return reply

    async def _act_on(self, reply: ModelReply) -> tuple[Status, AlloyError | None] | None:
        """What the stop reason asks for; None goes on with another turn."""
        calls = reply.message.tool_calls
        match reply.stop_reason:
            case "tool_use":
                if not calls:  # only tools that the provider ran itself
                    return "completed", None
                await self._run_tools(calls)
                return None
            case "end_turn":
                return "completed", None
            case "pause_turn":
                return None
            case "max_tokens":
                return await self._cut_off(calls)
            case "refusal":
                detail = reply.message.text or reply.metadata.get("stop_details") or "no reason given"
                return "error", ProviderError(f"the model refused to answer: {detail}", code="refusal")
            case _:
                assert_never(reply.stop_reason)

    async def _cut_off(self, calls: Sequence[ToolCall]) -> tuple[Status, AlloyError | None]:
        if not calls:
            return "completed", None
        text = "Not executed: the reply hit its output limit, so the arguments may be incomplete."
        await self._record(
            *(ToolCallEnded(self.spec.request_id, ToolResult(call.id, text, is_error=True)) for call in calls)
        )
        names = ", ".join(call.name for call in calls)
        return "error", MalformedReplyError(
            f"the reply hit its output limit while it called {names}: raise the provider's max_tokens"
        )

    async def _run_tools(self, calls: Sequence[ToolCall]) -> None:
        config = self.spec.config
        outcomes = await self._runner.run(
            calls,
            self._tools,
            self._context,
            timeout=config.tool_timeout,
            deadline=self._deadline,
            observer=self,
        )
        self._records.extend(
            ToolCallRecord(
                id=outcome.call.id,
                name=outcome.call.name,
                input=outcome.call.input,
                duration=outcome.duration,
                error=outcome.error,
                data=outcome.data,
            )
            for outcome in outcomes
        )

    async def starting(self, calls: Sequence[ToolCall]) -> None:
        """Of `ToolObserver`: these calls are about to have their effect, side by side."""
        request_id = self.spec.request_id
        await self._record(*(ToolCallStarted(request_id, call.id) for call in calls))
        if self.spec.on_events is not None:
            for call in calls:
                self._emit(ToolStarted, id=call.id, name=call.name, input=call.input)
                self._start_seqs[call.id] = self._seq

    async def ended(self, outcome: ToolOutcome) -> None:
        """Of `ToolObserver`: a call has its result; in the order in which they end."""
        await self._record(ToolCallEnded(self.spec.request_id, outcome.result))
        if self.spec.on_events is not None:
            call = outcome.call
            self._emit(
                ToolEnded,
                id=call.id,
                name=call.name,
                input=call.input,
                duration=outcome.duration,
                error=outcome.error,
                start_seq=self._start_seqs.pop(call.id, self._seq),
            )

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

    async def _leave(self, status: Status, error: AlloyError | None, why: str) -> Result:
        """The one door: open calls answered, partial text kept and marked, one `RunFinished`, one result."""
        self.leaving = True
        request_id = self.spec.request_id
        partial = "".join(self._partial)
        closing = self.conversation.closing(request_id, why or "the model returned an empty answer", partial)
        ended = RunEnded(request_id, status)
        last: tuple[Record, ...] = (closing, ended) if closing is not None else (ended,)
        try:
            await self._record(*last)
        except FencedError:
            raise
        except (
            AlloyError
        ) as failure:  # the store failed: the caller is told, and a restart closes the log again
            status, error = "error", error or failure
            self.conversation.replay(last)
        reply = self._reply
        result = Result(
            request_id=request_id,
            status=status,
            text=partial or (reply.message.text if reply is not None else ""),
            thinking=self._thinking,
            messages=History(self.conversation.messages),
            usage=self.conversation.run_usage,
            tool_calls=tuple(self._records),
            metadata=self._facts(),
            stop_reason=reply.stop_reason if reply is not None else None,
            turns=self.conversation.turns,
            error=error,
        )
        self._emit(RunFinished, result=result)
        return result

    def _facts(self) -> dict[str, Any]:
        """The metadata of the result."""
        facts: dict[str, Any] = {}
        if self._reply is not None and self._reply.metadata:
            facts["provider_response"] = self._reply.metadata
        state = self.conversation.state_for(getattr(self.spec.provider, "origin", None))
        if state:
            facts["provider_state"] = state
        return facts

    async def _record(self, *records: Record) -> None:
        await self._journal.append(*records)
        for record in records:
            self.conversation.apply(record)

    def _on_deltas(self, deltas: Sequence[Delta]) -> None:
        on_events = self.spec.on_events
        if on_events is None or not deltas:
            return
        self._heard = True
        request_id, turn, seq = self.spec.request_id, self.conversation.turns + 1, self._seq
        batch: list[Event] = []
        for kind, text in deltas:
            seq += 1
            if kind == "text":
                self._partial.append(text)
                batch.append(TextDelta(request_id=request_id, seq=seq, turn=turn, text=text))
            else:
                batch.append(ThinkingDelta(request_id=request_id, seq=seq, turn=turn, text=text))
        self._seq = seq
        on_events(batch)

    def _emit(self, event: Callable[..., Event], **facts: object) -> None:
        on_events = self.spec.on_events
        if on_events is None:
            return
        self._seq += 1
        facts.setdefault("turn", self.conversation.turns)
        on_events((event(request_id=self.spec.request_id, seq=self._seq, **facts),))


def _deltas_of(reply: ModelReply) -> list[Delta]:
    """The deltas of a reply that came in one piece."""
    deltas: list[Delta] = []
    for block in reply.message.blocks:
        if isinstance(block, TextBlock) and block.text:
            deltas.append(Delta("text", block.text))
        elif isinstance(block, ThinkingBlock) and block.thinking:
            deltas.append(Delta("thinking", block.thinking))
    return deltas


def _as_reason(error: AlloyError) -> str:
    """What the model is told about the end of a run; a provider's own words stay out of the history."""
    match error:
        case RunCancelledError():
            return str(error)
        case RunTimeoutError():
            return "the time for the request was up"
        case ProviderError(code="refusal"):
            return "the model refused to answer"
        case _:
            return "the model could not be reached or failed"


def _forgive_cancellation() -> None:
    """The cancellation is answered by the run's end: the awaits of the door must not see it again."""
    if (task := asyncio.current_task()) is not None:
        while task.cancelling():
            task.uncancel()
