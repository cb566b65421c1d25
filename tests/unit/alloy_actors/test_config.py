"""Mistakes in options are found before anything starts, and named."""

from __future__ import annotations

import pytest

from alloy_actors.config import AgentConfig, RunConfig, SystemConfig, make_config, user_message
from alloy_actors.content import assistant
from alloy_actors.errors import ConfigError
from alloy_actors.provider import ModelReply, ModelRequest
from alloy_actors.tooldef import tool


class Echo:
    model = "echo"

    async def complete(self, request: ModelRequest, on_deltas: object = None) -> ModelReply:
        return ModelReply(assistant("x"))


@tool
def look(where: str) -> str:
    """Look."""
    return where


def make(**options: object) -> AgentConfig:
    return make_config(AgentConfig, {"provider": Echo(), **options}, where="spawn")


def test_defaults_are_those_of_the_design() -> None:
    config = make()
    assert (config.max_turns, config.timeout, config.tool_timeout) == (25, 120.0, 60.0)
    assert (config.max_retries, config.retry_backoff, config.max_pending) == (3, 1.0, 64)
    assert make_config(SystemConfig, {}, where="AgentSystem").tool_workers == 32


def test_an_unknown_option_is_named_with_the_valid_ones_and_a_guess() -> None:
    """T14."""
    with pytest.raises(
        ConfigError, match="unknown option 'max_turn'.*did you mean 'max_turns'.*valid options: .*tools"
    ):
        make(max_turn=3)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("max_turns", 0),
        ("max_turns", "3"),
        ("max_turns", True),
        ("timeout", 0),
        ("timeout", float("inf")),
        ("timeout", "fast"),
        ("tool_timeout", -1.0),
        ("max_retries", -1),
        ("max_pending", -1),
        ("system_prompt", 3),
        ("messages", "hello"),
        ("messages", [{"role": "user"}]),
        ("context", []),
        ("loop", object()),
        ("tools", "look"),
        ("tools", 3),
        ("tools", [object()]),
    ],
)
def test_a_wrong_value_is_refused_with_its_name(name: str, value: object) -> None:
    with pytest.raises(ConfigError, match=name):
        make(**{name: value})


def test_a_missing_provider_is_said_with_an_example() -> None:
    with pytest.raises(ConfigError, match="provider is required.*OpenAICompat"):
        make_config(RunConfig, {}, where="run")


@pytest.mark.parametrize("provider", [None, "gpt", Echo, object()])
def test_what_is_no_provider_is_refused(provider: object) -> None:
    with pytest.raises(ConfigError, match="provider="):
        make(provider=provider)


def test_duplicate_tool_names_are_refused() -> None:
    with pytest.raises(ConfigError, match="look"):
        make(tools=[look, look])


@pytest.mark.parametrize("text", ["", None, 3, b"bytes"])
def test_a_message_must_be_text_or_a_message(text: object) -> None:
    with pytest.raises(ConfigError, match="chat: message must"):
        user_message(text, "chat")


def test_the_value_of_a_wrong_string_is_not_shown() -> None:
    with pytest.raises(ConfigError) as caught:
        make(timeout="sk-secret")
    assert "sk-secret" not in str(caught.value)
