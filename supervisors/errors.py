"""What this package raises.

SupervisorError
├── StartFailed(child_id, reason)      a child did not come up
│   └── StartTimeout                   ... within its start_timeout
├── AlreadyStarted(ref)                the id or the name is taken by a live actor
├── AlreadyPresent                     the id has a record that is not running
├── NotFound                           no such child
├── Running / Restarting               the child's state forbids the call
├── MaxChildren                        a dynamic supervisor is full
├── InvalidChildSpec / InvalidOption   (also ValueError) a field or flag out of range; names field and value
├── AlreadyRegistered(ref)             a registry key is taken
├── NoProcError                        (also pykka.ActorDeadError) the target is not alive or unknown
│   └── CalleeExited(reason)           ... it ended while it was asked
├── CallTimeout                        (also pykka.Timeout and TimeoutError)
├── WouldDeadlock                      the wait could never end
│   └── CallingSelf
├── Fenced                             an abandoned incarnation tried to act
├── TaskExited(reason)                 a task ended without a value
├── CircuitOpen(retry_in)              a circuit breaker refused the call
├── RestartIntensityExceeded(child_id, last_reason)   too many restarts; the detail of a supervisor's Shutdown
└── TooManyZombies(count)              too many threads would not end; likewise
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pykka

from supervisors.reasons import ExitReason, NoProc

if TYPE_CHECKING:
    from collections.abc import Hashable


class SupervisorError(Exception):
    """Root of the errors of this package."""


class StartFailed(SupervisorError):
    """A child did not start; nested supervisors nest their errors, so the message holds the whole path."""

    def __init__(self, child_id: Hashable, reason: ExitReason | BaseException) -> None:
        super().__init__(f"child {child_id!r} failed to start: {_show(reason)}")
        self.child_id = child_id
        self.reason = reason


class StartTimeout(StartFailed):
    """`on_start` did not return within `start_timeout` seconds."""


class AlreadyStarted(SupervisorError):
    """The id or name belongs to a live actor; `ref` is it."""

    def __init__(self, ref: pykka.ActorRef[Any], message: str = "") -> None:
        super().__init__(message or f"already started: {ref}")
        self.ref = ref


class AlreadyPresent(SupervisorError):
    """The id has a record that is not running: restart_child() or delete_child() it."""


class NotFound(SupervisorError):
    """The supervisor has no such child."""


class Running(SupervisorError):
    """The child runs; terminate it first."""


class Restarting(SupervisorError):
    """The child waits for its next restart attempt; terminate it first."""


class MaxChildren(SupervisorError):
    """The dynamic supervisor has reached max_children."""


class InvalidChildSpec(SupervisorError, ValueError):
    """A field of a child spec is out of range."""

    def __init__(self, field: str, value: object, why: str) -> None:
        super().__init__(f"child spec field {field}={value!r}: {why}")
        self.field = field
        self.value = value


class InvalidOption(SupervisorError, ValueError):
    """An option of a supervisor is out of range."""

    def __init__(self, field: str, value: object, why: str) -> None:
        super().__init__(f"option {field}={value!r}: {why}")
        self.field = field
        self.value = value


class AlreadyRegistered(SupervisorError):
    """The key belongs to a live actor; `ref` is it."""

    def __init__(self, key: Hashable, ref: pykka.ActorRef[Any]) -> None:
        super().__init__(f"name {key!r} is taken by {ref}")
        self.key = key
        self.ref = ref


class NoProcError(SupervisorError, pykka.ActorDeadError):
    """The target is not alive, or nobody has that name; `reason` says so, and whether its supervisor lets it rest."""

    reason: ExitReason

    def __init__(self, message: str = "", reason: ExitReason = NoProc()) -> None:  # noqa: B008 # frozen
        super().__init__(message)
        self.reason = reason


class CalleeExited(NoProcError):
    """The target ended with `reason` before it answered."""

    def __init__(self, reason: ExitReason) -> None:
        super().__init__(f"the actor ended before it answered: {_show(reason)}", reason)


class CallTimeout(SupervisorError, pykka.Timeout, TimeoutError):
    """No answer in time. The callee goes on; its late answer is discarded."""


class WouldDeadlock(SupervisorError):
    """The wait could never end: the target waits for the caller."""


class CallingSelf(WouldDeadlock):
    """An actor asked itself and would wait for ever."""


class Fenced(SupervisorError):
    """This incarnation was abandoned; it may not start, register or submit anything any more."""


class TaskExited(SupervisorError):
    """A task ended with `reason` and without a value."""

    def __init__(self, reason: ExitReason) -> None:
        super().__init__(f"the task ended without a value: {_show(reason)}")
        self.reason = reason


class CircuitOpen(SupervisorError):
    """The call was not made: too many before it failed.

    retry_in: Seconds until one call is let through as a probe; 0 while a probe is under way.
    """

    def __init__(self, retry_in: float, name: str = "") -> None:
        super().__init__(f"the circuit {name or 'breaker'} is open, retry in {retry_in:.3g} s")
        self.retry_in = retry_in


class RestartIntensityExceeded(SupervisorError):
    """More restarts than the supervisor allows."""

    def __init__(self, child_id: Hashable, last_reason: ExitReason) -> None:
        super().__init__(f"child {child_id!r} was restarted too often; last exit: {_show(last_reason)}")
        self.child_id = child_id
        self.last_reason = last_reason


class TooManyZombies(SupervisorError):
    """More threads would not end than the supervisor's max_zombies."""

    def __init__(self, count: int) -> None:
        super().__init__(f"{count} threads of children would not end")
        self.count = count


def _show(reason: ExitReason | BaseException) -> str:
    """Say a reason also when what it holds cannot be said: a broken `__repr__` must not spoil an actor's end."""
    try:
        return repr(reason)
    except Exception:
        return f"{type(reason).__name__}(<unprintable>)"
