"""Children that depend on each other: restart them together, hear of ends, end the tree with the child that matters.

Run it: python examples/supervisors_strategies.py
"""

from __future__ import annotations

import logging
from queue import SimpleQueue
from typing import Any

import pykka
import structlog

from supervisors import (
    Backoff,
    ChildSpec,
    ExitSignal,
    PooledActor,
    Supervisor,
    current,
    link,
    monitor,
    names,
    start_actor,
    stop_self,
    whereis,
)


class Connection(pykka.ThreadingActor):
    """Stands in for something that breaks now and then. Any pykka actor can be supervised."""

    def on_receive(self, message: str) -> str:
        if message == "break":
            raise ConnectionError("the peer went away")
        me = current()
        return f"{message}, says connection {me.generation if me else '?'}"


class Session(PooledActor):
    """Uses the connection that is there when it starts, so it is of no use without that one."""

    def on_start(self) -> None:
        self.connection = whereis("connection")

    def on_receive(self, message: str) -> Any:
        return self.connection.ask(message) if self.connection else None


class Job(PooledActor):
    """Has an end; the tree is there for it."""

    def on_receive(self, message: str) -> None:
        if message == "done":
            stop_self()


class Operator(PooledActor):
    """Linked to the connection, but told of its end instead of ending with it."""

    trap_exit = True

    def __init__(self, heard: SimpleQueue[ExitSignal]) -> None:
        super().__init__()
        self.heard = heard

    def on_start(self) -> None:
        link("connection")

    def on_receive(self, message: Any) -> None:
        if isinstance(message, ExitSignal):
            self.heard.put(message)
            stop_self()


def main() -> None:
    # A supervisor logs the cause of every crash; this one is on purpose.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))

    tree = Supervisor.start(
        [
            ChildSpec(id="job", start=Job, name="job", restart="transient", significant=True),
            ChildSpec(id="connection", start=Connection, name="connection"),
            ChildSpec(id="session", start=Session, name="session"),
        ],
        strategy="rest_for_one",  # with a child those after it, which were started with it
        auto_shutdown="any_significant",
        backoff=Backoff(initial=0.05),
    )
    # Handles, not refs: they find the incarnation of the day.
    session, connection, job = (names.via(name, wait=5.0) for name in ("session", "connection", "job"))
    print(session.ask("hello"))

    heard: SimpleQueue[ExitSignal] = SimpleQueue()
    start_actor(Operator, heard)
    gone, old_job = monitor(session), job.whereis()
    connection.tell("break")
    print(f"the connection ended: {heard.get(timeout=5).reason}")
    print(f"the session ended with it: {gone.wait(5).reason}")
    print(session.ask("hello again"))
    print(f"the job before it is the same: {job.whereis() is old_job}")

    job.tell("done")
    print(f"the tree ended: {tree.wait(5)}")


if __name__ == "__main__":
    main()
