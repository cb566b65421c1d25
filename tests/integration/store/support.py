"""What the tests of the store on disk share."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from alloy_actors.content import user
from alloy_actors.journal import Accepted, Record
from alloy_actors.store.sqlite import SqliteStore

WAIT = 10.0
ROOT = Path(__file__).parents[3]


def outcome(call: Callable[[Callable[[Exception | None], object]], object]) -> Exception | None:
    """What the store says to `on_appended`."""
    said: list[Exception | None] = []
    heard = threading.Event()

    def hear(error: Exception | None) -> None:
        said.append(error)
        heard.set()

    call(hear)
    assert heard.wait(WAIT)
    return said[0]


def append(store: SqliteStore, agent: str, token: int, *records: Record) -> Exception | None:
    return outcome(lambda hear: store.append(agent, token, records, hear))


def accepted(number: int, text: str = "hello") -> Accepted:
    return Accepted(f"r{number}", user(text))


def numbers(store: SqliteStore, agent: str) -> list[int]:
    """The requests that were accepted, by number."""
    return [int(record.request_id[1:]) for record in store.load(agent)]


def fill(store: SqliteStore, agent: str, count: int, text: str = "hello") -> int:
    """Append `count` records one by one and return the token."""
    token = store.take_token(agent)
    for number in range(count):
        assert append(store, agent, token, accepted(number, text)) is None
    return token


def python(script: str, *arguments: object) -> subprocess.Popen[str]:
    """A process that runs the script; its errors go where the tests' do."""
    return subprocess.Popen(
        [sys.executable, "-c", script, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
