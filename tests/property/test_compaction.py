"""Compaction at any point of any conversation leaves one that can be sent, and that a restart finds again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hypothesis import given, settings
from hypothesis import strategies as st

from alloy_actors.compaction.clearing import clear
from alloy_actors.compaction.parts import split, summarised
from alloy_actors.compaction.shortening import shrink, truncate, without_signed_thinking
from alloy_actors.content import (
    Message,
    RedactedThinkingBlock,
    TextBlock,
    ThinkingBlock,
    ToolCall,
    ToolResult,
    assistant,
    user,
)
from alloy_actors.journal import WasCompacted, parts_of
from alloy_actors.store._codec import decode, encode
from tests.checks import check_sendable
from tests.property.test_one_door import REPLIES, WEIGHTS, step
from tests.world.world import World

if TYPE_CHECKING:
    from collections.abc import Callable

words = st.sampled_from(["a", "w" * 300, "語" * 300, "x" * 3_000])
thoughts = st.sampled_from(
    [
        ThinkingBlock("hm", "signed"),
        ThinkingBlock("hm " * 200),
        ThinkingBlock("", raw="{}"),
        RedactedThinkingBlock("x"),
    ]
)


@st.composite
def conversations(draw: st.DrawFn) -> list[Message]:
    """As before a request: sendable, and the user's turn or a tool's is the last."""
    messages = [user(draw(words))]
    for number in range(draw(st.integers(0, 14))):
        blocks: list[Any] = draw(st.lists(thoughts, max_size=1))
        calls = [f"{number}.{index}" for index in range(draw(st.integers(0, 2)))]
        if draw(st.booleans()) or not (blocks or calls):
            blocks.append(TextBlock(draw(words)))
        messages.append(Message("assistant", (*blocks, *(ToolCall(name, "look", {}) for name in calls))))
        said: list[Any] = [ToolResult(name, draw(words)) for name in calls]
        if not calls or draw(st.integers(0, 5)) == 0:
            said.append(TextBlock(draw(words)))
        messages.append(Message("user", tuple(said)))
    return messages


def summarise(messages: list[Message], keep: int) -> list[Message]:
    parts = split(messages, keep)
    return summarised(messages, parts, "so far") if parts.cut > parts.body else messages


def empty(messages: list[Message], keep: int) -> list[Message]:
    parts = split(messages, keep)
    return clear(messages, parts.body, parts.cut, keep % 4).messages


WAYS: dict[str, Callable[[list[Message], int], list[Message]]] = {
    "summarise": summarise,
    "clear": empty,
    "truncate": lambda messages, _: truncate(messages),
    "without thinking": lambda messages, keep: without_signed_thinking(messages, keep_turn=bool(keep % 2)),
    "shrink": shrink,
}


@given(
    conversations(),
    st.lists(st.tuples(st.sampled_from(list(WAYS)), st.sampled_from([1, 2, 80, 500, 5_000])), max_size=6),
)
def test_whatever_is_made_shorter_can_be_sent_and_is_written_in_terms_of_what_there_was(
    messages: list[Message], ways: list[tuple[str, int]]
) -> None:
    check_sendable([*messages, assistant("then")])
    old, before = list(messages), messages
    for name, number in ways:
        new = WAYS[name](messages, number)
        check_sendable([*new, assistant("then")])
        assert new[0] is messages[0] or name in ("shrink", "without thinking")
        assert messages == old, "others hold views of it"
        messages, old = new, list(new)
    record = WasCompacted("r", parts_of(messages, before), 1)
    assert record.rebuilt(before) == messages
    (back,) = decode(encode([record]), {})
    assert isinstance(back, WasCompacted)
    assert back.rebuilt(before) == messages


MORE = [*REPLIES, "thought", "thought", "overflow", "call coro coro"]
STEPS = st.sampled_from(
    [
        each
        for each, weight in {**WEIGHTS, step("reply", st.sampled_from(MORE)): 40}.items()
        for _ in range(weight)
    ]
).flatmap(lambda each: each)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.tuples(STEPS, st.booleans()), max_size=50),
    st.booleans(),
    st.booleans(),
    st.sampled_from([95, 110, 130, 160]),
)
def test_the_one_door_holds_where_the_window_is_small(
    scenario: list[tuple[tuple[str, tuple[Any, ...], dict[str, Any]], bool]],
    listens: bool,
    hooks: bool,
    window: int,
) -> None:
    """Compactions at random points, in a whole agent, with all that may go wrong at any moment."""
    with World(listens=listens, hooks=hooks, window=window) as world:
        for (name, values, options), settle in scenario:
            getattr(world, name)(*values, **options)
            if settle:
                world.settle()
            world.check()
        world.finish()
