"""Tools of your own: plain and async functions, typed arguments, errors for the model, and data for you.

Run it: python examples/own_tools.py
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import BaseModel, Field

import alloy_actors as alloy
from alloy_actors.local import LocalServer

PRICES = {"tea": 4.5, "coffee": 6.0}


class Line(BaseModel):
    """One line of an order."""

    item: Literal["tea", "coffee"]
    count: Annotated[int, Field(ge=1, le=20)]


@dataclass
class Receipt:
    """What the tool returns; the model reads it as JSON, and you find it in `Result.tool_calls`."""

    total: float
    lines: int


@alloy.tool
def price(item: str) -> float:
    """Look up what an item costs, in euros.

    Args:
        item: Its name, in lower case.
    """
    if item not in PRICES:
        # The text goes to the model, which can do something about it. Any other exception would, too, but as a crash.
        raise alloy.ToolError(f"There is no {item!r}; there are: {', '.join(PRICES)}.")
    return PRICES[item]


@alloy.tool(timeout=5, concurrent=False)  # never beside another call: orders are placed in order
async def order(lines: list[Line], ctx: alloy.ToolContext) -> Receipt:
    """Place an order."""
    await asyncio.sleep(0)  # an async tool may await what it likes; it must not block
    print(f"order {ctx.idempotency_key[-14:]} for {ctx.context['customer']}: {lines}")
    return Receipt(sum(PRICES[line.item] * line.count for line in lines), len(lines))


QUESTIONS = [
    'Please call price(item="tea") and price(item="gold")',
    'Please call order(lines=[{"item": "tea", "count": 2}])',
    'Please call order(lines=[{"item": "tea", "count": 200}])',  # refused before the function is called
]


def main() -> None:
    with LocalServer() as server, alloy.AgentSystem() as system:
        provider = alloy.OpenAICompat(model="scripted-fast", api_url=server.url)
        agent = system.spawn("shop", provider=provider, tools=[price, order], context={"customer": "Ada"})
        for question in QUESTIONS:
            result = agent.chat(question).raise_for_status()
            for call in result.tool_calls:
                print(f"{call.name}({call.input}) -> {call.error or call.data}")
            print(f"  {result.text}")
    print(order.input_schema["properties"]["lines"])  # what the model is told of the argument
    alloy.shutdown()


if __name__ == "__main__":
    main()
