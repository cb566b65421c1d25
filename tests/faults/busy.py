"""A busy system of agents, made to be killed: `python -m tests.faults.busy FOLDER URL AGENTS SEED`.

It takes the store over from whoever has it, hands requests in as fast as they are answered, and notes each one that was
accepted. With seed 0 it hands in nothing: it finishes what there is, and ends. Standard output says STARTING, then
READY, then (seed 0) DONE.
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
import threading
from pathlib import Path
from typing import Any

import alloy_actors as alloy
from alloy_actors.local import scripted_model
from tests.faults.effects import Effects

IDEMPOTENT = "again"
TEXTS = (
    'Please plain(what="a") and coro(what="b") and again(what="c").',
    'Please coro(what="d").',
    'Please alone(what="e") and plain(what="f") and alone(what="g").',
    "Just say something.",
)


def tools_of(effects: Effects) -> list[alloy.Tool]:
    """Plain, async, in their turn, idempotent; each notes what it has done."""

    @alloy.tool
    def plain(context: alloy.ToolContext, what: str) -> str:
        """Do it."""
        effects.add(context, what)
        return f"did {what}"

    @alloy.tool
    async def coro(context: alloy.ToolContext, what: str) -> str:
        """Do it on the loop, and wait a little."""
        effects.add(context, what)
        await asyncio.sleep(0.005)  # so that a kill may come in between
        return f"did {what}"

    @alloy.tool(concurrent=False)
    def alone(context: alloy.ToolContext, what: str) -> str:
        """Do it while nothing else is done."""
        effects.add(context, what)
        return f"did {what}"

    @alloy.tool(idempotent=True)
    def again(context: alloy.ToolContext, what: str) -> str:
        """Do it; twice does no harm."""
        effects.add(context, what)
        context.cancelled.wait(0.01)
        return f"did {what}"

    return [plain, coro, alone, again]


class Busy:
    """The agents, and what is asked of them."""

    def __init__(self, folder: Path, url: str, agents: int, seed: int) -> None:
        self._random = random.Random(seed)
        self._accepted = os.open(folder / "accepted", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        self._again = threading.Semaphore(0)
        self._serial = f"{seed}-{os.getpid()}"
        self._count = 0
        tools = tools_of(Effects(folder / "effects"))

        def factory(name: str) -> dict[str, Any]:
            directives = {"pause": 0.001} if int(name) % 3 == 0 else {"delay": 0.005}
            model = scripted_model("scripted-fast", **directives)
            provider = alloy.OpenAICompat(model=model, api_url=url)
            options = {"provider": provider, "tools": tools, "retry_backoff": 0.01}
            if int(name) % 2:
                options["idle_timeout"] = 0.01  # so that some sleep in every pause, and some are killed in it
            return options

        self.system = alloy.AgentSystem(
            store=f"sqlite:///{folder / 'agents.db'}", takeover=True, factory=factory
        )
        self.agents = [self.system.agent(str(number)) for number in range(agents)]
        self._events = [agent.subscribe("events", maxsize=1_000_000) for agent in self.agents[::3]]

    def work(self) -> None:
        """Two requests per agent at any time, and sometimes worse; never returns."""
        for _ in range(2 * len(self.agents)):
            self._again.release()
        while True:
            self._again.acquire()
            agent = self._random.choice(self.agents)
            self._send(agent)
            match self._random.randrange(60):
                case 0:
                    agent.cancel_request()
                case 1:
                    agent.crash("drill")

    def _send(self, agent: alloy.AgentRef) -> None:
        self._count += 1
        request_id = f"{self._serial}-{self._count}"
        when_busy: Any = self._random.choices(["queue", "steer", "interrupt"], [8, 3, 1])[0]
        try:
            agent.send_message(
                self._random.choice(TEXTS),
                lambda _result: self._again.release(),
                request_id=request_id,
                when_busy=when_busy,
            )
        except (alloy.QueueFullError, alloy.AgentDownError):  # not accepted
            self._again.release()
        else:
            os.write(self._accepted, f"{agent.name}\t{request_id}\n".encode())

    def finish(self) -> None:
        """Return when nothing is left to do."""

        async def all_drained() -> None:
            await asyncio.gather(*(agent.drained() for agent in self.agents))

        asyncio.run(all_drained())
        self.system.stop()


def main() -> None:
    folder, url, agents, seed = sys.argv[1:]
    words = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # the log goes where nobody has to read it

    def say(word: str) -> None:
        print(word, file=words, flush=True)

    say("STARTING")
    busy = Busy(Path(folder), url, int(agents), int(seed))
    say("READY")
    if int(seed):
        busy.work()
    else:
        busy.finish()
        say("DONE")


if __name__ == "__main__":
    main()
