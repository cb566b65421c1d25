"""What a run may cost: no request that would pass the limit is sent, and what there is is kept."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from typing import Any

import pytest
from pydantic import BaseModel, Field
from structlog.testing import capture_logs

import alloy_actors as alloy
from alloy_actors import budget, models
from alloy_actors.actors.restoring import fold
from alloy_actors.budget import Budget
from alloy_actors.config import AgentConfig, RunConfig, make_config
from alloy_actors.content import Message, Usage, assistant, user
from alloy_actors.conversation import Conversation
from alloy_actors.journal import Replied, RequestSent, RunBegan, RunEnded, RunResumed, Seeded
from alloy_actors.provider import ModelReply
from alloy_actors.testing import ScriptedProvider, error, reply, tool_call, tool_calls
from alloy_actors.tooldef import tool
from tests.checks import check_sendable
from tests.world.one_run import Scene
from tests.world.talks import answers, chat, settings

CENT_A_TOKEN = {"scripted": {"dollars_per_million": {"input": 10_000, "output": 10_000}}}
CENT_A_TOKEN_OF_OUTPUT = {"scripted": {"dollars_per_million": {"input": 0, "output": 10_000}}}
FREE = {"scripted": {"dollars_per_million": {"input": 0, "output": 0}}}


@tool
async def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


@pytest.fixture(params=[False, True], ids=["plain", "streamed"])
def listen(request: pytest.FixtureRequest) -> bool:
    return request.param


def asking(tokens: int, cents: int, text: str = "let me see") -> ModelReply:
    """A tool call whose request had so many tokens, at a cent each, and whose reply made it cost so many cents."""
    return reply(text, tool_call("add", a=1, b=2), usage=Usage(tokens, cents - tokens))


def scene(*script: object, listen: bool = False, limit: float = 100, **options: Any) -> Scene:
    options = {"model_metadata_overrides": CENT_A_TOKEN, "tools": [add], **options}
    return Scene(list(script), listen=listen, max_budget_cents=limit, **options)


def test_no_request_is_sent_whose_input_would_reach_the_limit(listen: bool) -> None:
    one = scene(asking(20, 30), asking(40, 50), "never said", listen=listen)
    result = one.play()
    assert (result.status, result.ok, result.turns) == ("budget_exceeded", False, 2)
    assert len(one.provider.requests) == 2
    assert result.cost_cents == pytest.approx(80)
    assert isinstance(result.error, alloy.BudgetExceededError)
    # 50 tokens that the provider counted, and about 0 of the tool's answer
    assert result.error.spent_cents == pytest.approx(80)
    assert result.error.limit_cents == 100
    assert result.error.estimate_cents == pytest.approx(50, abs=2)
    assert "max_budget_cents=100" in str(result.error)
    assert "80 cents were spent" in str(result.error)


def test_the_schema_of_the_answer_is_a_part_of_what_a_request_costs(listen: bool) -> None:
    class Wordy(BaseModel):
        n: int = Field(description="The number. " * 50)

    assert scene('{"n": 3}', listen=listen, limit=200).play().status == "completed"
    one = scene('{"n": 3}', listen=listen, limit=200, output=Wordy)
    assert one.play().status == "budget_exceeded"
    assert one.provider.requests == ()


def test_a_run_at_its_budget_keeps_what_it_has_and_can_be_gone_on_with(listen: bool) -> None:
    one = scene(asking(20, 30), asking(40, 50, "so far: 3"), listen=listen)
    result = one.play()
    assert result.text == "so far: 3"
    assert [call.error for call in result.tool_calls] == [None, None], "every call was answered"
    assert result.messages[-1].text == "[No answer: the budget was used up.]"
    check_sendable(result.messages)
    if listen:
        assert one.types()[-1] == "run_finished"
    with pytest.raises(alloy.RunError, match="'budget_exceeded': max_budget_cents"):
        result.raise_for_status()


@pytest.mark.parametrize("costs", [99, 100, 5000])
def test_the_limit_is_passed_by_one_reply_at_most(costs: int, listen: bool) -> None:
    one = scene(asking(1, costs), *[asking(1, 1)] * 20, listen=listen)
    result = one.play()
    assert result.status == "budget_exceeded"
    assert len(one.provider.requests) == 1
    assert result.cost_cents == pytest.approx(costs)


def test_a_first_request_that_costs_too_much_is_not_sent_either(listen: bool) -> None:
    one = scene("hi", listen=listen, limit=10, system_prompt="x" * 400)  # about 100 tokens
    result = one.play()
    assert (result.status, result.turns, result.text, result.cost_cents) == ("budget_exceeded", 0, "", None)
    assert one.provider.requests == ()
    assert not [record for record in one.store.load("agent") if isinstance(record, RequestSent)]
    check_sendable(result.messages)


def test_what_a_reply_has_reached_is_no_failure_when_nothing_more_is_to_be_asked(listen: bool) -> None:
    one = scene(reply("done", usage=Usage(50, 500)), listen=listen)
    assert (one.play().status, one.run.conversation.run_cost) == ("completed", pytest.approx(550))


def test_a_reply_without_usage_is_priced_by_estimate_so_that_the_budget_still_holds(listen: bool) -> None:
    silent = reply("x" * 160, tool_call("add", a=1, b=2), usage=Usage())
    one = scene(*[silent] * 20, listen=listen)
    result = one.play()
    assert result.status == "budget_exceeded"
    assert result.cost_cents == pytest.approx(100, rel=0.8)
    assert result.usage == Usage(), "an estimate is nobody's count"


def test_a_run_of_no_known_cost_ends_by_its_turns(listen: bool) -> None:
    result = scene(
        *[asking(20, 30)] * 3, listen=listen, limit=1, max_turns=3, model_metadata_overrides=FREE
    ).play()
    assert (result.status, result.turns, result.cost_cents) == ("max_turns", 3, 0.0)


def test_the_error_comes_back_from_the_records_with_its_class_and_words() -> None:
    one = scene(asking(20, 90))
    told = one.play()
    conversation, (found,) = fold(one.store.load("agent"), 3600)
    assert type(found.result.error) is alloy.BudgetExceededError
    assert str(found.result.error) == str(told.error)
    assert found.result.cost_cents == told.cost_cents == conversation.cost


def test_a_run_that_is_taken_up_again_goes_on_counting() -> None:
    one = scene("never said")
    one.run.conversation.replay(
        [
            RunBegan("r", user("hello")),
            Replied("r", asking(20, 90).message, "tool_use", Usage(20, 70), None, 90.0),
        ]
    )
    result = one.play()
    assert isinstance(one.store.load("agent")[0], RunResumed)
    assert (result.status, len(one.provider.requests)) == ("budget_exceeded", 0)
    assert result.cost_cents == 90.0
    assert result.text == "let me see"


def test_a_failed_request_costs_nothing_and_a_retry_is_not_the_budgets_affair() -> None:
    one = scene(error(alloy.OverloadedError), reply("hi", usage=Usage(10, 5)))
    assert (one.play().status, one.run.conversation.run_cost) == ("completed", pytest.approx(15))


# -- the pieces ----------------------------------------------------------------------------------------------------


def an_agents(limit: float, **options: object) -> AgentConfig:
    return make_config(
        AgentConfig,
        {
            "provider": ScriptedProvider("hi"),
            "model_metadata_overrides": CENT_A_TOKEN,
            "lifetime_budget_cents": limit,
            **options,
        },
        where="spawn",
    )


def test_a_lifetime_is_all_runs_and_what_came_before_them() -> None:
    conversation = Conversation()
    conversation.replay(
        [
            Seeded((user("hi"), assistant("hello")), cost_cents=60.0),
            RunBegan("r1", user("?")),
            Replied("r1", assistant("!"), "end_turn", Usage(1, 1), None, 30.0),
            RunEnded("r1", "completed"),
        ]
    )
    fork = conversation.fork()
    fork.apply(RunBegan("r2", user("?")))
    assert (fork.cost, fork.run_cost) == (90.0, None)
    config = an_agents(100)
    asyncio.run(Budget(config, fork).check(config.provider, 9))
    with pytest.raises(alloy.BudgetExceededError, match=r"lifetime_budget_cents=100 .*: 90 cents were spent"):
        asyncio.run(Budget(config, fork).check(config.provider, 10))


def test_a_request_of_compaction_is_asked_about_by_its_own_size() -> None:
    config = an_agents(1000, max_budget_cents=50)
    asked = Budget(config, Conversation())
    asyncio.run(asked.check(config.provider, 49))
    with pytest.raises(alloy.BudgetExceededError, match="max_budget_cents=50"):
        asyncio.run(asked.check(config.provider, 50))


@pytest.mark.parametrize("limit", [0, -1, -0.0, float("nan"), float("inf"), True, "5"])
@pytest.mark.parametrize("option", ["max_budget_cents", "lifetime_budget_cents"])
def test_a_budget_that_is_none_is_refused(option: str, limit: object) -> None:
    with pytest.raises(alloy.ConfigError, match=f"spawn: {option}"):
        make_config(AgentConfig, {"provider": ScriptedProvider("hi"), option: limit}, where="spawn")


def test_t89_cost_is_not_rounded_and_counts_the_caches() -> None:
    config = make_config(
        RunConfig,
        {
            "provider": ScriptedProvider("hi"),
            "model_metadata_overrides": {
                "scripted": {
                    "dollars_per_million": {
                        "input": 3,
                        "output": 15,
                        "cache_read": 0.075,
                        "cache_write": 3.75,
                    }
                }
            },
        },
        where="run",
    )

    def cost(usage: Usage) -> float | None:
        made = ModelReply(Message("assistant", "hi"), "end_turn", usage)
        return asyncio.run(Budget(config, Conversation()).cost_of(config.provider, made))

    assert cost(Usage(10, 5)) == pytest.approx(0.0105)
    assert cost(Usage(0, 0, cache_read_input_tokens=1)) == pytest.approx(7.5e-6)
    assert cost(Usage(1, 1, 1_000_000, 1_000_000)) == pytest.approx(0.0003 + 0.0015 + 375 + 7.5)


# -- models without a price ----------------------------------------------------------------------------------------


class Unpriced(ScriptedProvider):
    """A vendor's model that the catalogue does not know."""

    vendor = "openai"
    local = False


def test_a_model_without_a_price_is_warned_of_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget, "_warned", set())
    with capture_logs() as logs:
        for model in ("gpt-none", "gpt-none", "gpt-nil"):
            result = Scene(
                Unpriced([tool_calls(tool_call("add", a=1, b=2)), "3"], model=model),
                listen=False,
                tools=[add],
            ).play()
            assert (result.status, result.cost_cents) == ("completed", None)
    warned = [record for record in logs if record["event"] == "price_unknown"]
    assert [(record["vendor"], record["model"]) for record in warned] == [
        ("openai", "gpt-none"),
        ("openai", "gpt-nil"),
    ]
    assert {record["log_level"] for record in warned} == {"warning"}


def test_a_model_that_costs_nothing_is_not_warned_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget, "_warned", set())
    with capture_logs() as logs:
        scene("hi", model_metadata_overrides=FREE).play()
    assert [record for record in logs if record["event"] == "price_unknown"] == []


@pytest.mark.parametrize(
    ("api_url", "local"),
    [
        ("http://localhost:11434", True),
        ("http://127.0.0.1:8000/v1", True),
        ("http://[::1]:8000", True),
        ("http://gateway.example", False),
        ("http://localhost.example", False),
    ],
)
def test_a_server_on_this_machine_is_not_warned_of(api_url: str, local: bool) -> None:
    assert alloy.OpenAICompat(model="m", api_url=api_url).local is local
    assert ScriptedProvider("hi").local


@pytest.mark.parametrize("option", ["max_budget_cents", "lifetime_budget_cents"])
def test_a_budget_on_a_model_without_a_price_is_refused_unless_prices_are_given(option: str) -> None:
    def config(**more: object) -> AgentConfig:
        return make_config(
            AgentConfig, {"provider": Unpriced("hi", model="gpt-none"), option: 5, **more}, where="spawn"
        )

    words = rf"spawn: {option}: no price is known for the model 'gpt-none': .*dollars_per_million"
    with pytest.raises(alloy.ConfigError, match=words):
        budget.check_prices("spawn", config())
    with pytest.raises(alloy.ConfigError, match=words):
        asyncio.run(budget.acheck_prices("spawn", config()))
    priced = config(model_metadata_overrides={"gpt-none": {"dollars_per_million": {"input": 0, "output": 0}}})
    budget.check_prices("spawn", priced)
    asyncio.run(budget.acheck_prices("spawn", priced))
    budget.check_prices("spawn", make_config(AgentConfig, {"provider": Unpriced("hi")}, where="spawn"))


def test_under_a_budget_nothing_is_sent_to_a_model_without_a_price_whoever_began_the_run() -> None:
    one = scene("never said", model_metadata_overrides={})
    result = one.play()
    assert (result.status, one.provider.requests) == ("error", ())
    assert isinstance(result.error, alloy.ConfigError)


def test_a_limit_of_its_own_does_not_make_a_price() -> None:
    config = an_agents(5, model_metadata_overrides={"scripted": 1000})
    with pytest.raises(alloy.ConfigError, match="no price is known"):
        budget.check_prices("spawn", config)


def test_the_twin_for_coroutines_looks_prices_up_off_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def look_up(vendor: str, model: str) -> None:
        asked.append(threading.current_thread().name)

    monkeypatch.setattr(models, "_known", {})
    monkeypatch.setattr(models, "_look_up", look_up)
    config = make_config(RunConfig, {"provider": Unpriced("hi"), "max_budget_cents": 5}, where="run")
    with pytest.raises(alloy.ConfigError):
        asyncio.run(budget.acheck_prices("arun", config))
    assert asked == ["alloy-catalogue"]


def test_without_a_budget_no_call_loads_the_catalogue() -> None:
    code = """
import sys
import alloy_actors as alloy
provider = alloy.Anthropic(model="claude-opus-5", api_key="k")
agent = alloy.Agent.start(provider=provider)
agent.set_model(provider)
agent.stop()
alloy.shutdown()
assert "genai_prices" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


# -- compaction ----------------------------------------------------------------------------------------------------


def test_a_summary_is_paid_from_the_budget_of_the_run_and_so_is_what_comes_after_it(listen: bool) -> None:
    script = answers(reply("so far", usage=Usage(0, 120)), "never said")
    options = {**settings(), "model_metadata_overrides": CENT_A_TOKEN_OF_OUTPUT, "max_budget_cents": 100}
    one = Scene(script, listen=listen, history=chat(6), **options)
    result = one.play()
    assert (result.status, result.turns) == ("budget_exceeded", 0)
    assert result.cost_cents == pytest.approx(120)
    assert len(one.provider.requests) == 1
    check_sendable(result.messages)


def test_a_summary_that_would_cost_too_much_is_not_asked_for(listen: bool) -> None:
    options = {**settings(), "model_metadata_overrides": CENT_A_TOKEN, "max_budget_cents": 100}
    one = Scene(answers("never said"), listen=listen, history=chat(6), **options)
    result = one.play()
    assert (result.status, result.turns, result.cost_cents) == ("budget_exceeded", 0, None)
    assert one.provider.requests == ()
    assert list(result.messages[:12]) == chat(6), "the history is as it was"
    check_sendable(result.messages)
