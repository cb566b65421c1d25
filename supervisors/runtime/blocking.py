"""Waiting within handlers: a worker that says it blocks is replaced meanwhile."""

from __future__ import annotations

import threading
from contextlib import AbstractContextManager, nullcontext
from typing import Final

from supervisors.runtime.dispatcher import current_worker

_NOTHING: Final = nullcontext()


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
        return lock.acquire(timeout=limit)
    if for_answer:
        worker.dispatcher.worker_asks(worker)
    try:
        with worker:
            return lock.acquire(timeout=limit)
    finally:
        worker.asks = False
