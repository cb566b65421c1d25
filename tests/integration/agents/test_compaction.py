"""Compaction in agents: over a real wire, beside whoever looks, cancels or steers meanwhile, and over restarts."""

from __future__ import annotations

import queue
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import alloy_actors as alloy
from alloy_actors import telemetry
from alloy_actors.compaction.parts import SUMMARY
from alloy_actors.compaction.prompts import SUMMARY_SYSTEM_PROMPT
from alloy_actors.content import NO_USAGE, assistant, user
from alloy_actors.local import LocalServer
from alloy_actors.testing import Gate, ScriptedProvider, error, held, reply, tool_call
from tests.checks import check_sendable

if TYPE_CHECKING:
    from collections.abc import Callable

WAIT = 5.0
HUNDRED = "x" * 400  # tokens by estimate
EARLIER = [message for _ in range(6) for message in (user(HUNDRED), assistant(HUNDRED))]
SMALL: dict[str, Any] = {
    "max_tokens": 1_000,
    "compaction": {"reserve_tokens": 100, "keep_recent_tokens": 200},
}


def answers(*script: Any) -> ScriptedProvider:
    return ScriptedProvider(script, usage=NO_USAGE)


@alloy.tool
def look() -> str:
    """Look."""
    return HUNDRED


@pytest.mark.parametrize("streamed", [False, True], ids=["plain", "streamed"])
def test_a_long_talk_over_a_real_wire_stays_within_the_window(
    system: alloy.AgentSystem, streamed: bool
) -> None:
    """The server counts; each message of the talk is about 100 of its tokens."""
    happened: list[tuple[str, dict[str, Any]]] = []

    def note(name: str, measured: Any, facts: Any) -> None:
        happened.append((name, {**measured, **facts}))

    with LocalServer() as server, telemetry.attach(note, "alloy.compaction.*"):
        provider = alloy.OpenAICompat(model="scripted-fast", api_url=server.url)
        agent = system.spawn("a", provider=provider, **SMALL)
        for number in range(20):
            text = f"Message {number}: {HUNDRED}"
            result = agent.stream_chat(text, lambda _chunk: None) if streamed else agent.chat(text)
            result.raise_for_status()
            check_sendable(agent.messages())
        messages = agent.messages()
    done = [facts for name, facts in happened if name == "alloy.compaction.done"]
    assert len(done) >= 2
    assert {facts["how"] for facts in done} == {"summarised"}
    assert all(facts["messages_after"] < facts["messages_before"] for facts in done)
    assert messages[0].text.startswith("Message 0:")
    assert messages[1].text.startswith(SUMMARY)
    assert sum(message.text.startswith(SUMMARY) for message in messages) == 1
    assert agent.usage().input_tokens > 0


def test_what_the_server_counts_goes_before_what_is_estimated(system: alloy.AgentSystem) -> None:
    """The same talk, counted by a provider as three times what it is by estimate, is compacted sooner."""

    def counting(factor: int) -> Callable[[alloy.ModelRequest], Any]:
        def answer(request: alloy.ModelRequest) -> Any:
            tokens = sum(message.estimated_tokens for message in request.messages)
            return reply(HUNDRED, usage=alloy.Usage(tokens * factor, 100 * factor))

        return answer

    def first_summary(factor: int) -> int:
        provider = ScriptedProvider(counting(factor))
        agent = system.spawn(f"a{factor}", provider=provider, max_tokens=3_000)
        for number in range(1, 20):
            agent.chat(HUNDRED).raise_for_status()
            if any(request.system_prompt == SUMMARY_SYSTEM_PROMPT for request in provider.requests):
                return number
        return 0

    assert first_summary(3) * 2 < first_summary(1)


def test_what_an_agent_shows_meanwhile_and_afterwards(system: alloy.AgentSystem) -> None:
    gate = Gate()
    agent = system.spawn("a", provider=answers("so far", held(gate, "hi")), messages=EARLIER, **SMALL)
    results: queue.SimpleQueue[alloy.Result] = queue.SimpleQueue()
    before = agent.messages()
    agent.send_message("hello", results.put)
    gate.arrived()
    assert agent.messages() == [*before, user("hello")]
    assert agent.health().message_count == 13
    gate.release()
    result = results.get(timeout=WAIT)
    assert agent.messages() == list(result.messages)
    assert [message.text for message in agent.messages()[:2]] == [HUNDRED, f"{SUMMARY}\n\nso far"]
    assert agent.health().message_count == len(result.messages) == 6
    assert agent.health().status == "idle"


def test_steering_that_comes_while_a_summary_is_written_joins_the_run(system: alloy.AgentSystem) -> None:
    gate = Gate()
    provider = answers(held(gate, "so far"), "hi", "hi again")
    agent = system.spawn("a", provider=provider, messages=EARLIER, **SMALL)
    results: queue.SimpleQueue[alloy.Result] = queue.SimpleQueue()
    agent.send_message("hello", results.put)
    gate.arrived()
    assert agent.steer("and be nice")
    gate.release()
    result = results.get(timeout=WAIT)
    assert (result.text, result.turns) == ("hi again", 2)
    assert [message.text for message in result.messages[-4:]] == ["hello", "hi", "and be nice", "hi again"]
    check_sendable(result.messages)


def summarising(system: alloy.AgentSystem) -> tuple[alloy.AgentRef, queue.SimpleQueue[alloy.Result]]:
    """An agent that waits for a summary which never comes (the next one does), and where its result will be."""
    gate = Gate()
    provider = answers(held(gate, "never"), "so far", "hi")
    agent = system.spawn("a", provider=provider, messages=EARLIER, **SMALL)
    results: queue.SimpleQueue[alloy.Result] = queue.SimpleQueue()
    agent.send_message("hello", results.put)
    gate.arrived()
    return agent, results


def test_a_cancel_while_a_summary_is_written_leaves_the_history_as_it_was(system: alloy.AgentSystem) -> None:
    agent, results = summarising(system)
    agent.cancel_request()
    assert results.get(timeout=WAIT).status == "cancelled"
    assert agent.messages()[:12] == EARLIER
    check_sendable(agent.messages())
    assert agent.chat("again").text == "hi"
    check_sendable(agent.messages())


def test_a_crash_while_a_summary_is_written_is_made_good(system: alloy.AgentSystem) -> None:
    agent, results = summarising(system)
    agent.crash()
    result = results.get(timeout=WAIT)
    assert (result.status, result.text) == ("completed", "hi")
    assert result.messages[1].text == f"{SUMMARY}\n\nso far"
    check_sendable(agent.messages())


def test_steering_that_joined_is_answered_though_the_agent_crashes_while_a_summary_is_written(
    system: alloy.AgentSystem,
) -> None:
    first, second = Gate(), Gate()
    provider = answers(held(first, "hi"), held(second, "never"), "so far", "hi again")
    agent = system.spawn("a", provider=provider, messages=EARLIER[:8], **SMALL)
    results: queue.SimpleQueue[alloy.Result] = queue.SimpleQueue()
    agent.send_message("hello", results.put)
    first.arrived()
    assert agent.steer("and " + HUNDRED)
    first.release()
    second.arrived()
    agent.crash()
    result = results.get(timeout=WAIT)
    assert (result.status, result.text, result.turns) == ("completed", "hi again", 2)
    check_sendable(agent.messages())


def test_a_crash_after_a_compaction_goes_on_from_it(system: alloy.AgentSystem) -> None:
    gate = Gate()
    provider = answers("so far", held(gate, "never"), "hi")
    agent = system.spawn("a", provider=provider, messages=EARLIER, **SMALL)
    results: queue.SimpleQueue[alloy.Result] = queue.SimpleQueue()
    agent.send_message("hello", results.put)
    gate.arrived()
    agent.crash()
    result = results.get(timeout=WAIT)
    assert result.text == "hi"
    assert [request.system_prompt == SUMMARY_SYSTEM_PROMPT for request in provider.requests] == [
        True,
        False,
        False,
    ]
    assert provider.requests[1].messages == provider.requests[2].messages
    check_sendable(agent.messages())


def test_a_later_process_finds_the_same_messages(tmp_path: Path) -> None:
    store = f"sqlite:///{tmp_path / 'agents.db'}"
    too_long = error(alloy.ContextOverflowError)
    script = answers(tool_call("look"), *[tool_call("look")] * 9, too_long, "so far", "done", "more")
    with alloy.AgentSystem(store=store) as system:
        agent = system.spawn("a", provider=script, tools=[look], **SMALL | {"max_tokens": 5_000})
        result = agent.chat("hello")
        assert result.metadata["run"] == {"prompt_too_long_recovery": True}
        usage, messages = agent.usage(), agent.messages()
        assert len(messages) < 10
    with alloy.AgentSystem(store=store) as system:
        agent = system.spawn("a", provider=answers("more"), tools=[look])
        assert (agent.messages(), agent.usage()) == (messages, usage)
        assert agent.chat("go on").text == "more"
        check_sendable(agent.messages())
        assert agent.messages()[: len(messages)] == messages


def test_an_agent_remembers_what_its_model_would_not_take_until_it_has_another(
    system: alloy.AgentSystem,
) -> None:
    window = 500

    def answer(request: alloy.ModelRequest) -> Any:
        if request.system_prompt == SUMMARY_SYSTEM_PROMPT:
            return reply("so far", usage=NO_USAGE)
        if sum(message.estimated_tokens for message in request.messages) > window:
            return error(alloy.ContextOverflowError)
        return reply(HUNDRED, usage=NO_USAGE)

    provider, other = ScriptedProvider(answer), ScriptedProvider(answer)
    agent = system.spawn("a", provider=provider)

    def overflows() -> int:
        asked = [one for one in (*provider.requests, *other.requests) if one.system_prompt == ""]
        return sum(sum(message.estimated_tokens for message in one.messages) > window for one in asked)

    for _ in range(12):
        agent.chat(HUNDRED).raise_for_status()
    assert overflows() == 1
    agent.set_model(other)
    for _ in range(12):
        agent.chat(HUNDRED).raise_for_status()
    assert overflows() == 2
    check_sendable(agent.messages())


def test_a_plain_callback_runs_off_the_loop_also_in_a_single_run() -> None:
    """T67."""
    threads: list[str] = []

    def keep(messages: tuple[alloy.Message, ...], run: alloy.RunView) -> None:
        threads.append(threading.current_thread().name)

    result = alloy.run(
        "hello", provider=answers("so far", "hi"), messages=EARLIER, on_compaction=keep, **SMALL
    )
    assert result.text == "hi"
    assert len(threads) == 1
    assert "loop" not in threads[0]


def test_a_reserve_that_the_models_own_window_cannot_hold_ends_the_run_naming_both(
    system: alloy.AgentSystem,
) -> None:
    """With max_tokens the call itself would say so; here the window is known when the model is."""
    agent = system.spawn(
        "a",
        provider=answers("hi", "never"),
        model_metadata_overrides={"scripted": 4_000},
        compaction={"reserve_tokens": 5_000},
    )
    assert agent.chat("hello").ok
    result = agent.chat("y" * 40_000)
    assert isinstance(result.error, alloy.ConfigError)
    assert "reserve_tokens=5,000" in str(result.error)
    assert "4,000 tokens" in str(result.error)
