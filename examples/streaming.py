"""An answer as it is written: text to a callable, events, and a run that is cancelled in the middle.

Run it: python examples/streaming.py
"""

from __future__ import annotations

import asyncio

import alloy_actors as alloy
from alloy_actors.local import LocalServer


@alloy.tool
def weather(city: str) -> str:
    """Look up the weather of a city."""
    return f"{city}: 18 degrees and clear"


def show(text: str) -> None:
    print(text, end="", flush=True)


def describe(event: alloy.Event) -> None:
    match event:
        case alloy.TurnStarted():
            print(f"-- turn {event.turn} of {event.model.partition('?')[0]}")
        case alloy.ThinkingDelta():
            show(event.text)  # the model's reasoning, before its answer
        case alloy.ToolStarted():
            print(f"-- {event.name}({event.input}) began")
        case alloy.ToolEnded():
            print(f"-- {event.name}({event.input}) ended: {event.error or 'well'}")
        case alloy.RunFinished():
            print(f"\n-- {event.result.status}: {event.result.usage.total_tokens} tokens")
        case _:
            pass  # an event that a later version adds


async def from_a_coroutine(agent: alloy.AgentRef) -> None:
    async for event in agent.astream_chat("And tomorrow?"):
        if isinstance(event, alloy.TextDelta):
            show(event.text)
    print()


def main() -> None:
    with LocalServer() as server, alloy.AgentSystem() as system:
        provider = alloy.OpenAICompat(model="scripted-thinking", api_url=server.url)
        agent = system.spawn("guide", provider=provider, tools=[weather])

        # The callables run on this thread, which waits for the result anyway.
        agent.stream_chat("Compare the weather in Paris and Oslo", show, on_event=describe)

        asyncio.run(from_a_coroutine(agent))

        # Enough read: what has been said is kept, the socket is closed, and the conversation goes on.
        heard = 0

        def five_words(text: str) -> None:
            nonlocal heard
            heard += 1
            show(text)
            if heard == 5:
                agent.cancel_request()

        result = agent.stream_chat("Tell me a long story", five_words)
        print(f" ...\n-- {result.status}, and the history says so: {result.messages[-1].text[-60:]!r}")
    alloy.shutdown()


if __name__ == "__main__":
    main()
