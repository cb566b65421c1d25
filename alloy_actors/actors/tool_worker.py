"""The actors that run plain tools, and their supervisor. What they do is decided by the pool."""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING, Any, Final

import pykka

from alloy_actors.actors.blocking import waits_through
from supervisors import DynamicSupervisor
from supervisors.runtime import stop_self

if TYPE_CHECKING:
    from types import TracebackType

    from alloy_actors.actors.tool_pool import ToolPool
    from supervisors.refs import DynamicSupervisorRef

WAKE: Final = "wake"
"""The only message to a worker: there is work in the queue."""


class Slots:
    """The workers of one incarnation of the supervisor; guarded by the pool's lock."""

    __slots__ = ("active", "blocked", "busy", "idle", "ref")

    def __init__(self, ref: DynamicSupervisorRef) -> None:
        self.ref = ref
        self.active = 0  # may run: starting, idle or busy
        self.busy = 0
        self.blocked = 0
        self.idle: deque[ToolWorker] = deque()  # right: the last to fall asleep, and the first to be woken


class ToolWorker(pykka.ThreadingActor):
    """Runs tools, one at a time. Also the context manager of its own waits for others; they may nest."""

    use_daemon_thread = True

    def __init__(self, pool: ToolPool, slots: Slots) -> None:
        super().__init__()
        self.slots = slots
        self.idle_since = 0.0
        self.stuck = False  # nobody waits for its call any more: it has no slot, and ends when the tool does
        self.left = False  # it is counted nowhere any more
        self.blocked = False  # its tool waits for another agent
        self._pool = pool
        self._depth = 0

    def on_start(self) -> None:
        threading.current_thread().name = f"alloy-tool-{self._pool.arrived()}"
        waits_through(self)
        self.actor_ref.tell(WAKE)

    def on_receive(self, message: object) -> None:
        assert message is WAKE
        if not self._pool.drain(self):
            stop_self()

    def on_stop(self) -> None:
        self._pool.leave(self)

    def on_failure(self, *_: object) -> None:
        self._pool.leave(self)

    def __enter__(self) -> None:
        self._depth += 1
        if self._depth == 1:
            self._pool.worker_blocks(self)

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._depth -= 1
        if self._depth == 0:
            self._pool.worker_runs(self)


class ToolWorkers(DynamicSupervisor):
    """The supervisor of a pool's workers; tells the pool when it is there."""

    def __init__(self, pool: ToolPool, **flags: Any) -> None:
        super().__init__(**flags)
        self._pool = pool

    def on_start(self) -> Any:
        result = super().on_start()
        self._pool.attach(self.actor_ref)
        return result
