"""What the conformance cases share: a worker that does what it is told, and events to wait for."""

import itertools
import queue
import threading
from types import SimpleNamespace

import pykka
import pytest

import supervisors
from supervisors import (
    ChildSpec,
    DynamicSupervisor,
    Exit,
    Normal,
    PooledActor,
    Registry,
    Supervisor,
    sleep,
    start_actor,
)
from supervisors.testing import FakeClock, assert_no_leaks
from tests.conformance.process_support import Process

numbers = itertools.count()
PATIENCE = 10.0  # seconds a test waits for something that should take milliseconds


class Journal(list):
    """What happened, in order, written by several threads (`list.append` is atomic)."""


def crash(_actor):
    """Message that ends the worker with an exception."""
    raise ValueError("boom")


def finish(reason=None):
    """Message that ends the worker with `reason`."""

    def end(_actor):
        raise Exit(reason or Normal())

    return end


class UntilAsked:
    """Message that works until the actor is asked to stop, and ends as it likes then."""

    def __init__(self, then=None):
        self.entered, self.then = threading.Event(), then

    def __call__(self, actor):
        self.entered.set()
        try:
            sleep(PATIENCE * 3)
        except Exit:
            if self.then is not None:
                self.then(actor)


class Hang:
    """Message that blocks the worker until the test lets go."""

    def __init__(self):
        self.entered, self.release = threading.Event(), threading.Event()

    def __call__(self, _actor):
        self.entered.set()
        assert self.release.wait(PATIENCE * 3)


def make_worker(base):
    class Worker(base):
        """Calls the functions it is sent; `on_start`/`on_stop`/`init` are functions of the test."""

        use_daemon_thread = True

        def __init__(self, name="w", journal=None, *, init=None, on_start=None, on_stop=None, keep=None):
            super().__init__()
            self.name, self.journal, self.keep = name, journal, keep
            self._on_start, self._on_stop = on_start, on_stop
            if init is not None:
                init(self)

        def on_start(self):
            if self.journal is not None:
                self.journal.append(("start", self.name))
            return self._on_start(self) if self._on_start is not None else None

        def on_stop(self):
            if self.journal is not None:
                self.journal.append(("stop", self.name))
            if self._on_stop is not None:
                self._on_stop(self)

        def on_receive(self, message):
            return message(self) if callable(message) else message

    Worker.__qualname__ = Worker.__name__ = f"Worker{base.__name__}"
    return Worker


WORKERS = {"pooled": make_worker(PooledActor), "threading": make_worker(pykka.ThreadingActor)}


@pytest.fixture(params=sorted(WORKERS))
def worker(request):
    """Worker class, on the pool and on a thread of its own."""
    return WORKERS[request.param]


@pytest.fixture
def actor(worker):
    """Start workers nobody supervises, stopped with the test."""
    made = []

    def begin(**options):
        made.append(start_actor(worker, **options))
        return made[-1]

    yield begin
    for ref in made:
        ref.stop()


@pytest.fixture(params=["unique", "duplicate"])
def either(request):
    """Registry of either kind."""
    return Registry(("either", next(numbers)), keys=request.param)


@pytest.fixture
def spec(worker):
    """Make specs of workers: `spec("a", restart="transient")`; what is no field goes to the worker."""
    fields = set(ChildSpec.__dataclass_fields__)

    def make(child_id="a", *args, **options):
        own = {key: value for key, value in options.items() if key in fields}
        rest = {key: value for key, value in options.items() if key not in fields}
        return ChildSpec(id=child_id, start=worker, args=args or (child_id,), kwargs=rest, **own)

    return make


class Events:
    """Events of the tests, to wait for."""

    def __init__(self):
        self.seen = []
        self._queue = queue.SimpleQueue()
        self.unsubscribe = supervisors.subscribe(self._queue.put)

    def wait(self, kind, timeout=PATIENCE, **fields):
        """Return the next event of `kind` with these fields; earlier ones are skipped."""
        while True:
            event = self._queue.get(timeout=timeout)
            self.seen.append(event)
            if isinstance(event, kind) and all(
                getattr(event, name) == value for name, value in fields.items()
            ):
                return event

    def wait_all(self, kind, field, values):
        """Wait for one event of `kind` for each value of `field`, in any order."""
        found, missing = {}, set(values)
        while missing:
            event = self.wait(kind)
            found[getattr(event, field)] = event
            missing.discard(getattr(event, field))
        return found

    def drain(self):
        assert supervisors.events.bus.flush()
        while not self._queue.empty():
            self.seen.append(self._queue.get())
        return self.seen


@pytest.fixture
def events():
    log = Events()
    yield log
    log.unsubscribe()


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def journal():
    return Journal()


@pytest.fixture(autouse=True)
def nothing_is_left():
    yield
    assert_no_leaks(PATIENCE)


@pytest.fixture
def start():
    """Start static supervisors that are stopped with the test."""
    made = []

    def begin(children=None, **flags):
        flags = {"max_restarts": 2, "max_seconds": 3600.0} | flags
        ref = Supervisor.start(children, **flags)
        made.append(ref)
        return ref

    yield begin
    for ref in made:
        if ref is not None:
            ref.stop(timeout=1)


@pytest.fixture
def start_dynamic():
    """Start dynamic supervisors that are stopped with the test."""
    made = []

    def begin(**flags):
        flags = {"max_restarts": 2, "max_seconds": 3600.0} | flags
        ref = DynamicSupervisor.start(**flags)
        made.append(ref)
        return ref

    yield begin
    for ref in made:
        ref.stop(timeout=1)


@pytest.fixture
def hang():
    """Messages that block their actors until the test ends, or lets go."""
    made = []

    def make():
        made.append(Hang())
        return made[-1]

    yield make
    for one in made:
        one.release.set()


@pytest.fixture
def do():
    """The messages."""
    return SimpleNamespace(crash=crash, finish=finish, until_asked=UntilAsked)


def counts(ref):
    """(specs, active, supervisors, workers)."""
    now = ref.count_children()
    return (now.specs, now.active, now.supervisors, now.workers)


@pytest.fixture(name="counts")
def counts_fixture():
    return counts


@pytest.fixture
def process():
    made = []

    def begin(code):
        made.append(Process(code))
        return made[-1]

    yield begin
    for one in made:
        if one.process.poll() is None:
            one.process.kill()
        one.process.communicate()
