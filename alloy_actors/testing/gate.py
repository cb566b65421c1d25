"""A gate before which requests wait until the test lets them go."""

from __future__ import annotations

import asyncio
import threading


class Gate:
    """Holds requests until the test lets them go.

    `release()` opens it for good; `arrived(n)` waits until n requests stand (or stood) before it.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._open = False
        self._arrivals = 0
        self._waiting: list[tuple[asyncio.AbstractEventLoop, asyncio.Future[None]]] = []

    def release(self) -> None:
        """Let every request through, those to come included."""
        with self._changed:
            self._open = True
            waiting, self._waiting = self._waiting, []
        for loop, future in waiting:
            try:
                loop.call_soon_threadsafe(_resolve, future)
            except RuntimeError:
                pass  # that loop is closed, and nobody waits on it any more

    def arrived(self, requests: int = 1, timeout: float = 5.0) -> None:
        """Block until so many requests have come; for a test's own thread, not for the loop.

        Raises:
            TimeoutError: They have not, within `timeout` seconds.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: self._arrivals >= requests, timeout):
                raise TimeoutError(
                    f"{self._arrivals} of {requests} requests reached the gate within {timeout:g} s"
                )

    async def wait(self) -> None:
        """Wait, on any loop, until the gate is open."""
        loop = asyncio.get_running_loop()
        with self._changed:
            self._arrivals += 1
            self._changed.notify_all()
            if self._open:
                return
            future: asyncio.Future[None] = loop.create_future()
            self._waiting.append((loop, future))
        await future


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
