"""Call an actor and get its answer, or the reason why there is none; hand it a message and never mind.

Source of the behaviour: Elixir's `GenServer.call` and `cast`. Unlike there, an exception in the handler goes to the caller and
the callee lives on, as pykka has it; `ask_failure="crash"` on the spec or the class is the other way.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pykka

from supervisors.runtime import call_ref, hooks
from supervisors.spec import check_timeout

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

AnyRef = pykka.ActorRef[Any]


def call(target: object, message: Any, timeout: float | None = 5.0) -> Any:
    """Ask an actor and wait for its answer.

    Args:
        target: A ref, a Handle or Via, or a name of the default registry.
        message: Handled by `on_receive`; what that returns is the answer.
        timeout: Seconds for everything: to find the target, for what it does before, and for the answer. None: no limit.
            The message is handled also when nobody waits any more; its answer is dropped.

    Raises:
        NoProcError: The target is not alive, or nobody has the name; at once, unless a handle may `wait`.
        CalleeExited: The target ended before it answered; at once, with its exit reason.
        CallTimeout: No answer in time.
        CallingSelf, WouldDeadlock: The target is the caller, or waits for it: a supervisor that starts or stops it, or an
            actor whose own call ends, maybe over others, at the caller.
        InvalidOption: `timeout` is no length of time.
        Exception: What the handler raised.
    """
    check_timeout(timeout)
    begin = time.monotonic()
    ref = find(target, timeout)
    check = getattr(ref, "check_deadlock", None)  # a supervisor's: it knows whom it waits for
    if check is not None:
        check()
    if timeout is not None:
        timeout = max(0.0, begin + timeout - time.monotonic())
    return call_ref(ref, message, timeout)


def cast(target: object, message: Any) -> bool:
    """Hand a message to an actor; returns False when it is not alive or nobody has the name.

    Args:
        target: As for `call`.
        message: Handled by `on_receive`. Nobody knows whether it was: the actor may end before.
    """
    try:
        find(target, None).tell(message)
    except pykka.ActorDeadError:
        return False
    return True


def find(target: object, limit: float | None) -> AnyRef:
    """Find who is meant, within `limit` seconds.

    Raises:
        NoProcError: Nobody.
    """
    if isinstance(target, pykka.ActorRef):
        return target
    find_actor: Callable[[float | None], AnyRef] | None = getattr(target, "find_actor", None)  # of a handle
    if find_actor is not None:
        return find_actor(limit)
    name: Hashable = target
    if hooks.names is None:
        raise RuntimeError("names need supervisors.registry to be imported")
    return hooks.names.resolve(name)
