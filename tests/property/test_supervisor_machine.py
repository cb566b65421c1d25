"""Any sequence of starts, ends, operations and time leaves a supervisor's records in agreement with what runs."""

from hypothesis import given, settings
from hypothesis import strategies as st

from supervisors.backoff import Backoff
from supervisors.children import State
from supervisors.operations import DynamicCore, StaticCore
from supervisors.reasons import Normal, Shutdown
from supervisors.spec import BRUTAL_KILL, INFINITY, Strategy
from tests.machine import BOOM, Machine, spec

REASONS = [Normal(), Shutdown(), BOOM]
STEPS = st.one_of(
    st.tuples(st.just("up"), st.integers(0, 9)),
    st.tuples(st.just("ignored"), st.integers(0, 9)),
    st.tuples(st.just("fail"), st.integers(0, 9)),
    st.tuples(st.just("exit"), st.integers(0, 9), st.sampled_from(REASONS)),
    st.tuples(st.just("late exit"), st.integers(0, 9)),
    st.tuples(st.just("kill"), st.integers(0, 9), st.booleans()),
    st.tuples(st.just("advance"), st.sampled_from([0.0, 0.1, 1.0, 60.0])),
    st.tuples(
        st.just("ask"),
        st.sampled_from(["start_child", "terminate_child", "restart_child", "delete_child"]),
        st.integers(0, 3),
        st.sampled_from(["permanent", "transient", "temporary"]),
    ),
)
OPTIONS = st.fixed_dictionaries(
    {
        "max_restarts": st.integers(0, 3),
        "on_exceeded": st.sampled_from(["escalate", "park"]),
        "backoff": st.sampled_from(
            [None, Backoff(initial=1, jitter=0), Backoff(initial=1, jitter=0, max_attempts=1)]
        ),
        "max_zombies": st.integers(0, 3),
    }
)
GROUPS = st.fixed_dictionaries(
    {
        "strategy": st.sampled_from([Strategy.ONE_FOR_ALL, Strategy.REST_FOR_ONE]),
        "max_restarts": st.integers(0, 5),
        "backoff": st.sampled_from(
            [None, Backoff(initial=1, jitter=0), Backoff(initial=1, jitter=0, max_attempts=2)]
        ),
        "max_zombies": st.integers(0, 3),
    }
)


class Driver:
    """Plays steps on a machine as the world would: a run has one start outcome, then one end."""

    def __init__(self, kind, options):
        self.machine = Machine(kind, **options)
        self.dynamic = kind is DynamicCore
        self.answers = []
        self.started, self.ended = set(), set()

    def pick(self, number, *, started):
        """One of the runs that are starting, or up, in the world."""
        runs = [
            run
            for run in self.machine.port.runs
            if run not in self.ended and (run in self.started) is started and not self.abandoned(run)
        ]
        return runs[number % len(runs)] if runs else None

    def abandoned(self, run):
        return run in self.machine.core.table.zombies

    def step(self, step):
        machine, word = self.machine, step[0]
        if word == "advance":
            machine.advance(step[1])
        elif word == "ask":
            self.ask(*step[1:])
        elif word == "late exit":
            for run in list(machine.core.table.zombies)[:1]:
                self.ended.add(run)
                machine.core.child_exited(run.record, run, BOOM)
                machine.core.zombie_exited(run, "t", 1.0)
        elif word == "kill":
            run = self.pick(step[1], started=step[2])
            if run is not None:
                machine.core.kill_run(run)
        elif word == "exit":
            run = self.pick(step[1], started=True)
            if run is not None:
                self.ended.add(run)
                machine.core.child_exited(run.record, run, step[2])
        else:
            run = self.pick(step[1], started=False)
            if run is not None:
                self.started.add(run)
                if word != "up":
                    self.ended.add(run)
                failure = BOOM if word == "fail" else None
                machine.core.child_started(run.record, run, failure, ignored=word == "ignored")
        machine.run()

    def ask(self, operation, number, restart):
        shutdown = (BRUTAL_KILL, 0.1, INFINITY, 0)[number]
        stuck = ("replace", "hold", "hold", "replace")[number]
        target = number
        if self.dynamic and operation != "start_child":
            refs = [record.ref for record in self.machine.core.table.records() if record.ref is not None]
            if operation == "delete_child" or not refs:
                return
            target = refs[number % len(refs)]
        arguments = {
            "start_child": (spec(number, restart=restart, shutdown=shutdown, on_stuck=stuck),),
            "terminate_child": (target, INFINITY),
        }.get(operation, (target,))
        self.answers.append(self.machine.ask(operation, *arguments))

    def check(self):
        """What must hold between any two steps."""
        core, port = self.machine.core, self.machine.port
        records = core.table.records()
        counts = core.table.counts()
        assert counts.specs == len(records)
        assert counts.restarting == sum(record.state is State.RESTARTING for record in records)
        assert counts.parked == sum(record.state is State.PARKED for record in records)
        assert counts.active == sum(record.state in {State.RUNNING, State.STOPPING} for record in records)
        for record in records:
            if record.state in {State.RUNNING, State.STOPPING}:
                assert record.run is not None
            if record.state in {State.STOPPED, State.PARKED}:
                assert record.run is None
            if record.state is State.RUNNING:
                assert record.up_at is not None
                assert record.starters is None
        if core.options.strategy is not Strategy.ONE_FOR_ONE:
            restarts = [one for one in records if one.run is not None and one.mode == "restart"]
            assert sum(one.up_at is None and one.stop is None for one in restarts) <= 1  # one after the other
        # Whatever lives belongs to a record, and no record has two.
        living = [run for run in port.runs if run not in self.ended and not self.abandoned(run)]
        assert sorted(map(id, living)) == sorted(
            id(record.run) for record in records if record.run is not None
        )

    def settle(self):
        """Let all starts succeed and all stops be obeyed: nothing may hang on the way."""
        machine = self.machine
        for _ in range(200):
            if machine.core.stopping:
                return
            records = machine.core.table.records()
            ending = [record.run for record in records if record.stop is not None]
            starting = self.pick(0, started=False)
            if ending and ending[0] in self.started:
                self.ended.add(ending[0])
                machine.core.child_exited(ending[0].record, ending[0], Shutdown())
                machine.run()
            elif starting is not None and starting.record.stop is not None:
                self.step(("fail", 0))
            elif starting is not None:
                self.step(("up", 0))
            elif machine.core.table.zombies:
                self.step(("late exit", 0))
            elif any(record.state not in {State.RUNNING, State.STOPPED} for record in records):
                machine.advance(60.0)
            else:
                break
            self.check()
        assert {record.state for record in machine.core.table.records()} <= {State.RUNNING, State.STOPPED}
        assert all(answer.done for answer in self.answers)

    def finish(self):
        """Stop, let everything that still runs end, and see that everybody was answered."""
        machine = self.machine
        machine.core.stop(Shutdown())
        machine.run()
        for _ in range(len(machine.port.runs) + 1):
            while (run := self.pick(0, started=False)) is not None:
                self.step(("fail", 0))
            while (run := self.pick(0, started=True)) is not None:
                self.ended.add(run)
                machine.core.child_exited(run.record, run, Shutdown())
                machine.run()
        assert [entry for entry in machine.port.log if entry[0] == "end"][1:] == []
        assert machine.port.log[-1][0] == "end"
        assert all(record.run is None for record in machine.core.table.records())
        assert all(answer.done for answer in self.answers)
        assert machine.port.clock.pending() == []


@settings(max_examples=300, deadline=None)
@given(kind=st.sampled_from([StaticCore, DynamicCore]), options=OPTIONS, steps=st.lists(STEPS, max_size=40))
def test_any_history_keeps_records_and_runs_in_agreement_and_answers_everybody(kind, options, steps) -> None:
    play(Driver(kind, options), steps)


@settings(max_examples=500, deadline=None)
@given(options=GROUPS, steps=st.lists(STEPS, max_size=60))
def test_so_does_any_history_of_children_that_are_restarted_together(options, steps) -> None:
    driver = Driver(StaticCore, options)
    for number in range(3):
        driver.ask("start_child", number, "permanent")
        driver.step(("up", 0))
    play(driver, steps)


def play(driver, steps):
    for step in steps:
        driver.step(step)
        driver.check()
    driver.settle()
    driver.finish()
