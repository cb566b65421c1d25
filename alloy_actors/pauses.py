"""Pauses that the library makes on purpose: between attempts, until a cool-down is over.

They go through a context variable, and a run has the context of whoever started it: a test puts a clock of its own
there, and its runs wait for nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final, TypeAlias

Pause: TypeAlias = Callable[[float], Awaitable[object]]
"""Returns after so many seconds, in whatever sense of the word."""

_PAUSE: Final[ContextVar[Pause]] = ContextVar("alloy_pause", default=asyncio.sleep)


async def pause(seconds: float) -> None:
    """Wait, on the running loop."""
    await _PAUSE.get()(seconds)


@contextmanager
def pausing_by(how: Pause) -> Iterator[None]:
    """Let everything started inside pause by `how`."""
    token = _PAUSE.set(how)
    try:
        yield
    finally:
        _PAUSE.reset(token)
