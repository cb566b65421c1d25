from __future__ import annotations

import threading
from queue import SimpleQueue

import pykka
import pytest
from structlog.testing import capture_logs

from supervisors.errors import CallTimeout
from supervisors.links import monitor
from supervisors.reasons import Killed
from supervisors.runtime import (
    LaunchInfo,
    PooledActor,
    PooledFuture,
    abandon,
    incarnation_of,
    launch,
    release_idle_threads,
    start_actor,
)

WAIT = 5.0  # seconds; what does not come by then does not come


class Script:
    """Behaviour of an actor: a message that is callable is called with the actor, others are echoed."""

    def __init__(self, **hooks) -> None:
        super().__init__()
        self.hooks = hooks
        self.seen = []

    def on_start(self):
        return self._hook("on_start")

    def on_stop(self):
        self._hook("on_stop")

    def on_failure(self, *exc_info):
        self._hook("on_failure", *exc_info)

    def on_receive(self, message):
        self.seen.append(message)
        return message(self) if callable(message) else message

    def _hook(self, name, *args):
        hook = self.hooks.get(name)
        return None if hook is None else hook(*args)


class PooledScript(Script, PooledActor):
    pass


class ThreadScript(Script, pykka.ThreadingActor):
    pass


class Launched:
    """One launch and what was told of it."""

    def __init__(self, cls, *, info=None, **hooks) -> None:
        self.told = SimpleQueue()
        self.started = PooledFuture()
        self.exited = PooledFuture()
        self.run = launch(
            cls,
            (),
            hooks,
            info or LaunchInfo(child_id="child", path=("root", "child")),
            on_started=self._started,
            on_exit=self._exited,
        )
        self.ref = self.run.ref

    def _started(self, run, outcome):
        self.told.put(("started", outcome, threading.current_thread()))
        self.started.set(outcome)

    def _exited(self, run, reason):
        self.told.put(("exited", reason, threading.current_thread()))
        self.exited.set(reason)

    def outcome(self):
        return self.started.get(timeout=WAIT)

    def reason(self):
        return self.exited.get(timeout=WAIT)


@pytest.fixture(autouse=True)
def logs():
    """What was logged; nothing is printed, which is slow."""
    with capture_logs() as entries:
        yield entries


@pytest.fixture(params=[PooledScript, ThreadScript], ids=["pooled", "threading"])
def script(request):
    """Both runtimes."""
    return request.param


@pytest.fixture
def start():
    """`start_actor`, and a stop at the end."""
    refs = []

    def start(cls=PooledScript, *args, **kwargs):
        refs.append(start_actor(cls, *args, **kwargs))
        return refs[-1]

    yield start
    end_all(refs)


@pytest.fixture
def launched():
    """`Launched`, and a stop at the end."""
    made = []

    def start(*args, **kwargs):
        made.append(Launched(*args, **kwargs))
        return made[-1]

    yield start
    end_all(one.ref for one in made)


@pytest.fixture
def gate():
    """An event that handlers wait on; set at the end, so that nothing stays blocked."""
    event = threading.Event()
    yield event
    event.set()


@pytest.fixture
def no_threads():
    """Nothing of the pool is left from before, nor afterwards."""
    release_idle_threads()
    yield
    release_idle_threads()


def end_all(refs) -> None:
    for ref in refs:
        down = monitor(ref)
        if ref.is_alive():
            ref.stop(block=False)
        try:
            down.wait(WAIT)
        except CallTimeout:
            abandon(incarnation_of(ref), Killed(abandoned=True))
