"""The hooks of a session: `session_start` before an agent comes up, `session_end` when it has ended for good.

No actor and no supervisor waits for either: the one is asked by whoever spawns the agent, on the caller's thread; the
other on the agent's own callback thread, as the first of its last words.
"""

from __future__ import annotations

import asyncio
import contextvars
import inspect
from typing import TYPE_CHECKING

import pykka

from alloy_actors.actors.blocking import blocking_region
from alloy_actors.actors.loop_thread import loop_thread
from alloy_actors.errors import AgentDownError, ConfigError, CrashError, HaltedError
from alloy_actors.errors import TimeoutError as StartTimeoutError
from alloy_actors.logs import log, traced
from alloy_actors.middleware import Halt, SessionView, as_halt, awaited
from supervisors.runtime import PooledFuture

if TYPE_CHECKING:
    from collections.abc import Sequence

    from alloy_actors.actors.entry import AgentEntry
    from alloy_actors.content import Message, Usage

LIMIT = 20.0
"""Seconds that `session_start`, each async `session_end` and an async `on_shutdown` may take, so that one that hangs keeps
nobody waiting for ever."""


def begin_session(entry: AgentEntry) -> None:
    """Ask `session_start`, and wait; nothing of the agent runs yet.

    Raises:
        HaltedError: It halted: the agent is not to start.
        CrashError: It raised.
        ConfigError: It returned something else.
        TimeoutError: It did not return within LIMIT seconds.
        AgentDownError: The runtime was shut down meanwhile.
    """
    if "session_start" not in entry.hooks:
        return
    view = view_of(entry, *entry.beginning())
    answer: PooledFuture[Halt | BaseException | None] = PooledFuture()

    async def ask() -> None:
        try:
            answer.set(await entry.hooks.halt("session_start", view))
        except asyncio.CancelledError:
            answer.set(AgentDownError("the runtime was shut down"))
            raise
        except BaseException as error:  # SystemExit would end the loop for everyone
            answer.set(error)

    not_started = f"agent {entry.name!r} was not started: "
    task = loop_thread().start(ask, contextvars.copy_context())
    try:
        with blocking_region():
            outcome = answer.get(timeout=LIMIT)
    except pykka.Timeout:
        msg = f"{not_started}its session_start did not return within {LIMIT:g} seconds"
        raise StartTimeoutError(msg) from None
    finally:
        task.cancel()  # harmless when it has ended
    if isinstance(outcome, Halt):
        raise HaltedError(f"{not_started}Halted by middleware: {outcome.reason}")
    if isinstance(outcome, ConfigError | AgentDownError):
        raise outcome
    if outcome is not None:
        msg = f"{not_started}its session_start raised {type(outcome).__name__}: {outcome}"
        raise CrashError(msg) from outcome


def end_session(entry: AgentEntry, messages: Sequence[Message], usage: Usage) -> None:
    """Ask every `session_end`; none keeps the others, or the agent's end, from coming."""
    view = view_of(entry, messages, usage)
    for hook in entry.hooks.of("session_end"):
        try:
            halt = as_halt(hook, settled(entry, hook(view)))
        except BaseException as error:
            log.error("hook_failed", hook="session_end", agent=entry.name, **traced(error))
        else:
            if halt is not None:
                log.warning("halt_ignored", hook="session_end", agent=entry.name, reason=halt.reason)


def settled(entry: AgentEntry, answer: object) -> object:
    """What a user's function has returned; where that is awaitable, what it comes to on the agent's loop.

    Raises:
        builtins.TimeoutError: That took more than LIMIT seconds.
    """
    if not inspect.isawaitable(answer):
        return answer
    future = asyncio.run_coroutine_threadsafe(awaited(answer), entry.runner.loop or loop_thread().loop)
    try:
        return future.result(LIMIT)
    except BaseException:
        future.cancel()
        raise


def view_of(entry: AgentEntry, messages: Sequence[Message], usage: Usage) -> SessionView:
    """What these hooks are shown."""
    return SessionView(
        agent=entry.name,
        model=entry.provider.model,
        messages=tuple(messages),
        usage=usage,
        context=entry.config.context,
    )
