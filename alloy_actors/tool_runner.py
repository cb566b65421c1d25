"""Runs the tool calls of one reply: batches, barriers, timeouts. Where a call runs is somebody else's matter.

Maximal runs of concurrent tools form one parallel batch; a tool with `concurrent=False` is a batch of its own, so it
sees what those before it did. An async tool is a task on this loop, or on the loop its owner named; a plain one goes
to a `Workers`. Whatever a call does (raise, exit, hang, return nonsense), it comes to one outcome and the run goes
on.
"""

from __future__ import annotations

import asyncio
import contextvars
import time
from collections import deque
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from alloy_actors.content import ToolCall, ToolResult
from alloy_actors.tool_execution import Abroad, Execution, Reply, forget, tasks
from alloy_actors.tool_text import repaired
from alloy_actors.tooldef import Cancelled

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from alloy_actors.deadline import Deadline
    from alloy_actors.tooldef import Tool, ToolContext

__all__ = ["Cancelled", "ToolObserver", "ToolOutcome", "ToolRunner", "Workers"]

CLEANUP = 0.05
"""Seconds the async tools of a cancelled run get for their `finally` before the run goes without them."""


@dataclass(frozen=True, slots=True)
class ToolOutcome:
    """What became of one call.

    `duration` is in seconds and counts the wait for a worker; `error` is the diagnostic (of a crash the traceback),
    None for a success; `data` is what the tool returned as plain JSON data, None when it returned text.
    """

    call: ToolCall
    result: ToolResult
    duration: float
    error: str | None = None
    data: Any = None


class Workers(Protocol):
    """Where plain functions run."""

    async def call(self, function: Callable[[], object], *, name: str) -> object:
        """Call the function off the loop and return what it returns; cancelling the await abandons it.

        Raises:
            ToolError: It cannot be run; the text is for the model.
        """


class ToolObserver(Protocol):
    """Told of a run's calls on the loop, one at a time. What it raises ends the run of the calls."""

    async def starting(self, calls: Sequence[ToolCall]) -> None:
        """These calls, one batch, are about to have their effect."""

    async def ended(self, outcome: ToolOutcome) -> None:
        """A call has its result; in the order in which they end."""


class ToolRunner:
    """Runs tool calls.

    Args:
        workers: Runs plain tools.
        loop: Runs async tools, for example a service's own loop with its pools and locks; None is the loop that
            `run` is called on.
    """

    def __init__(self, workers: Workers, *, loop: asyncio.AbstractEventLoop | None = None) -> None:
        self._workers = workers
        self._loop = loop

    @property
    def loop(self) -> asyncio.AbstractEventLoop | None:
        """Where async tools run; None is the loop of the run."""
        return self._loop

    async def run(
        self,
        calls: Sequence[ToolCall],
        tools: Mapping[str, Tool],
        make_context: Callable[[ToolCall, Cancelled], ToolContext],
        *,
        timeout: float,
        deadline: Deadline,
        observer: ToolObserver,
    ) -> list[ToolOutcome]:
        """Run the calls of one reply.

        Args:
            calls: n calls with distinct ids; n may be 0.
            tools: By name. An unknown name is an error result.
            make_context: Called for tools that want a context.
            timeout: Seconds for one call, the wait for a worker included; a tool's own wins.
            deadline: The run's; bounds every call.
            observer: See there.

        Returns:
            n outcomes in call order, whatever order they ended in.

        Raises:
            asyncio.CancelledError: The run was cancelled. Async tools were cancelled; plain ones were told through
                `ctx.cancelled` and abandoned.
        """
        outcomes: list[ToolOutcome] = []
        for batch in _batches(calls, tools):
            await observer.starting([call for call, _ in batch])
            running = _Batch(self, batch, make_context, min(timeout, deadline.remaining()), deadline)
            outcomes += await running.run(observer)
        return outcomes

    def launch(self, execution: Execution) -> None:
        """Start one call; for `_Batch`."""
        loop = execution.home
        execution.off_loop = self._workers.call
        if not execution.tool.is_async:
            context = contextvars.copy_context()
            work = partial(context.run, execution.run_plain)
            waiting = loop.create_task(self._workers.call(work, name=execution.tool.name))
            waiting.add_done_callback(execution.worker_answered)
            execution.stop = waiting.cancel
        elif self._loop is None or self._loop is loop:
            task = loop.create_task(execution.run_async(execution.finish))
            task.add_done_callback(forget)
            tasks.add(task)
            execution.task, execution.stop = task, task.cancel
        else:
            Abroad(self._loop, execution)


class _Batch:
    """Calls that run side by side. One timer serves them all."""

    def __init__(
        self,
        runner: ToolRunner,
        calls: Sequence[tuple[ToolCall, Tool | None]],
        make_context: Callable[[ToolCall, Cancelled], ToolContext],
        timeout: float,
        deadline: Deadline,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._runner = runner
        self._calls = calls
        self._make_context = make_context
        self._timeout = timeout
        self._deadline = deadline
        self._executions: dict[int, Execution] = {}
        self._ended: deque[tuple[int, ToolOutcome]] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None

    async def run(self, observer: ToolObserver) -> list[ToolOutcome]:
        """All outcomes in call order."""
        found: dict[int, ToolOutcome] = {}
        try:
            for index, (call, tool) in enumerate(self._calls):
                self._start(index, call, tool)
            self._set_timer()
            while len(found) < len(self._calls):
                if not self._ended:
                    self._waiter = self._loop.create_future()
                    await self._waiter
                index, outcome = self._ended.popleft()
                found[index] = outcome
                await observer.ended(outcome)
        finally:
            if self._timer is not None:
                self._timer.cancel()
            if len(found) < len(self._calls):
                await self._give_up()
        return [found[index] for index in range(len(self._calls))]

    def _start(self, index: int, call: ToolCall, tool: Tool | None) -> None:
        text = _refusal(call, tool, self._timeout)
        if tool is None or text is not None:
            text = repaired(text or "")
            self._put(index, ToolOutcome(call, ToolResult(call.id, text, is_error=True), 0.0, text))
            return
        limit = self._timeout
        if tool.timeout is not None:
            limit = min(tool.timeout, self._deadline.remaining())
        execution = Execution(index, call, tool, limit, self._loop)
        execution.on_reply = self._answered
        execution.make_context = self._make_context
        self._executions[index] = execution
        self._runner.launch(execution)

    def _answered(self, execution: Execution) -> None:
        reply, call = execution.reply, execution.call
        assert reply is not None
        self._executions.pop(execution.index, None)
        result = ToolResult(call.id, reply.content, is_error=reply.error is not None)
        self._put(execution.index, ToolOutcome(call, result, execution.duration, reply.error, reply.data))

    def _put(self, index: int, outcome: ToolOutcome) -> None:
        self._ended.append((index, outcome))
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _set_timer(self) -> None:
        if self._executions:
            first = min(execution.expires for execution in self._executions.values())
            delay = max(first - time.monotonic(), 0.0)
            # Results that came while something kept the loop busy are already on their way: they go first.
            self._timer = self._loop.call_later(delay, self._loop.call_soon, self._expire)

    def _expire(self) -> None:
        now = time.monotonic() + 0.001  # a loop's clock is no finer
        for execution in [item for item in self._executions.values() if item.expires <= now]:
            execution.finish(execution.expired())
            execution.cancel()
        self._set_timer()

    async def _give_up(self) -> None:
        """Cancel what still runs. Async tools get a moment for their `finally`; nobody waits for a plain one."""
        left, self._executions = self._executions, {}
        for execution in left.values():
            execution.reply = Reply("cancelled", "cancelled")
            execution.cancel()
        tasks = [execution.task for execution in left.values() if execution.task is not None]
        if tasks:
            await asyncio.wait(tasks, timeout=CLEANUP)


def _batches(
    calls: Sequence[ToolCall], tools: Mapping[str, Tool]
) -> Iterator[list[tuple[ToolCall, Tool | None]]]:
    """Calls to unknown tools, and calls that cannot run, count as concurrent."""
    batch: list[tuple[ToolCall, Tool | None]] = []
    for call in calls:
        tool = tools.get(call.name)
        if tool is None or tool.concurrent or call.invalid is not None:
            batch.append((call, tool))
            continue
        if batch:
            yield batch
        yield [(call, tool)]
        batch = []
    if batch:
        yield batch


def _refusal(call: ToolCall, tool: Tool | None, timeout: float) -> str | None:
    """Why a call is answered without running; None when it can run."""
    if tool is None:
        return f"Unknown tool: {call.name}"
    if call.invalid is not None:
        return (
            f"Tool {call.name}: the arguments must be one JSON object, but were {call.invalid[:200]!r}. "
            "Call the tool again with valid JSON."
        )
    if timeout <= 0:
        return f"Tool {call.name} was not started: the time for the request is up."
    return None
