"""Whether the cancellation that a coroutine meets with is meant for its task."""

from __future__ import annotations

import asyncio


def is_cancelling() -> bool:
    """Whether somebody has cancelled the current task: else a `CancelledError` is that of something it awaited."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def forgive_cancellation() -> None:
    """The cancellation is answered: the awaits that come must not see it again."""
    if (task := asyncio.current_task()) is not None:
        while task.cancelling():
            task.uncancel()
