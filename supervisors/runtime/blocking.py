"""Waiting within handlers: a worker that says it blocks is replaced meanwhile."""

from __future__ import annotations

import threading
import time
from contextlib import AbstractContextManager, nullcontext
from typing import Final

from supervisors.runtime.dispatcher import current_worker

_NOTHING: Final = nullcontext()

LOOK_UP: Final = 0.25
"""Seconds after which the main thread looks up from a wait. A signal that comes between its last look and the beginning of
the wait does not end the wait: Ctrl-C would be heard when something else happens, or never."""


def managed_blocking() -> AbstractContextManager[None]:
    """Announce that the code within may block: a pool thread is replaced meanwhile. Does nothing elsewhere."""
    return current_worker() or _NOTHING


def block_on(lock: threading.Lock, timeout: float | None, *, for_answer: bool = False) -> bool:
    """Acquire `lock` with managed blocking.

    Args:
        lock: Somebody else releases it.
        timeout: Seconds; None: no limit.
        for_answer: Another actor shall release it, so refuse to wait when no thread is left for that.

    Returns:
        Whether it was acquired.
    """
    limit = -1.0 if timeout is None else max(0.0, min(timeout, threading.TIMEOUT_MAX))
    worker = current_worker()
    if worker is None:
        if threading.current_thread() is threading.main_thread():
            return _acquire_looking_up(lock, timeout)
        return lock.acquire(timeout=limit)
    if for_answer:
        worker.dispatcher.worker_asks(worker)
    try:
        with worker:
            return lock.acquire(timeout=limit)
    finally:
        worker.asks = False


def _acquire_looking_up(lock: threading.Lock, timeout: float | None) -> bool:
    end = None if timeout is None else time.monotonic() + timeout
    while True:
        left = LOOK_UP if end is None else end - time.monotonic()
        if lock.acquire(timeout=max(0.0, min(left, LOOK_UP))):
            return True
        if end is not None and left <= LOOK_UP:
            return False
