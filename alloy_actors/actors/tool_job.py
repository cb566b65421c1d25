"""One call of a plain tool, and the way of results back to the loop that waits."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from alloy_actors.errors import ToolError

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from alloy_actors.actors.tool_worker import ToolWorker


class Outbox:
    """Results on their way to one loop: however many come at once, the loop is woken once."""

    __slots__ = ("_items", "_scheduled", "loop")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._items: deque[tuple[Job, object, BaseException | None]] = deque()
        self._scheduled = False

    def put(self, job: Job, value: object, error: BaseException | None) -> None:
        self._items.append((job, value, error))
        if not self._scheduled:
            self._scheduled = True
            try:
                self.loop.call_soon_threadsafe(self._deliver)
            except RuntimeError:  # the loop is closed: nobody waits any more
                self._items.clear()

    def _deliver(self) -> None:
        self._scheduled = False  # first: what comes from here on wakes the loop again
        while self._items:
            job, value, error = self._items.popleft()
            if job.future.done():
                continue
            if error is None:
                job.future.set_result(value)
            else:
                job.future.set_exception(error)


class Job:
    """One call."""

    __slots__ = ("_error", "_value", "ended", "function", "future", "name", "outbox", "worker")

    def __init__(self, function: Callable[[], object], name: str, outbox: Outbox, future: Any) -> None:
        self.function: Callable[[], object] | None = function
        self.name = name
        self.outbox = outbox
        self.future: asyncio.Future[object] = future
        self.worker: ToolWorker | None = None  # None: in the queue
        self._value: object = None
        self._error: BaseException | None = None
        self.ended = False  # has returned, was refused or abandoned; guarded by the pool's lock

    def run(self) -> None:
        """On a worker; `deliver` follows when the worker has said what it does next."""
        function, self.function = self.function, None
        assert function is not None
        try:
            self._value = function()
        except StopIteration as raised:  # no future takes it
            self._error = RuntimeError(repr(raised))
        except Exception as raised:
            self._error = raised
        except BaseException as raised:  # a tool that exits ends neither its worker nor the loop
            self._error = ToolError(f"Tool {self.name} crashed during execution: {raised!r}.")

    def deliver(self) -> None:
        """Send what came of `run` to the loop."""
        self.outbox.put(self, self._value, self._error)

    def refuse(self, why: str) -> None:
        self.outbox.put(self, None, ToolError(f"Tool {self.name} was not run: {why}."))
