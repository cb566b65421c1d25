"""A provider that has had enough, and another one that answers meanwhile; one rate limit holds for all agents.

Run it: python examples/fallback.py
"""

from __future__ import annotations

import alloy_actors as alloy
from alloy_actors.local import LocalServer, scripted_model


def main() -> None:
    with LocalServer() as cloud, LocalServer() as house, alloy.AgentSystem() as system:
        # The first request is refused: "429 Too Many Requests, come back in 60 seconds".
        limited = scripted_model("scripted-fast", status=429, retry_after=60, times=1)
        large = alloy.OpenAICompat(limited, "a key", cloud.url)
        small = alloy.OpenAICompat("scripted-thinking", api_url=house.url)

        for name in ("ada", "ben", "cleo"):
            agent = system.spawn(name, provider=large, fallback_providers=[small])
            agent.chat("Good morning").raise_for_status()
            print(f"{name} was answered by {agent.messages()[-1].model}")

        # Only ada has met the limit. Her key is cooling down for everybody, so nobody else has tried.
        print(f"requests that the large one has seen: {cloud.stats().requests}")

        # Without a fallback there is nothing to do but to wait; what would outlast the run's time is said at once.
        dora = system.spawn("dora", provider=large, timeout=30)
        result = dora.chat("Good morning")
        print(f"dora: {result.status}, {type(result.error).__name__}: {result.error}")

        # What no other provider could cure is not tried elsewhere: here a request that is malformed.
        wrong = alloy.OpenAICompat(scripted_model("scripted-fast", status=400), api_url=house.url)
        result = alloy.run("Good morning", provider=wrong, fallback_providers=[small])
        print(f"malformed: {result.status}, {type(result.error).__name__}")
    alloy.shutdown()


if __name__ == "__main__":
    main()
