"""What the cases of tasks and of streams share: functions for tasks, and actors that own them."""

import queue
import threading

from supervisors import (
    Exit,
    ExitSignal,
    PooledActor,
    TaskSupervisor,
    sleep,
    start_actor,
)

PATIENCE = 10.0  # seconds a test waits for something that should take milliseconds


def task_supervisors():
    """Start task supervisors that are stopped with the test."""
    made = []

    def start(**flags):
        ref = TaskSupervisor.start(**flags)
        made.append(ref)
        return ref

    yield start
    for ref in made:
        ref.stop(timeout=1)


class Held:
    """A function that blocks until the test lets go, and does not notice a request to stop."""

    def __init__(self):
        self.entered, self.release = threading.Event(), threading.Event()

    def __call__(self, value=None):
        self.entered.set()
        assert self.release.wait(PATIENCE * 3)
        return value


def held_functions():
    """Functions that block until the test ends, or lets go."""
    made = []

    def make():
        made.append(Held())
        return made[-1]

    yield make
    for one in made:
        one.release.set()


def until_asked(value=None):
    """Work until somebody wants a stop."""
    sleep(PATIENCE * 3)
    return value


def fail(*_args):
    raise ValueError("boom")


def leave(reason):
    raise Exit(reason)


def task_threads():
    return [thread for thread in threading.enumerate() if thread.name.startswith("TaskActor")]


def end_of_threads():
    for thread in task_threads():
        thread.join(PATIENCE)
    assert task_threads() == []


class Owner(PooledActor):
    """Runs what it is sent; keeps exit signals."""

    def __init__(self):
        super().__init__()
        self.signals = queue.SimpleQueue()

    def on_receive(self, message):
        if isinstance(message, ExitSignal):
            self.signals.put(message)
            return None
        return message(self)


class Trapping(Owner):
    trap_exit = True


def owners():
    """Start actors that may own tasks, and are stopped with the test."""
    made = []

    def make(kind=Owner):
        made.append(start_actor(kind))
        return made[-1]

    yield make
    for ref in made:
        ref.stop()
