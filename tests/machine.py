"""A supervisor's state machine without a thread: a port that records effects, a queue that is drained by hand."""

from collections import deque
from types import SimpleNamespace

import pykka

from supervisors.operations import DynamicCore, StaticCore
from supervisors.options import Options
from supervisors.reasons import Crash, Shutdown
from supervisors.spec import ChildSpec
from supervisors.testing import FakeClock, FakeRandom


class Actor(pykka.ThreadingActor):
    """Never started here."""


BOOM = Crash(ValueError("boom"))


class FakePort:
    def __init__(self):
        self.clock = FakeClock()
        self.queue = deque()
        self.log = []
        self.runs = []
        self.launch_error = None
        self.stuck = set()
        self.levels = {}

    def post(self, function, *args):
        self.queue.append((function, args))

    def launch(self, record):
        self.log.append(("launch", record.id))
        if self.launch_error is not None:
            raise self.launch_error
        run = Run(record, f"urn:{len(self.runs)}")
        self.runs.append(run)
        return run

    def request_stop(self, run, reason, *, drain, deadline):
        self.log.append(("stop", run.id, reason))
        run.deadline = deadline

    def abandon(self, run):
        self.log.append(("abandon", run.id))
        return SimpleNamespace(thread_name="t", stack="where it was", since=0.0)

    def run_hook(self, hook, run, done):
        hook(run.ref)
        done()

    def levels_below(self, run):
        return 0

    def can_start(self):
        return True

    def up(self):
        self.log.append(("up",))

    def end(self, reason):
        self.log.append(("end", reason))

    def interrupt(self):
        self.log.append(("interrupt",))


class Run:
    def __init__(self, record, urn):
        self.record, self.id = record, record.id
        self.ref = SimpleNamespace(actor_urn=urn)
        self.cleanup_error = None
        self.dropped = 0
        self.deadline = None


class Answer:
    def __init__(self):
        self.value = self.error = None
        self.done = False

    @property
    def wanted(self):
        return not self.done

    def ok(self, value):
        assert not self.done
        self.value, self.done = value, True

    def fail(self, error):
        assert not self.done
        self.error, self.done = error, True


class Machine:
    """A core, its port, and the moves of a test."""

    def __init__(self, kind=StaticCore, specs=(), **options):
        self.port = FakePort()
        self.exits = []
        self.core = kind(Options(**options), self.port, FakeRandom())
        if kind is StaticCore:
            self.core.start_initial(specs)
            for _ in specs:
                self.run()
                self.up()
            self.run()

    def run(self):
        while self.port.queue:
            function, args = self.port.queue.popleft()
            function(*args)

    def up(self, run=None):
        run = run or self.port.runs[-1]
        self.core.child_started(run.record, run, None)
        self.run()

    def fail(self, reason=BOOM, run=None):
        run = run or self.port.runs[-1]
        self.core.child_started(run.record, run, reason)
        self.run_once()

    def run_once(self):
        if self.port.queue:
            function, args = self.port.queue.popleft()
            function(*args)

    def exit(self, reason=BOOM, run=None):
        run = run or self.port.runs[-1]
        self.core.child_exited(run.record, run, reason)
        self.run()

    def advance(self, seconds):
        self.port.clock.advance(seconds)
        self.run()

    def ask(self, operation, *args):
        answer = Answer()
        getattr(self.core, operation)(answer, *args)
        self.run()
        return answer

    def states(self):
        return [record.state for record in self.core.table.records()]

    def log(self):
        log, self.port.log = self.port.log, []
        return log


def spec(child_id="a", **fields):
    return ChildSpec(id=child_id, start=Actor, **fields)


def dynamic(**options):
    return Machine(DynamicCore, **options)


class Family(Machine):
    """A machine with a strategy, whose children are named; `run_of` finds the latest run of one."""

    def __init__(self, strategy, *specs, **options):
        options = {"max_restarts": 9} | options
        children = [spec(one) if isinstance(one, str) else one for one in specs]
        super().__init__(specs=children, strategy=strategy, **options)
        self.log()

    def run_of(self, name):
        return next(run for run in reversed(self.port.runs) if run.id == name)

    def crash(self, name, reason=BOOM):
        self.exit(reason, self.run_of(name))

    def ended(self, *names):
        """These end as asked, one after the other."""
        for name in names:
            self.exit(Shutdown(), self.run_of(name))

    def came_up(self, *names):
        for name in names:
            assert self.port.runs[-1].id == name
            self.up()

    def shown(self):
        return {record.id: str(record.state) for record in self.core.table.records()}

    def said(self):
        """What was done, in short: `-b` asked to stop, `+b` launched."""
        signs = {"launch": "+", "stop": "-"}
        return " ".join(signs.get(entry[0], entry[0]) + str(entry[1]) for entry in self.log())
