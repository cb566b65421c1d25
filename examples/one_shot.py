"""One question, one tool of your own, one answer: no agent to keep, nothing to stop.

Run it: python examples/one_shot.py
"""

from __future__ import annotations

import alloy_actors as alloy
from alloy_actors.local import LocalServer


@alloy.tool
def weather(city: str) -> str:
    """Look up the weather of a city.

    Args:
        city: Its English name.
    """
    return f"{city}: 18 degrees and clear"


def main() -> None:
    with LocalServer() as server:
        # Any server that speaks Chat Completions will do; this one is a script that ships with the package.
        provider = alloy.OpenAICompat(model="scripted-fast", api_url=server.url)
        result = alloy.run("Compare the weather in Paris and Oslo", provider=provider, tools=[weather])
        print(result.raise_for_status().text)
        for call in result.tool_calls:
            print(f"called {call.name}({call.input}) in {call.duration * 1000:.1f} ms")
        print(f"{result.turns} turns, {result.usage.total_tokens} tokens")
    alloy.shutdown()


if __name__ == "__main__":
    main()
