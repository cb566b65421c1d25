"""Deadlocks are refused, not met.

The chain of runs that led here travels in a context variable: with a request whose caller waits for it into its run,
from there into tools, and with a tool's own calls into other agents. What each run waits for is known to all, so that
a circle of waits is seen by the call that would close it.
"""

from __future__ import annotations

import asyncio
import threading
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, NamedTuple

from alloy_actors.actors.loop_thread import on_loop_thread
from alloy_actors.errors import WouldDeadlock

if TYPE_CHECKING:
    from collections.abc import Iterator

    from alloy_actors.actors.entry import AgentEntry
    from alloy_actors.actors.request import Request


class Link(NamedTuple):
    """One run of the chain."""

    entry: AgentEntry
    request: Request


CHAIN: ContextVar[tuple[Link, ...]] = ContextVar("alloy_chain", default=())
"""The runs in which the current code runs, outermost first."""

_lock = threading.Lock()
_waits: dict[AgentEntry, list[AgentEntry]] = {}
"""Which agents the run of an agent waits for; an agent has one run at a time."""


def chain() -> tuple[Link, ...]:
    """The runs that the current code is part of and that are still on."""
    return tuple(link for link in CHAIN.get() if link.request.state == "running")


def asker_here() -> str:
    """Who takes turns with other agents where requests wait: the outermost agent whose run this is part of; "" is none."""
    links = chain()
    return links[0].entry.agent_id if links else ""


def check_blocking(call: str, instead: str) -> None:
    """Refuse a blocking call where it would stop a loop that runs are waiting on.

    Raises:
        WouldDeadlock: On the runtime's loop thread, or on the service's loop inside a run.
    """
    if on_loop_thread():
        msg = f"{call}() would block the event loop that all runs share: use `await {instead}` here"
        raise WouldDeadlock(msg)
    if CHAIN.get() and _loop_runs_here() and chain():
        msg = f"{call}() would block the event loop that this run's tools share: use `await {instead}` here"
        raise WouldDeadlock(msg)


@contextmanager
def waiting_for(call: str, target: AgentEntry) -> Iterator[None]:
    """Wrap a wait for a run of `target`.

    Raises:
        WouldDeadlock: That run would wait, over whatever steps, for a run the caller is part of.
    """
    links = chain()
    if not links:
        yield
        return
    caller = links[-1].entry
    with _lock:
        path = _path(target, {link.entry for link in links})
        if path is None:
            _waits.setdefault(caller, []).append(target)
    if path is not None:
        names = " -> ".join(entry.name for entry in (*(link.entry for link in links), *path))
        msg = (
            f"{call}() would wait for a run of {target.name!r}, which waits for this one ({names}): "
            "use send_message(), whose result comes later, or return and let the run end"
        )
        raise WouldDeadlock(msg)
    try:
        yield
    finally:
        with _lock:
            targets = _waits[caller]
            targets.remove(target)
            if not targets:
                del _waits[caller]


def in_run_of(target: AgentEntry) -> bool:
    """Whether the caller runs inside a run of `target`."""
    return any(link.entry is target for link in chain())


def _path(start: AgentEntry, goals: set[AgentEntry]) -> list[AgentEntry] | None:
    """The agents from `start` to one of `goals` along what they wait for; None when there is no way."""
    ways: list[list[AgentEntry]] = [[start]]
    seen = {start}
    while ways:
        way = ways.pop()
        if way[-1] in goals:
            return way
        for following in _waits.get(way[-1], ()):
            if following not in seen:
                seen.add(following)
                ways.append([*way, following])
    return None


def _loop_runs_here() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
