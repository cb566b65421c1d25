"""What a run may cost: a budget in cents for a run, one for an agent's lifetime, and one of your own in tokens.

Run it: python examples/budget.py
"""

from __future__ import annotations

import alloy_actors as alloy
from alloy_actors.local import LocalServer, scripted_model

# It asks for a tool call again and again. Of a model that the catalogue knows (`alloy models`) no prices have to be given.
MODEL = scripted_model("scripted-fast", calls=1, rounds=20)
PRICES = {MODEL: {"dollars_per_million": {"input": 300, "output": 1500}}}


@alloy.tool
def weather(city: str) -> str:
    """Look up the weather of a city."""
    return f"{city}: 18 degrees and clear"


class TokenBudget(alloy.Middleware):
    """Ends a run before the request that comes after so many tokens; for what cannot be said in cents."""

    def __init__(self, tokens: int) -> None:
        self._tokens = tokens

    def before_completion(self, run: alloy.RunView) -> alloy.Halt | None:
        used = run.usage.total_tokens
        return alloy.Halt(f"{used} tokens were used") if used >= self._tokens else None


def main() -> None:
    with LocalServer() as server, alloy.AgentSystem() as system:
        provider = alloy.OpenAICompat(model=MODEL, api_url=server.url)

        try:
            alloy.run("Hello", provider=provider, max_budget_cents=5)
        except alloy.ConfigError as error:  # before anything is sent
            print(str(error).partition(": give")[0])

        result = alloy.run(
            "How is the weather?",
            provider=provider,
            tools=[weather],
            model_metadata_overrides=PRICES,
            max_budget_cents=20,
        )
        assert isinstance(result.error, alloy.BudgetExceededError)
        assert result.cost_cents is not None
        print(f"{result.status} after {result.turns} turns and {len(result.tool_calls)} tool calls")
        print(f"spent {result.cost_cents:.1f} of {result.error.limit_cents:g} cents")

        agent = system.spawn(
            "ada",
            provider=provider,
            tools=[weather],
            model_metadata_overrides=PRICES,
            max_turns=2,
            lifetime_budget_cents=20,
        )
        requests = 0
        while (result := agent.chat("How is the weather?")).ok:
            requests += 1
        print(f"ada answered {requests} requests: {result.error}")
        cost = agent.health().cost_cents
        assert cost is not None
        assert cost >= 0
        print("a reset keeps what was spent:", reset(agent) == cost)

        result = alloy.run(
            "How is the weather?", provider=provider, tools=[weather], middleware=[TokenBudget(100)]
        )
        print(f"{result.status} after {result.turns} turns: {result.error}")
    alloy.shutdown()


def reset(agent: alloy.AgentRef) -> float | None:
    agent.reset()
    return agent.health().cost_cents


if __name__ == "__main__":
    main()
