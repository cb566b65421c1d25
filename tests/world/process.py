"""One process with one agent, without a thread: the test delivers each message, runs the loop and answers for the disk.

The actor, its book, the run, the tool runner and the conversation are the real ones. Played here: the mailbox's thread,
the supervisor, the loop's thread, the workers, the disk, the model and the tools.
"""

from __future__ import annotations

import asyncio
import queue
from collections.abc import Callable
from typing import Any

import alloy_actors as alloy
from alloy_actors.actors import agent as agent_module
from alloy_actors.actors.agent import AgentActor
from alloy_actors.actors.callbacks import Callbacks
from alloy_actors.actors.entry import AgentEntry
from alloy_actors.actors.loop_thread import loop_thread
from alloy_actors.actors.pubsub import PubSub
from alloy_actors.actors.ref import AgentRef
from alloy_actors.config import AgentConfig, make_config
from alloy_actors.provider import Delta, ModelReply, ModelRequest, OnDeltas
from alloy_actors.tool_runner import ToolRunner
from supervisors.reasons import Crash, ExitReason, Shutdown
from supervisors.runtime.incarnation import Incarnation, set_current
from supervisors.spec import ChildExit
from tests.checks import check_sendable
from tests.world.loop import InlineLoop, StillLoop
from tests.world.store import Disk, ManualStore

NAME = "ada"


class Asked:
    """A request that the model has not answered."""

    def __init__(self, request: ModelRequest, on_deltas: OnDeltas | None) -> None:
        self.request = request
        self.on_deltas = on_deltas
        self.answer: asyncio.Future[ModelReply] = asyncio.get_running_loop().create_future()


class Called:
    """A tool call that has had its effect and has not ended; `end()` makes it return, or raise."""

    def __init__(self, name: str, call_id: str) -> None:
        self.name = name
        self.call_id = call_id
        self.end: asyncio.Future[str] = asyncio.get_running_loop().create_future()


class Puppet(alloy.Middleware):
    """Does what the test wants, once, at the next hook there is: `raise halt block edit approval`, or `wait`."""

    def __init__(self) -> None:
        self.next = ""
        self.waits: list[asyncio.Future[None]] = []

    async def before_completion(self, _run: alloy.RunView) -> Any:
        return await self._decide()

    async def after_tool_request(self, _run: alloy.RunView, _calls: object) -> Any:
        return await self._decide()

    async def before_tool_call(self, _run: alloy.RunView, _call: object) -> Any:
        return await self._decide(of_call=True)

    async def after_tool_execution(self, _run: alloy.RunView, _results: object) -> Any:
        return await self._decide()

    async def on_context_overflow(self, _run: alloy.RunView, _error: object) -> Any:
        return await self._decide()

    async def after_compaction(self, _run: alloy.RunView, _messages: object) -> Any:
        return await self._decide()

    async def after_completion(self, _run: alloy.RunView, _message: object) -> Any:
        return await self._decide()

    async def on_error(self, _run: alloy.RunView, _error: object) -> Any:
        return await self._decide()

    async def _decide(self, *, of_call: bool = False) -> Any:
        what = self.next
        if what in ("block", "edit", "approval") and not of_call:
            return None  # for the next one that may
        self.next = ""
        match what:
            case "raise":
                raise RuntimeError("a bug in middleware")
            case "halt":
                return alloy.Halt("enough")
            case "block":
                return alloy.Block("not this one")
            case "edit":
                return alloy.Edit({})
            case "approval":
                return alloy.RequireApproval("somebody must look at it")
            case "wait":
                waits = asyncio.get_running_loop().create_future()
                self.waits.append(waits)
                try:
                    await waits
                finally:
                    self.waits.remove(waits)
        return None


class Spare:
    """Another model of the process, which is asked where the first cannot answer."""

    model = "spare"

    def __init__(self, process: Process) -> None:
        self.complete = process.complete


class Process:
    """See the module.

    Args:
        disk: Its store.
        effects: What tools have done, in all processes: the ids of calls.
        listens: Whether somebody hears its events, so that the model streams.
        hooks: Whether it has middleware, which makes more steps of a run.
        options: Of the agent; with `spare` there is a fallback.
    """

    def __init__(self, disk: Disk, effects: list[str], *, listens: bool, hooks: bool, **options: Any) -> None:
        self.loop = StillLoop()
        self.inline = InlineLoop(self.loop)
        self.store = ManualStore(disk)
        self.asked: list[Asked] = []
        self.called: list[Called] = []
        self.heard: list[alloy.Event] = []
        self.actor: AgentActor | None = None
        self.draining = False
        self._incarnation: Incarnation | None = None
        self._effects = effects
        self.puppet = Puppet()
        given = {"provider": self, "tools": self._tools(), **options}
        if given.pop("spare", False):
            given["fallback_providers"] = [Spare(self)]
        if hooks:
            given["middleware"] = [self.puppet]
        config = make_config(AgentConfig, given, where="spawn")
        pubsub = PubSub()
        self.entry = AgentEntry(NAME, NAME, config, self.store, ToolRunner(self), Callbacks(), pubsub)
        self.agent = AgentRef(self.entry, None)
        if listens:
            pubsub.attach(self.entry.topics.name("events"), self.heard.append)
        self.entry.take_up(report=False)
        self.start_actor()

    # -- the actor and its supervisor --------------------------------------------------------------------------

    def start_actor(self) -> None:
        """The supervisor starts it, or starts it again."""
        self.actor = actor = AgentActor(self.entry)
        self._incarnation = Incarnation(actor.actor_ref, actor.actor_inbox)
        actor.on_start()

    def handle(self) -> bool:
        """Let the actor handle one message; whether there was one."""
        if self.actor is None or self._incarnation is None:
            return False
        try:
            envelope = self.actor.actor_inbox.queue.get_nowait()
        except queue.Empty:
            return False
        incarnation = self._incarnation
        try:
            answer = self._receive(envelope.message)
        except Exception as error:
            if envelope.reply_to is not None:  # as in the runtime: the asker gets it, and the actor goes on
                envelope.reply_to.set_exception((type(error), error, None))
                return True
            self.crash(error)
            return True
        if envelope.reply_to is not None:
            envelope.reply_to.set(answer)
        if incarnation.end_reason is not None:
            self.stop_actor(incarnation.end_reason)
        return True

    def _receive(self, message: object) -> object:
        assert self.actor is not None
        set_current(self._incarnation)
        agent_module.loop_thread = lambda: self.inline  # of the process whose actor this is
        try:
            return self.actor.on_receive(message)
        finally:
            set_current(None)
            agent_module.loop_thread = loop_thread

    def crash(self, error: Exception, *, park: bool = False) -> None:
        """The actor fails, now; its supervisor will start it again."""
        assert self.actor is not None
        self.actor.on_failure(type(error), error, None)
        self._end_actor(Crash(error), "parked" if park else "restart")

    def stop_actor(self, reason: ExitReason = Shutdown()) -> None:
        """The actor ends for good."""
        assert self.actor is not None
        self.actor.on_stop()
        self._end_actor(reason, "stopped")

    def stop_while_away(self) -> None:
        """Its supervisor is stopped before it has started the actor again."""
        self.entry.actor_ended(
            ChildExit(id=NAME, ref=None, generation=0, reason=Shutdown(), decision="stopped")
        )

    def _end_actor(self, reason: ExitReason, decision: Any) -> None:
        actor, self.actor = self.actor, None
        assert actor is not None
        actor.actor_ref.actor_stopped.set()
        actor.actor_inbox.close(reason)
        self.entry.actor_ended(
            ChildExit(id=NAME, ref=actor.actor_ref, generation=0, reason=reason, decision=decision)
        )

    # -- time and progress -------------------------------------------------------------------------------------

    def run(self, client: Any) -> None:
        """Start a client's coroutine on the loop."""
        self.loop.call_soon(lambda: self.loop.create_task(client))

    def has_work(self) -> bool:
        inbox = self.actor is not None and not self.actor.actor_inbox.queue.empty()
        return inbox or self.store.has_work or self.loop.has_work()

    def settle(self) -> None:
        """Go on until only the model, a tool or time can move anything."""
        for _ in range(10_000):
            if not self.has_work():
                return
            self.handle()
            self.store.write()
            self.store.answer()
            self.loop.turn()
        raise AssertionError("it never settles")

    def tasks(self) -> set[asyncio.Task[Any]]:
        """What is under way on the loop."""
        return asyncio.all_tasks(self.loop)

    def dispose(self) -> None:
        """After the test: let go of what a kill has left behind, where it harms nobody."""
        self.store.disk = Disk()
        while self.loop.has_work() or self.tasks():
            for task in self.tasks():
                task.cancel()
            self.store.settle()
            self.loop.turn()
        self.loop.close()

    # -- the model ---------------------------------------------------------------------------------------------

    model = "puppet"

    async def complete(self, request: ModelRequest, on_deltas: OnDeltas | None = None) -> ModelReply:
        """Of `Provider`: the test answers, for whoever was asked."""
        check_sendable([*request.messages, alloy.Message("assistant", "what is to come")])
        asked = Asked(request, on_deltas)
        self.asked.append(asked)
        try:
            return await asked.answer
        finally:
            self.asked.remove(asked)

    def stream(self, text: str) -> None:
        """The model says a part of its answer."""
        for asked in self.asked[:1]:
            if asked.on_deltas is not None:
                asked.on_deltas([Delta("text", text)])

    # -- the tools ---------------------------------------------------------------------------------------------

    async def call(self, function: Callable[[], object], *, name: str) -> object:
        """Of `Workers`: a plain tool begins, has its effect, and ends when the test says so."""
        reply = function()
        call_id = self._effects[-1]
        await self._until_ended(name, call_id)
        return reply

    def _tools(self) -> list[alloy.Tool]:
        def plain(context: alloy.ToolContext) -> str:
            """Do it on a worker."""
            self._effects.append(context.tool_call_id)
            return "done"

        async def coro(context: alloy.ToolContext) -> str:
            """Do it on the loop."""
            self._effects.append(context.tool_call_id)
            return await self._until_ended("coro", context.tool_call_id)

        alone, again = coro, coro
        return [
            alloy.tool(plain),
            alloy.tool(coro),
            alloy.tool(alone, name="alone", concurrent=False),
            alloy.tool(again, name="again", idempotent=True),
        ]

    async def _until_ended(self, name: str, call_id: str) -> str:
        called = Called(name, call_id)
        self.called.append(called)
        try:
            return await called.end
        finally:
            self.called.remove(called)
