"""What goes into a launch and what comes out of it."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol

from supervisors.reasons import ExitReason

if TYPE_CHECKING:
    import pykka

    from supervisors.runtime.incarnation import Incarnation

State = Literal["starting", "running", "stopping", "terminated", "abandoned"]
ENDED: Final = frozenset({"terminated", "abandoned"})


@dataclass(frozen=True, slots=True)
class Up:
    """`on_start` has returned."""


@dataclass(frozen=True, slots=True)
class Ignored:
    """The actor, or the start callable, answered IGNORE: nothing runs."""


@dataclass(frozen=True, slots=True)
class StartFailure:
    """It ended before it was up."""

    reason: ExitReason


Outcome = Up | Ignored | StartFailure
OnStarted = Callable[["Incarnation", Outcome], object]
OnExit = Callable[["Incarnation", ExitReason], object]


class Runner(Protocol):
    """The thread an incarnation runs on: a pool worker or a thread of its own."""

    @property
    def name(self) -> str: ...
    @property
    def ident(self) -> int | None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchInfo:
    """What a supervisor says of a child it launches.

    Args:
        child_id: Of the child.
        path: Labels from the root to the child.
        generation: 0 for the first incarnation.
        supervisor: None: nobody is told of a crash, so it is logged here.
        names: Keys of the default registry, or Vias, held from before `on_start` to the end.
        ask_failure: Whether an exception in an ask goes to the asker ("return") or ends the actor too ("crash").
    """

    child_id: Hashable = None
    path: tuple[str, ...] = ()
    generation: int = 0
    supervisor: pykka.ActorRef[Any] | None = None
    names: tuple[Hashable, ...] = ()
    ask_failure: Literal["return", "crash"] = "return"


UNSUPERVISED: Final = LaunchInfo()
