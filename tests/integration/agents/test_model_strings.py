"""A model string stands wherever a provider object does."""

from __future__ import annotations

import pytest

import alloy_actors as alloy
from alloy_actors.testing import ScriptedProvider


def test_an_agent_is_spawned_with_and_switched_to_a_model_string(
    system: alloy.AgentSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = system.spawn("a", provider="ollama:llama3.2")
    assert agent.health().model == "llama3.2"
    agent.set_model(ScriptedProvider(["hello"]))
    assert agent.chat("hi").text == "hello"
    monkeypatch.setenv("GROQ_API_KEY", "k" * 20)
    agent.set_model("groq:openai/gpt-oss-20b")
    assert agent.health().model == "openai/gpt-oss-20b"
    monkeypatch.delenv("GROQ_API_KEY")
    with pytest.raises(alloy.ConfigError, match="GROQ_API_KEY"):
        agent.set_model("groq:openai/gpt-oss-20b")
    assert agent.health().model == "openai/gpt-oss-20b"
