"""Tests of an agent: a scripted model, asserts, time that does not pass, and a real exchange played back.

Run it: python examples/testing_agents.py, or: pytest examples/testing_agents.py
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import alloy_actors as alloy
from alloy_actors.local import LocalServer
from alloy_actors.testing import (
    EventLog,
    FakeClock,
    Recording,
    ScriptedProvider,
    assert_events,
    assert_tool_called,
    error,
    refute_tool_called,
    tool_call,
)

# What is tested: in a project of your own this is imported.


@alloy.tool
def refund(order: str, cents: int) -> str:
    """Give money back."""
    return f"{cents} cents for {order} are on their way"


class NoLargeRefunds(alloy.Middleware):
    """Nobody gives away more than 50 euros."""

    async def before_tool_call(self, run: alloy.RunView, call: alloy.ToolCall) -> alloy.Block | None:  # noqa: ARG002  (a hook gets both)
        return alloy.Block("more than a clerk may give") if call.input["cents"] > 5000 else None


def clerk(provider: alloy.Provider) -> alloy.AgentRef:
    return alloy.Agent.start(provider=provider, tools=[refund], middleware=[NoLargeRefunds()])


# The tests.


def test_a_small_refund_is_given() -> None:
    agent = clerk(ScriptedProvider([tool_call("refund", order="A7", cents=900), "Done."]))
    result = agent.chat("The cup of order A7 was broken.")
    assert_tool_called(result, "refund", order="A7")
    assert result.text == "Done."


def test_a_large_refund_is_blocked_and_the_model_told() -> None:
    provider = ScriptedProvider([tool_call("refund", order="A7", cents=90_000), "I may not."])
    result = clerk(provider).chat("Give me 900 euros.")
    assert assert_tool_called(result, "refund").error == "Blocked: more than a clerk may give"
    answer = provider.requests[-1].messages[-1].blocks[0]
    assert isinstance(answer, alloy.ToolResult)
    assert answer.is_error


def test_the_customer_hears_words_while_they_are_written() -> None:
    log = EventLog()
    clerk(ScriptedProvider(["How can I help?"])).stream_chat("Hello", lambda _: None, on_event=log)
    assert_events(log, "run_started", "text_delta", "text_delta", alloy.RunFinished)
    assert log.text == "How can I help?"


def test_a_busy_model_costs_patience_and_no_time() -> None:
    busy = error(alloy.OverloadedError, retry_after=20)
    with FakeClock() as clock:
        result = clerk(ScriptedProvider([busy, busy, "Hello."])).chat("Hello")
    assert result.text == "Hello."
    assert sum(clock.pauses) >= 40


def test_a_real_exchange_is_played_back_without_its_server() -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "hello.json"  # in a project: tests/recorded/hello.json, kept with the tests
        with LocalServer() as server:
            url = server.url
            with Recording(file, record=True) as wire:  # in a project: once, by ALLOY_RECORD=1 pytest
                agent = clerk(alloy.OpenAICompat(model="scripted-fast", api_url=url, **wire.options))
                said = agent.chat("Hello").text
        with Recording(file) as wire:  # the server is gone
            agent = clerk(alloy.OpenAICompat(model="scripted-fast", api_url=url, **wire.options))
            result = agent.chat("Hello")
        assert result.text == said
        refute_tool_called(result, "refund")


def main() -> None:
    for test in [value for name, value in globals().items() if name.startswith("test_")]:
        test()
        print(f"{test.__name__.removeprefix('test_').replace('_', ' ')}: passed")
    alloy.shutdown()


if __name__ == "__main__":
    main()
