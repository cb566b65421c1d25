"""Structured output and the ends of runs, of whole agents over real HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pydantic
import pytest

import alloy_actors as alloy
from alloy_actors.local import LocalServer, scripted_model
from alloy_actors.testing import ScriptedProvider, tool_call
from tests.checks import check_sendable

if TYPE_CHECKING:
    from collections.abc import Iterator


class City(pydantic.BaseModel):
    name: str
    people: int


@alloy.tool
def look(city: str) -> str:
    """Look a city up."""
    return f"{city}: 700000"


@pytest.fixture(scope="module")
def server() -> Iterator[LocalServer]:
    with LocalServer() as server:
        yield server


@pytest.fixture(params=[False, True], ids=["plain", "streamed"])
def streamed(request: pytest.FixtureRequest) -> bool:
    return request.param


def chat(agent: alloy.AgentRef, text: str, streamed: bool) -> alloy.Result:
    return agent.stream_chat(text, lambda _chunk: None) if streamed else agent.chat(text)


def provider(server: LocalServer, **options: Any) -> alloy.OpenAICompat:
    return alloy.OpenAICompat(model="scripted-fast", api_url=server.url, **options)


def test_a_schema_goes_over_the_wire_and_its_value_comes_back(
    system: alloy.AgentSystem, server: LocalServer, streamed: bool
) -> None:
    agent = system.spawn("a", provider=provider(server), output=list[City])
    assert chat(agent, "Where?", streamed).output == []
    other = system.spawn("b", provider=provider(server), output=City)
    result = chat(other, "Where?", streamed)
    assert result.output == City(name="sample-0", people=1)
    assert result.text == '{"name": "sample-0", "people": 1}'
    check_sendable(other.messages())


def test_an_answer_is_handed_in_by_a_tool_where_there_are_tools(
    system: alloy.AgentSystem, server: LocalServer, streamed: bool
) -> None:
    agent = system.spawn("a", provider=provider(server), output=City, tools=[look])
    result = chat(agent, 'look(city="Oslo") submit_result(name="Oslo", people=700000)', streamed)
    assert (result.status, result.output) == ("completed", City(name="Oslo", people=700_000))
    again = chat(agent, 'submit_result(name="Bergen", people=1)', streamed)
    assert again.output == City(name="Bergen", people=1)
    check_sendable(agent.messages())


def test_words_that_do_not_fit_end_in_an_error_that_says_so(
    system: alloy.AgentSystem, server: LocalServer, streamed: bool
) -> None:
    model = scripted_model("scripted-fast", text="Oslo")
    agent = system.spawn("a", provider=alloy.OpenAICompat(model=model, api_url=server.url), output=City)
    result = chat(agent, "Where?", streamed)
    assert (result.status, result.turns, result.text) == ("error", 2, "Oslo")
    assert isinstance(result.error, alloy.OutputError)
    check_sendable(agent.messages())


def test_the_last_request_goes_out_with_tools_that_may_not_be_called(
    system: alloy.AgentSystem, server: LocalServer, streamed: bool
) -> None:
    model = scripted_model("scripted-fast", calls=1, rounds=9, tool="look", arguments='{"city": "Oslo"}')
    agent = system.spawn(
        "a",
        provider=alloy.OpenAICompat(model=model, api_url=server.url),
        tools=[look],
        max_turns=2,
        final_answer=True,
    )
    result = chat(agent, "Look!", streamed)
    assert (result.status, result.turns, len(result.tool_calls)) == ("max_turns", 3, 2)
    assert "a script, not a model" in result.text
    check_sendable(agent.messages())


def test_a_model_that_does_not_take_the_schema_is_refused_and_the_old_one_stays(
    system: alloy.AgentSystem, streamed: bool
) -> None:
    agent = system.spawn(
        "a", provider=ScriptedProvider([tool_call("submit_result", n=1)]), output=dict[str, int]
    )
    with pytest.raises(alloy.ConfigError, match="set_model: output=dict"):
        agent.set_model(alloy.OpenAI("gpt-5", api_key="k"))
    assert chat(agent, "Count.", streamed).output == {"n": 1}


def test_the_output_survives_a_restart_of_the_process(tmp_path: Any) -> None:
    where = f"sqlite:///{tmp_path}/agents.db"
    with alloy.AgentSystem(store=where) as system:
        first = system.spawn(
            "a", provider=ScriptedProvider([tool_call("submit_result", value=3)]), output=int
        )
        result = first.chat("How many?", request_id="r-1")
        assert result.output == 3
    with alloy.AgentSystem(store=where) as system:
        second = system.spawn("a", provider=ScriptedProvider(), output=int)
        stored = second.result("r-1")
        assert stored is not None
        assert (stored.output, stored.text, stored.status) == (3, result.text, "completed")
