"""An answer of a type: letters become tickets, checked before you see them, and sent back when they do not fit.

Run it: python examples/structured_output.py
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field, field_validator

import alloy_actors as alloy
from alloy_actors.local import LocalServer
from alloy_actors.testing import ScriptedProvider, tool_call


class Ticket(BaseModel):
    """What a letter is about."""

    topic: Literal["billing", "delivery", "other"]
    urgency: int = Field(ge=1, le=5, description="5: today.")
    orders: list[str] = []

    @field_validator("orders")
    @classmethod
    def _are_numbers(cls, orders: list[str]) -> list[str]:
        for order in orders:
            if not order.isdecimal():
                raise ValueError(f"{order!r} is no order number: digits only")
        return orders


@alloy.tool
def find_order(customer: str) -> str:
    """Find the number of a customer's last order."""
    return {"Ada": "4711"}.get(customer, "none")


def main() -> None:
    # A model that is wrong once: what the validator says goes back to it.
    model = ScriptedProvider(
        [
            tool_call("find_order", customer="Ada"),
            tool_call("submit_result", topic="delivery", urgency=4, orders=["no. 4711"]),
            tool_call("submit_result", topic="delivery", urgency=4, orders=["4711"]),
        ]
    )
    with alloy.AgentSystem() as system:
        clerk = system.spawn("clerk", provider=model, tools=[find_order], output=Ticket)
        result = clerk.chat("Where is my parcel?! Ada").raise_for_status()
        ticket: Ticket = result.output
        print(f"{ticket.topic}, urgency {ticket.urgency}, orders {ticket.orders}, {result.turns} turns")
        for call in result.tool_calls:
            print(f"  {call.name}: {call.error or 'ok'}")

        # A server with structured output of its own gets the schema; the stand-in answers with a sample that fits it.
        with LocalServer() as server:
            provider = alloy.OpenAICompat(model="scripted-fast", api_url=server.url)
            sorter = system.spawn("sorter", provider=provider, output=Ticket)
            print(repr(sorter.chat("You charged me twice.").output))
    alloy.shutdown()


if __name__ == "__main__":
    main()
