"""Deadlocks are refused, not met.

The chain of agents whose runs led here travels in a context variable: with a request into its run, from there into
tools, and with a tool's own calls into other agents.
"""

from __future__ import annotations

import asyncio
from contextvars import ContextVar
from typing import TYPE_CHECKING

from alloy_actors.actors.loop_thread import on_loop_thread
from alloy_actors.errors import WouldDeadlock

if TYPE_CHECKING:
    from alloy_actors.actors.entry import AgentEntry

CHAIN: ContextVar[tuple[AgentEntry, ...]] = ContextVar("alloy_chain", default=())
"""The agents in whose runs the current code runs, outermost first."""


def check_blocking(call: str, twin: str) -> None:
    """Refuse a blocking call where it would stop a loop that runs are waiting on.

    Raises:
        WouldDeadlock: On the runtime's loop thread, or on the service's loop inside a run.
    """
    if on_loop_thread():
        msg = f"{call}() would block the event loop that all runs share: use `await {twin}()` here"
        raise WouldDeadlock(msg)
    if CHAIN.get() and _loop_runs_here():
        msg = f"{call}() would block the event loop that this run's tools share: use `await {twin}()` here"
        raise WouldDeadlock(msg)


def check_waiting(call: str, target: AgentEntry) -> None:
    """Refuse to wait for a run of an agent from inside a run that this agent waits for.

    Raises:
        WouldDeadlock: The target is in the caller's chain.
    """
    chain = CHAIN.get()
    if target in chain:
        path = " -> ".join(entry.name for entry in (*chain, target))
        msg = (
            f"{call}() would wait for a run of {target.name!r}, which waits for this one ({path}): "
            "use send_message(), whose result comes later, or return and let the run end"
        )
        raise WouldDeadlock(msg)


def in_run_of(target: AgentEntry) -> bool:
    """Whether the caller runs inside a run of `target`."""
    return target in CHAIN.get()


def _loop_runs_here() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
