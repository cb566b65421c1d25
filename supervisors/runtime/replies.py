"""Answering an ask: whatever the asker has done to its future meanwhile, the actor goes on."""

from __future__ import annotations

import queue
from typing import TYPE_CHECKING, Any

from supervisors.runtime.logs import report

if TYPE_CHECKING:
    import pykka


def answer(reply: pykka.Future[Any] | None, value: object) -> None:
    """Set the value of an ask; that the asker has given up changes nothing."""
    if reply is not None:
        try:
            reply.set(value)
        except queue.Full:
            return
        except Exception as problem:  # a future of somebody else's
            report("reply_failed", problem)


def fail(reply: pykka.Future[Any] | None, error: BaseException) -> None:
    """Set the exception of an ask; that the asker has given up changes nothing."""
    if reply is not None:
        try:
            reply.set_exception((type(error), error, error.__traceback__))
        except queue.Full:
            return
        except Exception as problem:  # a future of somebody else's
            report("reply_failed", problem)
