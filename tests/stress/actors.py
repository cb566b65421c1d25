"""The actors of the stress run: they do little, crash often, and notice when somebody else is where only they may be."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pykka

from supervisors import Exit, PooledActor, sleep

if TYPE_CHECKING:
    from collections.abc import Iterator

CHANCE_OF_A_FAILED_START = 0.02
CHANCE_OF_A_FAILED_CLEANUP = 0.02


class Findings:
    """What went wrong, what was done, and how late threads run on this machine."""

    def __init__(self) -> None:
        self.wrong: list[str] = []
        self.done: Counter[str] = Counter()
        self.lateness = 0.0  # seconds, the worst so far
        self._lock = threading.Lock()

    def count(self, what: str) -> None:
        with self._lock:
            self.done[what] += 1

    def say(self, what: str) -> None:
        with self._lock:
            self.wrong.append(what)

    def watch_the_machine(self, ended: threading.Event) -> None:
        """Body of a thread that wants to wake every 50 ms: how late it is says how late anybody may be."""
        while True:
            due = time.monotonic() + 0.05
            if ended.wait(0.05):
                return
            self.lateness = max(self.lateness, time.monotonic() - due)


class Body:
    """Both kinds of actors: one thread at a time, one life at a time of each name, messages of a sender in order."""

    use_daemon_thread = True

    def __init__(self, name: str, findings: Findings, life: threading.Lock) -> None:
        super().__init__()
        self.name, self.findings, self.life = name, findings, life
        self._inside = threading.Lock()
        self._last: Counter[int] = Counter()  # per sender, of this incarnation

    @contextmanager
    def _alone(self, where: str) -> Iterator[None]:
        if not self._inside.acquire(blocking=False):
            self.findings.say(f"{self.name}: two threads in one actor, the second in {where}")
            yield
            return
        try:
            yield
        finally:
            self._inside.release()

    def on_start(self) -> None:
        with self._alone("on_start"):
            if not self.life.acquire(blocking=False):
                self.findings.say(f"{self.name}: starts before its last incarnation has ended")
            if random.random() < CHANCE_OF_A_FAILED_START:
                self.life.release()
                self.findings.count("failed start")
                raise LookupError("does not start today")
        self.findings.count("start")

    def on_stop(self) -> None:
        with self._alone("on_stop"):
            self.life.release()
            if random.random() < CHANCE_OF_A_FAILED_CLEANUP:
                raise LookupError("does not clean up today")

    def on_failure(self, *_error: object) -> None:
        with self._alone("on_failure"):
            self.life.release()

    def on_receive(self, message: tuple) -> object:
        with self._alone("on_receive"):
            return getattr(self, message[0])(*message[1:])

    # Messages

    def echo(self, sender: int, number: int) -> tuple[int, int]:
        if number <= self._last[sender]:
            self.findings.say(f"{self.name}: {number} of {sender} after {self._last[sender]}")
        self._last[sender] = number
        return sender, number

    def slow(self, seconds: float) -> str:
        sleep(seconds)
        return "slow"

    def fail(self) -> None:
        raise ValueError("boom")

    def end(self, reason: object) -> None:
        raise Exit(reason)  # type: ignore[arg-type]

    def leave(self, code: int) -> None:
        raise SystemExit(code)


class Pooled(Body, PooledActor):
    pass


class Threaded(Body, pykka.ThreadingActor):
    pass


class Bare(PooledActor):
    """Has no `on_start`, so it is up without having run."""

    def on_receive(self, message: tuple) -> object:
        if message[0] == "echo":
            return message[1:]
        if message[0] == "block":
            return message[1].wait()
        raise ValueError("boom")
