"""What the cases about calls and registries share: waits, and code inside of actors."""

import threading
import time

from supervisors import PooledFuture, call

PATIENCE = 10.0  # seconds a test waits for something that should take milliseconds
NO_LIMIT = PATIENCE * 3  # of a call: who waits as long has failed the test already


def in_thread(function):
    """Run `function` in a thread; returns the future of what it returns or raises."""
    future = PooledFuture()

    def run():
        try:
            future.set(function())
        except BaseException:
            future.set_exception()

    threading.Thread(target=run, daemon=True).start()
    return future


def eventually(condition):
    """Look until `condition()` holds: for what nobody can be told of, such as that a message is in an inbox."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "it never came to hold"
        threading.Event().wait(0.002)


def inside(ref, function):
    """Call `function()` in a handler of an actor."""
    return call(ref, lambda _actor: function(), NO_LIMIT)
