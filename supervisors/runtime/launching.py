"""Start an actor, for a supervisor or for nobody, and hear how that went."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, runtime_checkable

import pykka

from supervisors.errors import AlreadyRegistered, AlreadyStarted, Fenced, InvalidOption, StartFailed
from supervisors.reasons import Normal, Shutdown
from supervisors.runtime import actor as pooled
from supervisors.runtime import threads
from supervisors.runtime.actor import PooledActor
from supervisors.runtime.futures import PooledFuture
from supervisors.runtime.incarnation import Incarnation, current, locks
from supervisors.runtime.lifecycle import request_stop
from supervisors.runtime.values import UNSUPERVISED, Ignored, LaunchInfo, Outcome, StartFailure
from supervisors.spec import IGNORE

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping, Sequence

    from supervisors.runtime.values import OnExit, OnStarted


A = TypeVar("A", bound=pykka.Actor)


@runtime_checkable
class Claim(Protocol):
    """A name that knows its registry."""

    def claim(self, incarnation: Incarnation) -> None:
        """Register the incarnation under this name until its end."""


class Names(Protocol):
    """The default registry, as far as the runtime needs one."""

    def claim(self, key: Hashable, incarnation: Incarnation) -> None:
        """Register the incarnation under `key` until its end."""

    def whereis(self, key: Hashable) -> pykka.ActorRef[Any] | None:
        """Find the live actor of that name."""

    def resolve(self, key: Hashable) -> pykka.ActorRef[Any]:
        """Find the live actor of that name; raises NoProcError."""


class _Hooks:
    """What modules above this package lend to it."""

    names: Names | None = None


class _Launch:
    """A launch in progress in this thread: the first `start_actor` within belongs to it."""

    def __init__(self, info: LaunchInfo, on_started: OnStarted, on_exit: OnExit) -> None:
        self.info = info
        self.on_started: OnStarted | None = on_started
        self.on_exit: OnExit | None = on_exit
        self.incarnation: Incarnation | None = None


hooks = _Hooks()
_local = threading.local()


def launch(
    start: Callable[..., Any],
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    info: LaunchInfo,
    *,
    on_started: OnStarted,
    on_exit: OnExit,
) -> Incarnation | Ignored:
    """Construct an actor in the calling thread, register its names and let it start; never waits.

    Args:
        start: A subclass of PooledActor or ThreadingActor, or a callable that returns what `start_actor` returned in it,
            or IGNORE.
        args: For `start`.
        kwargs: For `start`.
        info: Who it will be.
        on_started: Called once, `(incarnation, outcome)`, from the actor's thread (or the one that abandons it).
        on_exit: Called once, `(incarnation, reason)`, after an `Up()`, when everybody else knows of the end.

    Raises:
        AlreadyRegistered: One of its names is taken.
        RuntimeError: No thread can be started.
        TypeError: `start` is not, or has not returned, what it should.
        BaseException: What the constructor or `start` raised. In all these cases nothing is left behind.
    """
    if isinstance(start, type):
        return _start(start, args, kwargs, info, on_started, on_exit)
    outer = getattr(_local, "launch", None)
    mine = _local.launch = _Launch(info, on_started, on_exit)
    try:
        result = start(*args, **kwargs)
        made = mine.incarnation
        if result is IGNORE and made is None:
            return Ignored()
        if made is None or result is not made.ref:
            raise TypeError(
                f"the start callable {start!r} returned {result!r}: it must return IGNORE or the ref of the actor "
                "that it has started with start_actor()"
            )
    except BaseException:
        if mine.incarnation is not None:
            _disown(mine.incarnation)
        raise
    finally:
        _local.launch = outer
    return made


def start_actor(cls: type[A], *args: Any, name: Hashable | None = None, **kwargs: Any) -> pykka.ActorRef[A]:
    """Start an actor that no supervisor looks after, and wait for its `on_start`.

    Within a `start` callable of a child spec the actor is that child, and there is no waiting.

    Raises:
        StartFailed: `on_start` has not come to an end, or answered IGNORE.
        AlreadyStarted: The name is taken. (AlreadyRegistered within a `start` callable: its supervisor makes that of it.)
        Exception: What the constructor raised.
    """
    names = () if name is None else (name,)
    child: _Launch | None = getattr(_local, "launch", None)
    if child is not None:
        if child.incarnation is not None:
            raise TypeError(
                "a start callable starts one actor; start others in its on_start, or supervise them"
            )
        info = child.info
        if names:
            info = LaunchInfo(
                child_id=info.child_id,
                path=info.path,
                generation=info.generation,
                supervisor=info.supervisor,
                names=(*info.names, *names),
                ask_failure=info.ask_failure,
            )
        _local.launch = None  # the constructor is not part of it
        try:
            child.incarnation = _start(cls, args, kwargs, info, child.on_started, child.on_exit)
        finally:
            _local.launch = child
        return child.incarnation.ref
    started: PooledFuture[Outcome] = PooledFuture()
    info = LaunchInfo(names=names) if names else UNSUPERVISED
    try:
        incarnation = _start(cls, args, kwargs, info, lambda _, outcome: started.set(outcome), None)
    except AlreadyRegistered as error:
        raise AlreadyStarted(error.ref, str(error)) from error
    outcome = started.get()
    if isinstance(outcome, StartFailure):
        raise StartFailed(cls.__qualname__, outcome.reason)
    if isinstance(outcome, Ignored):
        raise StartFailed(cls.__qualname__, Normal())
    return incarnation.ref


def _start(
    cls: type[Any],
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    info: LaunchInfo,
    on_started: OnStarted | None,
    on_exit: OnExit | None,
) -> Incarnation:
    """Make, instrument, register and start; in this order, so that nothing is missed and nothing runs too early."""
    me = current()
    if me is not None and not me.is_current():
        raise Fenced("this incarnation was abandoned: it may not start actors")
    if not issubclass(cls, (PooledActor, pykka.ThreadingActor)):
        raise TypeError(f"{cls.__qualname__} is neither a PooledActor nor a pykka.ThreadingActor")
    on_failure = getattr(cls, "ask_failure", "return")
    if on_failure not in {"return", "crash"}:
        raise InvalidOption("ask_failure", on_failure, f'of {cls.__qualname__} must be "return" or "crash"')
    actor: PooledActor | pykka.ThreadingActor = cls(*args, **kwargs)
    ref: pykka.ActorRef[Any] | None = getattr(actor, "actor_ref", None)
    if ref is None:
        raise TypeError(f"{cls.__qualname__}.__init__ must call super().__init__()")
    inbox = actor.actor_inbox if isinstance(actor, PooledActor) else threads.instrument(actor)
    incarnation = Incarnation(ref, inbox, info, on_started, on_exit)
    try:
        pykka.ActorRegistry.register(ref)
        for name in info.names:
            _claim(name, incarnation)
        if isinstance(actor, PooledActor):
            pooled.run(actor, incarnation)
        else:
            threads.run(actor, incarnation)
    except BaseException:
        incarnation.never_ran()
        raise
    return incarnation


def _claim(name: Hashable, incarnation: Incarnation) -> None:
    if isinstance(name, Claim):
        name.claim(incarnation)
    elif hooks.names is None:
        raise RuntimeError("names need supervisors.registry to be imported")
    else:
        hooks.names.claim(name, incarnation)


def _disown(incarnation: Incarnation) -> None:
    """Stop an actor whose start callable failed after all; nobody is told any more (of an `Up()` maybe already)."""
    with locks.life:
        incarnation.on_started = None
        incarnation.on_exit = None
    request_stop(incarnation.ref, Shutdown("its start callable failed"))
