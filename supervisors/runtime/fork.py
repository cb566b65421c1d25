"""A forked child has none of its parent's threads, so none of its actors: they are dead there, and say so."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from supervisors.clock import system_clock
from supervisors.errors import CalleeExited
from supervisors.reasons import NoProc
from supervisors.runtime import flag, incarnation, pykka_private, zombies
from supervisors.runtime.dispatcher import Dispatcher
from supervisors.runtime.flag import Flag
from supervisors.runtime.mailbox import Mailbox
from supervisors.runtime.replies import fail

if TYPE_CHECKING:
    from collections.abc import Callable

_hooks: list[Callable[[], object]] = []


def after_fork_in_child(function: Callable[[], object]) -> None:
    """Call `function` in every forked child, after the actors were declared dead. It must take no lock of before."""
    _hooks.append(function)


def _in_child() -> None:
    incarnation.reset_after_fork()
    flag.reset_after_fork()
    refs = pykka_private.registered()
    pykka_private.reset_registry()
    Dispatcher.reset_after_fork()
    zombies.reset_after_fork()
    system_clock.reset_after_fork()
    for ref in refs:
        dead = Flag()
        dead.set()
        ref.actor_stopped = dead  # type: ignore[assignment] # the lock of pykka's Event may be held for ever
        if (run := incarnation.incarnation_of(ref)) is not None:
            run.state = "terminated"
            run.exit_reason = NoProc()
            run.cleanups = run.watchers = run.on_started = run.on_exit = None
            fail(run.reply, CalleeExited(NoProc()))
            if isinstance(run.inbox, Mailbox):
                run.inbox.gate.acquire(blocking=False)
            run.inbox.close(NoProc())
    for hook in _hooks:
        hook()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
