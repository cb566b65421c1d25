"""The handle on an agent: typed, safe on every thread, good across restarts of the agent's actor.

Blocking calls may be made from any thread but the runtime's loop thread; each has an async twin with an `a` in
front for coroutines, on whatever loop they run.
"""

from __future__ import annotations

import asyncio
import queue
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import pykka

from alloy_actors.actors import messages as msg
from alloy_actors.actors.approving import ApprovalCalls
from alloy_actors.actors.asking import ANSWER_TIMEOUT, aask, ask, await_actor, wait_for_actor
from alloy_actors.actors.blocking import blocking_region, next_of
from alloy_actors.actors.guard import check_blocking, in_run_of, waiting_for
from alloy_actors.actors.handing_in import aaccept, accept, await_result, call_back, wait, waited_too_long
from alloy_actors.actors.pubsub import BUFFERED
from alloy_actors.actors.request import Control
from alloy_actors.actors.streams import EventBuffer, Listener
from alloy_actors.budget import acheck_prices, check_prices
from alloy_actors.config import check_callback, check_provider, check_seconds, user_message
from alloy_actors.deadline import Deadline
from alloy_actors.endings import check_output
from alloy_actors.errors import (
    AgentDownError,
    BusyError,
    CancelledError,
    ConfigError,
)
from alloy_actors.providers.model_strings import as_provider
from alloy_actors.result import Result
from supervisors.runtime import PooledFuture

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from alloy_actors.actors.entry import AgentEntry
    from alloy_actors.actors.health import Health
    from alloy_actors.actors.pubsub import Subscription
    from alloy_actors.actors.system import AgentSystem
    from alloy_actors.content import Message, Usage
    from alloy_actors.events import Event
    from alloy_actors.journal import WhenBusy
    from alloy_actors.provider import Provider
    from alloy_actors.session import Session


class AgentRef(ApprovalCalls):
    """A handle on one agent; make it with `Agent.start` or `AgentSystem.spawn`."""

    __slots__ = ("_entry", "_system")

    def __init__(self, entry: AgentEntry, system: AgentSystem) -> None:
        self._entry = entry
        self._system = system

    def __repr__(self) -> str:
        return f"<AgentRef {self._entry.name!r} {self._entry.condition}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, AgentRef) and self._entry is other._entry

    def __hash__(self) -> int:
        return hash(self._entry.agent_id)

    @property
    def name(self) -> str:
        """The agent's name, unique in its system."""
        return self._entry.name

    @property
    def agent_id(self) -> str:
        """Names the agent's journal; `session=` takes it over."""
        return self._entry.agent_id

    # -- requests ----------------------------------------------------------------------------------------------

    def chat(
        self, text: str | Message, *, timeout: float | None = None, request_id: str | None = None
    ) -> Result:
        """Send a message and wait for the run it triggers; behind others, it waits its turn.

        Args:
            text: What the user says; a `Message` of the user's where there are images or files in it.
            timeout: Seconds to wait; running out raises and does not cancel the request.
            request_id: Made up when None; the same id within `result_ttl` is the same request.

        Raises:
            QueueFullError: max_pending requests wait already.
            AgentDownError: The agent is stopped, or was parked after too many crashes.
            StoreError: It could not be recorded: there was no request.
            WouldDeadlock: On a loop thread, or inside a run that this one would wait for.
            TimeoutError: The wait is over; the request is not.
        """
        check_blocking("chat", "achat()")
        check_seconds("chat", timeout)
        with waiting_for("chat", self._entry):
            request = accept(self._entry, "chat", text, request_id, rides=True)
            return _raise_if_down(wait(self._entry, request, timeout))

    async def achat(
        self, text: str | Message, *, timeout: float | None = None, request_id: str | None = None
    ) -> Result:
        """`chat` for coroutines. Cancelling the await does not cancel the request."""
        check_seconds("achat", timeout)
        with waiting_for("achat", self._entry):
            request = await aaccept(self._entry, "achat", text, request_id, rides=True)
            return _raise_if_down(await await_result(self._entry, request, timeout))

    def stream_chat(
        self,
        text: str | Message,
        on_chunk: Callable[[str], object] | None = None,
        *,
        on_event: Callable[[Event], object] | None = None,
        timeout: float | None = None,
        request_id: str | None = None,
    ) -> Result:
        """`chat` that calls `on_chunk(text)` and `on_event(event)` on this thread as the answer arrives.

        A callable that raises is logged and no longer called; the run goes on. With the `request_id` of a request
        that is known already it hears the text in one piece, at the end.
        """
        check_blocking("stream_chat", "astream_chat()")
        check_callback("stream_chat", on_chunk=on_chunk, on_event=on_event)
        check_seconds("stream_chat", timeout)
        with waiting_for("stream_chat", self._entry):
            return self._stream(text, Listener(on_chunk, on_event), timeout, request_id)

    def _stream(
        self, text: str | Message, listener: Listener, timeout: float | None, request_id: str | None
    ) -> Result:
        arrived: queue.SimpleQueue[Any] = queue.SimpleQueue()
        deadline = Deadline.after(timeout)
        request = accept(self._entry, "stream_chat", text, request_id, arrived.put)
        self._entry.book.on_finished(request, arrived.put)
        while True:
            try:
                item = next_of(arrived, deadline)
            except queue.Empty:
                self._entry.book.forget(request, arrived.put)
                raise waited_too_long(request, timeout) from None
            if isinstance(item, Result):
                listener.finish(item)
                if listener.diverged is not None and item.ok:  # too late to end the run with it
                    return replace(item, status="error", error=listener.diverged)
                return _raise_if_down(item)
            listener.hear(item)
            if listener.diverged is not None:
                self._entry.book.fail(request.id, listener.diverged)

    async def astream_chat(
        self, text: str | Message, *, request_id: str | None = None
    ) -> AsyncIterator[Event]:
        """The events of a request as they happen, `RunFinished` last. Leaving the loop does not cancel the request.

        A consumer more than 1,000 events behind gets deltas merged; nothing else is dropped.
        """
        buffer = EventBuffer()
        with waiting_for("astream_chat", self._entry):
            request = await aaccept(self._entry, "astream_chat", text, request_id, buffer.push)
            self._entry.book.on_finished(request, buffer.finish)
            async for event in buffer.read():
                yield event

    def send_message(
        self,
        text: str | Message,
        on_result: Callable[[Result], object] | None = None,
        *,
        request_id: str | None = None,
        when_busy: WhenBusy = "queue",
    ) -> str:
        """Hand in a message and return its request id at once; accepted means queued, not yet begun.

        Args:
            text: What the user says.
            on_result: Called once with the Result: a plain function on the callback pool (in order per agent), an
                async one on the loop that called `send_message`, else on the runtime's.
            request_id: Made up when None; the same id within `result_ttl` is the same request.
            when_busy: What to do while another request is there. "queue": wait behind those before. "reject":
                `BusyError`. "steer": join the run that is on, at its next turn; the Result is that run's, and a run
                that ends before lets the message be the next request. "interrupt": cancel that run and be the next.

        Raises:
            QueueFullError: max_pending requests wait already.
            BusyError: There is another request and `when_busy` is "reject".
            AgentDownError: The agent is stopped or parked.
        """
        check_callback("send_message", on_result=on_result)
        request = accept(
            self._entry, "send_message", text, request_id, None, waits=False, when_busy=when_busy
        )
        call_back(self._entry, request, on_result)
        return request.id

    async def asend_message(
        self,
        text: str | Message,
        on_result: Callable[[Result], object] | None = None,
        *,
        request_id: str | None = None,
        when_busy: WhenBusy = "queue",
    ) -> str:
        """`send_message` for coroutines."""
        check_callback("asend_message", on_result=on_result)
        request = await aaccept(
            self._entry, "asend_message", text, request_id, None, waits=False, when_busy=when_busy
        )
        call_back(self._entry, request, on_result)
        return request.id

    def steer(self, text: str | Message) -> bool:
        """Say something to the run that is on: it joins at the next turn, beside the results of the tools that ran.

        The run's limits stay as they are. A run that ends before it asks the model again leaves the message to be the
        agent's next request.

        Returns:
            False when no run is on: then nothing was done, and `send_message` is the call to make.

        Raises:
            QueueFullError: max_pending requests wait already.
            AgentDownError: The agent is stopped or parked.
        """
        self._entry.check_process()
        said = user_message(text, "steer")
        if self._entry.book.running() is None:
            return False
        accept(self._entry, "steer", said, None, None, waits=False, when_busy="steer")
        return True

    async def asteer(self, text: str | Message) -> bool:
        """`steer` for coroutines."""
        self._entry.check_process()
        said = user_message(text, "asteer")
        if self._entry.book.running() is None:
            return False
        await aaccept(self._entry, "asteer", said, None, None, waits=False, when_busy="steer")
        return True

    async def drained(self) -> None:
        """Return when every request has its result and all plain callbacks were called; async ones have begun.

        Requests that are accepted meanwhile are waited for as well.
        """
        entry = self._entry
        entry.check_process()
        done: PooledFuture[None] = PooledFuture()
        entry.book.when_settled(lambda: entry.callbacks.after(lambda: done.set(None)))
        await done

    def subscribe(
        self, what: Literal["responses", "events"] = "events", *, maxsize: int = BUFFERED
    ) -> Subscription:
        """The agent's Results, or the events of its runs (from the next one on), for as long as you read them.

        The same as `AgentSystem.subscribe` with the topic `agent:<id>:responses` or `agent:<id>:events`.

        Args:
            what: Which of the two.
            maxsize: Messages that you may lag behind before you are dropped.
        """
        if what not in ("responses", "events"):
            message = f"subscribe: what={what!r} is not known: use 'responses' or 'events'"
            raise ConfigError(message)
        return self._system.subscribe(self._entry.topics.name(what), maxsize=maxsize)

    def cancel_request(self, request_id: str | None = None) -> bool:
        """Cancel a queued or running request; None is the running one.

        The run ends by its door within moments: its socket is closed, open tool calls are answered, the caller gets
        a Result with status "cancelled".

        Returns:
            Whether there was such a request that had not finished. A message that has joined a run as steering is part
            of it: cancel the run.
        """
        entry = self._entry
        entry.check_process()
        why = "the request was cancelled"
        return entry.book.cancel(
            request_id, why, lambda request: entry.outcome(request.id, "cancelled", CancelledError(why))
        )

    async def acancel_request(self, request_id: str | None = None) -> bool:
        """`cancel_request` for coroutines."""
        recording = self._entry.book.recording(request_id)
        if recording is not None:
            await recording
        return self.cancel_request(request_id)

    def result(self, request_id: str) -> Result | None:
        """The result of a finished request within `result_ttl` seconds; None while it is not there (any more).

        An agent that sleeps (`idle_timeout`) reads its journal for it, on this thread.

        Raises:
            AgentDownError: It was stopped while it slept.
            StoreError: It could not be read.
        """
        self._entry.check_process()
        return self._entry.result(request_id)

    async def aresult(self, request_id: str) -> Result | None:
        """`result` for coroutines: a journal is read on another thread."""
        self._entry.check_process()
        sleep = self._entry.sleep
        if sleep is not None and sleep.is_asleep:
            await asyncio.to_thread(self._entry.recall)
        return self._entry.result(request_id)

    # -- the agent itself --------------------------------------------------------------------------------------

    def set_model(self, provider: Provider | str, *, when_idle: bool = False) -> None:
        """Let another provider answer from now on; the conversation, tools and limits stay.

        Args:
            provider: The new one, or a model string such as "ollama:llama3.2".
            when_idle: During a run, queue the change behind the requests accepted so far instead of refusing it.

        Raises:
            BusyError: A run is on and `when_idle` is False.
            ConfigError: It is no provider, or does not take the schema of `output=`; or the agent has a budget, and no
                price is known for the model.
        """
        check_blocking("set_model", "aset_model()")
        answers = self._checked(provider, "set_model")
        check_prices("set_model", self._entry.config, answers)
        self._change("set_model", "aset_model()", msg.SetModel(answers), when_idle=when_idle)

    async def aset_model(self, provider: Provider | str, *, when_idle: bool = False) -> None:
        """`set_model` for coroutines."""
        answers = self._checked(provider, "aset_model")
        await acheck_prices("aset_model", self._entry.config, answers)
        await self._achange("aset_model", msg.SetModel(answers), when_idle=when_idle)

    def reset(self, *, when_idle: bool = False) -> None:
        """Forget the conversation; usage, model and tools stay.

        Raises:
            BusyError: A run is on and `when_idle` is False.
            StoreError: The store could not forget it: the agent has it still.
        """
        self._change("reset", "areset()", msg.Reset(), when_idle=when_idle)

    async def areset(self, *, when_idle: bool = False) -> None:
        """`reset` for coroutines."""
        await self._achange("areset", msg.Reset(), when_idle=when_idle)

    def messages(self) -> list[Message]:
        """The conversation; during a run with the message that triggered it, without what it came to so far."""
        return list(ask(self._entry, "messages", "amessages()", msg.GetMessages()))

    async def amessages(self) -> list[Message]:
        """`messages` for coroutines."""
        return list(await aask(self._entry, "amessages", msg.GetMessages()))

    def usage(self) -> Usage:
        """Tokens of all runs; a reset does not clear it."""
        answer: Usage = ask(self._entry, "usage", "ausage()", msg.GetUsage())
        return answer

    async def ausage(self) -> Usage:
        """`usage` for coroutines."""
        answer: Usage = await aask(self._entry, "ausage", msg.GetUsage())
        return answer

    def health(self) -> Health:
        """How the agent is; answers at once, also during a run, a restart, or when it is parked or stopped."""
        check_blocking("health", "ahealth()")
        self._entry.check_process()
        ref = self._entry.ref
        try:
            if ref is not None:
                with blocking_region():
                    answer: Health = ref.ask(msg.GetHealth(), block=True, timeout=ANSWER_TIMEOUT)
                return answer
        except pykka.ActorDeadError:
            pass
        return self._entry.health_while_away()

    async def ahealth(self) -> Health:
        """`health` for coroutines."""
        self._entry.check_process()
        ref = self._entry.ref
        try:
            if ref is not None:
                answer: Health = await ref.ask(msg.GetHealth(), block=False)
                return answer
        except pykka.ActorDeadError:
            pass
        return self._entry.health_while_away()

    def export_session(self) -> Session:
        """The conversation as a value for `session=`; what a run on has come to so far is not in it."""
        answer: Session = ask(self._entry, "export_session", "aexport_session()", msg.GetSession())
        return answer

    async def aexport_session(self) -> Session:
        """`export_session` for coroutines."""
        answer: Session = await aask(self._entry, "aexport_session", msg.GetSession())
        return answer

    def stop(self, timeout: float | None = None) -> None:
        """End the agent: the run on and the queue get Results with status "cancelled". Harmless when it has ended.

        Inside a run of this agent it requests the stop and returns.

        Args:
            timeout: Seconds; None is the system's `stop_timeout`.

        Raises:
            WouldDeadlock: On a loop thread.
        """
        if in_run_of(self._entry):
            self._system.request_stop(self._entry)
            return
        check_blocking("stop", "astop()")
        check_seconds("stop", timeout)
        self._system.stop_agent(self._entry, timeout)

    async def astop(self, timeout: float | None = None) -> None:
        """`stop` for coroutines."""
        if in_run_of(self._entry):
            self._system.request_stop(self._entry)
            return
        await self._system.astop_agent(self._entry, timeout)

    def crash(self, reason: str | None = None) -> None:
        """Make the agent's actor fail on purpose, to see its supervisor bring it back. Returns at once.

        Raises:
            AgentDownError: The agent is stopped or parked.
        """
        check_blocking("crash", "acrash()")
        wait_for_actor(self._entry, "crash").tell(msg.CrashNow(reason))

    async def acrash(self, reason: str | None = None) -> None:
        """`crash` for coroutines."""
        (await await_actor(self._entry, "acrash")).tell(msg.CrashNow(reason))

    # -- inside ------------------------------------------------------------------------------------------------

    def _checked(self, provider: Provider | str, call: str) -> Provider:
        answers: Provider = as_provider(provider)
        check_provider(answers, call)
        config = self._entry.config
        check_output(config.output, answers, config.tools, call)
        return answers

    def _change(self, call: str, twin: str, message: object, *, when_idle: bool) -> None:
        try:
            written = ask(self._entry, call, twin, message)
        except BusyError:
            if not when_idle:
                raise
            self._entry.book.control(Control(message))
            return
        if written is not None:
            with blocking_region():
                written.get()

    async def _achange(self, call: str, message: object, *, when_idle: bool) -> None:
        try:
            written = await aask(self._entry, call, message)
        except BusyError:
            if not when_idle:
                raise
            self._entry.book.control(Control(message))
            return
        if written is not None:
            await written


def _raise_if_down(result: Result) -> Result:
    """Who waits for an agent that is parked gets an exception; a callback gets the Result."""
    if isinstance(result.error, AgentDownError):
        raise result.error
    return result
