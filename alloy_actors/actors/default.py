"""The system behind `Agent.start` and `run`, and the end of everything."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from alloy_actors.actors.callbacks import await_closed
from alloy_actors.actors.guard import chain, check_blocking
from alloy_actors.actors.loop_thread import stop_loop_thread
from alloy_actors.actors.system import AgentSystem, systems
from alloy_actors.deadline import Deadline
from alloy_actors.errors import WouldDeadlock
from supervisors.runtime import release_idle_threads

if TYPE_CHECKING:
    from collections.abc import Callable

_after_loop: set[Callable[[], None]] = set()


def when_loop_has_ended(hook: Callable[[], None]) -> Callable[[], None]:
    """Call `hook` if `shutdown` ends the loop before the returned function was called."""
    _after_loop.add(hook)
    return lambda: _after_loop.discard(hook)


_default_lock = threading.Lock()
_default: AgentSystem | None = None


def default_system() -> AgentSystem:
    """The system behind `Agent.start` and `run`, made at first use; `shutdown()` ends it."""
    global _default
    with _default_lock:
        if _default is None or _default.stopped:
            _default = AgentSystem()
        return _default


def shutdown(timeout: float = 5.0) -> None:
    """End everything this package started in this process: all systems, the event loop, idle threads.

    Agents that were alive are stopped as by `stop()`. What is used afterwards starts anew.

    Args:
        timeout: Seconds for all of it.

    Raises:
        WouldDeadlock: On a loop thread or inside a run.
    """
    global _default
    if chain():
        message = "shutdown() cannot be called from inside a run: it would wait for that run"
        raise WouldDeadlock(message)
    check_blocking("shutdown", "asyncio.to_thread(alloy.shutdown)")
    deadline = Deadline.after(timeout)
    with _default_lock:
        _default = None
    _stop_side_by_side(list(systems), deadline)
    stop_loop_thread(deadline.remaining())
    for hook in list(_after_loop):
        hook()
    await_closed(deadline)
    release_idle_threads(deadline.remaining())


def _stop_side_by_side(stopping: list[AgentSystem], deadline: Deadline) -> None:
    """Each gets all the time there is: one that hangs must not take it from what another has to record."""
    threads = [
        threading.Thread(target=system.stop, args=(deadline.remaining(),), name="alloy-shutdown")
        for system in stopping[1:]
    ]
    for thread in threads:
        thread.start()
    for system in stopping[:1]:
        system.stop(deadline.remaining())
    for thread in threads:
        thread.join()
