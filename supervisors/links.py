"""Monitors and links: be told when an actor ends, and why, or end with it.

Monitors are one-way and stackable: each `monitor()` is its own reference and brings exactly one `Down`. Links go both ways, at
most one between two actors: who is left is asked to stop, or told by an `ExitSignal` if its class has `trap_exit = True`. When
either arrives the names of the one that ended are free and its inbox is closed. All this is for actors started through this
package; pykka keeps no reason for others, and says they are dead while they still clean up. Source: Erlang's processes; unlike
there nobody can be forced to end: what a link or `send_exit` brings is a request.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

import pykka

from supervisors.errors import CallingSelf, CallTimeout, Fenced, InvalidOption
from supervisors.reasons import ExitReason, NoProc, Normal, Shutdown, check_reason
from supervisors.runtime import (
    Envelope,
    Incarnation,
    Notice,
    PooledFuture,
    current,
    hooks,
    incarnation_of,
    locks,
    report,
    request_stop,
)
from supervisors.spec import check_timeout

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
    """What an actor with `trap_exit = True` is told when one it is linked to has ended, or somebody sent it an exit.

    source: The ref of that actor, or what was given to `link()` when that named nobody; None for `send_exit()` by a thread
        that belongs to no actor.
    """

    source: Any
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
            CallingSelf: The target is the caller.
        """
        check_timeout(timeout)
        if self._watched is not None and self._watched is current() and not self._down.done():
            raise CallingSelf("an actor cannot wait for its own end; stop_self() ends it after this message")
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
    if not (notify is None or isinstance(notify, SimpleQueue) or callable(notify)):
        raise InvalidOption("notify", notify, "must be a SimpleQueue or a function")
    found, watched = find(target)
    mark = MonitorRef(found, notify, current() if notify is None else None)
    if watched is not None:
        mark._watch(watched)  # noqa: SLF001 # the two are one
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


def link(target: Any, other: Any = None) -> None:
    """Link two actors: when one ends with another reason than `Normal`, the other is asked to stop with the same reason.

    An actor with `trap_exit = True` gets an `ExitSignal` instead, for `Normal` too. Linking a pair again changes nothing, and
    neither does linking an actor to itself. A target that is dead, or names nobody, is a link that ends at once, with `NoProc()`.

    Args:
        target: A ref, a Handle or Via, or a name of the default registry.
        other: The same; None: the calling actor.

    Raises:
        TypeError: One of them is alive but was not started through this package.
        ValueError: No `other`, and not called by an actor.
        Fenced: The calling incarnation was abandoned.
    """
    (found, run), (other_found, other_run) = _pair("link", target, other)
    if run is not None and other_run is not None and tie(run, other_run):
        return
    if run is not None:
        signal(run, other_found, NoProc())
    if other_run is not None:
        signal(other_run, found, NoProc())


def unlink(target: Any, other: Any = None) -> None:
    """End a link; harmless when there is none. No signal of it arrives afterwards; an `ExitSignal` that is queued already stays.

    Args:
        target: As for `link`.
        other: As for `link`.

    Raises:
        TypeError, ValueError, Fenced: As for `link`.
    """
    (_, run), (_, other_run) = _pair("unlink", target, other)
    if run is not None and other_run is not None:
        untie(run, other_run)


def send_exit(target: Any, reason: ExitReason = Shutdown()) -> bool:  # noqa: B008 # frozen
    """Ask an actor to end with `reason`, after the message in progress; returns at once, False when it is not alive.

    With `trap_exit = True` it gets an `ExitSignal` instead. Of the others `Normal` asks nobody but the caller itself.

    Args:
        target: A ref, a Handle or Via, or a name of the default registry.
        reason: Its exit reason, unless it ends with another one before.

    Raises:
        TypeError: It is alive but was not started through this package, or `reason` is no ExitReason.
    """
    check_reason(reason)
    _, run = find(target)
    if run is None or not run.is_current():
        return False
    me = current()
    if me is run and isinstance(reason, Normal) and not traps_exit(run):
        return request_stop(run.ref, reason)
    signal(run, None if me is None else me.ref, reason)
    return True


def tie(one: Incarnation, other: Incarnation) -> bool:
    """Link two incarnations; False when one of them has ended."""
    if one is other:
        return True
    with locks.life:
        if not (one.is_current() and other.is_current()):
            return False
        one.add_watcher(("link", other), partial(_linked_ended, one, other))
        other.add_watcher(("link", one), partial(_linked_ended, other, one))
        return True


def untie(one: Incarnation, other: Incarnation) -> None:
    """End the link of two incarnations, if there is one."""
    with locks.life:
        one.remove_watcher(("link", other))
        other.remove_watcher(("link", one))


def _linked_ended(ended: Incarnation, other: Incarnation, reason: ExitReason) -> None:
    if other.remove_watcher(("link", ended)):  # else it was unlinked just now
        signal(other, ended.ref, reason)


def signal(run: Incarnation, source: Any, reason: ExitReason) -> None:
    """Let an actor feel the end of one it is linked to."""
    if traps_exit(run):
        run.inbox.put(Envelope(Notice(ExitSignal(source, reason), _STANDS)))
    elif not isinstance(reason, Normal):
        request_stop(run.ref, reason)


def traps_exit(run: Incarnation) -> bool:
    """Whether an actor wants to hear of what it is linked to instead of ending with it."""
    return bool(getattr(run.actor_class, "trap_exit", False))


class _Stands:
    """The source of a notice that cannot be withdrawn."""

    withdrawn = False


_STANDS = _Stands()

_Found = tuple[
    Any, Incarnation | None
]  # who is meant, and its run; what was given, and None, when that is nobody


def _pair(what: str, target: Any, other: Any) -> tuple[_Found, _Found]:
    """Find the two ends of a link."""
    me = current()
    if me is not None and not me.is_current():
        raise Fenced(f"this incarnation was abandoned: it may not {what}")
    if other is not None:
        return find(target), find(other)
    if me is None:
        raise ValueError(f"{what}() outside of an actor needs two actors")
    return find(target), (me.ref, me)


def find(target: Any) -> _Found:
    """Find who is meant.

    Raises:
        TypeError: It is alive, but nothing can be told of its end.
    """
    found = _resolve(target)
    if found is None:
        return target, None
    run = incarnation_of(found)
    if run is None and found.is_alive():
        raise TypeError(
            f"{found} was not started by start_actor() or a supervisor, so nothing can be told of its end"
        )
    return found, run


def _resolve(target: Any) -> pykka.ActorRef[Any] | None:
    """Find who is meant by a ref, a handle or a name."""
    if isinstance(target, pykka.ActorRef):
        return target
    whereis: Callable[[], pykka.ActorRef[Any] | None] | None = getattr(target, "whereis", None)
    if whereis is not None:
        return whereis()
    name: Hashable = target
    return None if hooks.names is None else hooks.names.whereis(name)
