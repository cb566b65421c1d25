"""Token estimates: a quarter of the bytes, found once; a provider's own count goes before them."""

from __future__ import annotations

import pytest

import alloy_actors as alloy
from alloy_actors.content import (
    ImageBlock,
    Message,
    ThinkingBlock,
    ToolCall,
    ToolResult,
    Usage,
    assistant,
    user,
)
from alloy_actors.conversation import Conversation
from alloy_actors.estimate import overhead, tokens_of_block, tokens_of_text
from alloy_actors.journal import ModelChanged, Replied, RunBegan, Seeded


def test_t65_a_token_is_four_bytes_and_not_four_characters() -> None:
    assert tokens_of_text("abcdefgh") == 2
    assert tokens_of_text("漢字") == 1  # six bytes
    assert tokens_of_text("漢字" * 4) == 6


@pytest.mark.parametrize(
    ("block", "tokens"),
    [
        (ToolCall("1", "find", {"q": "abc"}), 1 + 2),
        (ToolResult("1", "12345678"), 2),
        (ToolResult("1", (alloy.TextBlock("12345678"), ImageBlock("image/png", "AAAA"))), 2 + 1000),
        (ThinkingBlock("12345678", signature="abcd"), 2 + 1),
        (ImageBlock("image/png", "A" * 100_000), 1000),
    ],
)
def test_t65_each_kind_of_block_has_its_estimate(block: alloy.ContentBlock, tokens: int) -> None:
    assert tokens_of_block(block) == tokens


def test_t65_the_system_prompt_and_the_tools_count() -> None:
    @alloy.tool
    def look_up(word: str) -> str:
        """Look a word up."""
        return word

    assert overhead("", ()) == 0
    assert overhead("a" * 40, ()) == 10
    assert overhead("", (look_up,)) > 10


def test_what_the_provider_counted_goes_before_an_estimate() -> None:
    conversation = Conversation()
    conversation.replay([RunBegan("r", user("a" * 400))])
    assert conversation.prompt_tokens(overhead=50) == 150
    conversation.apply(Replied("r", assistant("b" * 400), "end_turn", Usage(70, 30, 5, 5)))
    assert conversation.prompt_tokens(overhead=50) == 110
    conversation.replay([RunBegan("r2", user("c" * 40))])
    assert conversation.prompt_tokens(overhead=50) == 120
    assert conversation.fork().prompt_tokens(overhead=50) == 120


def test_another_model_counts_for_itself() -> None:
    conversation = Conversation()
    conversation.replay([RunBegan("r", user("a" * 400))])
    conversation.apply(Replied("r", assistant("b" * 400), "end_turn", Usage(70, 30)))
    conversation.apply(ModelChanged("another"))
    assert conversation.prompt_tokens(overhead=50) == 250


def test_a_reply_without_usage_counts_nothing() -> None:
    conversation = Conversation()
    conversation.replay([Seeded((user("a" * 40),)), RunBegan("r", None)])
    conversation.apply(Replied("r", assistant("b" * 40), "end_turn", Usage()))
    assert conversation.prompt_tokens(overhead=5) == 25


def test_a_message_is_estimated_once(monkeypatch: pytest.MonkeyPatch) -> None:
    message = Message("user", "a" * 40)
    assert message.estimated_tokens == 10
    monkeypatch.setattr("alloy_actors.content.tokens_of_block", pytest.fail)
    assert message.estimated_tokens == 10
