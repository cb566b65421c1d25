"""Memory after many cancelled runs, in a process of its own: `python -m tests.faults.soak URL FIRST LAST`.

Prints the resident memory (bytes) after so many runs and after so many, and what is left of tasks and workers.
"""

from __future__ import annotations

import asyncio
import gc
import itertools
import json
import os
import queue
import sys
import threading
from typing import Any

import alloy_actors as alloy
from alloy_actors.actors.loop_thread import loop_thread
from alloy_actors.local import scripted_model
from alloy_actors.testing import reply
from benchmarks.resident import resident

KINDS = ("model", "stream", "coro", "plain")
TURN = 20
"""Runs after which a conversation begins anew: it is not what is measured here."""


class Chosen:
    """A model for each message: it hangs, streams and stalls, or calls the tool that is named."""

    model = "chosen"

    def __init__(self, url: str, asked: threading.Semaphore) -> None:
        stalling = scripted_model("scripted-fast", fault="stall", deltas=20)
        self._stream = alloy.OpenAICompat(model=stalling, api_url=url)
        self._asked = asked
        self._calls = itertools.count(1)

    async def complete(self, request: alloy.ModelRequest, on_deltas: Any = None) -> alloy.ModelReply:
        name = request.messages[-1].text
        if name == "stream":
            return await self._stream.complete(request, on_deltas)
        if name == "model":
            self._asked.release()
            await asyncio.get_running_loop().create_future()
        return reply(alloy.ToolCall(f"call_{next(self._calls)}", name, {}))


class Cancelled:
    """An agent whose runs are cancelled: in the model, in a stream, in an async tool, in a plain tool."""

    def __init__(self, url: str) -> None:
        self.started = threading.Semaphore(0)
        self.told: queue.SimpleQueue[alloy.Result] = queue.SimpleQueue()
        self.system = alloy.AgentSystem()

        @alloy.tool
        async def coro() -> str:
            """Wait on the loop."""
            self.started.release()
            await asyncio.get_running_loop().create_future()
            return ""

        @alloy.tool
        def plain(context: alloy.ToolContext) -> str:
            """Wait on a worker."""
            self.started.release()
            context.cancelled.wait(60)
            return ""

        self.agent = self.system.spawn("ada", provider=Chosen(url, self.started), tools=[coro, plain])
        self.events = self.agent.subscribe("events", maxsize=100_000)

    def run(self, count: int) -> None:
        """So many more."""
        for number in range(count):
            name = KINDS[number % len(KINDS)]
            request_id = self.agent.send_message(name, self.told.put)
            if name == "stream":
                self._wait_for_words(request_id)
            else:
                assert self.started.acquire(timeout=60)
            assert self.agent.cancel_request(request_id)
            assert self.told.get(timeout=60).status == "cancelled"
            if number % TURN == 0:
                self.agent.reset(when_idle=True)

    def _wait_for_words(self, request_id: str) -> None:
        while True:
            event = self.events.get(60)
            if isinstance(event, alloy.TextDelta) and event.request_id == request_id:
                return

    def memory(self) -> int:
        for _ in range(3):
            gc.collect()
        return resident()

    def left(self) -> dict[str, int]:
        """What is still under way; the workers need a moment to hear that nobody waits for them."""
        tools = self.system._tools
        for _ in range(1000):
            if tools.statistics().stuck == 0:
                break
            threading.Event().wait(0.01)
        loop = loop_thread().loop
        tasks = asyncio.run_coroutine_threadsafe(count_tasks(), loop).result(60)
        return {"tasks": tasks, "stuck": tools.statistics().stuck, "busy": tools.statistics().busy}


async def count_tasks() -> int:
    return len(asyncio.all_tasks()) - 1


def main() -> None:
    url, first, last = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # the log goes elsewhere
    cancelled = Cancelled(url)
    cancelled.run(first)
    before = cancelled.memory()
    cancelled.run(last - first)
    after = cancelled.memory()
    answers.write(json.dumps({"before": before, "after": after, **cancelled.left()}))
    answers.close()
    cancelled.system.stop()


if __name__ == "__main__":
    main()
