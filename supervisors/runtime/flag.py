"""A `threading.Event` for those who have a hundred thousand of them: 48 bytes, and a lock only while somebody waits."""

from __future__ import annotations

import threading

from supervisors.runtime.blocking import block_on


class Flag:
    """False until `set`; waiting on a pool thread is managed blocking."""

    __slots__ = ("_set", "_waiters")

    def __init__(self) -> None:
        self._set = False
        self._waiters: tuple[threading.Lock, ...] = ()

    def is_set(self) -> bool:
        return self._set

    def set(self) -> None:
        self._set = True
        if self._waiters:
            with _guard:
                waiters, self._waiters = self._waiters, ()
            for lock in waiters:
                lock.release()

    def clear(self) -> None:
        self._set = False

    def wait(self, timeout: float | None = None) -> bool:
        """Wait up to `timeout` seconds; returns whether it is set."""
        if self._set:
            return True
        lock = threading.Lock()
        lock.acquire()
        with _guard:
            self._waiters = (*self._waiters, lock)
        if self.is_set():  # maybe before it saw us
            return True
        block_on(lock, timeout)
        with _guard:
            self._waiters = tuple(other for other in self._waiters if other is not lock)
        return self._set


_guard = threading.RLock()


def reset_after_fork() -> None:
    """Make the lock anew in a forked child."""
    global _guard  # a thread that does not exist here may hold it
    _guard = threading.RLock()
