"""`--max-budget-cents`: a run that would cost more ends, and says so by its exit code."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from alloy_actors import models
from alloy_actors.local import LocalServer, scripted_model
from alloy_actors.models import ModelFacts
from alloy_actors.prices import Prices, Rate
from tests.integration.cli.conftest import Run, Said

Call = Callable[..., Said]
CENT = Rate(1.0)  # a token


@pytest.fixture
def priced(server: LocalServer, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Flags for a model of the embedded server that calls a tool five times, under a vendor's name and price."""
    model = scripted_model("scripted-fast", calls=1, rounds=5)
    facts = ModelFacts("together", model, None, Prices(CENT, CENT, CENT, CENT))
    monkeypatch.setattr(models, "_known", {("together", model): facts})
    monkeypatch.setenv("TOGETHER_API_KEY", "k")
    return ["--provider", "together", "--api-url", server.url, "--model", model, "-t", "read", "-q"]


def test_a_run_that_would_cost_more_ends_with_exit_code_4(call: Call, priced: list[str]) -> None:
    said = call("run", "go on and on", *priced, "--max-budget-cents", "1", TOGETHER_API_KEY="k")
    assert (said.code, said.out) == (4, "")
    assert "stopped: max_budget_cents=1 would be used up: 0 cents were spent" in said.err


def test_a_chat_has_a_budget_for_each_run(alloy: Run, env: dict[str, str]) -> None:
    model = "meta-llama/Llama-3.3-70B-Instruct-Turbo"
    flags = ["--provider", "together", "--model", model, "--max-budget-cents", "0.0001"]
    said = alloy("chat", *flags, input="x" * 4000 + "\n", env={**env, "TOGETHER_API_KEY": "k"})
    assert (said.returncode, said.stdout) == (4, "")
    assert "stopped: max_budget_cents=0.0001 would be used up: 0 cents were spent" in said.stderr


def test_the_money_is_in_the_result_and_in_the_last_note(call: Call, priced: list[str]) -> None:
    flags = ["--max-budget-cents", "300", "--json", "--verbose"]
    said = call("run", "go", *priced, *flags, TOGETHER_API_KEY="k")
    document = json.loads(said.out)
    assert (said.code, document["status"], document["error"]["type"]) == (
        4,
        "budget_exceeded",
        "BudgetExceededError",
    )
    usage = document["usage"]
    assert document["cost_cents"] == usage["input_tokens"] + usage["output_tokens"] > 0
    assert f"out), ${document['cost_cents'] / 100:.2f}" in said.err


def test_a_budget_on_a_model_without_a_price_is_a_mistake_on_the_command_line(call: Call) -> None:
    said = call("run", "go", "--provider", "demo", "--max-budget-cents", "5")
    assert (said.code, said.out) == (2, "")
    assert "max_budget_cents: no price is known for the model" in said.err


def test_a_price_on_the_command_line_makes_a_budget_hold_on_a_model_that_the_catalogue_does_not_know(
    call: Call,
) -> None:
    flags = ["--provider", "demo", "--max-budget-cents", "5", "--json", "-q"]
    for dear in ("1000000/1000000", "scripted-demo=1000000/1000000"):
        stopped = call("run", "go on and on", *flags, "--price", dear)
        assert (stopped.code, json.loads(stopped.out)["status"]) == (4, "budget_exceeded")
    free = call("run", "go", *flags, "--price", "0/0", "--price", "a/b=c=1/2")
    assert (free.code, json.loads(free.out)["cost_cents"]) == (0, 0)


def test_a_price_given_without_a_budget_makes_the_costs_known(call: Call) -> None:
    said = call("run", "go", "--provider", "demo", "--price", "10000/20000", "--json", "-q")
    document = json.loads(said.out)
    usage = document["usage"]
    assert document["cost_cents"] == pytest.approx(usage["input_tokens"] + 2 * usage["output_tokens"])


@pytest.mark.parametrize("price", ["5", "1/2/3", "a/b", "-1/2", "nan/1", "model=", "model=1", ""])
def test_a_price_that_is_none_is_refused_with_an_example(price: str, call: Call) -> None:
    said = call("run", "go", "--provider", "demo", "--price", price)
    assert (said.code, said.out) == (2, "")
    assert f"--price {price!r}: write dollars per million tokens" in said.err


def test_two_prices_of_one_model_are_refused(call: Call) -> None:
    said = call("run", "go", "--provider", "demo", "--price", "x=1/2", "--price", "x=1/3")
    assert (said.code, said.out) == (2, "")
    assert "'x' has a price already" in said.err


@pytest.mark.parametrize("limit", ["0", "-1", "much"])
def test_a_budget_that_is_none_is_refused(limit: str, call: Call) -> None:
    said = call("run", "go", "--provider", "demo", "--max-budget-cents", limit)
    assert (said.code, said.out) == (2, "")
    assert "--max-budget-cents" in said.err
