"""`pykka.ThreadingActor`s, unmodified, with our loop instead of pykka's."""

from __future__ import annotations

import threading
from typing import Any

import pykka

from supervisors.logs import log
from supervisors.runtime.incarnation import Incarnation, set_current
from supervisors.runtime.logs import report
from supervisors.runtime.loop import attend, begin, handle
from supervisors.runtime.mailbox import ThreadInbox
from supervisors.runtime.messages import WAKE
from supervisors.runtime.ref import Ref
from supervisors.runtime.values import ENDED

_warned: set[type] = set()


def instrument(actor: pykka.ThreadingActor) -> ThreadInbox:
    """Give an actor that was made but not started an inbox of ours; what it told itself in `__init__` moves along."""
    inbox, old = ThreadInbox(), actor.actor_inbox
    actor.actor_inbox = inbox
    actor.actor_ref.actor_inbox = inbox
    if type(actor.actor_ref) is pykka.ActorRef:
        actor.actor_ref.__class__ = Ref  # and not another ref: this one may be known already
    while not old.empty():
        inbox.put(old.get())
    return inbox


def run(actor: pykka.ThreadingActor, incarnation: Incarnation) -> None:
    """Start the actor's thread.

    Raises:
        RuntimeError: It cannot be started.
    """
    thread = threading.Thread(
        target=_main,
        args=(incarnation, actor),
        name=_thread_name(incarnation),
        daemon=_is_daemon(type(actor)),
    )
    incarnation.runner = thread
    thread.start()


def _main(incarnation: Incarnation, actor: pykka.ThreadingActor) -> None:
    set_current(incarnation)
    inbox = incarnation.inbox
    try:
        ended = incarnation.state in ENDED or not begin(incarnation, actor)  # abandoned before it began
        while not ended:
            envelope = WAKE if incarnation.attention else inbox.get()
            incarnation.reply = envelope.reply_to  # before the look: who abandons us sees it, or we see that
            if incarnation.attention and attend(incarnation, actor, envelope):
                break
            if envelope is not WAKE:
                ended = handle(incarnation, actor, envelope.message) or incarnation.state in ENDED
                envelope = WAKE  # an idle actor keeps neither its last message nor its last answer
    except BaseException as error:  # a bug of this package
        report("loop_failed", error, actor=str(incarnation.ref))
    finally:
        set_current(None)
        incarnation.runner = None
        if incarnation.zombie is not None:
            incarnation.zombie.ended()


def _thread_name(incarnation: Incarnation) -> str:
    """Say who runs there: class, child and the way from the root."""
    label, path = str(incarnation.id), incarnation.path
    if incarnation.id is None:
        return f"{incarnation.actor_class.__name__} {incarnation.ref.actor_urn[-12:]}"
    where = "/".join(path if path and path[-1] == label else (*path, label))
    return f"{incarnation.actor_class.__name__} {where}#{incarnation.generation}"


def _is_daemon(cls: type[Any]) -> bool:
    """Threads are daemon unless a class of the user's says otherwise: a hung call must not keep the process alive."""
    for base in cls.__mro__:
        if base is pykka.ThreadingActor:
            return True
        if "use_daemon_thread" in vars(base):
            break
    daemon: bool = cls.use_daemon_thread
    if not daemon and cls not in _warned:
        _warned.add(cls)
        log.warning(
            "non_daemon_thread", actor_class=cls.__qualname__, risk="keeps the process alive if it hangs"
        )
    return daemon
