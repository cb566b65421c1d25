"""`supervisors` alone: plain pykka actors that are brought back when they fail. No agent, no model.

Run it: python examples/plain_actors.py
"""

from __future__ import annotations

import logging
import queue
from typing import TYPE_CHECKING

import pykka
import structlog

from supervisors import (
    Backoff,
    ChildSpec,
    ChildStarted,
    RestartScheduled,
    Supervisor,
    format_tree,
    monitor,
    names,
    subscribe,
)

if TYPE_CHECKING:
    from supervisors import Event


class Ledger(pykka.ThreadingActor):
    """Holds the state that is worth keeping, and does nothing that can fail."""

    def __init__(self) -> None:
        super().__init__()
        self._total = 0

    def on_receive(self, message: int) -> int:
        self._total += message
        return self._total


class Parser(pykka.ThreadingActor):
    """Does what can fail, and keeps nothing."""

    def on_receive(self, message: str) -> None:
        amount = int(message)  # a bad line ends this actor; its supervisor starts another one
        names.via("ledger").tell(amount)


def main() -> None:
    # A supervisor logs the cause of every crash; this one is on purpose.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    came_up: queue.SimpleQueue[Event] = queue.SimpleQueue()
    children = [
        ChildSpec(id="ledger", start=Ledger, name="ledger"),
        ChildSpec(id="parser", start=Parser, backoff=Backoff(initial=0.01)),
    ]
    with Supervisor.start(children, name="books", max_restarts=3, max_seconds=5.0) as root:
        subscribe(came_up.put, root=root)
        print(format_tree(root))

        # A handle finds the actor on each use, and waits for one that is on its way back.
        parser, ledger = root.child("parser", wait=5.0), root.child("ledger")
        parser.tell("40")

        down = monitor(root.which_child("parser").ref)
        parser.tell("forty")
        print(f"the parser is down: {down.wait(5.0).reason}")
        while not isinstance(event := came_up.get(timeout=5.0), ChildStarted):
            if isinstance(event, RestartScheduled):
                print(f"attempt {event.attempt} in {event.delay:.3f} s")

        parser.ask("2")
        print(f"the ledger, which lived on, says {ledger.ask(0)}")
    print("stopped, in reverse order")


if __name__ == "__main__":
    main()
