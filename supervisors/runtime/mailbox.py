"""Inboxes of instrumented actors: a queue that can be closed, and the one that schedules its actor on a pool.

No message is lost between the sender's check that an actor lives and its end: an inbox stays closed, and whoever puts
something into a closed inbox answers it himself.
"""

from __future__ import annotations

import contextvars
import threading
from queue import Empty, SimpleQueue
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

import pykka

from supervisors.runtime.incarnation import locks, set_current
from supervisors.runtime.loop import attend, begin, handle
from supervisors.runtime.messages import WAKE, reject
from supervisors.runtime.values import ENDED

if TYPE_CHECKING:
    from supervisors.reasons import ExitReason
    from supervisors.runtime.dispatcher import Dispatcher, Worker
    from supervisors.runtime.incarnation import Incarnation
    from supervisors.runtime.pykka_private import Envelope

MESSAGES_PER_SLICE: Final = 32
SECONDS_PER_SLICE: Final = 0.005


class Inbox:
    """Where messages wait; `closed` says why the actor ended once it has."""

    __slots__ = ("closed", "incarnation", "queue")

    def __init__(self) -> None:
        self.queue: SimpleQueue[Envelope[Any]] = SimpleQueue()
        self.closed: ExitReason | None = None
        self.incarnation: Incarnation | None = None

    def put(self, envelope: Envelope[Any], /) -> None:
        raise NotImplementedError

    def wake(self) -> None:
        """Make the actor look at what it was told out of band."""
        raise NotImplementedError

    def get(self) -> Envelope[Any]:
        return self.queue.get()

    def empty(self) -> bool:
        return self.queue.empty()

    def let_go(self) -> None:
        """Keep the actor alive no longer; called once, at its end."""

    def close(self, reason: ExitReason) -> None:
        """Fail what waits, and what still comes."""
        self.closed = reason
        self.drain()

    def drain(self) -> None:
        """Answer everything in a closed inbox; any number of threads may do it at once."""
        while (envelope := self._next()) is not None:
            reject(envelope, self.incarnation, self.closed)

    def _next(self) -> Envelope[Any] | None:
        try:
            return self.queue.get_nowait()
        except Empty:
            return None


class Mailbox(Inbox):
    """Runs its actor a few messages at a time, on one worker at a time.

    The gate is a lock used as a compare-and-swap: held while the mailbox waits for a worker, runs, or has ended. It keeps
    the actor alive until the actor stops; refs do not.
    """

    __slots__ = ("actor", "context", "dispatcher", "gate")

    def __init__(self) -> None:
        super().__init__()
        self.gate = threading.Lock()
        self.gate.acquire()  # until it is started
        self.actor: pykka.Actor | None = None
        self.dispatcher: Dispatcher | None = None
        self.context = contextvars.Context()  # the actor's own, as a thread of its own would have

    def start(self, actor: pykka.Actor, incarnation: Incarnation, dispatcher: Dispatcher) -> None:
        """Let the actor run; one without an `on_start` of its own is up at once, and no thread is woken for that."""
        dispatcher.actor_starts()
        self.dispatcher = dispatcher
        self.actor = actor
        if incarnation.state in ENDED:  # abandoned before it began
            self.let_go()
        if getattr(actor.on_start, "__func__", None) is pykka.Actor.on_start:
            incarnation.begun = True
            incarnation.up()
            self._rest(incarnation)
        else:
            dispatcher.submit(self)

    def put(self, envelope: Envelope[Any], /) -> None:
        self.queue.put(envelope)
        if self.gate.acquire(False):  # positional is what is fast
            self.dispatcher.submit(self)  # type: ignore[union-attr] # the gate is held until there is one
        elif self.closed is not None:
            self.drain()

    def wake(self) -> None:
        if self.gate.acquire(blocking=False):
            self.dispatcher.submit(self)  # type: ignore[union-attr] # the gate is held until there is one

    def run(self, worker: Worker) -> None:
        """Handle a slice of messages; called by a worker, with the gate held."""
        incarnation = self.incarnation
        assert incarnation is not None
        actor = self.actor
        incarnation.runner = worker
        try:
            if actor is not None and incarnation.state not in ENDED:
                set_current(incarnation)
                self.context.run(self._slice, incarnation, actor)
        finally:
            actor = None
            set_current(None)
            incarnation.runner = None
            if incarnation.zombie is not None:
                incarnation.zombie.ended()
        self._rest(incarnation)

    def _rest(self, incarnation: Incarnation) -> None:
        """Let go of the gate, unless there is more to do."""
        if incarnation.state in ENDED:
            self.drain()  # and the gate stays held
        elif not self.queue.empty() or incarnation.attention:
            self.dispatcher.submit(self)  # type: ignore[union-attr] # it runs on one
        else:
            self.gate.release()
            if not self.queue.empty() or incarnation.attention:
                self.wake()

    def _slice(self, incarnation: Incarnation, actor: pykka.Actor) -> None:
        if not incarnation.begun and not begin(incarnation, actor):
            return
        get = self.queue.get_nowait
        end = monotonic() + SECONDS_PER_SLICE
        for _ in range(MESSAGES_PER_SLICE):
            try:
                envelope = get()
            except Empty:
                if incarnation.attention:
                    attend(incarnation, actor, None)
                return
            incarnation.reply = envelope.reply_to  # before the look: who abandons us sees it, or we see that
            if incarnation.attention and attend(incarnation, actor, envelope):
                return
            if handle(incarnation, actor, envelope.message) or monotonic() > end:
                return

    def let_go(self) -> None:
        with locks.life:
            actor, self.actor = self.actor, None
        if actor is not None:
            self.dispatcher.actor_ended()  # type: ignore[union-attr] # it had one before it had the actor


class ThreadInbox(Inbox):
    """The inbox of an actor with a thread of its own."""

    __slots__ = ()

    def put(self, envelope: Envelope[Any], /) -> None:
        self.queue.put(envelope)
        if self.closed is not None:
            self.drain()

    def wake(self) -> None:
        self.queue.put(WAKE)

    def drain(self) -> None:
        """Answer everything but a wake-up: that is for the actor's thread, which may still wait for it."""
        woken = False
        while (envelope := self._next()) is not None:
            if envelope is WAKE:
                woken = True
            else:
                reject(envelope, self.incarnation, self.closed)
        if woken and self.incarnation is not None and self.incarnation.runner is not None:
            self.wake()
