"""The last words of an agent that has ended for good: `on_shutdown` gets its conversation."""

from __future__ import annotations

import asyncio
import inspect
from typing import TYPE_CHECKING

from alloy_actors.actors.loop_thread import loop_thread
from alloy_actors.conversation import Conversation
from alloy_actors.session import Session

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from alloy_actors.actors.entry import AgentEntry
    from alloy_actors.content import Message

LIMIT = 20.0
"""Seconds an async `on_shutdown` may take, so that one that hangs does not keep its thread."""


def say_goodbye(entry: AgentEntry) -> None:
    """Let an agent's `on_shutdown` be called on the callback pool, then let go of its journal; returns at once."""
    on_shutdown = entry.config.on_shutdown
    if on_shutdown is None or entry.last_ref is None:  # the latter never came up
        entry.let_go()
        return

    def call(_: None) -> None:
        try:
            _call(entry, on_shutdown)
        finally:
            entry.let_go()

    call.__qualname__ = "on_shutdown"  # in the log, should it raise
    entry.callbacks.submit(call, None)


def _call(entry: AgentEntry, on_shutdown: Callable[[Session], object]) -> None:
    """Call it, and if it is async wait until it has returned.

    The journal is asked for the conversation: it has it whatever became of the actor and of its last run.
    """
    conversation = Conversation()
    conversation.replay(entry.store.load(entry.agent_id))
    if closing := conversation.closing("", "the agent was stopped"):
        conversation.apply(closing)
    going_on = on_shutdown(session_of(entry, conversation.messages, conversation, "stopped"))
    if inspect.isawaitable(going_on):
        future = asyncio.run_coroutine_threadsafe(
            _wait_for(going_on), entry.runner.loop or loop_thread().loop
        )
        try:
            future.result(LIMIT)
        except TimeoutError:
            future.cancel()
            raise


def session_of(
    entry: AgentEntry, messages: Iterable[Message], conversation: Conversation, status: str
) -> Session:
    """An agent's conversation as a value; of its messages those that are given."""
    return Session(
        id=entry.agent_id,
        messages=tuple(messages),
        usage=conversation.usage,
        cost_cents=conversation.cost,
        metadata={"name": entry.name, "model": entry.provider.model, "status": status},
        created_at=entry.created_at,
    )


async def _wait_for(something: Awaitable[object]) -> None:
    await something
