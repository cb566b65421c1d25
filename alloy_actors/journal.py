"""The log of an agent: what happened, in order, written before each effect.

Whoever appends holds a token. Every incarnation of an agent takes a new one before it reads the log, and an older
token is refused, so a run of a dead incarnation can write nothing. Folding the records (see
`alloy_actors.conversation`) gives the conversation: a live run and a restart read them with the same code.
"""

from __future__ import annotations

import asyncio
import threading
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from alloy_actors.content import NO_USAGE, Message, ProviderState, StopReason, ToolResult, Usage

if TYPE_CHECKING:
    from alloy_actors.result import Status


@dataclass(frozen=True, slots=True)
class Seeded:
    """A conversation was given at the start, or the log was compacted to it."""

    messages: tuple[Message, ...]
    usage: Usage = NO_USAGE
    provider_state: ProviderState | None = None


@dataclass(frozen=True, slots=True)
class Accepted:
    """A request was accepted: from here on it is not lost."""

    request_id: str
    message: Message


@dataclass(frozen=True, slots=True)
class RunBegan:
    """The request left the queue; its message joins the conversation."""

    request_id: str
    message: Message


@dataclass(frozen=True, slots=True)
class RequestSent:
    """The provider is about to be asked."""

    request_id: str
    turn: int
    model: str


@dataclass(frozen=True, slots=True)
class Replied:
    """The provider's message; `tool_use` blocks in it are open calls until they have their results.

    `provider_state` replaces what there was of it; None leaves it.
    """

    request_id: str
    message: Message
    stop_reason: StopReason
    usage: Usage
    provider_state: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class ToolCallStarted:
    """A call is about to have its effect."""

    request_id: str
    call_id: str


@dataclass(frozen=True, slots=True)
class ToolCallEnded:
    """A call has its result."""

    request_id: str
    result: ToolResult


@dataclass(frozen=True, slots=True)
class Closed:
    """What the one door added, so that the history can be sent again.

    Args:
        results: For the calls of the last reply that had none, in call order.
        message: An assistant message where the history would else end with the user; it says what happened.
    """

    request_id: str
    results: tuple[ToolResult, ...] = ()
    message: Message | None = None


@dataclass(frozen=True, slots=True)
class RunEnded:
    """The run is over."""

    request_id: str
    status: Status


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """A request was cancelled before its run began."""

    request_id: str


@dataclass(frozen=True, slots=True)
class WasReset:
    """The conversation starts anew."""


@dataclass(frozen=True, slots=True)
class ModelChanged:
    """Later requests go to another model."""

    model: str


Record: TypeAlias = (
    Seeded
    | Accepted
    | RunBegan
    | RequestSent
    | Replied
    | ToolCallStarted
    | ToolCallEnded
    | Closed
    | RunEnded
    | Withdrawn
    | WasReset
    | ModelChanged
)

OnAppended: TypeAlias = Callable[[Exception | None], object]
"""Called once, on any thread, when the records are as safe as the store makes them, or with what went wrong."""


class Store(Protocol):
    """An append-only log per agent; every method may be called from any thread and none blocks for long."""

    def take_token(self, agent_id: str) -> int:
        """A token newer than all before it; from now on appends with older ones are refused."""

    def append(self, agent_id: str, token: int, records: Sequence[Record], on_appended: OnAppended) -> None:
        """Append all records or none, in call order; the outcome goes to `on_appended` (FencedError: old token)."""

    def compact(self, agent_id: str, token: int, records: Sequence[Record], on_compacted: OnAppended) -> None:
        """Replace the agent's log by `records`, all or nothing; the rules of `append` hold."""

    def load(self, agent_id: str) -> Sequence[Record]:
        """All records of the agent, oldest first; empty for an unknown one."""

    def retire(self, agent_id: str, token: int) -> None:
        """The agent was stopped: a store that does not outlive the process forgets it, others keep it.

        Nothing happens when `token` is not the newest: another incarnation has the log.
        """

    def delete(self, agent_id: str) -> None:
        """Forget the agent's records and refuse all tokens given so far."""

    def agents(self) -> list[str]:
        """The ids of agents that have records."""

    def close(self) -> None:
        """Let go of files and threads; appends after this fail."""


@dataclass(frozen=True, slots=True)
class Journal:
    """The right to append to one agent's log, until a newer incarnation takes it over."""

    agent_id: str
    token: int
    store: Store

    async def append(self, *records: Record) -> None:
        """Return when the records are recorded.

        Raises:
            FencedError: A newer incarnation has the log.
            AlloyError: The store could not write.
        """
        waiter = _Waiter()
        self.store.append(self.agent_id, self.token, records, waiter.answer)
        if not waiter.answered:
            await waiter.wait(asyncio.get_running_loop())
        elif waiter.error is not None:
            raise waiter.error


class _Waiter:
    """One append that is waited for. A store that answers inside `append` never makes it a future."""

    __slots__ = ("answered", "error", "future", "wakeups")

    def __init__(self) -> None:
        self.answered = False
        self.error: Exception | None = None
        self.wakeups: _WakeUps | None = None
        self.future: asyncio.Future[None] | None = None

    def answer(self, error: Exception | None) -> None:
        """The store's answer, on any thread."""
        self.error = error
        self.answered = True
        if self.future is not None and self.wakeups is not None:
            self.wakeups.add(self, self.future.get_loop())

    async def wait(self, loop: asyncio.AbstractEventLoop) -> None:
        """Return or raise what the store answers."""
        self.wakeups = _wakeups_of(loop)
        self.future = loop.create_future()
        # The answer may have come before there was a future to look for.
        if self.answered:
            self.settle()
        await self.future

    def settle(self) -> None:
        """Hand the answer on; on the loop's thread. A waiter that was cancelled has no use for it."""
        future = self.future
        if future is not None and not future.done():
            if self.error is None:
                future.set_result(None)
            else:
                future.set_exception(self.error)


class _WakeUps:
    """Answers for the waiters of one loop: a store that answers a thousand of them wakes the loop once."""

    __slots__ = ("_answered", "_lock")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._answered: list[_Waiter] = []

    def add(self, waiter: _Waiter, loop: asyncio.AbstractEventLoop) -> None:
        with self._lock:
            self._answered.append(waiter)
            if len(self._answered) > 1:
                return  # the loop has been called and has not come yet
        try:
            loop.call_soon_threadsafe(self._settle)
        except RuntimeError:  # the loop is closed: nobody waits any more
            self._take()

    def _settle(self) -> None:
        for waiter in self._take():
            waiter.settle()

    def _take(self) -> list[_Waiter]:
        with self._lock:
            answered, self._answered = self._answered, []
        return answered


_wakeups: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _WakeUps] = weakref.WeakKeyDictionary()
_wakeups_lock = threading.Lock()


def _wakeups_of(loop: asyncio.AbstractEventLoop) -> _WakeUps:
    with _wakeups_lock:
        wakeups = _wakeups.get(loop)
        if wakeups is None:
            wakeups = _wakeups[loop] = _WakeUps()
        return wakeups
