"""The last step against an actor that does not end: Python cannot end its thread, so the actor is declared dead.

Its ref is dead, its names are free, its monitors and its supervisor are told; what its handler still brings about is
discarded. The thread is a *zombie*, counted until it ends.
"""

from __future__ import annotations

import sys
import time
import traceback
from functools import partial
from typing import TYPE_CHECKING

import pykka

from supervisors.reasons import ExitReason, Killed
from supervisors.runtime.dispatcher import Worker
from supervisors.runtime.incarnation import call_others, locks
from supervisors.runtime.values import ENDED

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from supervisors.runtime.incarnation import Incarnation
    from supervisors.runtime.values import Runner, State

_MAX_FRAMES = 40


class Zombie:
    """An abandoned incarnation whose thread still runs.

    since: Monotonic seconds.
    reason: Why it was declared dead.
    stack: Where its thread was then, as text.
    """

    def __init__(self, incarnation: Incarnation, runner: Runner, reason: ExitReason) -> None:
        self.incarnation = incarnation
        self.thread_name = runner.name
        self.thread_ident = runner.ident
        self.reason = reason
        self.since = time.monotonic()
        self.stack = ""

    def __repr__(self) -> str:
        return f"<Zombie {'/'.join(self.path)} generation {self.generation} on {self.thread_name}>"

    @property
    def path(self) -> tuple[str, ...]:
        """Labels from the root to the child it was."""
        return self.incarnation.path

    @property
    def id(self) -> Hashable:
        """The child id it had."""
        return self.incarnation.id

    @property
    def generation(self) -> int:
        """Of the incarnation."""
        return self.incarnation.generation

    def ended(self) -> None:
        """Take note that its thread is through with it; once, from whoever sees that first."""
        with locks.life:
            if self not in _zombies:
                return
            del _zombies[self]
            listeners = list(_listeners)
        after = time.monotonic() - self.since
        call_others([partial(listener, self, after) for listener in listeners])


_zombies: dict[Zombie, None] = {}
_listeners: list[Callable[[Zombie, float], object]] = []


def zombies() -> list[Zombie]:
    """List the zombies of the process, the oldest first."""
    with locks.life:
        return list(_zombies)


def on_zombie_exit(function: Callable[[Zombie, float], object]) -> Callable[[], None]:
    """Call `function(zombie, seconds)` whenever the thread of a zombie ends after all; returns what ends that."""
    with locks.life:
        _listeners.append(function)

    def undo() -> None:
        with locks.life:
            if function in _listeners:
                _listeners.remove(function)

    return undo


def abandon(incarnation: Incarnation, reason: ExitReason = Killed(abandoned=True)) -> Zombie | None:  # noqa: B008 # frozen
    """Declare an incarnation dead whatever its thread does.

    Everybody is told as after a real death, from the calling thread, before this returns. A pool gets another worker.

    Returns:
        None when no thread is left behind: it had ended, or was not running just then (it ends as `Killed()`).
    """
    zombie: Zombie | None = None

    def mark() -> State:
        nonlocal zombie
        # Before the look at the thread: one that begins now sees the state, or we see it.
        incarnation.state = "abandoned"
        incarnation.attention = True
        if (runner := incarnation.runner) is None:
            return "terminated"
        zombie = incarnation.zombie = Zombie(incarnation, runner, reason)
        _zombies[zombie] = None
        return "abandoned"

    if incarnation.state in ENDED:
        return None
    pykka.ActorRegistry.unregister(incarnation.ref)
    incarnation.ref.actor_stopped.set()
    if not incarnation.declare(reason, mark=mark):
        return None
    incarnation.wake_sleeper()
    if (pending := incarnation.pending) is not None:
        pending.cancel()
    if zombie is None:
        return None
    zombie.stack = _stack(zombie.thread_ident)
    runner = incarnation.runner
    if runner is None:
        zombie.ended()  # its thread was through before it could see that it is a zombie
    elif isinstance(runner, Worker):
        runner.dispatcher.lose(runner)
    else:
        incarnation.inbox.wake()  # a thread that waits for a message ends
    return zombie


def _stack(ident: int | None) -> str:
    frame = sys._current_frames().get(ident) if ident is not None else None
    return "" if frame is None else "".join(traceback.format_stack(frame)[-_MAX_FRAMES:])


def reset_after_fork() -> None:
    """Forget the zombies of the parent."""
    _zombies.clear()
