"""One agent with a real store, a real model server and tools with real effects, stopped at the point that a test wants."""

from __future__ import annotations

import asyncio
import queue
import sqlite3
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

import alloy_actors as alloy
from alloy_actors.journal import ModelChanged, OnAppended, Record, RequestSent, ToolCallEnded
from alloy_actors.local import LocalServer, scripted_model
from alloy_actors.store.sqlite import SqliteStore
from alloy_actors.testing import Gate
from tests.faults.effects import Effects

WAIT = 20.0

Point: TypeAlias = Literal["first request", "mid tool fan-out", "mid stream", "between turns", "while queued"]
POINTS: tuple[Point, ...] = get_args(Point)

RUN = 'Please quick(what="R1") and plain(what="R2") and coro(what="R3").'
QUEUED = {"Q1": 'Then quick(what="Q1").', "Q2": "And then say something."}
REQUESTS = {"R": RUN, **QUEUED}


class WatchedStore(SqliteStore):
    """Holds the append that begins the second turn of a run, once, and knows when a tool's result is on the disk."""

    def __init__(self, path: Path, *, hold: bool) -> None:
        super().__init__(path, busy_timeout=0.05)
        self.result_recorded = threading.Event()
        self.holds = threading.Event()
        self._hold = hold
        self._held: Callable[[], None] | None = None

    def append(self, agent_id: str, token: int, records: Sequence[Record], on_appended: OnAppended) -> None:
        def appended(error: Exception | None) -> None:
            if any(isinstance(record, ToolCallEnded) for record in records):
                self.result_recorded.set()
            on_appended(error)

        go_on = super().append
        if self._hold and any(isinstance(record, RequestSent) and record.turn == 2 for record in records):
            self._hold = False
            self._held = lambda: go_on(agent_id, token, records, appended)
            self.holds.set()
        else:
            go_on(agent_id, token, records, appended)

    def release(self) -> None:
        held, self._held = self._held, None
        if held is not None:
            held()

    def fill_up(self) -> None:
        """As on a full disk: not one more record fits, of whatever agent."""
        (pages,) = self._file.write.execute("PRAGMA page_count").fetchone()
        self._file.write.execute(f"PRAGMA max_page_count = {pages}")
        token = self.take_token("ballast")
        refused: queue.SimpleQueue[Exception | None] = queue.SimpleQueue()
        while True:
            self.append("ballast", token, [ModelChanged("m")], refused.put)
            if refused.get(timeout=WAIT) is not None:
                return

    def make_room(self) -> None:
        self._file.write.execute("PRAGMA max_page_count = 1000000")


class Model:
    """The model server's client; `bug` makes it fail once as a broken one would."""

    def __init__(self, url: str, name: str) -> None:
        self._client = alloy.OpenAICompat(model=name, api_url=url)
        self.bug = False

    @property
    def model(self) -> str:
        return self._client.model

    async def complete(self, request: alloy.ModelRequest, on_deltas: Any = None) -> alloy.ModelReply:
        def hear(deltas: Any) -> None:
            on_deltas(deltas)
            self._break()

        reply = await self._client.complete(request, None if on_deltas is None else hear)
        self._break()
        return reply

    def _break(self) -> None:
        if self.bug:
            self.bug = False
            raise KeyError("a bug in a provider")


class Clumsy(alloy.Middleware):
    """Raises once, at the next hook there is, when `raises` is set."""

    def __init__(self) -> None:
        self.raises = False

    def _stumble(self, *_: object) -> None:
        if self.raises:
            self.raises = False
            raise RuntimeError("a bug in middleware")

    before_completion = after_tool_request = before_tool_call = _stumble
    after_tool_execution = after_completion = on_error = _stumble


class Scene:
    """See the module.

    Args:
        folder: For the store and the effects; a new one for each scene.
        url: Of the model server.
        point: Where the run "R" stops; "Q1" and "Q2" wait behind it.
        directives: Further ones for the model, for the request that stops at the point.
        options: Of the agent.
    """

    def __init__(
        self, folder: Path, url: str, point: Point, directives: dict[str, Any], **options: Any
    ) -> None:
        self.path = folder / "agents.db"
        self.effects = Effects(folder / "effects")
        self.point = point
        self.misdeed: Literal["", "exit", "hang"] = ""  # what `plain` and `coro` do after their effect
        self.told: dict[str, queue.SimpleQueue[alloy.Result]] = {}
        self.middleware = Clumsy()
        self.ended = threading.Event()  # lets go of what hangs
        self._url = url
        self._gate = f"gate {folder}"
        self._options = options
        self._go_on = threading.Event()
        self._coro_goes_on = Gate()
        self._started = threading.Semaphore(0)
        self._model_name = self._name_of_model(directives)
        self._events: Any = None

    # -- the play ----------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Hand everything in."""
        self.store = WatchedStore(self.path, hold=self.point == "between turns")
        self.system = alloy.AgentSystem(store=self.store)
        self.agent = self.system.spawn("ada", **self.options())
        self.model: Model = self.agent._entry.provider
        if self.point != "first request":
            self.store._hold = False
            self.agent.chat("Hello.", request_id="before").raise_for_status()
            self.store._hold = self.point == "between turns"
        if self.point == "mid stream":
            self._events = self.agent.subscribe("events")  # the wire streams for who listens
        for request_id, text in REQUESTS.items():
            self.send(request_id, text)

    def send(self, request_id: str, text: str) -> None:
        told = self.told[request_id] = queue.SimpleQueue()
        self.agent.send_message(text, told.put, request_id=request_id)

    def reach(self, server: LocalServer | None = None) -> None:
        """Return when the run stands at the point; without the server's view when it is not ours to ask."""
        match self.point:
            case "mid tool fan-out":
                for _ in range(3):
                    assert self._started.acquire(timeout=WAIT)
                assert self.store.result_recorded.wait(WAIT)
            case "mid stream":
                while not isinstance(self._events.get(WAIT), alloy.TextDelta):
                    pass
            case "between turns":
                assert self.store.holds.wait(WAIT)
        if server is not None and self.point in ("first request", "mid stream", "while queued"):
            server.wait_stats(active=1)

    def go_on(self, server: LocalServer) -> None:
        """Let go of the run."""
        server.open_gate(self._gate)
        self.store.release()
        self._go_on.set()
        self._coro_goes_on.release()

    def end(self) -> None:
        self.ended.set()
        self._go_on.set()
        self._coro_goes_on.release()
        if self._events is not None:
            self._events.close()
        self.system.stop()

    # -- the cast ----------------------------------------------------------------------------------------------

    def options(self) -> dict[str, Any]:
        """The agent's, for this process and for one that comes after it."""
        return {
            "provider": Model(self._url, self._model_name),
            "tools": self._tools(),
            "middleware": [self.middleware],
            "retry_backoff": 0.001,
            **self._options,
        }

    def _name_of_model(self, directives: dict[str, Any]) -> str:
        before = 0 if self.point == "first request" else 1  # answers before the run
        ordered: dict[str, Any] = {"times": 1, "after": before, "gate": self._gate}
        match self.point:
            case "mid stream":
                ordered |= {"gate_after": 3, "after": before + 1}
            case "mid tool fan-out" | "between turns":  # these wait elsewhere
                ordered = {"times": 1, "after": before + 1} if directives else {}
        return scripted_model("scripted-fast", **ordered, **directives)

    def _tools(self) -> list[alloy.Tool]:
        @alloy.tool
        def quick(context: alloy.ToolContext, what: str) -> str:
            """Do it."""
            self._do(context, what)
            return f"did {what}"

        @alloy.tool
        def plain(context: alloy.ToolContext, what: str) -> str:
            """Do it, and take one's time."""
            self._do(context, what)
            if self.point == "mid tool fan-out":
                self._go_on.wait(WAIT)
            if self.misdeed == "exit":
                raise SystemExit(3)
            if self.misdeed == "hang":
                self.ended.wait(WAIT)
            return f"did {what}"

        @alloy.tool
        async def coro(context: alloy.ToolContext, what: str) -> str:
            """Do it on the loop."""
            self._do(context, what)
            if self.point == "mid tool fan-out":
                await self._coro_goes_on.wait()
            if self.misdeed == "exit":
                raise SystemExit(3)
            if self.misdeed == "hang":
                await asyncio.get_running_loop().create_future()
            return f"did {what}"

        return [quick, plain, coro]

    def _do(self, context: alloy.ToolContext, what: str) -> None:
        self.effects.add(context, what)
        self._started.release()


def lock_database(path: Path) -> sqlite3.Connection:
    """Hold the database as another program would."""
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    return other
