"""Monitors: be told, once, when an actor ends, and why.

One-way and stackable: each `monitor()` is its own reference and brings exactly one `Down`. When it arrives the target's
names are free and its inbox is closed. Only actors started through this package can be watched; pykka keeps no reason
for others, and says they are dead while they still clean up.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

import pykka

from supervisors.errors import CallTimeout, Fenced
from supervisors.reasons import ExitReason, NoProc
from supervisors.runtime import (
    Envelope,
    Incarnation,
    Notice,
    PooledFuture,
    current,
    hooks,
    incarnation_of,
    report,
)

if TYPE_CHECKING:
    from collections.abc import Hashable

Notify = Callable[["Down"], object] | SimpleQueue["Down"]


@dataclass(frozen=True, slots=True)
class Down:
    """The target of a monitor has ended.

    target: Its ref, or what was given to `monitor()` when that named nobody.
    """

    ref: MonitorRef
    target: Any
    reason: ExitReason


@dataclass(frozen=True, slots=True)
class ExitSignal:
    """What an actor with `trap_exit = True` is told when one it is linked to has ended."""

    source: pykka.ActorRef[Any]
    reason: ExitReason


class MonitorRef:
    """One monitor; give it to `demonitor()`."""

    __slots__ = ("_down", "_lock", "_notify", "_target", "_watched", "_watcher", "withdrawn")

    def __init__(self, target: Any, notify: Notify | None, watcher: Incarnation | None) -> None:
        self._target = target
        self._notify = notify
        self._watcher = watcher
        self._watched: Incarnation | None = None
        self._down: PooledFuture[Down] = PooledFuture()
        self._lock = threading.Lock()
        self.withdrawn = False  # a Down that is queued already is not wanted any more

    def __repr__(self) -> str:
        return f"<MonitorRef of {self._target}>"

    def wait(self, timeout: float | None = None) -> Down:
        """Wait for the `Down`, besides whoever is notified of it.

        Raises:
            CallTimeout: The target is still alive after `timeout` seconds.
        """
        try:
            return self._down.get(timeout=timeout)
        except pykka.Timeout as error:
            raise CallTimeout(f"{self._target} is still alive after {timeout} s") from error

    def _watch(self, watched: Incarnation) -> None:
        self._watched = watched
        if self._watcher is not None and not self._watcher.add_cleanup(self, self._watcher_ended):
            raise Fenced("this incarnation was abandoned: it may not monitor")
        if not watched.add_watcher(self, self._deliver):
            self._deliver(NoProc())

    def _watcher_ended(self, _reason: ExitReason) -> None:
        self._unhook()

    def _unhook(self) -> None:
        if self._watched is not None:
            self._watched.remove_watcher(self)

    def _deliver(self, reason: ExitReason) -> None:
        if self._watcher is not None:
            self._watcher.remove_cleanup(self)
        if self.withdrawn or not self._lock.acquire(blocking=False):
            return  # demonitored, or delivered
        down = Down(self, self._target, reason)
        self._down.set(down)
        if self._notify is not None:
            if isinstance(self._notify, SimpleQueue):
                self._notify.put(down)
                return
            try:
                self._notify(down)
            except Exception as error:
                report("monitor_callback_failed", error, target=str(self._target))
        elif self._watcher is not None:
            self._watcher.inbox.put(Envelope(Notice(down, self)))


def monitor(target: Any, *, notify: Notify | None = None) -> MonitorRef:
    """Be told when `target` ends.

    Args:
        target: A ref, a Handle or Via, or a name of the default registry. What names nobody, or is dead, brings
            `Down(NoProc())` at once.
        notify: A SimpleQueue, or a function that runs in the thread that ends the target: it must be short. None: inside
            a handler the `Down` arrives in `on_receive` of that actor, behind what is queued there already; elsewhere only `wait` tells.

    Raises:
        TypeError: The target is alive but was not started through this package.
        Fenced: The calling incarnation was abandoned.
    """
    found = _resolve(target)
    watcher = current() if notify is None else None
    mark = MonitorRef(target if found is None else found, notify, watcher)
    watched = None if found is None else incarnation_of(found)
    if watched is not None:
        mark._watch(watched)  # noqa: SLF001 # the two are one
    elif found is not None and found.is_alive():
        raise TypeError(
            f"{found} was not started by start_actor() or a supervisor, so nothing can be told of its end"
        )
    else:
        mark._deliver(NoProc())  # noqa: SLF001 # the two are one
    return mark


def demonitor(ref: MonitorRef, *, flush: bool = True) -> None:
    """End a monitor; harmless when it has ended.

    Args:
        ref: From `monitor()`.
        flush: Also drop a `Down` that waits in the caller's inbox. One in a SimpleQueue stays.
    """
    ref._unhook()  # noqa: SLF001 # the two are one
    if ref._watcher is not None:  # noqa: SLF001 # the two are one
        ref._watcher.remove_cleanup(ref)  # noqa: SLF001 # the two are one
    ref._lock.acquire(blocking=False)  # noqa: SLF001 # no delivery from now on
    if flush:
        ref.withdrawn = True


def _resolve(target: Any) -> pykka.ActorRef[Any] | None:
    """Find who is meant by a ref, a handle or a name."""
    if isinstance(target, pykka.ActorRef):
        return target
    whereis: Callable[[], pykka.ActorRef[Any] | None] | None = getattr(target, "whereis", None)
    if whereis is not None:
        return whereis()
    name: Hashable = target
    return None if hooks.names is None else hooks.names.whereis(name)
