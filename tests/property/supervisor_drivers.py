"""Two things that do what the rules of `test_supervisor_model.py` say: the state machine alone, and real actors."""

from __future__ import annotations

import threading

import pykka

from supervisors import (
    IGNORE,
    ChildSpec,
    Crash,
    DynamicSupervisor,
    Exit,
    Normal,
    PooledActor,
    Shutdown,
    Supervisor,
    SupervisorError,
    monitor,
    whereis,
)
from supervisors.operations import DynamicCore, StaticCore
from supervisors.testing import FakeClock, assert_no_leaks, settle
from tests.machine import BOOM, Machine
from tests.machine import spec as machine_spec
from tests.model import FAIL, RUNNING, UP
from tests.model import IGNORE as IGNORED

PATIENCE = 10.0


class AloneDriver:
    """The state machine without threads; starts and stops have their outcome when it has nothing else to do."""

    def __init__(self, dynamic, **options):
        self.plans = {}
        self.machine = Machine(DynamicCore if dynamic else StaticCore, **options)
        self.dynamic = dynamic

    def new(self, child_id, restart, significant):
        spec = machine_spec(child_id, restart=restart, significant=significant)
        return self.ask("start_child", spec)

    def ask(self, operation, target, *more):
        answer = self.machine.ask(operation, target, *more)
        self.pump()
        assert answer.done
        if answer.error is not None:
            return type(answer.error).__name__
        return self.shown(answer.value)

    @staticmethod
    def shown(value):
        return UP if hasattr(value, "actor_urn") else value and type(value).__name__

    def address(self, child_id):
        return self.record(child_id).ref if self.dynamic else child_id

    def terminate(self, child_id):
        return self.ask("terminate_child", self.address(child_id), float("inf"))

    def record(self, child_id):
        return next((one for one in self.machine.core.table.records() if one.id == child_id), None)

    def exit(self, child_id, ok):
        record = self.record(child_id)
        self.machine.core.child_exited(record, record.run, Normal() if ok else BOOM)
        self.pump()

    def pump(self):
        """Let everybody obey."""
        machine = self.machine
        machine.run()
        while (run := next((run for run in machine.port.runs if self.is_due(run)), None)) is not None:
            if run.record.stop is not None:
                machine.core.child_exited(run.record, run, Shutdown())
            else:
                plan = self.plans[run.id]
                outcome = plan.pop(0) if plan else UP
                failure = BOOM if outcome == FAIL else None
                machine.core.child_started(run.record, run, failure, ignored=outcome == IGNORED)
            machine.run()

    @staticmethod
    def is_due(run):
        return run.record.run is run and (run.record.stop is not None or run.record.up_at is None)

    def advance(self, seconds):
        clock = self.machine.port.clock
        while (pending := clock.pending()) and pending[0] <= seconds:
            seconds -= pending[0]
            clock.advance(pending[0])
            self.pump()
        clock.advance(seconds)

    def stop(self):
        self.machine.core.stop(Shutdown())
        self.pump()

    def log(self):
        return [
            ("start" if entry[0] == "launch" else "stop", entry[1])
            for entry in self.machine.port.log
            if entry[0] in {"launch", "stop"}
        ]

    def children(self):
        return [(one.id, one.state.value, one.generation + 1) for one in self.machine.core.table.records()]

    def ended(self, expected):
        del expected
        return next((entry[1] for entry in self.machine.port.log if entry[0] == "end"), None)

    def close(self):
        assert self.machine.port.clock.pending() == []


class Obedient:
    """A real actor that does what its plan says at its start, and notes what happens to it."""

    use_daemon_thread = True

    def __init__(self, world, child_id):
        super().__init__()
        self.world, self.child_id, self.leaves = world, child_id, False

    def on_start(self):
        plan = self.world.plans[self.child_id]
        outcome = plan.pop(0) if plan else UP
        self.world.note("start", self.child_id, alive=outcome == UP)
        if outcome == FAIL:
            raise LookupError("its plan")
        return IGNORE if outcome == IGNORED else None

    def on_receive(self, ok):
        self.leaves = True
        if ok:
            raise Exit(Normal())
        raise ValueError("boom")

    def on_stop(self):
        self.world.note(None if self.leaves else "stop", self.child_id, alive=False)

    def on_failure(self, *_error):
        self.world.note(None, self.child_id, alive=False)


class ObedientPooled(Obedient, PooledActor):
    pass


class ObedientThreaded(Obedient, pykka.ThreadingActor):
    pass


class RealDriver:
    """A supervisor of real actors on a clock that is moved by hand."""

    actor_class = ObedientPooled

    def __init__(self, dynamic, **options):
        self.plans, self.journal, self.wrong = {}, [], []
        self.living = set()
        self.marks, self.reasons = {}, {}  # ref -> its monitor; kind of the reason when it ended by itself
        self._lock = threading.Lock()
        self.clock = FakeClock()
        kind = DynamicSupervisor if dynamic else Supervisor
        self.dynamic = dynamic
        self.root = kind.start(clock=self.clock, **options)

    def note(self, word, child_id, *, alive):
        """Called by the actors."""
        with self._lock:
            if word is not None:
                self.journal.append((word, child_id))
            if word == "start" and child_id in self.living:
                self.wrong.append(f"{child_id} starts while it lives")
            (self.living.add if alive else self.living.discard)(child_id)

    def name(self, child_id):
        return ("model", child_id)

    def new(self, child_id, restart, significant):
        spec = ChildSpec(
            id=child_id,
            start=self.actor_class,
            args=(self, child_id),
            restart=restart,
            significant=significant,
            name=self.name(child_id),
        )
        return self.ask("start_child", spec)

    def ask(self, operation, target):
        try:
            value = getattr(self.root, operation)(target)
        except SupervisorError as error:
            return type(error).__name__
        finally:
            settle(self.root, PATIENCE)
        return AloneDriver.shown(value)

    def terminate(self, child_id):
        return self.ask("terminate_child", self.record(child_id).ref if self.dynamic else child_id)

    def record(self, child_id):
        return next(one for one in self.root.core.table.records() if one.id == child_id)

    def exit(self, child_id, ok):
        ref = self.record(child_id).ref
        self.reasons[ref] = Normal if ok else Crash
        ref.tell(ok)
        self.marks[ref].wait(PATIENCE)
        settle(self.root, PATIENCE)

    def advance(self, seconds):
        while (pending := self.clock.pending()) and pending[0] <= seconds:
            seconds -= pending[0]
            self.clock.advance(pending[0])
            settle(self.root, PATIENCE)
        self.clock.advance(seconds)

    def stop(self):
        self.root.stop()

    def log(self):
        return list(self.journal)

    def children(self):
        """Look at each child; also at what should have been told of those that ended, and at names."""
        records = self.root.core.table.records()
        running = {one.id: one.ref for one in records if one.state.value == RUNNING}
        for ref in set(running.values()) - self.marks.keys():
            self.marks[ref] = monitor(ref)
        self.check_downs(set(running.values()))
        found = {child_id: whereis(self.name(child_id)) for child_id in self.plans}
        assert found == {child_id: running.get(child_id) for child_id in self.plans}
        return [(one.id, one.state.value, one.generation + 1) for one in records]

    def check_downs(self, running):
        """Each that is not running has had its `Down`, with its own reason or because it was stopped."""
        for ref in self.marks.keys() - running:
            assert isinstance(self.marks[ref].wait(PATIENCE).reason, self.reasons.get(ref, Shutdown))

    def ended(self, expected):
        return self.root.wait(PATIENCE) if expected else None if self.root.is_alive() else self.root.wait(0)

    def close(self):
        self.root.stop()
        self.check_downs(set())
        assert self.wrong == []
        assert self.living == set()
        assert all(whereis(self.name(child_id)) is None for child_id in self.plans)
        assert_no_leaks(PATIENCE)


class RealThreadedDriver(RealDriver):
    actor_class = ObedientThreaded
