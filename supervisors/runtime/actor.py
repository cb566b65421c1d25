"""`PooledActor`: pykka's actor, run by a small pool of threads instead of by a thread of its own."""

from __future__ import annotations

import os
import random
from typing import TYPE_CHECKING, Any, ClassVar, Literal, cast

import pykka

from supervisors.runtime.dispatcher import Dispatcher
from supervisors.runtime.flag import Flag
from supervisors.runtime.futures import PooledFuture
from supervisors.runtime.incarnation import Incarnation
from supervisors.runtime.mailbox import Mailbox
from supervisors.runtime.ref import Ref

if TYPE_CHECKING:
    import threading

    from supervisors.reasons import ExitReason

_random = random.Random()  # noqa: S311 # unique is enough for a urn, and asking the system costs 5 us
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_random.seed)


class PooledActor(pykka.Actor):
    """An actor like pykka's others, for a hundred thousand of them.

    One message at a time, in order, on some thread of its dispatcher; thread-local values do not stay with it, context
    variables do. A handler that blocks without `managed_blocking` is noticed after some 20 ms and replaced by a spare thread.
    Deviation from pykka: a BaseException in a handler ends this actor and answers its asker; no other actor is stopped.

    dispatcher: Name of the dispatcher it runs on.
    trap_exit: Be told, by an `ExitSignal`, of the ends of those it is linked to instead of ending with them.
    ask_failure: Whether an exception in an ask or a call goes to the asker and no further ("return"), or ends the actor
        ("crash"); the spec may say the latter too.

    Any other actor class may have the last two as well.
    """

    dispatcher: ClassVar[str] = "actors"
    trap_exit: ClassVar[bool] = False
    ask_failure: ClassVar[Literal["return", "crash"]] = "return"

    actor_inbox: Mailbox

    def __init__(self, *_args: Any, **_kwargs: Any) -> None:
        # Not pykka's __init__: an Event per actor is most of its memory.
        self.actor_urn = _urn()
        self.actor_inbox = self._create_actor_inbox()
        self.actor_stopped = cast("threading.Event", Flag())
        self._actor_ref = Ref(self)

    @staticmethod
    def _create_actor_inbox() -> Mailbox:
        return Mailbox()

    @staticmethod
    def _create_future() -> pykka.Future[Any]:
        return PooledFuture()

    def _start_actor_loop(self) -> None:
        """Run, unsupervised: what pykka's own `start()` does last."""
        incarnation = Incarnation(self.actor_ref, self.actor_inbox)
        try:
            run(self, incarnation)
        except BaseException:
            incarnation.never_ran()
            raise

    def on_stop_requested(self, reason: ExitReason) -> bool:
        """Answer a request to stop; runs like a handler, ahead of the backlog.

        For actors that need more than `on_stop` to end, such as supervisors.

        Returns:
            False: the actor ends now, with `reason`. True: it sees to its end itself and calls `stop_self(reason)` when
            it is through; meanwhile it handles messages, and further requests come here again.
        """
        del reason
        return False


def run(actor: PooledActor, incarnation: Incarnation) -> None:
    """Start the actor on its dispatcher.

    Raises:
        RuntimeError: There is no thread and none can be started.
    """
    actor.actor_inbox.start(actor, incarnation, Dispatcher.get(actor.dispatcher))


def _urn() -> str:
    """Make the urn of a random UUID of version 4."""
    digits = f"{_random.getrandbits(128):032x}"
    variant = "89ab"[int(digits[16], 16) & 3]
    return f"urn:uuid:{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:]}"
