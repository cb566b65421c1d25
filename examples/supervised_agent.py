"""A long-lived agent: messages handed in, results called back, and a crash that loses nothing.

Run it: python examples/supervised_agent.py
"""

from __future__ import annotations

import threading

import alloy_actors as alloy
from alloy_actors.local import LocalServer


def main() -> None:
    with LocalServer() as server, alloy.AgentSystem() as system:
        provider = alloy.OpenAICompat(model="scripted-fast", api_url=server.url)
        agent = system.spawn("support-42", provider=provider, system_prompt="Be brief.")

        # Returns at once; the callback runs on a thread of the runtime, in order.
        all_told = threading.Barrier(2)
        results: list[alloy.Result] = []

        def on_result(result: alloy.Result) -> None:
            print(f"{result.request_id}: {result.text}")
            results.append(result)
            if len(results) == 3:
                all_told.wait()

        for number in range(3):
            agent.send_message(f"Ticket {number}", on_result, request_id=f"ticket-{number}")
        print(f"three tickets handed in, {agent.health().pending_count} waiting")
        all_told.wait(timeout=10)

        # The actor fails on purpose. Its supervisor starts another one, which reads the journal.
        agent.crash("a drill")
        print(agent.chat("Are you still there?").text)
        print(f"{len(agent.messages())} messages, restarted {agent.health().restarts} time(s)")
    alloy.shutdown()


if __name__ == "__main__":
    main()
