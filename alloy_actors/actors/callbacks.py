"""Where callbacks of users run: off the loop and off the agents' threads, in order per agent."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import threading
from typing import TYPE_CHECKING, Any, cast

from pykka import Timeout

from alloy_actors.actors.guard import CHAIN
from alloy_actors.actors.loop_thread import loop_thread
from alloy_actors.errors import CrashError
from alloy_actors.logs import log, traced
from supervisors.runtime import PooledActor, PooledFuture

if TYPE_CHECKING:
    from collections.abc import Callable

    from pykka import ActorRef

    from alloy_actors.deadline import Deadline
    from alloy_actors.result import Result

_here = threading.local()
_endings: set[PooledFuture[bool]] = set()  # of actors that were closed and have not ended


class CallbackActor(PooledActor):
    """Calls what it is told, one at a time; a callback that raises is logged and harms nothing."""

    dispatcher = "callbacks"

    def on_receive(self, message: tuple[Callable[[Any], object], Any]) -> None:
        _here.actor = self.actor_ref
        try:
            call(*message)
        finally:
            _here.actor = None


class Callbacks:
    """The callbacks of one agent; its actor is started by the first one.

    `submit` may be called from any thread and never blocks.
    """

    __slots__ = ("_closed", "_ending", "_ref")

    _starting = threading.Lock()  # shared: an agent's actor is started once

    def __init__(self) -> None:
        self._ref: ActorRef[CallbackActor] | None = None
        self._ending: tuple[ActorRef[CallbackActor], PooledFuture[bool]] | None = None
        self._closed = False

    def submit(self, callback: Callable[[Any], object], value: object) -> None:
        """Call `callback(value)` after the callbacks submitted before."""
        with self._starting:
            ref = self._ref
            if ref is None or not ref.is_alive():
                ref = CallbackActor.start()
                self._ref = None if self._closed else ref
        ref.tell((callback, value))
        if self._closed:
            ref.stop(block=False)  # started for this late one alone

    async def run(self, function: Callable[[], object]) -> object:
        """Call a plain hook behind the callbacks submitted before, in the caller's context.

        Raises:
            Exception: What the function raises; anything worse than an `Exception` becomes a `CrashError`.
        """
        outcome: PooledFuture[object] = PooledFuture()
        context = contextvars.copy_context()

        def call_it(_: object) -> None:
            try:
                outcome.set(context.run(function))
            except Exception as error:
                outcome.set_exception((type(error), error, error.__traceback__))
            except BaseException as error:  # SystemExit would end the loop for everyone
                crash = CrashError(f"a hook raised {type(error).__name__}")
                crash.__cause__ = error
                outcome.set_exception((CrashError, crash, None))

        self.submit(call_it, None)
        return await outcome

    def after(self, function: Callable[[], object]) -> None:
        """Call `function` when the callbacks submitted so far have been called: now, if there are none."""
        if self._ref is None:
            function()
        else:
            self.submit(lambda _: function(), None)

    def close(self) -> None:
        """End the actor once the callbacks submitted so far have been called; returns at once."""
        with self._starting:
            self._closed = True
            ref, self._ref = self._ref, None
            if ref is not None:
                ended = cast("PooledFuture[bool]", ref.stop(block=False))  # a pooled actor's
                self._ending = (ref, ended)
                _endings.add(ended)
                ended.add_done_callback(_endings.discard)

    def drained(self, timeout: float) -> bool:
        """Wait, after `close`, until all callbacks have been called; False when `timeout` seconds were not enough.

        Inside one of these callbacks there is nothing to wait for: it would be itself.
        """
        if self._ending is None:
            return True
        ref, ended = self._ending
        if getattr(_here, "actor", None) is ref:
            return True
        try:
            ended.get(timeout=timeout)
        except Timeout:
            return False
        return True


def await_closed(deadline: Deadline) -> None:
    """Wait until the callbacks that were closed have been called, those of single runs included."""
    for ended in list(_endings):
        try:
            ended.get(timeout=deadline.remaining())
        except Timeout:
            return


def deliver_to(
    on_result: Callable[[Result], object], callbacks: Callbacks, loop: asyncio.AbstractEventLoop | None
) -> Callable[[Result], None]:
    """How a result reaches the callback given to `send_message`, in the context of that call.

    Args:
        on_result: A plain function runs on the callback pool; an async one on `loop`.
        callbacks: The agent's.
        loop: The loop that called `send_message`; None (or a loop that is closed by then) is the runtime's.
    """
    context = contextvars.copy_context()
    context.run(CHAIN.set, ())  # nobody waits for a callback
    if not inspect.iscoroutinefunction(on_result):
        plain = on_result

        def in_context(result: Result) -> object:
            return context.copy().run(plain, result)

        in_context.__qualname__ = _name_of(on_result)
        return lambda result: callbacks.submit(in_context, result)

    async def run(result: Result) -> None:
        try:
            await on_result(result)
        except (asyncio.CancelledError, GeneratorExit):
            raise
        except BaseException as error:  # also SystemExit, which would end the loop for everyone
            log.error("callback_failed", callback=_name_of(on_result), **traced(error))

    def deliver(result: Result) -> None:
        target = loop if loop is not None and not loop.is_closed() else loop_thread().loop
        context.copy().run(asyncio.run_coroutine_threadsafe, run(result), target)

    return deliver


def call(callback: Callable[[Any], object], value: object) -> None:
    """Call a user's callback; what it raises, also SystemExit, is logged."""
    try:
        callback(value)
    except BaseException as error:
        log.error("callback_failed", callback=_name_of(callback), **traced(error))


def _name_of(callback: object) -> str:
    return getattr(callback, "__qualname__", repr(callback))
