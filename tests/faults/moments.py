"""Runs that stand where a run waits beside its turns: for a person, a summary, a cool-down, another provider, a form.

`python -m tests.faults.moments FOLDER MOMENT` brings one there in a process of its own, and waits to be killed.
"""

from __future__ import annotations

import os
import queue
import sys
import threading
import uuid
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

import alloy_actors as alloy
from alloy_actors.errors import ContextOverflowError, RateLimitError, ServerError
from alloy_actors.testing import Gate, ScriptedProvider, held
from tests.faults.effects import Effects
from tests.faults.scene import WAIT, WatchedStore

Moment: TypeAlias = Literal["approval", "summary", "after overflow", "cool-down", "fallback", "output retry"]
MOMENTS: tuple[Moment, ...] = get_args(Moment)
SUMMARIES = "Write a summary."
WINDOW = 4000  # characters that the model takes
COOLING = 1.0  # seconds


class Model(ScriptedProvider):
    """Calls `effect` once for each message, then answers; on the way it is what the moment needs."""

    def __init__(self, stage: Stage, *, second: bool = False) -> None:
        super().__init__(self._say, model="second" if second else "first", output_schemas="always")
        self.limit_key = stage.folder  # a cool-down is this stage's alone
        self._stage = stage
        self._second = second

    def _say(self, request: alloy.ModelRequest) -> Any:
        stage, last = self._stage, request.messages[-1]
        summary = request.system_prompt == SUMMARIES
        if not summary and sum(len(message.text) for message in request.messages) > WINDOW:
            raise ContextOverflowError("too long")
        if last.text == "before":
            long = stage.moment in ("summary", "after overflow")
            return stage.answer + " " * WINDOW if long else stage.answer
        if summary:
            return held(stage.gate, "It is short.") if stage.moment == "summary" else "It is short."
        if last.text in ("R", "Q", "N"):
            call = alloy.ToolCall(uuid.uuid4().hex, "effect", {"what": last.text})
            return held(stage.gate, call) if stage.moment == "after overflow" else call
        match stage.moment:
            case "cool-down" if not stage.refused.is_set():
                stage.refused.set()
                raise RateLimitError("too many", retry_after=COOLING)
            case "fallback":
                if not self._second:
                    raise ServerError("down")
                return held(stage.gate, stage.answer)
            case "output retry":
                corrected = not any(isinstance(block, alloy.ToolResult) for block in last.blocks)
                return held(stage.gate, stage.answer) if corrected else "not a number"
        return stage.answer


class AskFirst(alloy.Middleware):
    """Wants an approval for what R does."""

    def before_tool_call(self, _run: object, call: alloy.ToolCall) -> alloy.RequireApproval | None:
        return alloy.RequireApproval("is it all right?") if call.input["what"] == "R" else None


class Stage:
    """An agent whose run "R" stands at the moment; "Q" waits behind it."""

    def __init__(self, folder: Path, moment: Moment) -> None:
        self.folder = folder
        self.moment = moment
        self.answer = '{"value":42}' if moment == "output retry" else "42"
        self.effects = Effects(folder / "effects")
        self.gate = Gate()
        self.refused = threading.Event()
        self.told: dict[str, queue.SimpleQueue[alloy.Result]] = {}

    @property
    def path(self) -> Path:
        return self.folder / "agents.db"

    def begin(self) -> None:
        self.store = WatchedStore(self.path, hold=False)
        self.system = alloy.AgentSystem(store=self.store)
        self.agent = self.system.spawn("ada", **self.options())
        self.agent.chat("before", request_id="before", timeout=WAIT).raise_for_status()
        for text in ("R", "Q"):
            told = self.told[text] = queue.SimpleQueue()
            self.agent.send_message(text, told.put, request_id=text)

    def reach(self, agent: alloy.AgentRef | None = None) -> None:
        """Return when the run stands at the moment."""
        if self.moment == "approval":
            asked = threading.Event()
            (agent or self.agent)._entry.approvals.when_waiting("R", asked.set)
            assert asked.wait(WAIT)
        elif self.moment == "cool-down":
            assert self.refused.wait(WAIT)
        else:
            self.gate.arrived(1, WAIT)

    def go_on(self, agent: alloy.AgentRef) -> None:
        """Let go of the run."""
        self.gate.release()
        if self.moment == "approval":
            self.reach(agent)
            for approval in agent.approvals():
                assert agent.approve(approval.request_id, approval.call_id)

    def options(self) -> dict[str, Any]:
        """The agent's, for this process and for one that comes after it."""

        @alloy.tool
        def effect(context: alloy.ToolContext, what: str) -> str:
            """Do it."""
            self.effects.add(context, what)
            return "done"

        options: dict[str, Any] = {
            "provider": Model(self),
            "tools": [effect],
            "retry_backoff": 0.001,
            "system_prompt": "You are ada.",
        }
        match self.moment:
            case "approval":
                options["middleware"] = [AskFirst()]
            case "summary" | "after overflow":
                options["compaction"] = alloy.Compaction(
                    keep_recent_tokens=20, reserve_tokens=20, summary_system_prompt=SUMMARIES
                )
            case "fallback":
                options |= {"fallback_providers": [Model(self, second=True)], "max_retries": 0}
            case "output retry":
                options["output"] = int
        return options


def main() -> None:
    words = os.dup(1)
    os.dup2(2, 1)  # the log goes elsewhere
    stage = Stage(Path(sys.argv[1]), sys.argv[2])
    stage.begin()
    stage.reach()
    os.write(words, b"READY\n")
    sys.stdin.read()


if __name__ == "__main__":
    main()
