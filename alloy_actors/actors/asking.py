"""Questions to an agent's actor: while it is being restarted, they wait for the next one."""

from __future__ import annotations

import asyncio
import builtins
import threading
from typing import TYPE_CHECKING, Any

import pykka

from alloy_actors.actors.blocking import blocking_region
from alloy_actors.actors.guard import check_blocking
from alloy_actors.deadline import Deadline
from alloy_actors.errors import TimeoutError  # noqa: A004  (the public one)
from supervisors.runtime import PooledFuture

if TYPE_CHECKING:
    from alloy_actors.actors.entry import AgentEntry

ANSWER_TIMEOUT = 5.0
"""Seconds that `messages`, `usage` and their like wait for an agent that is being restarted."""

AnyRef = pykka.ActorRef[Any]


def ask(entry: AgentEntry, call: str, twin: str, message: object) -> Any:
    """The actor's answer.

    Args:
        entry: Whose actor.
        call: The public name of what is being done, for errors.
        twin: What to use instead where blocking is not allowed.
        message: See `alloy_actors.actors.messages`.

    Raises:
        AgentDownError: There is no actor and none will come by itself.
        WouldDeadlock: On a loop thread.
        TimeoutError: No answer within ANSWER_TIMEOUT.
    """
    check_blocking(call, twin)
    deadline = Deadline.after(ANSWER_TIMEOUT)
    stale: AnyRef | None = None
    while True:
        ref = wait_for_actor(entry, call, stale, deadline)
        try:
            with blocking_region():
                return ref.ask(message, timeout=deadline.remaining())
        except pykka.Timeout:
            raise _no_answer(call, entry) from None
        except pykka.ActorDeadError:
            stale = ref


async def aask(entry: AgentEntry, call: str, message: object) -> Any:
    """`ask` for coroutines."""
    deadline = Deadline.after(ANSWER_TIMEOUT)
    stale: AnyRef | None = None
    while True:
        ref = await await_actor(entry, call, stale, deadline)
        try:
            async with asyncio.timeout(deadline.remaining()):
                return await ref.ask(message, block=False)
        except builtins.TimeoutError:
            raise _no_answer(call, entry) from None
        except pykka.ActorDeadError:
            stale = ref


def wait_for_actor(
    entry: AgentEntry, call: str, stale: AnyRef | None = None, deadline: Deadline | None = None
) -> AnyRef:
    """The actor of the current incarnation, or of the one that is on its way; never `stale`, which has ended."""
    deadline = deadline or Deadline.after(ANSWER_TIMEOUT)
    while True:
        changed = threading.Event()
        ref = entry.when_changed(stale, changed.set)
        if ref is not None:
            return ref
        with blocking_region():
            if not changed.wait(deadline.remaining()):
                raise _no_answer(call, entry)


async def await_actor(
    entry: AgentEntry, call: str, stale: AnyRef | None = None, deadline: Deadline | None = None
) -> AnyRef:
    """`wait_for_actor` for coroutines."""
    deadline = deadline or Deadline.after(ANSWER_TIMEOUT)
    while True:
        changed: PooledFuture[None] = PooledFuture()
        ref = entry.when_changed(stale, changed.set)
        if ref is not None:
            return ref
        try:
            async with asyncio.timeout(deadline.remaining()):
                await changed
        except builtins.TimeoutError:
            raise _no_answer(call, entry) from None


def _no_answer(call: str, entry: AgentEntry) -> TimeoutError:
    return TimeoutError(f"{call}(): agent {entry.name!r} did not answer within {ANSWER_TIMEOUT:g} seconds")
