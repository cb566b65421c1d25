"""Messages the runtime itself puts into inboxes, and what becomes of messages nobody will handle."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

from supervisors.errors import CalleeExited
from supervisors.reasons import ExitReason, NoProc
from supervisors.runtime.pykka_private import Envelope, StopMessage
from supervisors.runtime.replies import answer, fail

if TYPE_CHECKING:
    from supervisors.runtime.incarnation import Incarnation


class Withdrawable(Protocol):
    """What a `Notice` asks whether it still counts."""

    @property
    def withdrawn(self) -> bool:
        """Whether the receiver wants no more of it."""


class Drained(NamedTuple):
    """The backlog is through: end with `reason`."""

    reason: ExitReason


class Notice(NamedTuple):
    """Handle `message` unless it has been withdrawn when its turn comes."""

    message: Any
    source: Withdrawable


WAKE: Final[Envelope[Any]] = Envelope(None)  # only makes a thread look


def reject(envelope: Envelope[Any], incarnation: Incarnation | None, reason: ExitReason | None) -> None:
    """Answer a message whose actor has ended, because of `reason`, or is about to."""
    if envelope is WAKE:
        return
    reply = envelope.reply_to
    if reply is None:
        if incarnation is not None and not isinstance(envelope.message, (StopMessage, Drained, Notice)):
            incarnation.dropped += 1
    elif isinstance(envelope.message, StopMessage):
        if incarnation is None:  # of a future that nobody can have: the actor never ran
            answer(reply, None)
        else:
            incarnation.stopper_waits(reply)  # it stops, or has stopped: that is what was asked for
    else:
        fail(reply, CalleeExited(reason or NoProc()))
