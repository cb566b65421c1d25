"""A thread that waits for somebody else's work gives its place to others meanwhile.

Without that, tools that call agents whose tools call agents would starve each other: every worker would wait, and none
would be left to do what they wait for.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, TypeAlias

from alloy_actors.deadline import NEVER, Deadline
from supervisors.runtime import LOOK_UP, managed_blocking

if TYPE_CHECKING:
    from collections.abc import Callable

Region: TypeAlias = AbstractContextManager[None]

_local = threading.local()


def blocking_region() -> Region:
    """Wrap every wait for an agent or a supervisor in it.

    On a tool worker its slot is free meanwhile; on a thread of a dispatcher the dispatcher adds a spare; elsewhere
    nothing happens. Regions may nest.
    """
    region: Region | None = getattr(_local, "region", None)
    return managed_blocking() if region is None else region


def waits_through(region: Region) -> None:
    """Let `region` be what the current thread enters when it blocks; for threads of other pools."""
    _local.region = region


def next_of(arrivals: queue.SimpleQueue[Any], deadline: Deadline = NEVER) -> Any:
    """What comes next, waited for in a blocking region; the main thread looks up for Ctrl-C now and then.

    Raises:
        queue.Empty: Nothing came until the deadline.
    """
    slices = threading.current_thread() is threading.main_thread()
    with blocking_region():
        while True:
            try:
                return arrivals.get(timeout=deadline.within(LOOK_UP if slices else None))
            except queue.Empty:
                if deadline.expired:
                    raise


async def off_loop(work: Callable[[], object], undo: Callable[[], object]) -> None:
    """Do blocking work on a thread. Where the await is cancelled it goes on there, and is undone when it is done."""
    working = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        await asyncio.shield(working)
    except asyncio.CancelledError:

        def done(_: object) -> None:
            if not working.cancelled() and working.exception() is None:
                undo()

        working.add_done_callback(done)
        raise
