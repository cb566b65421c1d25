"""A clock for pauses that stands still until the test lets time pass; everything on one loop."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import time


class FakeTime:
    """Begins at the real monotonic instant, so that real deadlines can be compared with it."""

    def __init__(self) -> None:
        self._now = time.monotonic()
        self._count = itertools.count()
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self.paused: list[float] = []

    def now(self) -> float:
        return self._now

    async def pause(self, seconds: float) -> None:
        self.paused.append(seconds)
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._now + seconds, next(self._count), woken))
        await woken

    async def passes(self, seconds: float) -> None:
        """Let time pass, sleeper by sleeper, each with whatever follows from it."""
        end = self._now + seconds
        await settled()
        while self._sleepers and self._sleepers[0][0] <= end:
            self._now, _, woken = heapq.heappop(self._sleepers)
            if not woken.done():
                woken.set_result(None)
            await settled()
        self._now = end


async def settled() -> None:
    """Let every task that can go on do so."""
    for _ in range(20):
        await asyncio.sleep(0)
