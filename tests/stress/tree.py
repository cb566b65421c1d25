"""The tree of the stress run: every strategy, both kinds of actors, names, and dynamic children that come and go."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from supervisors import Backoff, ChildSpec, DynamicSupervisor, Supervisor
from tests.stress.actors import Bare, Pooled, Threaded

if TYPE_CHECKING:
    from supervisors import DynamicSupervisorRef, SupervisorRef
    from tests.stress.actors import Findings

ENOUGH = {"max_restarts": 10**9, "max_seconds": 3600.0, "max_zombies": 1000}
EACH = 2  # static children of each kind
DYNAMIC = 30  # dynamic children at most


@dataclass(frozen=True, slots=True)
class Tree:
    """What the producers play with."""

    root: SupervisorRef
    static: list[SupervisorRef]  # of workers
    dynamic: DynamicSupervisorRef

    def supervisors(self) -> list[Any]:
        return [self.root, *self.static, self.dynamic]

    def ids(self) -> list[str]:
        """Of the children of each static supervisor."""
        return [f"{kind}-{number}" for number in range(EACH) for kind in ("pooled", "threaded", "bare")]


def start_tree() -> Tree:
    """Start it; its children may fail at start, so supervisors begin empty."""
    root = Supervisor.start([], **ENOUGH)
    kinds = {
        "plain": {},
        "delayed": {"backoff": Backoff(initial=0.001, maximum=0.01)},
        "all": {"strategy": "one_for_all"},
        "rest": {"strategy": "rest_for_one"},
        "delayed rest": {"strategy": "rest_for_one", "backoff": Backoff(initial=0.001, maximum=0.01)},
    }
    static = [
        root.start_child(Supervisor.child_spec([], name=name, **options, **ENOUGH))
        for name, options in kinds.items()
    ]
    dynamic = root.start_child(DynamicSupervisor.child_spec(name="dynamic", max_children=DYNAMIC, **ENOUGH))
    return Tree(root, static, dynamic)


def worker(label: str, findings: Findings, **more: Any) -> ChildSpec:
    """Make the spec of a child; `label` begins with its kind."""
    kinds = {"pooled": Pooled, "threaded": Threaded}
    kind = label.partition("-")[0]
    if kind in kinds:
        more |= {"args": (label, findings, threading.Lock())}
    return ChildSpec(id=label, start=kinds.get(kind, Bare), **more)
