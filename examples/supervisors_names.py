"""Find actors by name across crashes, call them, and tell everybody who listens to a topic.

Run it: python examples/supervisors_names.py
"""

from __future__ import annotations

import logging

import pykka
import structlog

from supervisors import (
    Backoff,
    CalleeExited,
    ChildSpec,
    NoProcError,
    Registry,
    Supervisor,
    call,
    cast,
    names,
)


class Account(pykka.ThreadingActor):
    """An actor like any other of pykka's."""

    def __init__(self) -> None:
        super().__init__()
        self.balance = 0

    def on_receive(self, amount: int) -> int:
        if self.balance + amount < 0:
            raise ValueError("overdrawn")
        self.balance += amount
        return self.balance


class Clerk(pykka.ThreadingActor):
    """Listens to a topic."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name

    def on_start(self) -> None:
        Registry.get("topics").register("audits", self.name)

    def on_receive(self, message: str) -> str:
        return f"{self.name} has read: {message}"


def main() -> None:
    # A supervisor logs the cause of every crash; these are on purpose.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))

    children = [
        Registry.child_spec(name="topics", keys="duplicate"),
        ChildSpec(
            id="account", start=Account, name="account", backoff=Backoff(initial=1.0), ask_failure="crash"
        ),
        *(ChildSpec(id=name, start=Clerk, args=(name,)) for name in ("Ada", "Ben")),
    ]
    with Supervisor.start(children):
        # By name, a call reaches whoever has the name now; it ends at once when that actor does.
        print("balance:", call("account", 100))
        try:
            call("account", -1000)
        except CalleeExited as error:
            print(f"the account crashed: {error.reason}")
        # Its next incarnation starts after a back-off: fail fast, or keep a handle that waits.
        try:
            call("account", 5)
        except NoProcError as error:
            print(error)
        account = names.via("account", wait=5)
        print("balance of the new one:", account.call(5))

        # A duplicate registry is a list of those who want to know.
        def tell_all(entries: list[tuple[pykka.ActorRef[Clerk], str]]) -> None:
            for ref, _name in entries:
                print(call(ref, "the books are closed"))

        Registry.get("topics").dispatch("audits", tell_all)
        print("told nobody:", cast("auditor", "hello?"))


if __name__ == "__main__":
    main()
