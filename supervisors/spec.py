"""What a child is: how it starts, when it comes back, how it is stopped.

A `ChildSpec` is a value: checked when it is made, never changed afterwards. `child_spec()` makes one of the short
forms a supervisor accepts (a class, a tuple). Source of the defaults: OTP's child specification; `start_timeout`,
`backoff`, `on_stuck`, `kill_hook` and `on_exit` go beyond it.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from enum import Enum, StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar

import pykka

from supervisors.errors import InvalidChildSpec, InvalidOption

if TYPE_CHECKING:
    from supervisors.backoff import Backoff
    from supervisors.reasons import ExitReason


class Strategy(StrEnum):
    """Which children are restarted together."""

    ONE_FOR_ONE = "one_for_one"
    ONE_FOR_ALL = "one_for_all"
    REST_FOR_ONE = "rest_for_one"


class RestartType(StrEnum):
    """When a child that ended comes back."""

    PERMANENT = "permanent"  # always
    TRANSIENT = "transient"  # after an abnormal end only
    TEMPORARY = "temporary"  # never


class AutoShutdown(StrEnum):
    """Whether a supervisor ends when its significant children have ended by themselves."""

    NEVER = "never"
    ANY_SIGNIFICANT = "any_significant"
    ALL_SIGNIFICANT = "all_significant"


class BrutalKill(Enum):
    """Type of `BRUTAL_KILL`: do not ask the child to clean up, take the brutal step at once."""

    BRUTAL_KILL = "brutal_kill"


class Ignore(Enum):
    """Type of `IGNORE`: what `on_start`, a start callable or `children()` answers to say "not this time"."""

    IGNORE = "ignore"


class _Missing(Enum):
    MISSING = "missing"


BRUTAL_KILL: Final = BrutalKill.BRUTAL_KILL
"""For `shutdown`: the child is not asked to end, but takes the brutal step at once."""
INFINITY: Final = math.inf
"""Seconds, where no limit is meant."""
IGNORE: Final = Ignore.IGNORE
"""What a start function returns when there is nothing to start: the child is left out, and that is no failure."""
_MISSING: Final = _Missing.MISSING

ChildType = Literal["worker", "supervisor"]
Decision = Literal["restart", "parked", "stopped", "removed"]
OnExceeded = Literal["escalate", "park"]
OnStuck = Literal["replace", "hold", "escalate"]

_NO_KWARGS: Mapping[str, Any] = MappingProxyType({})
_E = TypeVar("_E", bound=Enum)


@dataclass(frozen=True, slots=True)
class ChildExit:
    """One end of a child and what its supervisor made of it; the argument of `ChildSpec.on_exit`.

    generation: Of the incarnation that ended; when a restart attempt failed, of the last one that was up.
    delay: Seconds to the next attempt; for "parked" to the trial start; 0 when there is none to wait for.
    """

    id: Hashable
    ref: pykka.ActorRef[Any] | None
    generation: int
    reason: ExitReason
    decision: Decision
    delay: float = 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class ChildSpec:
    """How a supervisor starts, restarts and stops one child.

    Args:
        id: Unique per static supervisor; a dynamic one does not look at it.
        start: Actor class, or a callable that returns what `start_actor()` returned, or IGNORE.
        shutdown: Seconds to end by itself when asked; then the brutal step. None: 5 for workers, no limit of its own
            for supervisors. 0 asks and does not wait.
        type: None: "supervisor" when `start` is a supervisor class.
        name: Registered before `on_start` runs; a taken name fails the start.
        start_timeout: Seconds for `on_start`.
        backoff: None: the supervisor's.
        on_exceeded: None: the supervisor's.
        on_stuck: What a supervisor does with the record when the thread of an ended incarnation will not end.
        kill_hook: Called with the ref, from a helper thread, before a stuck child is abandoned: close its socket, kill
            its subprocess. It gets one second.
        on_exit: Called on the supervisor's thread after each decision about this child. It must not block; what it
            raises is logged.
        drain: A stop lets the child handle the messages it already has.
        ask_failure: "crash" ends the child when a handler raises under `ask`; pykka's way is "return".

    Raises:
        InvalidChildSpec: A field is out of range; names the field and the value.
    """

    id: Hashable = _MISSING
    start: Callable[..., Any] = _MISSING  # type: ignore[assignment] # absence is reported with the field's name
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = dataclasses.field(default_factory=lambda: _NO_KWARGS)
    restart: RestartType | str = RestartType.PERMANENT
    shutdown: float | BrutalKill | None = None
    type: ChildType | None = None
    significant: bool = False
    name: Hashable | None = None
    start_timeout: float = 30.0
    backoff: Backoff | None = None
    on_exceeded: OnExceeded | None = None
    on_stuck: OnStuck = "replace"
    kill_hook: Callable[[pykka.ActorRef[Any]], object] | None = None
    on_exit: Callable[[ChildExit], object] | None = None
    drain: bool = False
    ask_failure: Literal["return", "crash"] = "return"

    def __post_init__(self) -> None:
        _check_identity(self)
        put = object.__setattr__
        put(self, "restart", _one_of(RestartType, "restart", self.restart))
        if self.type is None:
            put(self, "type", getattr(self.start, "child_type", "worker"))
        elif self.type not in {"worker", "supervisor"}:
            raise InvalidChildSpec("type", self.type, 'must be "worker" or "supervisor"')
        if self.shutdown is None:
            put(self, "shutdown", 5.0 if self.type == "worker" else INFINITY)
        elif self.shutdown is not BRUTAL_KILL and not is_seconds(self.shutdown):
            raise InvalidChildSpec("shutdown", self.shutdown, "must be BRUTAL_KILL, INFINITY or seconds >= 0")
        if not is_seconds(self.start_timeout) or self.start_timeout == 0:
            raise InvalidChildSpec("start_timeout", self.start_timeout, "must be seconds > 0, or INFINITY")
        _check_choices(self)
        if self.significant and self.restart is RestartType.PERMANENT:
            raise InvalidChildSpec("significant", True, "a permanent child always comes back")

    @property
    def shutdown_limit(self) -> float | None:
        """Seconds the child gets to end by itself; None for the brutal step at once."""
        return None if isinstance(self.shutdown, BrutalKill) else self.shutdown

    def without_arguments(self) -> ChildSpec:
        """Make a copy that does not keep the start arguments alive."""
        if not self.args and not self.kwargs:
            return self
        return dataclasses.replace(self, args=(), kwargs=_NO_KWARGS)


def _check_identity(spec: ChildSpec) -> None:
    put = object.__setattr__
    args: object = spec.args
    kwargs: object = spec.kwargs
    if spec.id is _MISSING:
        raise InvalidChildSpec("id", None, "is missing; child_spec(cls) derives one from the class")
    if not _is_hashable(spec.id):
        raise InvalidChildSpec("id", spec.id, "must be hashable")
    if spec.start is _MISSING:  # type: ignore[comparison-overlap] # the default says "absent"
        raise InvalidChildSpec("start", None, "is missing: an actor class or a callable that returns a ref")
    if not callable(spec.start):
        raise InvalidChildSpec("start", spec.start, "must be an actor class or a callable")
    if isinstance(spec.start, type) and not issubclass(spec.start, pykka.Actor):
        raise InvalidChildSpec("start", spec.start, "this class is no pykka.Actor")
    if not isinstance(args, (tuple, list)):
        raise InvalidChildSpec("args", args, "must be a tuple of positional arguments")
    if not isinstance(kwargs, Mapping) or not all(isinstance(name, str) for name in kwargs):
        raise InvalidChildSpec("kwargs", kwargs, "must be a mapping of keyword arguments")
    if type(args) is not tuple:
        put(spec, "args", tuple(args))
    if spec.kwargs is not _NO_KWARGS:
        put(spec, "kwargs", dict(spec.kwargs))
    if spec.name is not None and not _is_hashable(spec.name):
        raise InvalidChildSpec("name", spec.name, "must be hashable")


def _check_choices(spec: ChildSpec) -> None:
    if spec.on_exceeded not in {None, "escalate", "park"}:
        raise InvalidChildSpec("on_exceeded", spec.on_exceeded, 'must be "escalate" or "park"')
    if spec.on_stuck not in {"replace", "hold", "escalate"}:
        raise InvalidChildSpec("on_stuck", spec.on_stuck, 'must be "replace", "hold" or "escalate"')
    if spec.ask_failure not in {"return", "crash"}:
        raise InvalidChildSpec("ask_failure", spec.ask_failure, 'must be "return" or "crash"')
    for field in ("significant", "drain"):
        if not isinstance(getattr(spec, field), bool):
            raise InvalidChildSpec(field, getattr(spec, field), "must be True or False")
    for field in ("kill_hook", "on_exit"):
        if getattr(spec, field) is not None and not callable(getattr(spec, field)):
            raise InvalidChildSpec(field, getattr(spec, field), "must be callable")
    if spec.backoff is not None and not hasattr(spec.backoff, "delay"):
        raise InvalidChildSpec("backoff", spec.backoff, "must be a Backoff")


def child_spec(what: object, **overrides: Any) -> ChildSpec:
    """Make a spec of a short form.

    Args:
        what: A ChildSpec; an actor class; a tuple (class, argument, ...); a tuple (class, dict of keywords). A class
            with a classmethod `child_spec(*args, **kwargs)` makes its own, so that it can carry its restart type.
        overrides: Fields of ChildSpec that win.

    Raises:
        TypeError: `what` is none of these, or a keyword is no field.
        InvalidChildSpec: A value is out of range.
    """
    spec = what if isinstance(what, ChildSpec) else _of_class(what)
    return dataclasses.replace(spec, **overrides) if overrides else spec


def _of_class(what: object) -> ChildSpec:
    start: object = what
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = _NO_KWARGS
    if isinstance(what, tuple):
        start, *rest = what or (None,)
        if len(rest) == 1 and isinstance(rest[0], dict):
            kwargs = rest[0]
        else:
            args = tuple(rest)
    if not isinstance(start, type) or not issubclass(start, pykka.Actor):
        raise TypeError(
            f"not a child spec: {what!r}; give a ChildSpec, an actor class or a tuple (class, args...)"
        )
    own = getattr(start, "child_spec", None)
    if own is None:
        return ChildSpec(id=start, start=start, args=args, kwargs=kwargs)
    made = own(*args, **kwargs)
    if not isinstance(made, ChildSpec):
        raise TypeError(f"{start.__qualname__}.child_spec() returned {made!r}, not a ChildSpec")
    return made


def check_timeout(timeout: object, field: str = "timeout") -> None:
    """Refuse what is no length of time.

    Raises:
        InvalidOption: Neither seconds >= 0 nor None.
    """
    if timeout is not None and not is_seconds(timeout):
        raise InvalidOption(field, timeout, "must be seconds >= 0, or None for no limit")


def is_seconds(value: object) -> bool:
    """Tell whether `value` is a length of time: a number >= 0, infinity included, NaN and bool excluded."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value >= 0


def _is_hashable(value: object) -> bool:
    try:
        hash(value)
    except TypeError:
        return False
    return True


def _one_of(kind: type[_E], field: str, value: object) -> _E:
    try:
        return kind(value)
    except ValueError:
        names = ", ".join(repr(member.value) for member in kind)
        raise InvalidChildSpec(field, value, f"must be one of {names}") from None
