"""One tool call, from its start to its reply: on a worker, on the runner's loop, or on somebody else's.

Nothing a tool raises gets out of here: an exception becomes the text of an error result, and one log record.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import threading
import time
import traceback
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from alloy_actors.deadline import Deadline
from alloy_actors.errors import ToolError
from alloy_actors.logs import log, traced
from alloy_actors.tool_input import own
from alloy_actors.tool_output import fitted, rendered
from alloy_actors.tool_spill import spilled, spills, unsaved
from alloy_actors.tool_text import crash_text, repaired, timeout_text, truncated
from alloy_actors.tooldef import Cancelled

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from alloy_actors.content import ToolCall
    from alloy_actors.tool_output import Content
    from alloy_actors.tooldef import Tool, ToolContext


class OffLoop(Protocol):
    """`Workers.call`."""

    def __call__(self, function: Callable[[], object], *, name: str) -> Coroutine[Any, Any, object]: ...


class Reply(NamedTuple):
    """How a call was answered."""

    content: Content
    error: str | None = None
    data: Any = None


tasks: set[asyncio.Task[None]] = set()  # a loop itself holds tasks only weakly


def forget(task: asyncio.Task[None]) -> None:
    """The task is done."""
    tasks.discard(task)
    if not task.cancelled():
        task.exception()  # all there can be is a KeyboardInterrupt that has gone its way already


class Execution:
    """One call, from its start to its reply; the first reply counts."""

    __slots__ = (
        "began",
        "call",
        "cancelled",
        "duration",
        "expires",
        "home",
        "index",
        "limit",
        "make_context",
        "off_loop",
        "on_reply",
        "reply",
        "started",
        "stop",
        "stopped",
        "task",
        "tool",
    )

    def __init__(
        self, index: int, call: ToolCall, tool: Tool, limit: float, home: asyncio.AbstractEventLoop
    ) -> None:
        self.index = index  # of the call in its batch
        self.call = call
        self.tool = tool
        self.limit = limit  # seconds
        self.home = home
        self.started = time.monotonic()
        self.expires = self.started + limit
        self.cancelled = Cancelled()
        self.began = False  # whether a worker, or its loop, has taken it up
        self.stopped = False  # whether it was us who cancelled it
        self.reply: Reply | None = None
        self.duration = 0.0
        self.task: asyncio.Task[None] | None = None
        self.stop: Callable[[], object] = lambda: None
        self.on_reply: Callable[[Execution], None]
        self.make_context: Callable[[ToolCall, Cancelled], ToolContext]
        self.off_loop: OffLoop

    def finish(self, reply: Reply) -> None:
        """On the home loop."""
        if self.reply is None:
            self.reply = reply
            self.duration = time.monotonic() - self.started
            self.on_reply(self)

    def cancel(self) -> None:
        """Stop it, or at least tell it that nobody waits."""
        self.stopped = True
        self.cancelled.set()
        self.stop()

    def run_plain(self) -> Reply:
        """Of a plain tool, on a worker: raises nothing, whatever the tool raises."""
        self.began = True
        try:
            reply = self._render(self.tool.arguments.call(**self._arguments()))
            return self._spilled(reply) if self._spills(reply) else reply
        except BaseException as crash:
            return self._failure(crash)

    async def run_async(self, finish: Callable[[Reply], None]) -> None:
        """Of an async tool, as a task on its loop."""
        self.began = True
        try:
            reply = self._render(await self.tool.arguments.call(**self._arguments()))
            if self._spills(reply):  # a file is written: on a worker, where nobody else waits for it
                reply = await self._spilled_off_loop(reply)
        except GeneratorExit:  # its loop is gone, and with it everybody to tell
            raise
        except BaseException as crash:
            reply = self._failure(crash)
            if isinstance(crash, KeyboardInterrupt) and threading.current_thread() is threading.main_thread():
                finish(reply)
                raise  # somebody's own loop on the main thread: this is Ctrl-C
        finish(reply)

    def worker_answered(self, task: asyncio.Task[object]) -> None:
        """Of a plain tool: the workers' answer, on the home loop."""
        if task.cancelled():
            self.finish(Reply(f"Tool {self.tool.name} was cancelled.", "cancelled"))
        elif (error := task.exception()) is None:
            reply = task.result()
            assert isinstance(reply, Reply)
            self.finish(reply)
        else:  # it never ran
            self.finish(self._failure(error))

    def expired(self) -> Reply:
        """The reply to a call whose time is up."""
        why = "" if self.began else " without having been started (no worker was free)"
        if not self.began and self.tool.is_async:
            why = " without having been started (the event loop given as loop= is not running)"
        text = timeout_text(self.tool.name, self.limit, why)
        return Reply(text, text)

    def _arguments(self) -> dict[str, Any]:
        arguments = self.tool.arguments
        context = None
        if arguments.wants_context:
            made = self.make_context(self.call, self.cancelled)
            context = replace(made, deadline=Deadline(min(made.deadline.at, self.expires)))
        return arguments.bind(own(self.call.input), context)

    def _render(self, value: object) -> Reply:
        content, data = rendered(self.tool.name, value)
        return Reply(fitted(content, self.tool.max_result_chars), None, data)

    def _spills(self, reply: Reply) -> bool:
        return spills(self.tool.spill, reply.content)

    def _spilled(self, reply: Reply) -> Reply:
        assert self.tool.spill is not None
        directory = self.make_context(self.call, self.cancelled).working_directory
        return reply._replace(content=spilled(self.tool.spill, self.tool.name, reply.content, directory))

    async def _spilled_off_loop(self, reply: Reply) -> Reply:
        answer = self.off_loop(partial(self._spilled, reply), name=self.tool.name)
        try:
            if asyncio.get_running_loop() is self.home:
                found = await answer
            else:  # the workers answer to home alone
                found = await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(answer, self.home))
        except ToolError as refused:
            assert self.tool.spill is not None
            return reply._replace(
                content=unsaved(self.tool.spill, self.tool.name, reply.content, str(refused))
            )
        assert isinstance(found, Reply)
        return found

    def _failure(self, crash: BaseException) -> Reply:
        if isinstance(crash, ToolError):
            text = repaired(str(crash)) or f"Tool {self.tool.name} failed."
            return Reply(truncated(text, self.tool.max_result_chars), text)
        if self.stopped:  # it ended because we stopped it: nobody hears this
            return Reply("cancelled", "cancelled")
        log.error("tool_crashed", tool=self.tool.name, tool_call_id=self.call.id, **traced(crash))
        trace = "".join(traceback.format_exception(crash))
        return Reply(repaired(crash_text(self.tool.name, crash)), trace)


class Abroad:
    """One async call on a loop that is not the runner's: its task is there, its reply comes home."""

    __slots__ = ("_cancelled", "_execution", "_loop", "_task")

    def __init__(self, loop: asyncio.AbstractEventLoop, execution: Execution) -> None:
        self._loop = loop
        self._execution = execution
        self._task: asyncio.Task[None] | None = None
        self._cancelled = False
        execution.stop = self._stop
        context = contextvars.copy_context()
        try:
            loop.call_soon_threadsafe(self._begin, context, context=context)
        except RuntimeError:
            text = f"Tool {execution.tool.name} cannot run: the event loop given as loop= is closed."
            execution.finish(Reply(text, text))

    def _begin(self, context: contextvars.Context) -> None:
        if not self._cancelled:
            self._task = self._loop.create_task(self._execution.run_async(self._send_home), context=context)
            tasks.add(self._task)
            self._task.add_done_callback(forget)

    def _send_home(self, reply: Reply) -> None:
        with contextlib.suppress(RuntimeError):  # home is closed: nobody waits any more
            self._execution.home.call_soon_threadsafe(self._execution.finish, reply)

    def _stop(self) -> None:
        with contextlib.suppress(RuntimeError):  # closed: it has cancelled its tasks itself
            self._loop.call_soon_threadsafe(self._cancel)

    def _cancel(self) -> None:
        self._cancelled = True
        if self._task is not None:
            self._task.cancel()
