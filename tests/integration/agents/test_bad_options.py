"""Bad input to the options of runs and agents: each is one clear `ConfigError`, before anything starts.

What a value of each option may not be stands in one table; the other tests are about options that are unknown, or belong
to another call, and about values that nobody should read in an error.
"""

from __future__ import annotations

import asyncio
import inspect
import math
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import alloy_actors as alloy
from alloy_actors.config import AgentConfig, RunConfig, SystemConfig, make_config
from alloy_actors.option_errors import OF_MESSAGES, OF_PROVIDERS
from alloy_actors.providers._base import SharedOptions
from alloy_actors.testing import ScriptedProvider

SECRET = "sk-not-to-be-read"
NAN, INF = math.nan, math.inf


@pytest.fixture(autouse=True)
def _end() -> Iterator[None]:
    yield
    alloy.shutdown()


@alloy.tool
def look(where: str) -> str:
    """Look."""
    return where


class Thing:
    """No type that pydantic knows."""


WHOLE = (True, NAN, 1.5, "3")
NUMBER = (0, -1, True, NAN, INF, "1")
WRONG: dict[str, tuple[object, ...]] = {
    "max_turns": (0, -1, None, *WHOLE),
    "timeout": (*NUMBER, None),
    "tool_timeout": (*NUMBER, None),
    "retry_backoff": (*NUMBER, None),
    "max_retries": (-1, None, *WHOLE),
    "output_retries": (-1, None, *WHOLE),
    "max_pending": (-1, None, *WHOLE),
    "result_ttl": (*NUMBER, None),
    "idle_timeout": NUMBER,
    "max_tokens": (0, -1, *WHOLE),
    "max_budget_cents": NUMBER,
    "lifetime_budget_cents": NUMBER,
    "final_answer": (1, 0, None, "yes"),
    "system_prompt": (3, None, b"x"),
    "working_directory": ("", 3, None, b"x"),
    "context": ([], 3, None, "x"),
    "loop": (3, "x"),
    "on_compaction": (3, "x"),
    "on_shutdown": (3, "x"),
    "tools": (3, "x", None, look, [3], [Thing()], [look, look]),
    "messages": (3, "x", None, [3], ["x"]),
    "middleware": (3, "x", None, alloy.Middleware, alloy.Middleware(), [3], [alloy.Middleware]),
    "fallback_providers": (3, "x", None, [3], [ScriptedProvider], ScriptedProvider("x")),
    "until_tool": (3, "", "nobody", ["look"], True, look),
    "halt_on_tool": (3, "", "nobody", [3], ["look", "nobody"], True, look),
    "output": (3, True, "City", {}, [], Thing, Thing(), list[Thing], object, lambda: 1, math, print),
    "compaction": (
        3,
        0,
        "x",
        None,
        alloy.Compaction,
        {"reserve": 1},
        {"reserve_tokens": -1},
        {"fallback": "x"},
    ),
    "subscribe": ("x", 3, None, [3]),
    "model_metadata_overrides": (
        3,
        "x",
        None,
        [1],
        {1: 3},
        {"": 3},
        {"m": 0},
        {"m": True},
        {"m": NAN},
        {"m": {}},
    ),
}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        pytest.param(name, value, id=f"{name}-{value!r:.30}")
        for name, values in WRONG.items()
        for value in values
    ],
)
def test_a_wrong_value_is_one_clear_error(name: str, value: object) -> None:
    options = {"provider": ScriptedProvider("x"), "tools": [look], name: value}
    with pytest.raises(alloy.ConfigError) as caught:
        make_config(AgentConfig, options, where="spawn")
    said = str(caught.value)
    assert re.search(rf"\b({name}|tools?)\b", said)
    assert "\n" not in said
    assert "nput should" not in said  # pydantic's words
    assert "arbitrary_types_allowed" not in said


def test_every_option_has_its_wrong_values_here() -> None:
    elsewhere = {"provider", "usage", "cost_cents"}  # test_config.py; the latter two come with a session
    assert set(WRONG) == set(AgentConfig.__dataclass_fields__) - elsewhere


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("max_turns", 0, "spawn: max_turns must be above 0, got 0"),
        ("max_turns", "3", "spawn: max_turns must be a whole number, got a str"),
        ("timeout", INF, "spawn: timeout must be a finite number, got inf"),
        ("max_retries", -1, "spawn: max_retries must be 0 or more, got -1"),
        ("final_answer", 1, "spawn: final_answer must be True or False, got 1"),
        ("context", [], "spawn: context must be a dict, got a list"),
        ("on_compaction", object(), "spawn: on_compaction must be a function, got an object"),
        ("loop", 3, "spawn: loop must be an object of AbstractEventLoop, got 3"),
        ("working_directory", "", "spawn: working_directory must not be empty, got a str"),
    ],
)
def test_the_words_are_plain(name: str, value: object, said: str) -> None:
    with pytest.raises(alloy.ConfigError) as caught:
        make_config(AgentConfig, {"provider": ScriptedProvider("x"), name: value}, where="spawn")
    assert str(caught.value) == said


def test_a_system_names_its_words_for_a_restart() -> None:
    with pytest.raises(
        alloy.ConfigError, match="AgentSystem: on_restart must be 'resume' or 'report', got a str"
    ):
        alloy.AgentSystem(on_restart="repeat")


def test_two_mistakes_are_said_at_once() -> None:
    with pytest.raises(
        alloy.ConfigError, match="max_turns must be above 0, got 0; max_retries must be 0 or more"
    ):
        make_config(
            RunConfig, {"provider": ScriptedProvider("x"), "max_turns": 0, "max_retries": -1}, where="run"
        )


@pytest.mark.parametrize(
    "wrong",
    [
        {"provider": SECRET},
        {"fallback_providers": SECRET},
        {"fallback_providers": [SECRET]},
        {"max_budget_cents": SECRET},
        {"model_metadata_overrides": SECRET},
        {"model_metadata_overrides": {"m": SECRET}},
        {"compaction": {"summary_prompt": SECRET, "fallback": SECRET}},
        {"context": SECRET},
        {"output": SECRET},
    ],
)
def test_a_key_in_the_wrong_place_is_not_shown(wrong: dict[str, Any]) -> None:
    options: dict[str, Any] = {"provider": ScriptedProvider("x"), **wrong}
    with pytest.raises(alloy.ConfigError) as caught:
        alloy.run("hi", **options)
    assert SECRET not in str(caught.value)


# -- options that a call does not have ------------------------------------------------------------------------------------


def run(**options: Any) -> object:
    return alloy.run("hi", provider=ScriptedProvider("x"), **options)


def stream(**options: Any) -> object:
    return alloy.stream("hi", print, provider=ScriptedProvider("x"), **options)


def arun(**options: Any) -> object:
    return asyncio.run(alloy.arun("hi", provider=ScriptedProvider("x"), **options))


def astream(**options: Any) -> None:
    async def listen() -> None:
        async for _ in alloy.astream("hi", provider=ScriptedProvider("x"), **options):
            pass

    asyncio.run(listen())


def start(**options: Any) -> object:
    return alloy.Agent.start(provider=ScriptedProvider("x"), **options)


def spawn(**options: Any) -> object:
    with alloy.AgentSystem() as system:
        return system.spawn(provider=ScriptedProvider("x"), **options)


CALLS: tuple[Callable[..., object], ...] = (run, stream, arun, astream, start, spawn, alloy.AgentSystem)


@pytest.mark.parametrize("call", CALLS)
def test_an_unknown_option_lists_the_valid_ones(call: Callable[..., object]) -> None:
    """T14."""
    valid = "tool_workers" if call is alloy.AgentSystem else "max_budget_cents, .*until_tool"
    with pytest.raises(alloy.ConfigError, match=rf"unknown option 'colour'; valid options: .*{valid}"):
        call(colour="red")


@pytest.mark.parametrize("call", CALLS)
def test_a_misspelled_option_is_guessed(call: Callable[..., object]) -> None:
    wrong, right = ("tool_worker", "tool_workers") if call is alloy.AgentSystem else ("max_turn", "max_turns")
    with pytest.raises(alloy.ConfigError, match=f"unknown option '{wrong}' .did you mean '{right}'"):
        call(**{wrong: 3})


@pytest.mark.parametrize(
    ("call", "name", "owner"),
    [
        (run, "lifetime_budget_cents", "one of agents: Agent.start, AgentSystem.spawn"),
        (run, "session", "one of agents"),
        (stream, "name", "one of agents"),
        (run, "tool_workers", "one of AgentSystem"),
        (start, "store", "one of AgentSystem"),
        (spawn, "drain_timeout", "one of AgentSystem"),
        (alloy.AgentSystem, "provider", "one of agents"),
        (alloy.AgentSystem, "max_budget_cents", "one of agents"),
        (start, "api_key", "one of providers"),
        (run, "temperature", "one of providers"),
        (spawn, "max_in_flight", "one of providers"),
        (start, "first_byte_timeout", "one of providers"),
        (run, "idle_timeout", "one of agents: Agent.start, AgentSystem.spawn; or it is one of providers"),
        (run, "request_id", "belongs to the call with the message"),
        (start, "on_event", "belongs to the call with the message"),
    ],
)
def test_an_option_of_another_call_says_whose_it_is(
    call: Callable[..., object], name: str, owner: str
) -> None:
    with pytest.raises(
        alloy.ConfigError, match=f"unknown option '{name}' .it (is|belongs).*; valid options"
    ) as caught:
        call(**{name: SECRET})
    assert owner in str(caught.value)
    assert SECRET not in str(caught.value)


def test_the_names_for_hints_are_real() -> None:
    classes = (alloy.Anthropic, alloy.OpenAI, alloy.OpenAICompat, alloy.Gemini, alloy.XAI)
    known = {name for kind in classes for name in inspect.signature(kind).parameters} | set(
        SharedOptions.__annotations__
    )
    assert known >= OF_PROVIDERS
    calls = (alloy.AgentRef.chat, alloy.AgentRef.stream_chat, alloy.AgentRef.send_message)
    assert {name for call in calls for name in inspect.signature(call).parameters} >= OF_MESSAGES
    own = {name for kind in (AgentConfig, SystemConfig) for name in kind.__dataclass_fields__}
    assert own & (OF_PROVIDERS | OF_MESSAGES) == {"idle_timeout"}  # of which both have one


def test_a_reserve_larger_than_the_window_is_refused_before_anything_is_asked() -> None:
    provider = ScriptedProvider("never")
    with pytest.raises(alloy.ConfigError, match="reserve_tokens=9,000 is more than .*8,000 tokens"):
        alloy.run("hi", provider=provider, max_tokens=8_000, compaction={"reserve_tokens": 9_000})
    result = alloy.run("hi", provider=provider, compaction={"reserve_tokens": 10**9})
    assert (result.status, type(result.error)) == ("error", alloy.ConfigError)
    assert "reserve_tokens=1,000,000,000 is more than the context budget of 200,000" in str(result.error)
    assert provider.requests == ()
