"""One conversation, two model servers: switch between turns, and go on elsewhere when the first is down.

Run it: python examples/switching_providers.py
"""

from __future__ import annotations

import alloy_actors as alloy
from alloy_actors.local import LocalServer


def main() -> None:
    with LocalServer() as house, LocalServer() as cloud, alloy.AgentSystem() as system:
        small = alloy.OpenAICompat(model="scripted-fast", api_url=house.url)
        large = alloy.OpenAICompat(model="scripted-thinking", api_url=cloud.url)
        agent = system.spawn("writer", provider=small, max_retries=1, retry_backoff=0.05)

        print("small:", agent.chat("Sketch a story about an actor").text)

        # The conversation, the tools and the limits stay; the next request goes to the other server.
        agent.set_model(large)
        print("large:", agent.chat("Now write it out").text)

        # Back to the small one, which is down by now. What goes wrong on a model's side is a value, no exception.
        agent.set_model(small)
        house.stop()
        result = agent.chat("Find a title")
        print(f"small: {result.status}, {type(result.error).__name__}: {result.error}")

        if isinstance(result.error, alloy.ConnectionFailedError | alloy.ServerError | alloy.OverloadedError):
            agent.set_model(large)
            print("large:", agent.chat("Find a title").text)
        by = [message.model for message in agent.messages() if message.model is not None]
        print(f"answered by: {', '.join(by)}")
    alloy.shutdown()


if __name__ == "__main__":
    main()
