"""Conversations that are too long, and what to ask of a run that makes them shorter."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from alloy_actors.content import NO_USAGE, Message, ToolCall, ToolResult, assistant, tool_results, user
from alloy_actors.conversation import Conversation
from alloy_actors.journal import WasCompacted
from alloy_actors.testing import ScriptedProvider
from alloy_actors.tooldef import tool

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.world.one_run import Scene

TEN = "x" * 40  # tokens by estimate
HUNDRED = "x" * 400
FREE: dict[str, Any] = {"usage": NO_USAGE}  # a provider that counts nothing: estimates rule


@tool
async def look(n: int = 0) -> str:
    """Look."""
    return HUNDRED


def chat(exchanges: int, text: str = HUNDRED) -> list[Message]:
    """A talk of 100 tokens a message."""
    return [message for _ in range(exchanges) for message in (user(text), assistant(text))]


def rounds(count: int, text: str = HUNDRED) -> list[Message]:
    """Tool calls upon one prompt, and an answer."""
    messages = [user("task")]
    for number in range(count):
        name = f"old{number}"
        messages += [
            Message("assistant", (ToolCall(name, "look", {}),)),
            tool_results([ToolResult(name, text)]),
        ]
    return [*messages, assistant("looked")]


def settings(**more: Any) -> dict[str, Any]:
    return {"max_tokens": 1_000, "compaction": {"reserve_tokens": 100, "keep_recent_tokens": 200, **more}}


def answers(*script: Any) -> ScriptedProvider:
    return ScriptedProvider(script, **FREE)


def check_fold(scene: Scene, history: Sequence[Message]) -> None:
    """What the records come to is what the run came to."""
    folded = Conversation()
    folded.messages = list(history)
    folded.replay(scene.store.load("agent"))
    live = scene.run.conversation
    assert folded.messages == live.messages
    assert folded._counted == live._counted
    assert (folded.usage, folded.run_usage) == (live.usage, live.run_usage)


def compactions(scene: Scene) -> list[WasCompacted]:
    return [record for record in scene.store.load("agent") if isinstance(record, WasCompacted)]
