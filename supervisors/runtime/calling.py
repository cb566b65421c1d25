"""Calls: asks that know who calls whom, so that a wait in a circle is refused and a callee can say for whom it works."""

from __future__ import annotations

import concurrent.futures
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final

import pykka

from supervisors.errors import CalleeExited, CallingSelf, CallTimeout, NoProcError, WouldDeadlock
from supervisors.reasons import Unknown
from supervisors.runtime.futures import PooledFuture
from supervisors.runtime.incarnation import Incarnation, current, incarnation_of, locks
from supervisors.runtime.lifecycle import fence
from supervisors.runtime.pykka_private import Envelope
from supervisors.runtime.values import ENDED

if TYPE_CHECKING:
    from contextvars import Token

AnyRef = pykka.ActorRef[Any]

_lent: Final[ContextVar[tuple[AnyRef, ...]]] = ContextVar("supervisors_callers", default=())


class PendingCall(PooledFuture[Any]):
    """The answer to a call.

    callee: None when it was not started through this package.
    chain: The caller and its callers, the nearest first; empty for a thread that belongs to no actor.
    """

    __slots__ = ("callee", "chain")

    def __init__(self, callee: Incarnation | None, chain: tuple[AnyRef, ...]) -> None:
        super().__init__()
        self.callee = callee
        self.chain = chain


def call_ref(ref: AnyRef, message: Any, timeout: float | None) -> Any:
    """Ask an actor and wait; see `supervisors.call`, which also finds it."""
    me, callee = current(), incarnation_of(ref)
    if me is not None and me.ref is ref:
        raise CallingSelf(f"{ref} called itself and would wait for its own answer")
    pending = PendingCall(callee, chain_here())
    if me is None:
        return _ask(ref, message, pending, timeout)
    _enter(me, pending, ref)
    try:
        return _ask(ref, message, pending, timeout)
    finally:
        me.pending = None


def _ask(ref: AnyRef, message: Any, pending: PendingCall, timeout: float | None) -> Any:
    callee = pending.callee
    # An actor in `on_stop` has its names still, so it still takes calls; they fail with the reason of its end.
    if not ref.is_alive() if callee is None else callee.state in ENDED:
        raise NoProcError(f"{ref} is not alive")
    ref.actor_inbox.put(Envelope(message, reply_to=pending))
    try:
        return pending.get(timeout=timeout)
    except pykka.Timeout:
        if pending.cancel():  # what comes now is dropped
            raise CallTimeout(f"no answer from {ref} within {timeout} s; it goes on") from None
        return pending.get()  # it came just now, or the callee's handler raised a Timeout
    except concurrent.futures.CancelledError:
        fence()  # the caller was abandoned: see `abandon`
        raise
    except pykka.ActorDeadError as error:
        if callee is None and type(error) is pykka.ActorDeadError and not ref.is_alive():
            raise CalleeExited(Unknown()) from error
        raise
    except BaseException:
        pending.cancel()
        raise


def _enter(me: Incarnation, pending: PendingCall, ref: AnyRef) -> None:
    """Note that `me` waits, unless the callee waits for it, directly or through others."""
    with locks.life:
        waits = [str(ref)]
        step = pending.callee
        while step is not None:
            call = step.pending
            if not isinstance(call, PendingCall) or call.done():
                break
            step = call.callee
            if step is me:
                raise WouldDeadlock(
                    f"{me.ref} called {' which waits for '.join(waits)}, which waits for the caller: use cast()"
                )
            waits.append("somebody" if step is None else str(step.ref))
        if me.state not in ENDED:
            me.pending = pending


def chain_here() -> tuple[AnyRef, ...]:
    """List who runs here and its callers, the nearest first; empty in a thread that belongs to no actor."""
    me, lent = current(), _lent.get()
    if me is None or (lent and lent[0] is me.ref):
        return lent
    reply = me.reply
    return (me.ref, *reply.chain) if isinstance(reply, PendingCall) else (me.ref,)


def lend_chain(chain: tuple[AnyRef, ...]) -> Token[tuple[AnyRef, ...]]:
    """Let `chain` hold in the current context, and in threads that are given a copy of it: for tasks."""
    return _lent.set(chain)


def callers() -> list[AnyRef]:
    """List who waits for, or submitted, what the calling code does: the nearest caller first.

    Inside a handler of a `call` these are the calling actor and its callers; inside a task the actor or task that submitted
    it and its callers. Empty elsewhere, and where the caller is a thread that belongs to no actor.
    """
    return list(chain_here()[1:])
