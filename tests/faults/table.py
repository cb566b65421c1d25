"""The fault matrix: what is done to an agent, and where its run stands when it is done."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import alloy_actors as alloy
from tests.faults.scene import POINTS, Point, Scene, lock_database

NO_REQUEST_OUT = "no request is out while tools run: the next one is that of 'between turns'"
NO_TOOL_RUNS = "no tool runs then"


@dataclass(frozen=True)
class Ending:
    """How requests are to end: the status and the class of the error."""

    status: str
    error: type[BaseException] | None = None


DONE = Ending("completed")


@dataclass(frozen=True)
class Fault:
    """One row.

    Args:
        name: What goes wrong.
        run: How the run that is on ends.
        but: Where it ends otherwise.
        queued: How the requests behind it end.
        inject: Makes it go wrong, when the run stands at the point; returns what makes it well again.
        model: Directives for the model server, by point: the request that stands there goes wrong when it is let go.
        impossible: Points where it cannot happen, and why.
        options: Of the agent.
        refuses: Whether new requests are refused meanwhile: their caller is told, and nothing is accepted.
        kill: The process is killed instead, and another one takes up its store.
    """

    name: str
    run: Ending = DONE
    but: Mapping[Point, Ending] = field(default_factory=dict)
    queued: Ending = DONE
    inject: Callable[[Scene], Callable[[], object]] = lambda _scene: lambda: None
    model: Mapping[Point, Mapping[str, Any]] = field(default_factory=dict)
    impossible: Mapping[Point, str] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    refuses: bool = False
    kill: bool = False

    def ending(self, point: Point) -> Ending:
        return self.but.get(point, self.run)


def _crash(scene: Scene) -> Callable[[], object]:
    scene.agent.crash("drill")
    return lambda: None


def _stumble(scene: Scene) -> Callable[[], object]:
    scene.middleware.raises = True
    return lambda: None


def _misdeed(what: Any) -> Callable[[Scene], Callable[[], object]]:
    def inject(scene: Scene) -> Callable[[], object]:
        scene.misdeed = what
        return lambda: setattr(scene, "misdeed", "")

    return inject


def _bug(scene: Scene) -> Callable[[], object]:
    scene.model.bug = True
    return lambda: None


def _busy(scene: Scene) -> Callable[[], object]:
    other: sqlite3.Connection = lock_database(scene.path)

    def clear() -> None:
        other.execute("ROLLBACK")
        other.close()

    return clear


def _full(scene: Scene) -> Callable[[], object]:
    scene.store.fill_up()
    return scene.store.make_room


NOT_WRITTEN = Ending("error", alloy.StoreError)
FAULTS = (
    Fault("raise in actor", inject=_crash),
    Fault("raise in middleware", inject=_stumble),
    Fault(
        "tool sys.exit",
        inject=_misdeed("exit"),
        impossible={"mid stream": NO_TOOL_RUNS, "between turns": NO_TOOL_RUNS},
    ),
    Fault(
        "tool hang",
        inject=_misdeed("hang"),
        options={"tool_timeout": 0.5},
        impossible={"mid stream": NO_TOOL_RUNS, "between turns": NO_TOOL_RUNS},
    ),
    Fault(
        "provider hang",
        run=Ending("error", alloy.TimeoutError),
        model={
            "first request": {"fault": "hang"},
            "mid stream": {"fault": "stall"},
            "between turns": {"fault": "hang"},
            "while queued": {"fault": "hang"},
        },
        options={"timeout": 2.0},
        impossible={"mid tool fan-out": NO_REQUEST_OUT},
    ),
    Fault(
        "provider reset",
        but={"mid stream": Ending("error", alloy.ConnectionFailedError)},  # else it is asked again
        model={
            "first request": {"fault": "disconnect"},
            "mid stream": {"fault": "cut"},
            "between turns": {"fault": "disconnect"},
            "while queued": {"fault": "disconnect"},
        },
        impossible={"mid tool fan-out": NO_REQUEST_OUT},
    ),
    Fault(
        "provider crash",
        run=Ending("error", alloy.CrashError),
        inject=_bug,
        impossible={"mid tool fan-out": NO_REQUEST_OUT},
    ),
    Fault("SQLite busy", run=NOT_WRITTEN, queued=NOT_WRITTEN, inject=_busy, refuses=True),
    Fault("disk full", run=NOT_WRITTEN, queued=NOT_WRITTEN, inject=_full, refuses=True),
    Fault("kill -9", kill=True),
)

CELLS = [(fault, point) for fault in FAULTS for point in POINTS]
