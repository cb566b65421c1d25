"""The same from an asyncio program: every call has a twin with an `a` in front.

Run it: python examples/from_asyncio.py
"""

from __future__ import annotations

import asyncio

import alloy_actors as alloy
from alloy_actors.local import LocalServer


@alloy.tool
async def weather(city: str) -> str:
    """Look up the weather of a city."""
    await asyncio.sleep(0)  # an async tool may await whatever it likes
    return f"{city}: 18 degrees and clear"


async def serve(url: str) -> None:
    provider = alloy.OpenAICompat(model="scripted-fast", api_url=url)
    async with alloy.AgentSystem() as system:
        agents = [
            await system.aspawn(f"agent-{number}", provider=provider, tools=[weather]) for number in range(3)
        ]

        # Three agents at once, each with two parallel tool calls.
        results = await asyncio.gather(
            *(agent.achat("Compare the weather in Paris and Oslo") for agent in agents)
        )
        for agent, result in zip(agents, results, strict=True):
            print(f"{agent.name}: {result.text}")

        async for event in agents[0].astream_chat("And tomorrow?"):
            match event:
                case alloy.TextDelta():
                    print(event.text, end="", flush=True)
                case alloy.RunFinished():
                    print(f"\n{event.result.status} after {event.result.turns} turn(s)")
                case _:
                    pass


def main() -> None:
    with LocalServer() as server:
        asyncio.run(serve(server.url))
    alloy.shutdown()


if __name__ == "__main__":
    main()
