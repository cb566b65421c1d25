"""A loop whose time stands still until the test moves it, and which runs only when the test says so."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

from alloy_actors.actors.loop_thread import LoopThread


class StillLoop(asyncio.SelectorEventLoop):
    """See the module."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0

    def time(self) -> float:
        return self.now

    def run_in_executor(self, executor: Any, func: Any, *args: Any) -> Any:
        """There is no other thread: it is done before the loop goes on."""
        done = self.create_future()
        try:
            done.set_result(func(*args))
        except Exception as error:
            done.set_exception(error)
        return done

    def has_work(self) -> bool:
        timers = [handle for handle in self._scheduled if not handle.cancelled()]
        return bool(self._ready) or any(handle.when() <= self.now for handle in timers)

    def turn(self) -> None:
        """One iteration: what is ready now, and not what that makes ready."""
        self.call_soon(self.stop)
        self.run_forever()


class InlineLoop(LoopThread):
    """The runtime's loop without its thread: the test is the thread."""

    def __init__(self, loop: StillLoop) -> None:
        self.loop = loop
        self._active = 0
        self._closing = False
        self._watch: Any = SimpleNamespace(start=lambda: None, lag=0.0)

    def here(self) -> bool:
        return False  # the test may block: there is nobody it could keep waiting
