"""A signal that does not end the main thread's wait is heard nevertheless."""

from __future__ import annotations

import signal
import threading

import pytest

from alloy_actors.actors.blocking import next_of
from supervisors.runtime import PooledFuture


class HeardError(Exception):
    """What the handler raises."""


def wait_for_future() -> None:
    PooledFuture().get(timeout=20)


def wait_for_queue() -> None:
    import queue

    from alloy_actors.deadline import Deadline

    next_of(queue.SimpleQueue(), Deadline.after(20))


@pytest.mark.parametrize("wait", [wait_for_future, wait_for_queue])
def test_a_signal_that_another_thread_got_is_heard_by_the_waiting_main_thread(wait) -> None:
    """As one does that comes just before the wait begins: Python's handler has to run, and nothing wakes the thread."""
    heard = threading.Event()
    in_time: list[bool] = []

    def handle(*_: object) -> None:
        raise HeardError

    def interrupt() -> None:
        signal.pthread_kill(threading.get_ident(), signal.SIGUSR1)
        in_time.append(heard.wait(10))

    before = signal.signal(signal.SIGUSR1, handle)
    thread = threading.Thread(target=interrupt)
    try:
        with pytest.raises(HeardError):
            thread.start()
            wait()
        heard.set()
        thread.join()
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert in_time == [True]
