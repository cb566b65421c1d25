"""A provider of your own: one class with a `model` and one method. This one needs no network; docs/providers.md walks through it.

Run it: python examples/custom_provider.py
"""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING

import alloy_actors as alloy
from alloy_actors.provider import Delta

if TYPE_CHECKING:
    from alloy_actors.provider import ModelReply, ModelRequest, OnDeltas


class Clerk:
    """Adds with the tool `add` whatever two numbers it is given, and repeats everything else.

    Args:
        manners: What each answer begins with.
    """

    def __init__(self, manners: str = "Certainly: ") -> None:
        self._manners = manners

    @property
    def model(self) -> str:
        """Its name."""
        return "clerk-1"

    async def complete(self, request: ModelRequest, on_deltas: OnDeltas | None = None) -> ModelReply:
        """Answer the last message of the history."""
        last = request.messages[-1]
        # The results of tool calls come back as one user message, in the order of the calls.
        results = [block for block in last.blocks if isinstance(block, alloy.ToolResult)]
        if results:
            return await self._say(" and ".join(result.text for result in results), request, on_deltas)
        numbers = re.findall(r"\d+", last.text)
        if len(numbers) == 2 and any(tool.name == "add" for tool in request.tools):
            # An id that is its own within the message; an agent answers each call exactly once.
            call = alloy.ToolCall(
                f"call_{len(request.messages)}", "add", {"a": int(numbers[0]), "b": int(numbers[1])}
            )
            return alloy.ModelReply(self._message(call), "tool_use", alloy.Usage(len(last.text), 1))
        if not last.text.strip():
            raise alloy.InvalidRequestError("the clerk was told nothing")
        return await self._say(last.text, request, on_deltas)

    async def _say(self, words: str, request: ModelRequest, on_deltas: OnDeltas | None) -> ModelReply:
        text = self._manners + words
        if on_deltas is not None:  # somebody listens
            for piece in re.findall(r"\S+\s*", text):
                if request.deadline.expired:
                    raise alloy.ProviderTimeoutError("the clerk's time was up")
                on_deltas([Delta("text", piece)])
                await asyncio.sleep(0)
        usage = alloy.Usage(
            input_tokens=sum(len(item.text) for item in request.messages), output_tokens=len(text)
        )
        return alloy.ModelReply(self._message(alloy.TextBlock(text)), "end_turn", usage, {"desk": 3})

    def _message(self, *blocks: alloy.ContentBlock) -> alloy.Message:
        return alloy.Message("assistant", blocks, model=self.model)


@alloy.tool
async def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


def main() -> None:
    result = alloy.run("What is 19 and 23?", provider=Clerk(), tools=[add])
    print(f"{result.text} ({result.turns} turns, desk {result.metadata['provider_response']['desk']})")

    with alloy.AgentSystem() as system:
        agent = system.spawn("front desk", provider=Clerk("Well, "))
        agent.stream_chat("lovely weather today", on_chunk=lambda piece: print(piece, end="|"))
        print(f" {len(agent.messages())} messages")
    alloy.shutdown()


if __name__ == "__main__":
    main()
