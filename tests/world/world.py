"""Processes on one disk, the model, the tools, the clients: everything that a step of a test may move."""

from __future__ import annotations

import itertools
from contextlib import ExitStack
from types import SimpleNamespace
from typing import Any, Self
from unittest import mock

from structlog.testing import capture_logs

import alloy_actors as alloy
from alloy_actors import deadline, tool_execution, tool_runner
from alloy_actors.actors import messages, sleep
from alloy_actors.content import NO_USAGE
from alloy_actors.conversation import Conversation
from alloy_actors.errors import AlloyError, ToolError
from alloy_actors.journal import Accepted, Reminded, RequestSent, RunEnded, Seeded, WasCompacted
from alloy_actors.provider import ModelReply
from alloy_actors.testing import USAGE, reply
from supervisors.testing import FakeClock
from tests.checks import check_consent, check_journal, check_sendable
from tests.faults.effects import Effect, check_effects
from tests.world.process import NAME, Called, Process
from tests.world.store import Disk

IDLE = 30.0
OPTIONS = {
    "idle_timeout": IDLE,
    "max_turns": 4,
    "max_pending": 4,
    "timeout": 60.0,
    "tool_timeout": 20.0,
    "max_retries": 1,
}
BUG = RuntimeError("a bug")
EARLIER = (alloy.Message("user", "long ago"), alloy.Message("assistant", "an answer " * 5)) * 3


class Sent:
    """A request that a client has handed in.

    Attributes:
        told: Its results.
        refused: What was raised instead.
        accepted: Whether the client knows that it was accepted.
    """

    def __init__(self, request_id: str, process: Process, kind: str) -> None:
        self.id = request_id
        self.process = process
        self.kind = kind
        self.told: list[alloy.Result] = []
        self.refused: AlloyError | None = None
        self.accepted = False

    async def send(self) -> None:
        async def on_result(result: alloy.Result) -> None:
            self.told.append(result)

        agent, text = self.process.agent, f"text of {self.id}"
        try:
            if self.kind == "chat":
                self.told.append(await agent.achat(text, request_id=self.id))
            else:
                when_busy: Any = self.kind
                await agent.asend_message(text, on_result, request_id=self.id, when_busy=when_busy)
                self.accepted = True
        except AlloyError as error:
            self.refused = error


class World:
    """See the module; a context manager. Steps are methods; one that cannot be done does nothing.

    Args:
        listens: Whether somebody hears the agent's events.
        hooks: Whether it has middleware.
        window: Its context budget in tokens, of which the model then counts none: estimates rule; there was an earlier talk. None
            is the default, and no talk.
        options: Of the agent, beside `OPTIONS`.
    """

    def __init__(self, *, listens: bool, hooks: bool, window: int | None = None, **options: Any) -> None:
        self.disk = Disk()
        self.effects: list[str] = []
        self.sent: list[Sent] = []
        self.again: list[Sent] = []  # with the ids of earlier ones
        self.dead: list[Process] = []  # killed, or stopped in an orderly way
        self.losers: list[Process] = []  # alive, and without their store
        self._kind: dict[str, Any] = {"listens": listens, "hooks": hooks, **OPTIONS, **options}
        self._usage = USAGE
        if window is not None:
            self._kind["max_tokens"] = window
            self.disk.logs[NAME] = [Seeded(EARLIER)]
            self._usage = NO_USAGE
        self._numbers = itertools.count(1)
        self._now = 1000.0
        self._naps = FakeClock()  # by which agents are idle
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        still = SimpleNamespace(monotonic=lambda: self._now)
        for module in (deadline, tool_execution, tool_runner):
            self._stack.enter_context(mock.patch.object(module, "time", still))
        self._stack.enter_context(mock.patch.object(sleep, "CLOCK", self._naps))
        self._stack.enter_context(capture_logs())
        self.process = self._start()
        return self

    def __exit__(self, *exception: object) -> None:
        for process in (self.process, *self.losers, *self.dead):
            process.dispose()
        self._stack.close()

    def _start(self) -> Process:
        process = Process(self.disk, self.effects, **self._kind)
        process.loop.now = self._now
        return process

    @property
    def alive(self) -> list[Process]:
        return [self.process, *self.losers]

    def seen(self) -> set[str]:
        """What has happened, for statistics: kinds of records, statuses and errors of results."""
        seen = {type(record).__name__ for record in self.disk.all}
        for record in self.disk.all:
            match record:
                case RequestSent(model="spare"):
                    seen.add("asked the spare")
                case WasCompacted(refused=refused) if refused:
                    seen.add("compacted after an overflow")
                case Reminded():
                    seen.add(f"reminded of {record.about}")
                case RunEnded():
                    seen.add(f"ended {record.status} {record.error_type}".strip())
        return seen

    # -- steps: clients ----------------------------------------------------------------------------------------

    def send(self, kind: str) -> None:
        sent = Sent(f"r{next(self._numbers)}", self.process, kind)
        self.sent.append(sent)
        self.process.run(sent.send())

    def send_again(self, back: int) -> None:
        """The same message with the same id, as from a client that did not hear the answer."""
        if back < len(self.sent):
            first = self.sent[-1 - back]
            was_reset = any(isinstance(record, Seeded) for record in self.disk.all)
            if was_reset and first.process is not self.process:
                return  # a reset leaves nothing of what was over to the next process
            again = Sent(first.id, self.process, "queue" if first.kind == "reject" else first.kind)
            self.again.append(again)
            self.process.run(again.send())

    def doze(self) -> None:
        """Nothing happens for so long that idle agents sleep."""
        self._naps.advance(IDLE)

    def cancel(self, back: int) -> None:
        """The running one, or one of the newest."""
        self.process.store.settle()  # the call would wait for the store, and this thread is the store's
        mine = [sent for sent in self.sent if sent.process is self.process]
        request_id = None if back == 0 else mine[-back].id if back <= len(mine) else "unknown"
        self.process.agent.cancel_request(request_id)

    def ask(self, what: str) -> None:
        """Look at the agent, or change it."""
        agent = self.process.agent

        async def call() -> None:
            try:
                match what:
                    case "messages":
                        await agent.amessages()
                    case "reset":
                        await agent.areset()
                    case "reset when idle":
                        await agent.areset(when_idle=True)
                    case "set_model":
                        await agent.aset_model(self.process, when_idle=True)
            except AlloyError:
                pass  # busy, or down

        self.process.run(call())

    # -- steps: the model and the tools ------------------------------------------------------------------------

    def reply(self, what: str) -> None:
        for process in self.alive:
            if process.asked:
                answer = process.asked[0].answer
                if not answer.done():
                    made = self._make(what)
                    answer.set_exception(made) if isinstance(made, Exception) else answer.set_result(made)
                return

    def stream(self) -> None:
        self.process.stream("half of ")

    def end_tool(self, index: int, how: str) -> None:
        for process in self.alive:
            open_calls = [called for called in process.called if not called.end.done()]
            if open_calls:
                _end(open_calls[index % len(open_calls)], how)
                return

    def hook(self, what: str) -> None:
        """What the next hook does."""
        self.process.puppet.next = what

    def end_hook(self) -> None:
        for process in self.alive:
            for waits in process.puppet.waits:
                if not waits.done():
                    waits.set_result(None)
                    return

    def decide(self, what: str) -> None:
        """Somebody decides about the first call that waits."""
        for process in self.alive:
            for waiting in process.agent.approvals()[:1]:
                if what == "approve":
                    decided = process.agent.approve(waiting.request_id, waiting.call_id)
                else:
                    decided = process.agent.deny(waiting.request_id, waiting.call_id)
                assert decided
                return

    def _make(self, what: str) -> ModelReply | Exception:
        match what.split():
            case ["call", *names]:
                calls = [alloy.ToolCall(f"c{next(self._numbers)}", name, {}) for name in names]
                return reply(*calls, usage=self._usage)
            case ["hand", "in"]:
                call = alloy.ToolCall(f"c{next(self._numbers)}", "submit_result", {"value": 3})
                return reply(call, usage=self._usage)
            case ["hand", "in", name]:
                made = [(name, {}), ("submit_result", {"value": "three"})]
                calls = [alloy.ToolCall(f"c{next(self._numbers)}", *call) for call in made]
                return reply(*calls, usage=self._usage)
            case ["cut", "call"]:
                call = alloy.ToolCall(f"c{next(self._numbers)}", "coro", {})
                return reply(call, stop_reason="max_tokens", usage=self._usage)
            case ["cut"]:
                return reply("as far as it we", stop_reason="max_tokens", usage=self._usage)
            case ["refusal"]:
                return reply("I must not", stop_reason="refusal", usage=self._usage)
            case ["empty"]:
                return reply(usage=self._usage)
            case ["thought"]:
                thought = alloy.ThinkingBlock("hm", "signed")
                return reply(thought, "an answer " * 20, usage=self._usage)
            case ["ended", "call"]:
                call = alloy.ToolCall(f"c{next(self._numbers)}", "coro", {})
                return reply(call, stop_reason="end_turn", usage=self._usage)
            case ["broken", "call"]:
                call = alloy.ToolCall(f"c{next(self._numbers)}", "coro", {}, invalid="{")
                return reply(call, usage=self._usage)
            case ["overflow"]:
                return alloy.ContextOverflowError("prompt is too long")
            case ["overloaded"]:
                return alloy.OverloadedError("later")
            case ["denied"]:
                return alloy.AuthError("never")
            case ["bug"]:
                return BUG
        return ModelReply(alloy.Message("assistant", "an answer"), usage=self._usage)

    # -- steps: what goes wrong --------------------------------------------------------------------------------

    def crash(self, *, park: bool = False) -> None:
        if self.process.actor is not None:
            self.process.crash(BUG, park=park)

    def drill(self) -> None:
        """A crash behind the messages that are there."""
        if self.process.actor is not None:
            self.process.actor.actor_ref.tell(messages.CrashNow("drill"))

    def restart(self) -> None:
        """The supervisor starts the actor again."""
        for process in self.alive:
            if process.actor is None and process.entry.condition in ("restarting", "parked"):
                process.start_actor()

    def fill(self, *, full: bool) -> None:
        self.disk.full = full

    def kill(self) -> None:
        """kill -9, and a new process; the losers go as well."""
        self.dead += self.alive
        self.losers = []
        self.process = self._start()

    def take_over(self) -> None:
        """Another process opens the store; this one lives on and does not know."""
        self.losers.append(self.process)
        self.process = self._start()

    def drain(self) -> None:
        self.process.draining = True
        self.process.entry.book.drain("this AgentSystem is being stopped")

    def stop(self, *, agent_only: bool) -> None:
        """Stop the system, or the agent for good, and start it again."""
        self._stop(self.process, agent_only=agent_only)
        if agent_only and not self.disk.full:
            folded = Conversation()
            folded.replay(self.disk.logs.get(NAME, ()))
            assert (folded.running, folded.waiting) == (None, {}), "it would go on with what was stopped"
        self.process = self._start()

    def _stop(self, process: Process, *, agent_only: bool) -> None:
        process.entry.stop_requested = agent_only
        if process.actor is not None:
            process.stop_actor()
        elif process.entry.condition != "stopped":
            process.stop_while_away()
        process.settle()
        self._check_settled(process)
        self.dead.append(process)

    # -- steps: progress ---------------------------------------------------------------------------------------

    def progress(self, what: str, times: int = 1) -> None:
        for _ in range(times):
            for process in self.alive:
                match what:
                    case "handle":
                        process.handle()
                    case "write":
                        process.store.write()
                    case "answer":
                        process.store.answer()
                    case "turn":
                        process.loop.turn()

    def settle(self) -> None:
        for process in self.alive:
            process.settle()

    def advance(self, seconds: float) -> None:
        self._now += seconds
        self._naps.advance(seconds)
        for process in self.alive:
            process.loop.now = self._now

    # -- what must hold ----------------------------------------------------------------------------------------

    def check(self) -> None:
        """At every moment."""
        folded = Conversation()
        folded.replay(self.disk.logs.get(NAME, ()))
        closing = folded.closing("", "it was killed now")
        if closing is not None:
            folded.apply(closing)
        check_sendable(folded.messages)
        check_journal(self.disk.all, idle=False)
        check_consent(self.disk.all)
        for sent in (*self.sent, *self.again):
            assert len(sent.told) <= 1, f"{sent.id} was told {len(sent.told)} times"

    def finish(self) -> None:
        """Let all be well, and everything come to its end."""
        self.disk.full = False
        if self.process.draining:
            self.stop(agent_only=False)
        for loser in [loser for loser in self.losers if loser.draining]:
            self.losers.remove(loser)
            self._stop(loser, agent_only=False)
        for _ in range(200):
            self.restart()
            self.settle()
            if not any(self._is_busy(process) for process in self.alive):
                break
            self.reply("text")
            self.end_tool(0, "ok")
            self.end_hook()
            self.decide("approve")
            if not any(process.asked or process.called or process.puppet.waits for process in self.alive):
                self.advance(30.0)  # a pause between two attempts
        for process in self.alive:
            self._check_settled(process)
        self._check_losers()
        self._check_restart()
        self.check()
        self._check_end()

    def _is_busy(self, process: Process) -> bool:
        away = process.actor is None and process.entry.condition in ("restarting", "parked")
        return bool(away or process.tasks() or process.entry.book.running())

    def _check_settled(self, process: Process) -> None:
        assert not process.tasks(), f"tasks are left: {process.tasks()}"
        for sent in self.sent:
            if sent.process is process:
                answers = [*sent.told, *([sent.refused] if sent.refused is not None else [])]
                assert len(answers) == 1, f"{sent.kind} {sent.id} was answered with {answers}"
        assert process.entry.book.pending() == 0
        assert process.entry.book.running() is None

    def _check_losers(self) -> None:
        """One more request, and each of them knows that it is over."""
        for loser in self.losers:
            sent = Sent(f"r{next(self._numbers)}", loser, "queue")
            loser.run(sent.send())
            loser.settle()
            if isinstance(sent.refused, alloy.AgentDownError):
                continue  # it was stopped, or is about to be
            assert isinstance(sent.refused, alloy.FencedError), sent.refused
            assert loser.entry.condition == "stopped", "an agent without its journal lives on"

    def _check_restart(self) -> None:
        """After an orderly stop another process finds the same, and has nothing to do."""
        before = self.process
        before.actor._awake()
        live = before.actor._conversation
        self.stop(agent_only=False)
        self.process.settle()
        for sent in self.sent:
            kept = self.process.agent.result(sent.id)
            if sent.process is before and sent.told and kept is not None:  # a reset forgets it
                (told,) = sent.told
                if isinstance(told.error, alloy.AgentDownError):
                    continue  # parked while its run was on its way out
                assert kept.ok == told.ok, f"{sent.id} was told {told.error}, and is known as {kept.error}"
        assert not self.process.asked, "it goes on with what was over"
        restored = self.process.actor._conversation
        assert restored.messages == live.messages
        assert restored.usage == live.usage
        check_sendable(restored.messages)

    def _check_end(self) -> None:
        ended = check_journal(self.disk.all)
        accepted = {record.request_id for record in self.disk.all if isinstance(record, Accepted)}
        accepted -= {sent.id for sent in self.again}  # one that was refused may have been taken then
        for sent in self.sent:
            promised = sent.accepted or any("is kept in the store" in str(told.error) for told in sent.told)
            assert not promised or sent.id in ended, f"{sent.id} is lost"
            # An exception of a chat's may also be how it came to its end, unless it is the store's own.
            if sent.refused is not None and (
                sent.kind != "chat" or isinstance(sent.refused, alloy.StoreError)
            ):
                assert sent.id not in accepted, f"{sent.id} was refused, and is on the disk"
        whole = Conversation()  # as if nothing had ever been forgotten
        whole.replay(record for record in self.disk.all if not isinstance(record, Seeded | WasCompacted))
        check_effects(
            [Effect(NAME, "", call_id, "") for call_id in self.effects],
            whole.messages,
            again=frozenset({"again"}),
        )


def _end(called: Called, how: str) -> None:
    match how:
        case "raise":
            called.end.set_exception(ValueError("the tool failed"))
        case "exit":
            # The pool of workers makes this of it; an async tool's own way out is tried in the tests of the runner.
            called.end.set_exception(ToolError("it tried to exit"))
        case "cancelled":
            called.end.cancel()
        case _:
            called.end.set_result("done")
