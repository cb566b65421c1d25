"""The shared session: one per process, on the loop that asks first; the runtime keeps one loop for life.

Another event loop gets a session of its own, which ends with it where that is ended as `asyncio.run` ends its loop. A
forked child forgets the parent's without touching it.
"""

from __future__ import annotations

import asyncio
import contextvars
import os
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    import aiohttp

    from alloy_actors.providers._http.guard import Guard

MAX_HEADER = 64 * 1024  # bytes of a response header line; aiohttp's own limit is 8,190
KEEP_ALIVE = 60.0  # seconds that an unused connection is kept
CLOSING_GRACE = 1.0  # seconds that aclose() waits for exchanges to notice


class Session:
    """An aiohttp session and the exchanges that are in flight on it; to be made on its running loop."""

    __slots__ = ("_life", "_quiet", "client", "closing", "in_flight")

    def __init__(self) -> None:
        import aiohttp

        self.closing = False
        self.in_flight: set[Guard] = set()
        self._quiet = asyncio.Event()
        self.client = aiohttp.ClientSession(
            connector=_connector(),
            cookie_jar=aiohttp.DummyCookieJar(),  # agents must not share cookies
            max_line_size=MAX_HEADER,
            max_field_size=MAX_HEADER,
        )
        # A loop that ends closes the asynchronous generators that have begun on it: the one thing that tells us.
        self._life = self._live()
        with suppress(StopIteration):
            self._life.__anext__().send(None)

    def done(self, guard: Guard) -> None:
        """An exchange is over."""
        self.in_flight.discard(guard)
        if self.closing and not self.in_flight:
            self._quiet.set()

    async def aclose(self) -> None:
        """End what is in flight, then close."""
        await self._life.aclose()

    async def _live(self) -> AsyncGenerator[None, None]:
        try:
            yield
        finally:
            await self._end()

    async def _end(self) -> None:
        """What is in flight comes first: closing below a reader would leave it waiting for ever."""
        self.closing = True
        for guard in self.in_flight:
            guard.end()
        if self.in_flight:
            try:
                async with asyncio.timeout(CLOSING_GRACE):
                    await self._quiet.wait()
            except TimeoutError:
                pass  # a reader that does not react to its guard cannot be waited for
        await self.client.close()


_sessions: dict[asyncio.AbstractEventLoop, Session] = {}
_left_behind: list[dict[asyncio.AbstractEventLoop, Session]] = []


def shared() -> Session:
    """The session of the running loop, made at its first request."""
    loop = asyncio.get_running_loop()
    session = _sessions.get(loop)
    if session is None or session.client.closed:
        for other in [other for other in _sessions if other.is_closed()]:
            _sessions.pop(other).client.detach()  # its loop is gone, and its sockets with it
        session = _sessions[loop] = Session()
    return session


async def close_all() -> None:
    """Close the shared session of the running loop; a later request makes a new one.

    Exchanges still in flight end with a ConnectionFailedError. Whoever owns the loop calls this before stopping it.
    """
    session = _sessions.pop(asyncio.get_running_loop(), None)
    if session is not None:
        await session.aclose()


def _connector() -> aiohttp.TCPConnector:
    """One whose connections and timers know nothing of the requests, and their agents, that they outlive.

    Both keep the context in which they were begun for as long as they are.
    """
    import aiohttp

    owner = os.getpid()

    class Connector(aiohttp.TCPConnector):
        async def _create_connection(self, *args: Any) -> Any:
            opening = asyncio.create_task(super()._create_connection(*args), context=contextvars.Context())
            try:
                return await opening
            except asyncio.CancelledError:
                opening.add_done_callback(_close_unused)  # it may just have been opened
                raise

        def _release(self, *args: Any, **kwargs: Any) -> None:
            contextvars.Context().run(super()._release, *args, **kwargs)  # it may start a timer

        def __del__(self, *args: Any) -> None:
            # In a forked child closing would unregister the parent's sockets: both share one epoll instance.
            if os.getpid() == owner:
                super().__del__(*args)

    return Connector(limit=0, keepalive_timeout=KEEP_ALIVE)


def _close_unused(opening: asyncio.Task[Any]) -> None:
    if not opening.cancelled() and opening.exception() is None:
        opening.result().close()


def _forget() -> None:
    for session in _sessions.values():
        session.client.detach()  # no farewell: the sockets are the parent's
    _left_behind.append(dict(_sessions))  # and nothing of it may be collected, for the same reason
    _sessions.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
