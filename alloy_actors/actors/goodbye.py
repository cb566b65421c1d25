"""The last words of an agent that has ended for good: `session_end` is asked, and `on_shutdown` gets its conversation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alloy_actors.actors.session_hooks import end_session, settled
from alloy_actors.conversation import Conversation
from alloy_actors.session import Session

if TYPE_CHECKING:
    from collections.abc import Iterable

    from alloy_actors.actors.entry import AgentEntry
    from alloy_actors.content import Message


def say_goodbye(entry: AgentEntry) -> None:
    """Let an agent's last words be said on the callback pool, then let go of its journal; returns at once."""
    nothing_to_say = entry.config.on_shutdown is None and "session_end" not in entry.hooks
    if nothing_to_say or entry.last_ref is None:  # the latter never came up
        entry.let_go()
        return

    def call(_: None) -> None:
        try:
            _call(entry)
        finally:
            entry.let_go()

    call.__qualname__ = "on_shutdown"  # in the log, should it raise
    entry.callbacks.submit(call, None)


def _call(entry: AgentEntry) -> None:
    """Call what there is, and wait until it has returned.

    The journal is asked for the conversation: it has it whatever became of the actor and of its last run.
    """
    conversation = Conversation()
    conversation.replay(entry.store.load(entry.agent_id))
    if closing := conversation.closing("", "the agent was stopped"):
        conversation.apply(closing)
    end_session(entry, conversation.messages, conversation.usage)
    if (on_shutdown := entry.config.on_shutdown) is not None:
        session = session_of(entry, conversation.messages, conversation, "stopped")
        settled(entry, on_shutdown(session))


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
