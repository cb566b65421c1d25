"""The threads of the stress run: each does one thing after another, at random, and checks what comes back."""

from __future__ import annotations

import random
import threading
import time
from functools import partial
from typing import TYPE_CHECKING, Any

import pykka

from supervisors import (
    BRUTAL_KILL,
    AlreadyPresent,
    AlreadyStarted,
    Killed,
    MaxChildren,
    MonitorRef,
    NoProc,
    NoProcError,
    Normal,
    NotFound,
    Restarting,
    Running,
    Shutdown,
    StartFailed,
    call,
    format_tree,
    kill,
    link,
    monitor,
    send_exit,
    whereis,
)
from tests.stress.tree import worker

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.stress.actors import Findings
    from tests.stress.tree import Tree

PRODUCERS = 8
TIMEOUT = 20.0  # seconds; nothing here takes that long, so an ask that does was lost
SHORT = 0.02  # seconds an ask waits for a handler that takes longer
GRACE = 1.0  # seconds an ask may last beyond its timeout
BURST = 8  # asks in a row
MONITORS = 200  # that a producer keeps at most

BY_STATE = (
    AlreadyPresent,
    AlreadyStarted,
    NotFound,
    Restarting,
    Running,
    StartFailed,
    NoProcError,
    MaxChildren,
)
ENDS = (
    ("fail",),
    ("fail",),
    ("leave", 3),
    ("leave", 0),
    ("end", Normal()),
    ("end", Shutdown("enough")),
)


class Producer:
    """One of the threads."""

    def __init__(self, number: int, seed: int, tree: Tree, findings: Findings) -> None:
        self.number, self.tree, self.findings = number, tree, findings
        self.random = random.Random(f"{seed}/{number}")
        self.asked = 0
        self.monitors: list[tuple[MonitorRef, Any]] = []
        self.children: list[Any] = []  # dynamic ones this producer has started

    def run(self, end: float) -> None:
        """Act until then."""
        actions = (
            [self.ask] * 20 + [self.burst] * 20 + [self.tell] * 15 + [self.end_one] * 6 + [self.ask_too_long]
        )
        actions += [self.start_one] * 6 + [self.terminate_one] * 3 + [self.operate] * 6 + [self.look] * 2
        actions += [self.abandon_one, self.link_two]
        while time.monotonic() < end:
            action = self.random.choice(actions)
            try:
                action()
            except BaseException as error:
                self.findings.say(f"{action.__name__}: {error!r}")
                raise

    def expect_downs(self, timeout: float) -> None:
        """Everything is over: each monitor must have had its `Down`."""
        end = time.monotonic() + timeout
        for mark, target in self.monitors:
            try:
                mark.wait(max(0.0, end - time.monotonic()))
            except pykka.Timeout:
                self.findings.say(f"no Down of {target}")
            else:
                self.findings.count("down")

    # Messages

    def target(self) -> Any:
        """A handle, a ref that may be out of date, or a dynamic child."""
        supervisor, child_id = self.random.choice(self.tree.static), self.random.choice(self.tree.ids())
        kind = self.random.random()
        if kind < 0.3 and self.children:
            return self.random.choice(self.children)
        if kind < 0.6:
            return supervisor.child(child_id)
        return whereis((supervisor.actor_urn, child_id)) or supervisor.child(child_id)

    def ask(self) -> None:
        self.asked += 1
        answer = self._ask(self.target(), ("echo", self.number, self.asked), TIMEOUT)
        if answer not in {None, (self.number, self.asked)}:
            self.findings.say(f"answer {answer} for {self.number}, {self.asked}")

    def burst(self) -> None:
        """Ask several times without waiting, and end the actor in the middle: each must be answered."""
        target, began, futures = self.target(), time.monotonic(), []
        end = self.random.randrange(BURST)
        for place in range(BURST):
            self.asked += 1
            try:
                futures.append(target.ask(("echo", self.number, self.asked), block=False))
                if place == end:
                    target.tell(self.random.choice(ENDS))
            except pykka.ActorDeadError:
                self.findings.count("dead")
        for future in futures:
            self._get(target, future.get, began, TIMEOUT)

    def ask_too_long(self) -> None:
        self._ask(self.target(), ("slow", 2 * SHORT), SHORT)

    def _ask(self, target: Any, message: tuple, timeout: float) -> Any:
        ask = self.random.choice([target.ask, partial(call, target)])
        answer = self._get(target, partial(ask, message), time.monotonic(), timeout)
        return None if message[0] == "slow" else answer

    def _get(self, target: Any, get: Callable[..., Any], began: float, timeout: float) -> Any:
        """Wait for an answer; None when there is none."""
        answer = None
        try:
            answer = get(timeout=timeout)
            self.findings.count("answered")
        except pykka.Timeout:
            self.findings.count("timed out")
            if timeout == TIMEOUT:
                self.findings.say(f"no answer within {timeout} s from {target}")
        except pykka.ActorDeadError:
            self.findings.count("dead")
        except ValueError:
            self.findings.count("failed ask")
        if time.monotonic() - began > timeout + GRACE + self.findings.lateness:
            self.findings.say(f"an ask of {timeout} s took {time.monotonic() - began:.2f} s")
        return answer

    def tell(self) -> None:
        self.asked += 1
        self._tell(self.target(), ("echo", self.number, self.asked))

    def end_one(self) -> None:
        target, message, how = self.target(), self.random.choice(ENDS), self.random.random()
        if how < 0.3:
            self._ask(target, message, TIMEOUT)
        elif how < 0.8:
            self._tell(target, message)
        else:
            send_exit(target, Shutdown("sent"))
        self.findings.count("asked to end")

    def _tell(self, target: Any, message: tuple) -> None:
        try:
            target.tell(message)
        except pykka.ActorDeadError:
            self.findings.count("dead")

    # Children

    def start_one(self) -> None:
        """Start a dynamic child, and watch it."""
        kind = self.random.choice(["pooled", "threaded", "bare"])
        restart = self.random.choice(["permanent", "transient", "temporary"])
        spec = worker(f"{kind}-dynamic", self.findings, restart=restart, shutdown=TIMEOUT)
        try:
            ref = self.tree.dynamic.start_child(spec)
        except BY_STATE:
            return
        self.children = [*self.children[-10:], ref]
        self.watch(ref)
        self.findings.count("started")

    def link_two(self) -> None:
        """Link two dynamic children and kill one: the other goes too, or comes back."""
        specs = [worker("bare-linked", self.findings, restart="temporary") for _ in range(2)]
        try:
            one, other = [self.tree.dynamic.start_child(spec) for spec in specs]
        except BY_STATE:
            return
        self.watch(other)
        mark = monitor(other)
        link(one, other)
        kill(one)
        try:
            reason = mark.wait(TIMEOUT).reason
        except pykka.Timeout:
            self.findings.say(f"{other} lives, though it is linked to one that was killed")
        else:
            if reason not in {Killed(), Shutdown(), NoProc()}:  # somebody else may have terminated one before
                self.findings.say(f"linked to one that was killed, it ended with {reason}")
        self.findings.count("linked")

    def abandon_one(self) -> None:
        """Start a dynamic child that blocks, have it killed, and let its thread go: nothing comes of that."""
        gate = threading.Event()
        spec = worker("bare-stuck", self.findings, restart="temporary", shutdown=BRUTAL_KILL)
        try:
            ref = self.tree.dynamic.start_child(spec)
        except BY_STATE:
            return
        self.watch(ref)
        asked = ref.ask(("block", gate), block=False)
        began = time.monotonic()
        try:
            reason = self.tree.dynamic.terminate_child(ref)
        except NotFound:  # somebody else has terminated it
            reason = Killed()
        if reason not in {Killed(), Killed(abandoned=True)}:
            self.findings.say(f"killed, it ended with {reason}")
        self._get(ref, asked.get, began, TIMEOUT)
        gate.set()
        self.findings.count(f"abandoned: {reason.abandoned}")

    def watch(self, ref: Any) -> None:
        if len(self.monitors) < MONITORS:
            self.monitors.append((monitor(ref), ref))

    def terminate_one(self) -> None:
        """End a dynamic child, whoever has started it."""
        infos = self.tree.dynamic.which_children()
        refs = [info.ref for info in infos if info.ref is not None]
        if refs:
            self._try("terminated", self.tree.dynamic.terminate_child, self.random.choice(refs))

    def operate(self) -> None:
        """Start, stop, restart or forget a static child."""
        supervisor, child_id = self.random.choice(self.tree.static), self.random.choice(self.tree.ids())
        restart = self.random.choice(["permanent", "permanent", "permanent", "transient"])
        name = (supervisor.actor_urn, child_id)
        spec = worker(child_id, self.findings, restart=restart, name=name, shutdown=TIMEOUT)
        word = self.random.choice(["start", "start", "start", "restart", "restart", "terminate", "delete"])
        if word == "start":
            self._try("operated", supervisor.start_child, spec)
        else:
            self._try("operated", getattr(supervisor, f"{word}_child"), child_id)

    def _try(self, what: str, operation: Any, argument: Any) -> None:
        """Call it as it is: whatever the state forbids has an exception of its own."""
        try:
            operation(argument)
        except BY_STATE:
            self.findings.count("refused")
        else:
            self.findings.count(what)

    def look(self) -> None:
        """Every view of the tree is consistent in itself."""
        supervisor = self.random.choice(self.tree.supervisors())
        counts = supervisor.count_children()
        if counts.specs != counts.workers + counts.supervisors:
            self.findings.say(f"{counts}")
        ids = [info.id for info in supervisor.which_children() if info.id is not None]
        if len(ids) != len(set(ids)):
            self.findings.say(f"one id twice in {ids}")
        format_tree(self.tree.root)
