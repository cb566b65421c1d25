"""What an actor does with a message, with a request to stop, and with anything that is raised: nothing gets past here.

Used by both kinds of actors. What an exception means for the actor (an `Exception` in an ask goes back to the asker and
changes nothing else):

    Exception                 Crash (on_failure)
    Exit(reason)              ends with that reason (on_stop)
    SystemExit(None or 0)     Normal (on_stop)
    KeyboardInterrupt         Shutdown("interrupt") (on_stop)
    any other BaseException   Crash (on_failure)

In every case the asker gets `CalleeExited`, and no other actor is touched. In `on_start` it is a failed start; in `on_stop`
and `on_failure` the first reason stays, and the second exception is the incarnation's `cleanup_error`.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Any, Final, cast

from pykka.messages import ProxyCall, ProxyGetAttr, ProxySetAttr

from supervisors.reasons import Crash, Exit, ExitReason, Normal, Shutdown
from supervisors.runtime.incarnation import Incarnation, locks
from supervisors.runtime.logs import report
from supervisors.runtime.messages import Drained, Notice, reject
from supervisors.runtime.pykka_private import StopMessage, log_returned
from supervisors.runtime.replies import answer, fail
from supervisors.runtime.values import ENDED
from supervisors.spec import IGNORE

if TYPE_CHECKING:
    from collections.abc import Callable

    import pykka

    from supervisors.runtime.pykka_private import Envelope

_SPECIAL: Final = frozenset({StopMessage, Drained, Notice, ProxyCall, ProxyGetAttr, ProxySetAttr})


class DeferStart(Enum):
    """Type of `DEFER_START`: an `on_start` that returns it is not up until `incarnation.up()`."""

    DEFER_START = "defer_start"


DEFER_START: Final = DeferStart.DEFER_START


def begin(incarnation: Incarnation, actor: pykka.Actor) -> bool:
    """Run `on_start`; False when the actor has ended with that."""
    incarnation.begun = True
    on_start = cast("Callable[[], object]", actor.on_start)
    try:
        outcome = on_start()
    except BaseException as error:
        if incarnation.leave():
            if incarnation.on_started is None:
                report("actor_crashed", error, actor=str(incarnation.ref))
            incarnation.declare(reason_of(error))
        return False
    if outcome is IGNORE:
        if incarnation.leave():
            incarnation.declare(Normal(), ignored=True)
        return False
    if outcome is not DEFER_START:
        incarnation.up()
    return incarnation.state not in ENDED


def handle(incarnation: Incarnation, actor: pykka.Actor, message: Any) -> bool:
    """Handle one message; its reply is `incarnation.reply`. Returns whether the actor has ended."""
    try:
        if type(message) in _SPECIAL:
            result = _handle_special(incarnation, actor, message)
        else:
            result = actor.on_receive(message)
    except BaseException as error:
        return _failed(incarnation, actor, error)
    reply = incarnation.reply
    if reply is not None:
        incarnation.reply = None
        answer(reply, result)
    return False


def attend(incarnation: Incarnation, actor: pykka.Actor, envelope: Envelope[Any] | None) -> bool:
    """Look at what came out of band: a request to stop, a decision to end. Returns whether the actor has ended.

    Args:
        incarnation: Whose `attention` is set.
        actor: Its actor.
        envelope: A message taken from the inbox but not handled yet; rejected if the actor ends.
    """
    while incarnation.attention:
        incarnation.attention = False
        reason = incarnation.end_reason
        if reason is None and incarnation.state not in ENDED:
            reason = incarnation.stop_reason
            if reason is None:
                return False
            pending, incarnation.reply = incarnation.reply, None  # the hook answers nobody
            try:
                taken = takes_over(actor, reason)
            except BaseException as error:
                incarnation.reply = pending
                _put_back(incarnation, envelope)
                return end_by(incarnation, actor, error)
            incarnation.reply = pending
            if taken:
                continue
        _put_back(incarnation, envelope)
        if reason is not None:
            end(incarnation, actor, reason)
        return True
    return False


def takes_over(actor: Any, reason: ExitReason) -> bool:
    """Ask an actor whether it sees to its end itself."""
    hook = getattr(actor, "on_stop_requested", None)
    return hook is not None and bool(hook(reason))


def end(incarnation: Incarnation, actor: pykka.Actor, reason: ExitReason) -> None:
    """End an actor in order."""
    if incarnation.leave():
        if not incarnation.unclean:
            _clean_up(incarnation, actor.on_stop)
        incarnation.declare(reason)


def end_by(incarnation: Incarnation, actor: pykka.Actor, error: BaseException) -> bool:
    """End an actor because of what one of its handlers raised; always True."""
    reason = _orderly(error)
    if reason is not None:
        end(incarnation, actor, reason)
    elif incarnation.leave():
        if incarnation.on_exit is None:
            report("actor_crashed", error, actor=str(incarnation.ref))  # nobody supervises it
        _clean_up(incarnation, actor.on_failure, type(error), error, error.__traceback__)
        incarnation.declare(_crash(error))
    return True


def reason_of(error: BaseException) -> ExitReason:
    """Say what an exception means for the actor that raised it."""
    return _orderly(error) or _crash(error)


def _handle_special(incarnation: Incarnation, actor: pykka.Actor, message: Any) -> Any:
    if isinstance(message, StopMessage):
        reply, incarnation.reply = incarnation.reply, None
        if reply is not None:
            incarnation.stopper_waits(reply)
        with locks.life:
            incarnation.note_stop(Normal())
        return None
    if isinstance(message, Drained):
        with locks.life:
            incarnation.note_stop(message.reason)
        return None
    if isinstance(message, Notice):
        return None if message.source.withdrawn else actor.on_receive(message.message)
    return actor._handle_receive(message)


def _failed(incarnation: Incarnation, actor: pykka.Actor, error: BaseException) -> bool:
    if incarnation.state in ENDED:
        return True  # abandoned: nobody wants to know
    reply = incarnation.reply
    survives = isinstance(error, Exception) and not isinstance(error, Exit)
    crashes = "crash" in {incarnation.info.ask_failure, getattr(actor, "ask_failure", None)}
    if survives and reply is not None and not crashes:
        incarnation.reply = None
        log_returned(actor, error)
        fail(reply, error)
        return False
    return end_by(incarnation, actor, error)


def _crash(error: BaseException) -> Crash:
    try:
        return Crash.of(error)
    except Exception:  # it cannot be formatted, for want of memory or by its own fault
        error.__traceback__ = None
        return Crash(error)


def _orderly(error: BaseException) -> ExitReason | None:
    if isinstance(error, Exit):
        return error.reason
    if isinstance(error, SystemExit) and error.code in {None, 0}:
        return Normal()
    if isinstance(error, KeyboardInterrupt):
        return Shutdown("interrupt")
    return None


def _clean_up(incarnation: Incarnation, function: Callable[..., object], *args: Any) -> None:
    try:
        function(*args)
    except BaseException as error:
        if incarnation.state in ENDED:
            return
        report("cleanup_error", error, actor=str(incarnation.ref), path=incarnation.path)
        error.__traceback__ = None  # else it keeps the actor alive
        incarnation.cleanup_error = error


def _put_back(incarnation: Incarnation, envelope: Envelope[Any] | None) -> None:
    """Treat a message that was taken but will not be handled as one that was still in the inbox."""
    if envelope is None:
        return
    kept_reply = envelope.reply_to is not None and not isinstance(envelope.message, StopMessage)
    if kept_reply and incarnation.state not in ENDED:
        return  # fails when the inbox is closed, with the others
    incarnation.reply = None
    reject(envelope, incarnation, incarnation.exit_reason)
