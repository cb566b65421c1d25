"""An approval that outlives the process: the agent asks today, the machine is restarted, a person approves tomorrow.

Run it: python examples/approval_later.py
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import alloy_actors as alloy
from alloy_actors.local import LocalServer

if TYPE_CHECKING:
    from collections.abc import Iterable


@alloy.tool
def look_up(invoice: int) -> str:
    """Look up an invoice."""
    return f"invoice {invoice}: 120 euros, unpaid"


@alloy.tool
def pay(invoice: int, euros: int) -> str:
    """Pay an invoice."""
    print(f"  {euros} euros are paid for invoice {invoice}")
    return "paid"


class Careful(alloy.Middleware):
    """Money moves only when somebody says so. While nobody has, the run's time stands still."""

    def before_tool_call(self, run: alloy.RunView, call: alloy.ToolCall) -> alloy.RequireApproval | None:
        if call.name != "pay":
            return None
        return alloy.RequireApproval(f"this moves the money of {run.agent}'s office")


def clerk(system: alloy.AgentSystem, url: str) -> alloy.AgentRef:
    options: dict[str, Any] = {
        "provider": alloy.OpenAICompat(model="scripted-fast", api_url=url),
        "tools": [look_up, pay],
        "middleware": [Careful()],
    }
    return system.spawn("clerk", **options)


def next_request(events: Iterable[Any]) -> alloy.ApprovalRequested:
    return next(event for event in events if isinstance(event, alloy.ApprovalRequested))


QUESTION = "Please call look_up(invoice=7) and pay(invoice=7, euros=120)"


def today(store: str, url: str) -> None:
    with alloy.AgentSystem(store=store) as system:
        agent = clerk(system, url)
        with agent.subscribe("events") as events:
            agent.send_message(QUESTION, request_id="invoice-7")
            asked = next_request(events)
        print(f"today the clerk wants {asked.name}({asked.input}): {asked.reason}")
        print(f"waiting: {agent.health().pending_approvals}; nothing has run, and the office closes")


def tomorrow(store: str, url: str) -> None:
    with alloy.AgentSystem(store=store) as system, system.subscribe("agent:clerk:events") as events:
        agent = clerk(system, url)  # goes on with the request, and asks again: nobody has decided
        asked = next_request(events)
        print(f"tomorrow it asks again about {asked.request_id}, and is told to pay less")
        agent.approve(asked.request_id, asked.id, input={**asked.input, "euros": 100})
        result = agent.chat(QUESTION, request_id="invoice-7")  # the same id is the same request
        print(f"{result.status}: {[call.error or 'done' for call in result.tool_calls]}")


def main() -> None:
    with LocalServer() as server, tempfile.TemporaryDirectory() as folder:
        store = f"sqlite:///{Path(folder) / 'agents.db'}"
        today(store, server.url)
        tomorrow(store, server.url)
    alloy.shutdown()


if __name__ == "__main__":
    main()
