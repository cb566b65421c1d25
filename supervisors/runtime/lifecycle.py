"""Ask an actor to stop or for an answer, and what code inside an actor can ask of the runtime."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

import pykka

from supervisors.errors import InvalidOption
from supervisors.reasons import Exit, ExitReason, Normal, Shutdown, check_reason
from supervisors.runtime.blocking import block_on
from supervisors.runtime.futures import PooledFuture
from supervisors.runtime.incarnation import Incarnation, current, incarnation_of, locks
from supervisors.runtime.messages import Drained
from supervisors.runtime.pykka_private import Envelope
from supervisors.runtime.values import ENDED
from supervisors.spec import is_seconds

if TYPE_CHECKING:
    from collections.abc import Callable


def request_stop(
    ref: pykka.ActorRef[Any],
    reason: ExitReason = Shutdown(),  # noqa: B008 # frozen
    *,
    drain: bool = False,
) -> bool:
    """Ask an actor to end after the message in progress; what waits in its inbox then fails.

    Args:
        ref: An actor started through this package.
        reason: Its exit reason. The first request gives the reason; `Killed` overrides it, and when nobody has asked
            before, `on_stop` does not run.
        drain: First handle everything that is in the inbox now.

    Returns:
        False when it has ended already.

    Raises:
        TypeError: The actor was not started through this package, or `reason` is no ExitReason.
    """
    check_reason(reason)
    incarnation = incarnation_of(ref)
    if incarnation is None:
        raise TypeError(f"{ref} was not started by start_actor() or a supervisor; use ref.stop()")
    if drain:
        if incarnation.state in ENDED:
            return False
        incarnation.inbox.put(Envelope(Drained(reason)))
        return True
    with locks.life:
        if incarnation.state in ENDED:
            return False
        incarnation.note_stop(reason)
    incarnation.wake_sleeper()
    incarnation.inbox.wake()
    return True


def stop_self(reason: ExitReason = Normal()) -> None:  # noqa: B008 # frozen
    """End the calling actor after the current message, whose reply is still delivered.

    Raises:
        RuntimeError: Called outside of an actor's handler.
        TypeError: `reason` is no ExitReason.
    """
    check_reason(reason)
    incarnation = _me("stop_self()")
    with locks.life:
        if incarnation.end_reason is None:
            incarnation.end_reason = reason
        incarnation.attention = True


def stop_requested() -> bool:
    """Whether somebody wants the calling actor to stop, or it was abandoned; False outside of actors."""
    incarnation = current()
    return incarnation is not None and (incarnation.stop_reason is not None or incarnation.state in ENDED)


def sleep(seconds: float) -> None:
    """Sleep; outside of `on_stop` a request to stop ends it. Blocks no pool.

    Raises:
        Exit: The actor was asked to stop (with the reason asked for), or abandoned.
        InvalidOption: `seconds` is no length of time.
    """
    if not is_seconds(seconds):
        raise InvalidOption("seconds", seconds, "must be a number >= 0")
    incarnation = current()
    if incarnation is None:
        time.sleep(min(seconds, threading.TIMEOUT_MAX))
        return
    lock = threading.Lock()
    lock.acquire()
    with locks.life:
        _raise_if_stopped(incarnation)
        incarnation.sleeper = lock
    try:
        block_on(lock, seconds)
    finally:
        with locks.life:
            if incarnation.sleeper is lock:
                incarnation.sleeper = None
    _raise_if_stopped(incarnation)


def fence() -> None:
    """Do nothing for an actor that is alive; for the code of an abandoned one this is where it ends.

    Raises:
        Exit: The calling incarnation was abandoned.
    """
    incarnation = current()
    if incarnation is not None and incarnation.state in ENDED:
        raise Exit(incarnation.exit_reason or Normal())


def ask_callback(
    ref: pykka.ActorRef[Any], message: Any, function: Callable[[PooledFuture[Any]], object]
) -> PooledFuture[Any]:
    """Ask any pykka actor and have `function(future)` called when there is an answer; no thread waits.

    It is called in the thread that answers: the actor's, or this one when the actor is dead.
    """
    future: PooledFuture[Any] = PooledFuture()
    future.add_done_callback(function)
    if ref.is_alive():
        ref.actor_inbox.put(Envelope(message, reply_to=future))
    else:
        error = pykka.ActorDeadError(f"{ref} not found")
        future.set_exception((type(error), error, None))
    return future


def _raise_if_stopped(incarnation: Incarnation) -> None:
    if incarnation.state in ENDED:
        raise Exit(incarnation.exit_reason or Normal())
    if incarnation.stop_reason is not None and incarnation.ref.is_alive():  # not within on_stop
        raise Exit(incarnation.stop_reason)


def _me(what: str) -> Incarnation:
    incarnation = current()
    if incarnation is None:
        raise RuntimeError(
            f"{what} is for code inside a handler of an actor started by start_actor() or a supervisor"
        )
    return incarnation
