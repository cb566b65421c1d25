"""The stage of `alloy demo` on a terminal: lines scroll by, below them stands the tree as it is now."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Group
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from alloy_actors.cli.output import printable
from alloy_actors.cli.terminal.console import Moving, SharedConsole
from supervisors import State, tree

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import RenderableType

    from alloy_actors.actors.ref import AgentRef
    from alloy_actors.actors.system import AgentSystem
    from alloy_actors.demo import Tally
    from supervisors import Node

FRAMES = 12  # a second
BREATH = 0.4  # seconds between two scenes
STYLES = {
    "running": "bold green",
    "idle": "",
    "starting": "yellow",
    "asleep": "dim",
    "restarting": "bold yellow",
    "parked": "bold red",
    "stopped": "dim",
}


class LiveStage:
    """See `alloy_actors.demo.Stage`."""

    def __init__(self) -> None:
        self._console = SharedConsole()
        self._start = time.monotonic()
        self._lock = threading.Lock()
        self._typed = ""  # the line that is being typed

    def say(self, text: str) -> None:
        self._console.print(Text(f"[{time.monotonic() - self._start:5.2f}s] {printable(text)}"))

    def type(self, text: str) -> None:
        with self._lock:
            *lines, self._typed = (self._typed + printable(text)).split("\n")
        for line in lines:
            self._console.print(Text(line))

    def breathe(self) -> None:
        time.sleep(BREATH)

    @contextmanager
    def watching(self, system: AgentSystem, tally: Tally) -> Iterator[None]:
        moving = Moving(self._console, lambda: self._look(system, tally), transient=False)
        over = threading.Event()

        def draw() -> None:
            while not over.wait(1 / FRAMES):
                moving.refresh()

        thread = threading.Thread(target=draw, name="demo-screen", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()
            moving.stop()

    def _look(self, system: AgentSystem, tally: Tally) -> RenderableType:
        node = tree(system.supervisor)
        top = Tree(_label(node))
        for child in node.children:
            branch = top.add(_label(child))
            if child.id == "agents":
                branch.add(self._agents(system.agents(), tally))
        return Group(Text(self._typed), top) if self._typed else top

    def _agents(self, agents: list[AgentRef], tally: Tally) -> Table:
        table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
        for column in ("agent", "state"):
            table.add_column(column, min_width=12)
        for column in ("runs", "tokens", "restarts"):
            table.add_column(column, justify="right", min_width=6)
        table.add_column("model")
        for agent in agents:
            health = agent.health()
            state = Text(health.status, style=STYLES[health.status])
            facts = (tally.runs[agent.name], tally.tokens[agent.name], health.restarts)
            table.add_row(agent.name, state, *map(str, facts), printable(health.model))
        return table


def _label(node: Node) -> Text:
    label = Text(f"{node.id} [{node.flags}]" if node.flags else str(node.id), style="bold")
    if node.state is not State.RUNNING:
        label.append(f" {node.state}", style="yellow")
    return label
