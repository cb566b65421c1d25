"""The way of a request from a caller into an agent's book, and of its result back to one who waits."""

from __future__ import annotations

import asyncio
import builtins
import contextvars
import os
from typing import TYPE_CHECKING, get_args

import pykka

from alloy_actors.actors.blocking import blocking_region
from alloy_actors.actors.book import LetGoError
from alloy_actors.actors.callbacks import deliver_to
from alloy_actors.actors.guard import chain
from alloy_actors.actors.request import Request
from alloy_actors.config import check_name, user_message
from alloy_actors.errors import ConfigError, TimeoutError  # noqa: A004  (ours)
from alloy_actors.journal import WhenBusy
from supervisors.runtime import PooledFuture

if TYPE_CHECKING:
    from collections.abc import Callable

    from alloy_actors.actors.entry import AgentEntry
    from alloy_actors.content import Message
    from alloy_actors.reporting import OnEvents
    from alloy_actors.result import Result


def accept(
    entry: AgentEntry,
    call: str,
    said: str | Message,
    request_id: str | None = None,
    on_events: OnEvents | None = None,
    *,
    waits: bool = True,
    when_busy: WhenBusy = "queue",
    rides: bool = False,
) -> Request:
    """Hand a request in and wait until it is recorded.

    Args:
        entry: Whose.
        call: The public name of what is being done, for errors.
        said: What the user says.
        request_id: Made up when None.
        on_events: Hears the run.
        waits: Whether the caller waits for the result: then its run is part of the chain.
        when_busy: See `AgentRef.send_message`.
        rides: See `RequestBook.accept`; then `wait` says what becomes of it.
    """
    request = None
    while request is None:
        try:
            request = _submit(
                entry, call, said, request_id, on_events, waits=waits, when_busy=when_busy, rides=rides
            )
        except LetGoError:
            entry.recall()
    if not (rides and request.rides):
        entry.book.recorded(request)
    return request


async def aaccept(
    entry: AgentEntry,
    call: str,
    said: str | Message,
    request_id: str | None = None,
    on_events: OnEvents | None = None,
    *,
    waits: bool = True,
    when_busy: WhenBusy = "queue",
    rides: bool = False,
) -> Request:
    """`accept` for coroutines."""
    request = None
    while request is None:
        try:
            request = _submit(
                entry, call, said, request_id, on_events, waits=waits, when_busy=when_busy, rides=rides
            )
        except LetGoError:
            await asyncio.to_thread(entry.recall)
    if not (rides and request.rides):
        await entry.book.arecorded(request)
    return request


def call_back(entry: AgentEntry, request: Request, on_result: Callable[[Result], object] | None) -> None:
    """Let the user's callback have the result."""
    if on_result is not None:
        deliver = deliver_to(on_result, entry.callbacks, _running_loop())
        entry.book.on_finished(request, deliver)


def wait(entry: AgentEntry, request: Request, timeout: float | None) -> Result:
    """The result, once it is there.

    Raises:
        TimeoutError: It is not within `timeout` seconds; the request goes on.
        AlloyError: The store could not take the request.
    """
    future: PooledFuture[Result] = PooledFuture()
    entry.book.on_finished(request, future.set)
    try:
        with blocking_region():
            return _unless_refused(request, future.get(timeout=timeout))
    except pykka.Timeout:
        entry.book.forget(request, future.set)
        raise waited_too_long(request, timeout) from None


async def await_result(entry: AgentEntry, request: Request, timeout: float | None) -> Result:
    """`wait` for coroutines."""
    future: PooledFuture[Result] = PooledFuture()
    entry.book.on_finished(request, future.set)
    try:
        async with asyncio.timeout(timeout):
            return _unless_refused(request, await future)
    except builtins.TimeoutError:
        raise waited_too_long(request, timeout) from None
    finally:
        entry.book.forget(request, future.set)


def waited_too_long(request: Request, timeout: float | None) -> TimeoutError:
    """What one who waited in vain is told."""
    return TimeoutError(
        f"no result within {timeout:g} seconds; request {request.id!r} goes on: "
        "read it later with result(request_id), or cancel_request(request_id)"
    )


def _submit(
    entry: AgentEntry,
    call: str,
    said: str | Message,
    request_id: str | None,
    on_events: OnEvents | None,
    *,
    waits: bool,
    when_busy: WhenBusy,
    rides: bool,
) -> Request:
    entry.check_process()
    if request_id is not None:
        check_name(call, "request_id", request_id)
    if when_busy not in get_args(WhenBusy):
        message = f"{call}: when_busy={when_busy!r} is not known: use one of {', '.join(get_args(WhenBusy))}"
        raise ConfigError(message)
    request = Request(
        request_id or os.urandom(16).hex(),
        user_message(said, call),
        contextvars.copy_context(),
        chain() if waits else (),
        on_events,
        when_busy,
    )
    # Who listens to a run hears of its beginning before the store has taken that: then it must not fail.
    rides = rides and entry.topics.listeners(on_events) is None
    return entry.book.accept(request, rides=rides, named=request_id is not None)


def _unless_refused(request: Request, result: Result) -> Result:
    if request.refused is not None:
        raise request.refused
    return result


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
