"""One run of one actor: who it is, what state it is in, who is told of its end.

An incarnation ends exactly once, by `declare`: with its own last breath, or because somebody abandoned it. Whoever wins
delivers, in this order (a specification others build on): the inbox is closed and what waits in it fails; registered
names go; monitors hear `Down`; the supervisor hears of it; those that asked it to stop are answered.
"""

from __future__ import annotations

import threading
from functools import partial
from typing import TYPE_CHECKING, Any

import pykka

from supervisors.errors import CalleeExited
from supervisors.reasons import ExitReason, Killed, Normal
from supervisors.runtime.logs import report
from supervisors.runtime.replies import answer, fail
from supervisors.runtime.values import ENDED, UNSUPERVISED, Ignored, LaunchInfo, StartFailure, State, Up

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from supervisors.runtime.futures import PooledFuture
    from supervisors.runtime.mailbox import Inbox
    from supervisors.runtime.values import OnExit, OnStarted, Runner
    from supervisors.runtime.zombies import Zombie


class Incarnation:
    """See the module; made by the runtime only.

    ref: Of the actor.
    exit_reason: None while it is alive.
    state: "starting" "running" "stopping" (runs `on_stop`) "terminated" "abandoned".
    cleanup_error: What `on_stop` or `on_failure` raised, if so; `exit_reason` is the first reason then.
    dropped: Messages nobody waits for that were in the inbox when it was closed.
    """

    __slots__ = (
        "__weakref__",
        "attention",
        "begun",
        "cleanup_error",
        "cleanups",
        "dropped",
        "end_reason",
        "exit_reason",
        "inbox",
        "info",
        "on_exit",
        "on_started",
        "pending",
        "ref",
        "reply",
        "runner",
        "sleeper",
        "state",
        "stop_reason",
        "stop_replies",
        "told",
        "unclean",
        "watchers",
        "zombie",
    )

    def __init__(
        self,
        ref: pykka.ActorRef[Any],
        inbox: Inbox,
        info: LaunchInfo = UNSUPERVISED,
        on_started: OnStarted | None = None,
        on_exit: OnExit | None = None,
    ) -> None:
        self.ref = ref
        self.inbox = inbox
        inbox.incarnation = self  # before it has a name: who finds it may ask for it at once
        self.info = info
        self.on_started = on_started
        self.on_exit = on_exit
        self.state: State = "starting"
        self.exit_reason: ExitReason | None = None
        self.cleanup_error: BaseException | None = None
        self.dropped = 0
        self.begun = False  # `on_start` was called
        self.runner: Runner | None = None  # while a handler may run
        self.reply: pykka.Future[Any] | None = None  # of the message in progress
        self.pending: PooledFuture[Any] | None = None  # the call its handler waits for
        self.attention = False  # the loop looks at the next two before it takes a message
        self.stop_reason: ExitReason | None = None  # somebody asked it to stop
        self.end_reason: ExitReason | None = None  # it has decided to end
        self.unclean = False  # ends without `on_stop`
        self.stop_replies: tuple[pykka.Future[Any], ...] = ()
        self.told = False  # everybody has heard of the end
        self.sleeper: threading.Lock | None = None  # released to wake `sleep`
        self.cleanups: dict[object, Callable[[ExitReason], object]] | None = None
        self.watchers: dict[object, Callable[[ExitReason], object]] | None = None
        self.zombie: Zombie | None = None

    def __repr__(self) -> str:
        return f"<Incarnation {self.generation} of {self.ref}: {self.state}>"

    @property
    def actor_class(self) -> type[Any]:
        """Of the actor."""
        return self.ref.actor_class

    @property
    def id(self) -> Hashable:
        """The child id, None when it is not supervised."""
        return self.info.child_id

    @property
    def path(self) -> tuple[str, ...]:
        """Labels from the root to it."""
        return self.info.path

    @property
    def generation(self) -> int:
        """How many incarnations came before it."""
        return self.info.generation

    @property
    def supervisor(self) -> pykka.ActorRef[Any] | None:
        """The ref of who restarts it."""
        return self.info.supervisor

    @property
    def thread_name(self) -> str | None:
        """Of the thread that runs it now."""
        return None if (runner := self.runner) is None else runner.name

    @property
    def thread_ident(self) -> int | None:
        """Of the thread that runs it now."""
        return None if (runner := self.runner) is None else runner.ident

    def is_current(self) -> bool:
        """False once it has ended or was abandoned: its late results are void."""
        return self.state not in ENDED

    # Being told of its end

    def add_cleanup(self, token: object, function: Callable[[ExitReason], object]) -> bool:
        """Call `function(reason)` when it has ended, before monitors hear of it; False when it has ended."""
        with locks.life:
            if self.state in ENDED:
                return False
            if self.cleanups is None:
                self.cleanups = {}
            self.cleanups[token] = function
            return True

    def remove_cleanup(self, token: object) -> None:
        """Take back what `add_cleanup` was given under this token; harmless when there is nothing or it has been called."""
        with locks.life:
            if self.cleanups is not None:
                self.cleanups.pop(token, None)

    def add_watcher(self, token: object, function: Callable[[ExitReason], object]) -> bool:
        """Call `function(reason)` when it has ended and its names are free; False when it has ended."""
        with locks.life:
            if self.state in ENDED:
                return False
            if self.watchers is None:
                self.watchers = {}
            self.watchers[token] = function
            return True

    def remove_watcher(self, token: object) -> bool:
        """Take back what `add_watcher` was given under this token; False when there is nothing, or its turn has come."""
        with locks.life:
            return self.watchers is not None and self.watchers.pop(token, None) is not None

    # Coming up

    def up(self) -> None:
        """Say that it is up, after `on_start` has returned DEFER_START."""
        with locks.life:
            if self.state != "starting":
                return
            self.state = "running"
            on_started, self.on_started = self.on_started, None
        if on_started is not None:
            call_others([partial(on_started, self, Up())])

    def fail_start(self, reason: ExitReason) -> None:
        """End it after the current message, without `on_stop`: it could not come up."""
        with locks.life:
            self.unclean = True
            self.end_reason = reason
            self.attention = True
        self.inbox.wake()

    # Ending

    def leave(self) -> bool:
        """Take no more messages from now on; False when it was abandoned meanwhile.

        pykka's order: refs say dead before `on_stop` runs.
        """
        with locks.life:
            if self.state in ENDED:
                return False
            if self.state == "running":
                self.state = "stopping"
        pykka.ActorRegistry.unregister(self.ref)
        self.ref.actor_stopped.set()
        return True

    def declare(
        self, reason: ExitReason, *, ignored: bool = False, mark: Callable[[], State] | None = None
    ) -> bool:
        """End it and tell everybody; False when it has ended already.

        Args:
            reason: Of the end.
            ignored: It answered IGNORE.
            mark: Called, under the lock, by the one who ends it; returns the final state. Default: "terminated".
        """
        with locks.life:
            if self.state in ENDED:
                return False
            was_up = self.state != "starting"
            self.state = "terminated" if mark is None else mark()
            if self.state == "terminated" and reason == Killed(abandoned=True):
                reason = Killed()  # nothing is left behind
            self.exit_reason = reason
            on_started, self.on_started = self.on_started, None
            on_exit, self.on_exit = self.on_exit, None
            cleanups, self.cleanups = self.cleanups, None
            watchers, self.watchers = self.watchers, None
        fail(self.reply, CalleeExited(reason))
        self.reply = None
        self.inbox.close(reason)
        self.inbox.let_go()
        tell: list[Callable[[], object]] = [partial(cleanup, reason) for cleanup in (cleanups or {}).values()]
        tell += [partial(watcher, reason) for watcher in (watchers or {}).values()]
        if was_up and on_exit is not None:
            tell.append(partial(on_exit, self, reason))
        elif not was_up and on_started is not None:
            tell.append(partial(on_started, self, Ignored() if ignored else StartFailure(reason)))
        call_others(tell)
        with locks.life:
            self.told = True
            replies, self.stop_replies = self.stop_replies, ()
        for reply in replies:
            answer(reply, None)
        return True

    def never_ran(self) -> None:
        """Take everything back: it could not be started. Only who tried is told, by an exception."""
        self.on_started = None
        self.leave()
        self.declare(Normal())

    def stopper_waits(self, reply: pykka.Future[Any]) -> None:
        """Answer somebody who stops it once everybody else has heard of the end."""
        with locks.life:
            if not self.told:
                self.stop_replies = (*self.stop_replies, reply)
                return
        answer(reply, None)

    def note_stop(self, reason: ExitReason) -> None:
        """Note that somebody wants it to stop; `Killed` comes before any other reason, else the first stays."""
        if isinstance(reason, Killed):
            self.unclean = self.unclean or self.stop_reason is None  # nobody asked it to clean up
            self.stop_reason = reason
        elif self.stop_reason is None:
            self.stop_reason = reason
        self.attention = True

    def wake_sleeper(self) -> None:
        """End a `sleep` in progress."""
        with locks.life:
            sleeper, self.sleeper = self.sleeper, None
        if sleeper is not None:
            sleeper.release()


class _Locks:
    """The lock of all state changes; reentrant, because the garbage collector may call us anywhere."""

    def __init__(self) -> None:
        self.life = threading.RLock()


locks = _Locks()
_local = threading.local()


def current() -> Incarnation | None:
    """Return the incarnation whose handler the calling thread runs; None outside of handlers."""
    return getattr(_local, "incarnation", None)


def set_current(incarnation: Incarnation | None) -> None:
    """Note whose handler this thread runs."""
    _local.incarnation = incarnation


def incarnation_of(ref: pykka.ActorRef[Any]) -> Incarnation | None:
    """Return the run behind a ref; None for an actor that was not started through this package."""
    return getattr(ref.actor_inbox, "incarnation", None)


def call_others(functions: list[Callable[[], object]]) -> None:
    """Tell those who want to be told; what they raise is logged.

    They are not part of the actor whose thread this is: for `current()` they run outside of all actors.
    """
    me = current()
    set_current(None)
    for function in functions:
        try:
            function()
        except BaseException as error:
            report("callback_failed", error, callback=repr(function))
    set_current(me)


def reset_after_fork() -> None:
    """Make the lock anew in a forked child; the forking handler's actor is dead there too."""
    locks.life = threading.RLock()
    set_current(None)
