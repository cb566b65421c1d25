"""Time for tests: the pauses that runs make end at once, or when the test says so."""

from __future__ import annotations

import asyncio
import math
import threading
from contextlib import ExitStack
from typing import TYPE_CHECKING, Self

from alloy_actors.errors import ConfigError
from alloy_actors.option_errors import brief
from alloy_actors.pauses import pausing_by

if TYPE_CHECKING:
    from collections.abc import Sequence


class FakeClock:
    """While its `with` block lasts, the pauses of what is started in it take no time.

        with FakeClock() as clock:
            result = agent.chat("hello")  # the provider fails twice
        assert len(clock.pauses) == 2

    It holds for pauses between attempts, cool-downs, the delays of a script, and tools that pause by
    `alloy_actors.pauses.pause`. Limits of time (`timeout`, `tool_timeout`) go by the real clock, and a wait that would
    outlast the run's is given up as ever. What counts is the `with` block in which a request was made, not the one in
    which its agent was started. Everything here may be used from any thread.

    Args:
        still: The clock stands still: a pause ends when `advance` has moved time beyond it. Otherwise each pause ends at
            once.
    """

    def __init__(self, *, still: bool = False) -> None:
        self._still = still
        self._changed = threading.Condition()
        self._now = 0.0
        self._pauses: list[float] = []
        self._waiting: list[tuple[float, asyncio.AbstractEventLoop, asyncio.Future[None]]] = []
        self._scopes = ExitStack()

    @property
    def pauses(self) -> Sequence[float]:
        """Seconds of each pause that was begun, in order."""
        with self._changed:
            return tuple(self._pauses)

    def now(self) -> float:
        """Seconds that have passed for those who paused."""
        with self._changed:
            return self._now

    def pending(self) -> list[float]:
        """Seconds until each pause that is on ends, the nearest first."""
        with self._changed:
            self._drop_ended()
            return sorted(due - self._now for due, _, _ in self._waiting)

    def arrived(self, pauses: int = 1, timeout: float = 5.0) -> None:
        """Block until so many pauses have begun since the start; for a test's own thread, not for the loop.

        Raises:
            TimeoutError: They have not, within `timeout` real seconds.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: len(self._pauses) >= pauses, timeout):
                raise TimeoutError(f"{len(self._pauses)} of {pauses} pauses began within {timeout:g} s")

    def advance(self, seconds: float) -> None:
        """Move time on, and end the pauses that are over by then, in the order in which they are.

        Raises:
            ConfigError: That is no length of time: time does not go back.
        """
        given: object = seconds
        if isinstance(given, bool) or not isinstance(given, int | float) or not 0 <= given < math.inf:
            raise ConfigError(f"advance: seconds must be a number, 0 or more, got {brief(seconds)}")
        with self._changed:
            self._now += seconds
            over = sorted((item for item in self._waiting if item[0] <= self._now), key=lambda item: item[0])
            self._waiting = [item for item in self._waiting if item[0] > self._now]
        for _, loop, future in over:
            try:
                loop.call_soon_threadsafe(_resolve, future)
            except RuntimeError:
                pass  # that loop is closed, and nobody waits on it any more

    async def pause(self, seconds: float) -> None:
        """What pauses come to; for `alloy_actors.pauses`."""
        loop = asyncio.get_running_loop()
        with self._changed:
            self._pauses.append(seconds)
            self._changed.notify_all()
            if not self._still:
                self._now += max(seconds, 0.0)
            if not self._still or seconds <= 0:
                future = None
            else:
                future = loop.create_future()
                self._drop_ended()
                self._waiting.append((self._now + seconds, loop, future))
        await (asyncio.sleep(0) if future is None else future)

    def __enter__(self) -> Self:
        self._scopes.enter_context(pausing_by(self.pause))
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._scopes.close()

    def _drop_ended(self) -> None:
        """Whoever was cancelled waits no more."""
        self._waiting = [item for item in self._waiting if not item[2].done()]


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
