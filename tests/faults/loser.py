"""A process that will be frozen while another takes its store over: `python -m tests.faults.loser FOLDER URL GATE`.

It says READY; then for each line on standard input (an agent's name) it sends that agent a message and says what became
of it. Everything its callers are told it says as well.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import alloy_actors as alloy
from alloy_actors.local import scripted_model
from tests.faults.busy import tools_of
from tests.faults.effects import Effects

TEXT = 'Please plain(what="a") and coro(what="b").'


def options(folder: Path, url: str, gate: str | None) -> dict[str, Any]:
    """Of every agent; the first request of each waits at the gate."""
    directives = {"gate": gate, "times": 3} if gate is not None else {}
    provider = alloy.OpenAICompat(model=scripted_model("scripted-fast", **directives), api_url=url)
    return {"provider": provider, "tools": tools_of(Effects(folder / "effects"))}


def main() -> None:
    folder, url, gate = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
    words = os.dup(1)
    os.dup2(2, 1)  # the log goes elsewhere

    def say(*what: object) -> None:
        os.write(words, (" ".join(map(str, what)) + "\n").encode())  # in one piece: several threads speak

    system = alloy.AgentSystem(store=f"sqlite:///{folder / 'agents.db'}")
    for name in ("running", "idle"):
        system.spawn(name, **options(folder, url, gate))
    for request_id in ("R", "Q"):
        system.agent("running").send_message(
            TEXT,
            lambda result: say("told", result.request_id, type(result.error).__name__),
            request_id=request_id,
        )
    say("READY")
    agents = {agent.name: agent for agent in system.agents()}
    for line in sys.stdin:
        agent = agents[line.strip()]
        try:
            agent.send_message("are you there?", lambda result: say("told", "late", result.status))
        except alloy.AlloyError as error:
            say("refused", type(error).__name__)
        say(agent.name, "is", agent.health().status)


if __name__ == "__main__":
    main()
