"""One thread that writes in groups: what is handed in while a group is being written makes the next one.

Knows nothing of what a piece of work is. A thread that needs everything before it to be written does not wait for the
writer (which may be waiting, in somebody's callback, for a lock that this thread holds): it writes the group itself.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING, Generic, TypeVar

from alloy_actors.logs import log, traced

if TYPE_CHECKING:
    from collections.abc import Callable

Work = TypeVar("Work")


class GroupWriter(Generic[Work]):
    """See the module.

    Args:
        commit: Writes a group and leaves the outcome in each piece of work; never raises, never runs twice at once.
        tell: Says what became of a piece of work; on the writer's thread, in the order of `submit`, without locks.
    """

    def __init__(self, commit: Callable[[list[Work]], None], tell: Callable[[Work], None]) -> None:
        self._commit = commit
        self._tell = tell
        self._lock = threading.Lock()
        self._committing = threading.Lock()  # taken before _lock, never after it
        # A bare lock and not a Condition: who rings has left _lock, so the writer does not wake only to wait for that.
        self._bell = threading.Lock()
        self._bell.acquire()
        self._queue: list[Work] = []
        self._written: deque[Work] = deque()  # filled by whoever writes, emptied by the writer's thread
        self._thread: threading.Thread | None = None
        self._waiting = False
        self._closed = False

    def submit(self, work: Work) -> bool:
        """Queue a piece of work; False when the writer is closed."""
        with self._lock:
            if self._closed:
                return False
            if self._thread is None:
                thread = threading.Thread(target=self._run, name="alloy-store", daemon=True)
                thread.start()
                self._thread = thread
            self._queue.append(work)
            ring = self._stop_waiting()
        if ring:
            self._bell.release()
        return True

    def flush(self) -> None:
        """Return when everything submitted before is written; it may not have been told yet."""
        self._write_group()
        with self._lock:
            ring = bool(self._written) and self._stop_waiting()
        if ring:
            self._bell.release()

    def close(self) -> None:
        """Write and tell what is queued, then end the thread. Harmless when closed."""
        with self._lock:
            self._closed = True
            thread = self._thread
            ring = self._stop_waiting()
        if ring:
            self._bell.release()
        self._write_group()
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    def _stop_waiting(self) -> bool:
        # Rung once a group: a busy writer looks again by itself.
        waiting, self._waiting = self._waiting, False
        return waiting

    def _run(self) -> None:
        while True:
            with self._lock:
                ending = self._closed
                self._waiting = not (ending or self._queue or self._written)
                wait = self._waiting
            if wait:
                self._bell.acquire()
            self._write_group()  # which waits for a group that another thread is writing
            self._tell_written()
            if ending:
                return

    def _write_group(self) -> None:
        with self._committing:
            with self._lock:
                group, self._queue = self._queue, []
            if group:
                self._commit(group)
                self._written += group

    def _tell_written(self) -> None:
        while self._written:
            work = self._written.popleft()
            try:
                self._tell(work)
            except Exception as error:
                log.error("store_callback_failed", **traced(error))
