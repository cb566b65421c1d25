"""Runs whose provider cannot answer: records, costs and states are those of the one that does. T26."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from alloy_actors import errors
from alloy_actors.config import AgentConfig, RunConfig, make_config
from alloy_actors.content import Message, TextBlock
from alloy_actors.journal import RequestSent
from alloy_actors.models import facts
from alloy_actors.provider import ModelReply
from alloy_actors.providers.model_strings import with_providers
from alloy_actors.testing import ScriptedProvider, cut, error, tool_call
from alloy_actors.tooldef import tool
from tests.checks import check_sendable
from tests.world.one_run import Scene


@tool
async def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


class Priced(ScriptedProvider):
    vendor = "anthropic"


class Origin(ScriptedProvider):
    def __init__(self, script: Any, origin: str, **options: Any) -> None:
        super().__init__(script, **options)
        self.origin = origin


@pytest.fixture(params=[False, True], ids=["plain", "streamed"])
def listen(request: pytest.FixtureRequest) -> bool:
    return request.param


def asked_models(scene: Scene) -> list[str]:
    return [record.model for record in scene.store.load("agent") if isinstance(record, RequestSent)]


def test_a_fallback_answers_for_the_primary_turn_by_turn(listen: bool) -> None:
    primary = ScriptedProvider(
        [error(errors.AuthError), error(errors.QuotaError), "three, I say"], model="large"
    )
    fallback = ScriptedProvider([tool_call("add", a=1, b=2), tool_call("add", a=2, b=2)], model="small")
    scene = Scene(primary, listen=listen, tools=[add], fallback_providers=[fallback])
    result = scene.play()
    assert (result.status, result.text, result.turns) == ("completed", "three, I say", 3)
    assert asked_models(scene) == ["large", "small", "large", "small", "large"]
    assert [message.model for message in result.messages if message.role == "assistant"] == [
        "small",
        "small",
        "large",
    ]
    check_sendable(result.messages)


def test_a_turn_that_two_providers_were_asked_for_starts_once() -> None:
    """T20: every event has the id that the caller gave."""
    scene = Scene(error_then(), listen=True, fallback_providers=[ScriptedProvider("hi", model="small")])
    assert scene.play().text == "hi"
    assert scene.types() == ["run_started", "turn_started", "text_delta", "turn_finished", "run_finished"]
    assert {event.request_id for event in scene.events} == {"r"}


def error_then() -> ScriptedProvider:
    return ScriptedProvider([error(errors.AuthError)], model="large")


def test_the_cost_is_that_of_the_provider_that_answered(listen: bool) -> None:
    primary = Priced([error(errors.OverloadedError)] * 4, model="claude-opus-4-5")
    fallback = Priced("hi", model="claude-haiku-4-5")
    result = Scene(primary, listen=listen, fallback_providers=[fallback]).play()
    prices, other = (
        facts("anthropic", "claude-haiku-4-5").prices,
        facts("anthropic", "claude-opus-4-5").prices,
    )
    assert result.cost_cents == pytest.approx(prices.cost(result.usage))
    assert result.cost_cents != pytest.approx(other.cost(result.usage))


def test_the_state_of_the_primary_is_not_sent_to_a_fallback() -> None:
    def said(text: str, origin: str, state: dict[str, Any] | None) -> ModelReply:
        return ModelReply(Message("assistant", (TextBlock(text),), origin=origin), provider_state=state)

    first = replace(said("wait", "a", {"container": "c1"}), stop_reason="pause_turn")
    primary = Origin([first, error(errors.AuthError)], "a", model="large")
    fallback = Origin([said("done", "b", None)], "b", model="small")
    result = Scene(primary, listen=False, fallback_providers=[fallback]).play()
    assert result.ok
    assert primary.requests[1].provider_state == {"container": "c1"}
    assert fallback.requests[0].provider_state is None
    assert result.metadata["provider_state"] == {"container": "c1"}


def test_the_deadline_of_a_run_is_fixed_once_whoever_is_asked_and_how_often() -> None:
    """T23."""
    primary = ScriptedProvider([error(errors.ServerError), error(errors.AuthError)] * 2, model="large")
    fallback = ScriptedProvider([tool_call("add", a=1, b=2), "3"], model="small")
    result = Scene(primary, listen=False, tools=[add], fallback_providers=[fallback]).play()
    assert result.text == "3"
    requests = (*primary.requests, *fallback.requests)
    assert len(requests) == 6
    assert len({request.deadline for request in requests}) == 1


def test_what_was_said_before_a_cut_stays_with_the_primary() -> None:
    fallback = ScriptedProvider("never")
    scene = Scene([cut("Hello wor")], listen=True, fallback_providers=[fallback])
    result = scene.play()
    assert isinstance(result.error, errors.ConnectionFailedError)
    assert result.text.startswith("Hello wor")
    assert fallback.requests == ()


def test_an_overflow_is_not_tried_elsewhere(listen: bool) -> None:
    fallback = ScriptedProvider("never")
    scene = Scene([error(errors.ContextOverflowError)], listen=listen, fallback_providers=[fallback])
    assert isinstance(scene.play().error, errors.ContextOverflowError)
    assert fallback.requests == ()


def test_a_bug_in_a_fallback_is_named_as_its_own() -> None:
    class Broken:
        model = "broken"

        async def complete(self, request, on_deltas=None) -> Any:
            raise KeyError("x")

    class Nonsense(Broken):
        async def complete(self, request, on_deltas=None) -> Any:
            return "hi"

    for fallback, words in [
        (Broken(), "provider Broken raised KeyError"),
        (Nonsense(), r"Nonsense.complete\(\) must"),
    ]:
        result = Scene([error(errors.AuthError)], listen=False, fallback_providers=[fallback]).play()
        with pytest.raises(errors.CrashError, match=words):
            raise result.error


def test_a_record_that_cannot_be_written_is_no_fault_of_the_fallback() -> None:
    fallback = ScriptedProvider("never", model="small")
    scene = Scene(error_then(), listen=False, fallback_providers=[fallback])
    append = scene.store.append

    def full(agent_id: str, token: int, records: Any, on_appended: Any) -> None:
        if any(isinstance(record, RequestSent) and record.model == "small" for record in records):
            on_appended(errors.StoreError("the disk is full"))
        else:
            append(agent_id, token, records, on_appended)

    scene.store.append = full
    assert isinstance(scene.play().error, errors.StoreError)
    assert fallback.requests == ()


def test_a_cancel_between_two_providers_asks_nobody_more() -> None:
    scene: Scene

    class Primary(ScriptedProvider):
        async def complete(self, request, on_deltas=None) -> ModelReply:
            scene.run.cancel("the request was cancelled")
            raise errors.AuthError("x")

    fallback = ScriptedProvider("never")
    scene = Scene(Primary(), listen=False, fallback_providers=[fallback])
    assert scene.play().status == "cancelled"
    assert fallback.requests == ()


# -- the option ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cls", [RunConfig, AgentConfig])
@pytest.mark.parametrize(
    ("given", "words"),
    [
        ([ScriptedProvider("x"), object()], r"fallback_providers\[1\]=.* is no provider"),
        ([ScriptedProvider], r"fallback_providers\[0\]=.* is no provider"),
        (
            ["ollama:llama3.2", "nothing"],
            r"fallback_providers\[1\]: provider is a str that is no model string",
        ),
        (["olama:x"], r"fallback_providers\[0\]: .*did you mean 'ollama'"),
        ("ollama:llama3.2", "fallback_providers must be a list"),
        (None, "fallback_providers must be a list"),
    ],
)
def test_a_fallback_that_is_none_is_named_by_its_place(cls: type, given: Any, words: str) -> None:
    options = {"provider": ScriptedProvider("x"), "fallback_providers": given}
    with pytest.raises(errors.ConfigError, match=words):
        make_config(cls, with_providers(options), where="run")


def test_a_fallback_may_be_a_model_string() -> None:
    options = {"provider": ScriptedProvider("x"), "fallback_providers": ["ollama:llama3.2"]}
    config = make_config(RunConfig, with_providers(options), where="run")
    assert [provider.model for provider in config.fallback_providers] == ["llama3.2"]
