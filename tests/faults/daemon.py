"""A daemon with one agent: `python -m tests.faults.daemon FOLDER URL GATE DRAIN_TIMEOUT TOOL`; ends by SIGTERM.

Says READY when its run is on, a second request waits and signals are heard; DRAINING when it takes no more work; what its
callers are told; and last how many threads are left that are not daemons.
"""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path
from typing import Any

import alloy_actors as alloy
from alloy_actors.local import scripted_model
from supervisors import daemon
from tests.faults.effects import Effects

REQUESTS = {"R": 'Please work(what="R").', "Q": 'Then work(what="Q").'}


def options(folder: Path, url: str, gate: str | None = None, tool: str = "") -> dict[str, Any]:
    """Of the agent: the answer of its first run waits at the gate, or its tool never returns."""
    effects = Effects(folder / "effects")
    working = threading.Event()

    @alloy.tool
    def work(context: alloy.ToolContext, what: str) -> str:
        """Do it."""
        effects.add(context, what)
        working.set()
        if tool == "hangs":
            threading.Event().wait()
        return f"did {what}"

    directives = {"gate": gate, "after": 1} if gate is not None else {}
    provider = alloy.OpenAICompat(model=scripted_model("scripted-fast", **directives), api_url=url)
    return {"provider": provider, "tools": [work], "context": {"working": working}}


def main() -> None:
    folder, url, gate, drain_timeout, tool = Path(sys.argv[1]), *sys.argv[2:]
    words = os.dup(1)
    os.dup2(2, 1)  # the log goes elsewhere

    def say(*what: object) -> None:
        os.write(words, (" ".join(map(str, what)) + "\n").encode())  # in one piece: several threads speak

    made = options(folder, url, gate, tool)
    system = alloy.AgentSystem(store=f"sqlite:///{folder / 'agents.db'}")
    agent = system.spawn("ada", **made)

    def scene() -> None:
        for request_id, text in REQUESTS.items():
            agent.send_message(
                text,
                lambda result: say("told", result.request_id, result.status),
                request_id=request_id,
            )
        made["context"]["working"].wait()
        while not daemon._running:
            pass
        say("READY")
        while True:
            try:
                agent.send_message("one more?", when_busy="reject")
            except alloy.BusyError:
                continue
            except alloy.AgentDownError:
                say("DRAINING")
                return

    threading.Thread(target=scene, daemon=True).start()
    code = system.run(drain_timeout=float(drain_timeout), grace=30.0)
    main_thread = threading.main_thread()
    say("left", sum(not thread.daemon and thread is not main_thread for thread in threading.enumerate()))
    sys.exit(code)


if __name__ == "__main__":
    main()
