"""One request to an agent, listened to, and ended by Ctrl-C without ending the program."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from alloy_actors.events import RunFinished

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from alloy_actors.actors.ref import AgentRef
    from alloy_actors.events import Event
    from alloy_actors.result import Result

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Answer(NamedTuple):
    """What a request came to, and the signal that cancelled it."""

    result: Result
    signum: int | None


async def ask(
    agent: AgentRef, text: str, hear: Callable[[Event], object], *, patient: bool = False
) -> Answer:
    """Send a message and pass on every event; in the main thread.

    Ctrl-C (SIGTERM, SIGHUP) cancels the request, whose partial text is in the result. What `hear` raises cancels it as
    well.

    Args:
        agent: Who is asked.
        text: What.
        hear: Called with each event.
        patient: A second Ctrl-C does nothing; otherwise it leaves at once.

    Raises:
        KeyboardInterrupt: The second signal.
        AlloyError: The request was not accepted.
    """
    request_id = os.urandom(16).hex()
    result: Result | None = None
    with _cancelled_by_signals(lambda: agent.cancel_request(request_id), patient=patient) as seen:
        try:
            async for event in agent.astream_chat(text, request_id=request_id):
                if isinstance(event, RunFinished):
                    result = event.result
                hear(event)
        except BaseException:
            agent.cancel_request(request_id)
            raise
    assert result is not None  # RunFinished comes last, always
    return Answer(result, seen[0] if seen else None)


@contextmanager
def _cancelled_by_signals(cancel: Callable[[], object], *, patient: bool) -> Iterator[list[int]]:
    """Call `cancel` on the running loop at the first signal; yields the signals so far."""
    loop = asyncio.get_running_loop()
    seen: list[int] = []

    def handle(signum: int, _frame: object) -> None:
        seen.append(signum)
        if len(seen) > 1 and not patient:
            raise KeyboardInterrupt
        loop.call_soon_threadsafe(cancel)

    previous: dict[signal.Signals, Any] = {}
    for signum in SIGNALS:
        # Ignored ones stay so: that is what nohup and `command &` are for.
        if signal.getsignal(signum) is not signal.SIG_IGN:
            previous[signum] = signal.signal(signum, handle)
    try:
        yield seen
    finally:
        for signum, handler in previous.items():
            signal.signal(signum, handler)
