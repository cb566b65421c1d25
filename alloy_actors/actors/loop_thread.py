"""The one event loop of the process: every run and all provider I/O live on its thread.

Started at first use, it lives until `alloy.shutdown()` or the end of the process, so no client is ever bound to a
loop that is gone. A watch notices when something blocks it, and says what.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import threading
import time
import traceback
from typing import TYPE_CHECKING, Any

from alloy_actors.errors import AgentDownError
from alloy_actors.logs import log, traced
from supervisors.clock import system_clock

if TYPE_CHECKING:
    import contextvars
    from collections.abc import Callable, Coroutine
    from types import FrameType

    from supervisors.clock import Timer

GOODBYE = 1.0
"""Seconds that tasks get to end when the loop is stopped."""

BEAT = 0.1
"""Seconds between two looks at the loop, while it has work; a beat that is later than this is reported."""


class LoopThread:
    """An event loop on a daemon thread of its own."""

    def __init__(self) -> None:
        self._started = threading.Event()
        self._active = 0  # tasks of ours; only touched on the loop
        self._watch = _Watch(self)
        self._closing = False
        self.loop: asyncio.AbstractEventLoop = _new_loop()
        self.thread = threading.Thread(target=self._run, name="alloy-loop", daemon=True)
        self.thread.start()

    @property
    def lag(self) -> float:
        """Seconds by which the last look at the loop was answered too late; 0.0 when it is at ease."""
        return self._watch.lag

    @property
    def busy(self) -> bool:
        """Whether a task of ours is on."""
        return self._active > 0

    def here(self) -> bool:
        """Whether the caller runs on the loop's thread."""
        return threading.get_ident() == self.thread.ident

    def start(
        self,
        make: Callable[[], Coroutine[Any, Any, None]],
        context: contextvars.Context,
        *,
        may_cancel: Callable[[], bool] = lambda: True,
    ) -> Task:
        """Run a coroutine as a task in `context`; may be called from any thread, and returns at once.

        Args:
            make: Called on the loop.
            context: For the task.
            may_cancel: Asked on the loop when the task is about to be cancelled.

        Raises:
            AgentDownError: The loop has been shut down.
        """
        task = Task(self, may_cancel)

        def begin() -> None:
            task.begin(self.loop.create_task(make(), context=context))

        self.call(begin)
        return task

    def call(self, function: Callable[[], object]) -> None:
        """Call `function` on the loop's thread, soon.

        Raises:
            AgentDownError: The loop has been shut down.
        """
        try:
            self.loop.call_soon_threadsafe(function)
        except RuntimeError as exc:
            raise AgentDownError("the runtime has been shut down; alloy.shutdown() ended its loop") from exc

    def stop(self, timeout: float) -> bool:
        """Cancel all tasks, close the HTTP clients and end the thread; True when it ended in time."""
        if not self._closing:
            self._closing = True
            with contextlib.suppress(RuntimeError):
                self.loop.call_soon_threadsafe(self.loop.stop)
        if not self.here():
            self.thread.join(timeout)
        return not self.thread.is_alive()

    def entered(self) -> None:
        """A task of ours began; on the loop."""
        self._active += 1
        self._watch.start()

    def left(self) -> None:
        """A task of ours ended; on the loop."""
        self._active -= 1

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        while not self._closing:
            try:
                self.loop.run_forever()
            except BaseException as error:
                # SystemExit and KeyboardInterrupt leave a loop whoever raised them; they may end a run, not all runs.
                log.error("loop_interrupted", **traced(error))
        self._watch.stop()
        self._finish()

    def _finish(self) -> None:
        loop = self.loop
        tasks = asyncio.all_tasks(loop)
        for task in tasks:
            task.cancel()
        try:
            if tasks:  # one that will not be cancelled is left behind
                loop.run_until_complete(asyncio.wait(tasks, timeout=GOODBYE))
            http = sys.modules.get("alloy_actors.providers._http")
            if http is not None:  # never imported: no client to close
                loop.run_until_complete(http.close_all())
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.run_until_complete(loop.shutdown_default_executor())
        except Exception as error:
            log.error("loop_close_failed", **traced(error))
        finally:
            asyncio.set_event_loop(None)
            loop.close()


class Task:
    """A handle on a task of the loop; `cancel` works from any thread, also before the task began."""

    __slots__ = ("_cancelled", "_may_cancel", "_owner", "_task")

    def __init__(self, owner: LoopThread, may_cancel: Callable[[], bool]) -> None:
        self._owner = owner
        self._may_cancel = may_cancel
        self._task: asyncio.Task[None] | None = None
        self._cancelled = False

    def begin(self, task: asyncio.Task[None]) -> None:
        """The task exists; on the loop."""
        self._task = task
        self._owner.entered()
        task.add_done_callback(self._done)
        if self._cancelled:
            self._owner.loop.call_soon(self._cancel_now)

    def cancel(self) -> None:
        """Cancel the task soon; harmless when it has ended."""
        with contextlib.suppress(AgentDownError):
            self._owner.call(self._cancel)

    def _cancel(self) -> None:
        self._cancelled = True
        if self._task is not None:
            # Not at once: a task that has not begun must run up to its first await, to leave by its own door.
            self._owner.loop.call_soon(self._cancel_now)

    def _cancel_now(self) -> None:
        if self._task is not None and self._may_cancel():
            self._task.cancel()

    def _done(self, task: asyncio.Task[None]) -> None:
        self._task = None
        self._may_cancel = _over  # it belongs to who holds this: such a ring would be left to the collector
        self._owner.left()
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("task_failed", **traced(error))


def _over() -> bool:
    """Nothing is left to cancel."""
    return False


class _Watch:
    """Looks at the loop every BEAT seconds while it has work; logs who holds it."""

    def __init__(self, owner: LoopThread) -> None:
        self._owner = owner
        self._lock = threading.Lock()
        self._timer: Timer | None = None
        self._asked_at = 0.0
        self._answered = True
        self._reported = False
        self._suspect: tuple[int, int] | None = None
        self.lag = 0.0

    def start(self) -> None:
        """The loop has work. Cheap when the watch is on: it goes off by itself, a beat after the last task."""
        with self._lock:
            if self._timer is None:
                self._answered = True
                self._timer = system_clock.call_later(BEAT, self._look)

    def stop(self) -> None:
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
        self.lag = 0.0

    def _look(self) -> None:
        with self._lock:
            if self._timer is None:
                return
            if self._answered and not self._owner.busy:
                self._timer = None
                self.lag = 0.0
                return
            # A late answer is looked into at once, so that short blocks are caught in the act.
            self._timer = system_clock.call_later(BEAT if self._answered else BEAT / 5, self._look)
        if self._answered:
            self._answered, self._reported, self._suspect = False, False, None
            self._asked_at = time.monotonic()
            with contextlib.suppress(RuntimeError):
                self._owner.loop.call_soon_threadsafe(self._answer)
        elif not self._reported:
            self._accuse()

    def _accuse(self) -> None:
        """Log who holds the loop: the same step at two looks. A loop that is only busy takes many short steps."""
        self.lag = time.monotonic() - self._asked_at
        frames = _stack(self._owner.thread.ident)
        step = (id(frames[0]), frames[0].f_lasti) if frames else None
        if step is None or step != self._suspect:
            self._suspect = step
            return
        self._reported = True
        lines = traceback.format_list(traceback.StackSummary.extract((f, f.f_lineno) for f in frames))
        log.warning("loop_blocked", seconds=round(self.lag, 3), stack="".join(lines))

    def _answer(self) -> None:
        late = time.monotonic() - self._asked_at
        self.lag = late if late > BEAT else 0.0
        self._answered = True


def _stack(thread: int | None) -> list[FrameType]:
    """The frames of what a loop's thread is doing, outermost first, without the loop's own; [] when it waits."""
    frames: list[FrameType] = []
    frame = sys._current_frames().get(thread or 0)  # noqa: SLF001  (the documented way)
    while frame is not None and frame.f_code.co_name not in ("run_forever", "_run", "_run_once"):
        frames.append(frame)
        frame = frame.f_back
    return frames[::-1]


def _new_loop() -> asyncio.AbstractEventLoop:
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


_lock = threading.Lock()
_current: LoopThread | None = None


def loop_thread() -> LoopThread:
    """The process's loop thread, started at first use."""
    global _current
    current = _current
    if current is not None:
        return current
    with _lock:
        if _current is None:
            _current = LoopThread()
        return _current


def loop_lag() -> float:
    """Seconds by which the loop is late; 0.0 when it is at ease, or there is none."""
    current = _current
    return current.lag if current is not None else 0.0


def on_loop_thread() -> bool:
    """Whether the caller runs on the loop's thread: it must not block there."""
    return _current is not None and _current.here()


def stop_loop_thread(timeout: float) -> bool:
    """End the loop thread if there is one; the next use starts a new one. True when none is left."""
    global _current
    with _lock:
        current, _current = _current, None
    return current is None or current.stop(timeout)


def _after_fork() -> None:
    """The parent's loop thread does not exist in a forked child."""
    global _lock, _current
    _lock = threading.Lock()
    _current = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
