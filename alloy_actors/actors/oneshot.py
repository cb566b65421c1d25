"""One run without an agent: the same loop, on the same thread, with a journal that nobody reads."""

from __future__ import annotations

import asyncio
import contextvars
import queue
import threading
import uuid
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from alloy_actors.actors.blocking import blocking_region, next_of
from alloy_actors.actors.callbacks import Callbacks
from alloy_actors.actors.default import default_system, when_loop_has_ended
from alloy_actors.actors.guard import asker_here, check_blocking
from alloy_actors.actors.loop_thread import loop_thread
from alloy_actors.actors.options import run_options
from alloy_actors.actors.streams import EventBuffer, Listener
from alloy_actors.budget import acheck_prices, check_prices
from alloy_actors.config import check_callback, check_name
from alloy_actors.conversation import Conversation
from alloy_actors.errors import CancelledError, CrashError
from alloy_actors.journal import Journal, Seeded
from alloy_actors.logs import log, traced
from alloy_actors.middleware import NO_HOOKS, Hooks
from alloy_actors.result import Result
from alloy_actors.run_spec import RunSpec
from alloy_actors.store.memory import MemoryStore
from alloy_actors.turn import Run
from supervisors.runtime import PooledFuture

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from alloy_actors.actors.loop_thread import Task
    from alloy_actors.config import RunConfig
    from alloy_actors.content import Message
    from alloy_actors.events import Event
    from alloy_actors.reporting import OnEvents


def run(message: str | Message | None, **options: Any) -> Result:
    """Run one message to its end and return the Result. Ctrl-C cancels it.

    Args:
        message: What the user says: text, or a `Message` of the user's with images or files. None goes on from `messages=`
            alone.
        options: See `RunConfig`; `provider` is required. A string in `context` under "request_id", or else under
            "correlation_id", becomes the id of the request, which events, logs and telemetry carry.

    Raises:
        ConfigError: An option is unknown or wrong.
        WouldDeadlock: On a loop thread; use `arun`.
    """
    check_blocking("run", "arun()")
    future: PooledFuture[Result] = PooledFuture()
    config, said = run_options("run", message, options)
    check_prices("run", config)
    once = _OneShot("run", said, config, None)
    once.start(future.set)
    try:
        with blocking_region():
            return future.get()
    except BaseException:
        once.cancel()
        raise


async def arun(message: str | Message | None, **options: Any) -> Result:
    """`run` for coroutines; cancelling the await cancels the run."""
    future: PooledFuture[Result] = PooledFuture()
    config, said = run_options("arun", message, options)
    await acheck_prices("arun", config)
    once = _OneShot("arun", said, config, None)
    once.start(future.set)
    try:
        return await future
    except BaseException:
        once.cancel()
        raise


def stream(
    message: str | Message | None,
    on_chunk: Callable[[str], object] | None = None,
    *,
    on_event: Callable[[Event], object] | None = None,
    **options: Any,
) -> Result:
    """`run` that calls `on_chunk(text)` and `on_event(event)` on this thread as the answer arrives."""
    check_blocking("stream", "astream()")
    check_callback("stream", on_chunk=on_chunk, on_event=on_event)
    arrived: queue.SimpleQueue[Any] = queue.SimpleQueue()
    config, said = run_options("stream", message, options)
    check_prices("stream", config)
    once = _OneShot("stream", said, config, arrived.put)
    once.start(arrived.put)
    listener = Listener(on_chunk, on_event)
    try:
        while True:
            item = next_of(arrived)
            if isinstance(item, Result):
                listener.finish(item)
                return item
            listener.hear(item)
    except BaseException:
        once.cancel()
        raise


async def astream(message: str | Message | None, **options: Any) -> AsyncIterator[Event]:
    """The events of one run, `RunFinished` last; leaving the loop cancels the run."""
    buffer = EventBuffer()
    config, said = run_options("astream", message, options)
    await acheck_prices("astream", config)
    once = _OneShot("astream", said, config, buffer.push)
    once.start(buffer.finish)
    try:
        async with aclosing(buffer.read()) as events:
            async for event in events:
                yield event
    finally:
        once.cancel()


class _OneShot:
    """A run and its task."""

    def __init__(
        self, call: str, said: Message | None, config: RunConfig, on_events: OnEvents | None
    ) -> None:
        request_id = _request_id_in(config.context, call) or uuid.uuid4().hex
        store = MemoryStore()
        journal = Journal(request_id, store.take_token(request_id), store)
        conversation = Conversation()
        conversation.apply(Seeded(config.messages))
        runner = default_system().runner(config.loop)
        self._callbacks = Callbacks() if config.middleware or config.on_compaction else None
        hooks = NO_HOOKS
        if self._callbacks is not None:
            hooks = Hooks(config.middleware, self._callbacks.run, runner.loop)
        spec = RunSpec(
            request_id=request_id,
            agent=call,
            message=said,
            config=config,
            provider=config.provider,
            on_events=on_events,
            hooks=hooks,
            asker=asker_here(),
        )
        self._run = Run(spec, conversation, journal, runner)
        if said is not None and (
            closing := conversation.closing("", "the earlier conversation broke off here")
        ):
            conversation.apply(closing)
        self._task: Task | None = None

    def start(self, on_result: Callable[[Result], object]) -> None:
        request_id = self._run.spec.request_id
        first = threading.Lock()

        def tell(result: Result) -> None:
            if first.acquire(blocking=False):
                forget()
                if self._callbacks is not None:
                    self._callbacks.close()
                on_result(result)

        def lost() -> None:
            error = CancelledError("the runtime was shut down; the run did not end in time")
            tell(Result(request_id=request_id, status="cancelled", error=error))

        forget = when_loop_has_ended(lost)

        async def carry() -> None:
            try:
                result = await self._run.execute()
            except (asyncio.CancelledError, GeneratorExit):
                raise
            except BaseException as bug:
                log.error("run_crashed", request_id=self._run.spec.request_id, **traced(bug))
                error = CrashError(f"the run crashed: {type(bug).__name__}: {bug}")
                error.__cause__ = bug
                result = Result(request_id=self._run.spec.request_id, status="error", error=error)
            tell(result)

        run = self._run
        self._task = loop_thread().start(
            carry, contextvars.copy_context(), may_cancel=lambda: not run.leaving
        )

    def cancel(self) -> None:
        """Harmless when the run has ended."""
        if self._task is not None:
            self._task.cancel()


def _request_id_in(context: Mapping[str, Any], call: str) -> str | None:
    """The id that the caller's own context brings along; what is no string there is something else."""
    for key in ("request_id", "correlation_id"):
        given = context.get(key)
        if isinstance(given, str):
            check_name(call, f"context[{key!r}]", given)
            return given
    return None
