"""The supervisor's decisions, case by case, without a thread."""

import pytest

from supervisors.backoff import Backoff
from supervisors.children import State
from supervisors.errors import (
    AlreadyPresent,
    AlreadyStarted,
    NoProcError,
    NotFound,
    Restarting,
    RestartIntensityExceeded,
    Running,
    StartFailed,
    StartTimeout,
    TooManyZombies,
)
from supervisors.reasons import Killed, Normal, Shutdown
from supervisors.spec import BRUTAL_KILL, INFINITY
from tests.machine import BOOM, Machine, dynamic, spec


def test_initial_children_start_one_after_the_other_and_then_the_supervisor_is_up() -> None:
    machine = Machine(specs=[])
    assert machine.log() == [("up",)]
    machine = Machine(specs=[spec("a"), spec("b")])
    assert machine.log() == [("launch", "a"), ("launch", "b"), ("up",)]


def test_S_020_a_failed_initial_child_rolls_back_in_reverse_order() -> None:
    machine = Machine()
    machine.log()
    machine.core.is_up = False
    machine.core.start_initial([spec(name) for name in "abcd"])
    machine.up(), machine.up()
    machine.fail()
    first, second = machine.port.runs[:2]
    assert machine.log()[-1] == ("stop", "b", Shutdown())
    machine.exit(Shutdown(), second)
    assert machine.log() == [("stop", "a", Shutdown())]
    machine.exit(Shutdown(), first)
    ((word, reason),) = machine.log()
    assert word == "end"
    assert reason.detail.child_id == "c"
    assert reason.detail.reason == BOOM


@pytest.mark.parametrize("reason", [Normal(), Shutdown(), Shutdown("x"), BOOM, Killed()])
def test_S_060_S_061_S_062_a_permanent_child_comes_back_whatever_its_reason(reason) -> None:
    machine = Machine(specs=[spec()])
    machine.exit(reason)
    machine.up()
    record = machine.core.find("a")
    assert (record.state, record.generation, record.restarts) == (State.RUNNING, 1, 1)


def test_S_063_S_064_S_065_a_transient_child_comes_back_after_an_abnormal_end_only() -> None:
    machine = Machine(specs=[spec(restart="transient")])
    machine.exit(BOOM)
    machine.up()
    assert machine.states() == [State.RUNNING]
    machine.exit(Shutdown("done"))
    assert machine.states() == [State.STOPPED]


def test_S_066_a_temporary_child_leaves_no_record() -> None:
    machine = Machine(specs=[spec(restart="temporary")])
    machine.exit(BOOM)
    assert machine.states() == []
    assert machine.core.table.counts().specs == 0


def test_S_067_a_dynamic_supervisor_forgets_a_transient_child_that_ended_well() -> None:
    machine = dynamic()
    machine.ask("start_child", spec(restart="transient"))
    machine.up()
    machine.exit(Normal())
    assert machine.states() == []


def test_an_exit_of_a_run_that_is_not_current_is_ignored() -> None:
    machine = Machine(specs=[spec()])
    machine.exit(BOOM)
    machine.up()
    machine.exit(BOOM, machine.port.runs[0])
    assert machine.core.find("a").restarts == 1
    assert machine.states() == [State.RUNNING]


def test_S_095_exceeding_the_intensity_ends_the_supervisor_with_the_cause() -> None:
    machine = Machine(specs=[spec("a"), spec("b")], max_restarts=1)
    machine.exit(BOOM)
    machine.up()
    machine.log()
    machine.exit(BOOM)
    assert machine.log() == [("stop", "a", Shutdown())]
    machine.exit(Shutdown(), machine.port.runs[0])
    ((_, reason),) = machine.log()
    assert isinstance(reason.detail, RestartIntensityExceeded)
    assert (reason.detail.child_id, reason.detail.last_reason) == ("b", BOOM)
    assert reason.ok


def test_S_114_a_failed_restart_goes_through_the_queue_and_counts_again() -> None:
    machine = Machine(specs=[spec()], max_restarts=2)
    machine.exit(BOOM)
    machine.core.child_started(machine.port.runs[-1].record, machine.port.runs[-1], BOOM)
    assert machine.states() == [State.RESTARTING]
    machine.run()
    machine.up()
    assert machine.states() == [State.RUNNING]
    assert len(machine.core.window) == 2


def test_S_081_a_child_that_cannot_start_exceeds_the_limit() -> None:
    machine = Machine(specs=[spec()], max_restarts=4)
    machine.exit(BOOM)
    for _ in range(4):
        machine.fail()
        machine.run()
    assert machine.log()[-1][0] == "end"
    assert machine.states() == [State.STOPPED]


def test_S_110_S_111_a_request_gets_in_between_two_attempts() -> None:
    machine = Machine(specs=[spec()], backoff=Backoff(initial=30, jitter=0))
    machine.exit(BOOM)
    assert machine.states() == [State.RESTARTING]
    assert isinstance(machine.ask("start_child", spec()).error, AlreadyPresent)
    assert isinstance(machine.ask("restart_child", "a").error, Restarting)
    assert isinstance(machine.ask("delete_child", "a").error, Restarting)
    answer = machine.ask("terminate_child", "a", INFINITY)
    assert answer.done
    assert answer.value is None
    assert machine.states() == [State.STOPPED]
    machine.advance(100)
    assert machine.states() == [State.STOPPED]
    machine.ask("restart_child", "a")
    machine.up()
    assert machine.states() == [State.RUNNING]


def test_S_130_the_life_of_a_child_by_id() -> None:
    machine = Machine(specs=[spec()])
    assert isinstance(machine.ask("delete_child", "a").error, Running)
    stopping = machine.ask("terminate_child", "a", INFINITY)
    assert not stopping.done
    assert machine.states() == [State.STOPPING]
    machine.exit(Shutdown())
    assert stopping.value == Shutdown()
    assert machine.ask("terminate_child", "a", INFINITY).value is None
    assert isinstance(machine.ask("start_child", spec()).error, AlreadyPresent)
    restarting = machine.ask("restart_child", "a")
    machine.up()
    assert restarting.value is machine.port.runs[-1].ref
    assert isinstance(machine.ask("restart_child", "a").error, Running)
    assert isinstance(machine.ask("start_child", spec()).error, AlreadyStarted)
    machine.ask("terminate_child", "a", INFINITY)
    machine.exit(Shutdown())
    assert machine.ask("delete_child", "a").error is None
    assert machine.states() == []
    assert isinstance(machine.ask("delete_child", "a").error, NotFound)
    assert isinstance(machine.ask("delete_child", []).error, NotFound)


def test_an_operation_on_a_child_in_between_waits_for_its_state() -> None:
    machine = Machine()
    first, second = machine.ask("start_child", spec()), machine.ask("start_child", spec())
    assert not second.done
    machine.up()
    assert first.value is machine.port.runs[0].ref
    assert isinstance(second.error, AlreadyStarted)
    machine.ask("terminate_child", "a", INFINITY)
    deleting = machine.ask("delete_child", "a")
    assert not deleting.done
    machine.exit(Shutdown())
    assert deleting.done
    assert machine.states() == []


def test_S_009_a_failed_start_child_leaves_nothing() -> None:
    machine = Machine()
    answer = machine.ask("start_child", spec())
    machine.fail()
    assert isinstance(answer.error, StartFailed)
    assert answer.error.reason == BOOM
    assert machine.states() == []


def test_S_012_what_a_constructor_raises_is_the_reason_of_the_failed_start() -> None:
    machine = dynamic()
    for error in (ValueError("x"), SystemExit(3)):
        machine.port.launch_error = error
        assert machine.ask("start_child", spec()).error.reason.exception is error
    assert machine.states() == []


def test_S_240_a_start_that_takes_too_long_is_abandoned_and_fails() -> None:
    machine = Machine()
    answer = machine.ask("start_child", spec(start_timeout=0.1))
    machine.advance(0.1)
    assert not answer.done
    machine.advance(1.0)
    assert isinstance(answer.error, StartTimeout)
    assert machine.core.table.counts().zombies == 1
    assert machine.states() == []


def test_terminating_a_child_that_is_starting_fails_its_start() -> None:
    machine = Machine()
    starting = machine.ask("start_child", spec())
    machine.ask("terminate_child", "a", INFINITY)
    machine.exit(Shutdown())
    assert isinstance(starting.error, StartFailed)
    assert machine.states() == []


def test_S_041_a_child_that_does_not_end_in_time_is_abandoned() -> None:
    machine = Machine(specs=[spec(shutdown=0.2)])
    machine.log()
    answer = machine.ask("terminate_child", "a", INFINITY)
    machine.advance(0.2)
    assert machine.log() == [("stop", "a", Shutdown()), ("stop", "a", Killed())]
    machine.advance(1.0)
    assert answer.value == Killed(abandoned=True)
    assert machine.core.table.counts().zombies == 1
    machine.core.zombie_exited(machine.port.runs[0], "t", 3.0)
    assert machine.core.table.counts().zombies == 0
    assert machine.states() == [State.STOPPED]


def test_S_043_a_brutal_kill_does_not_ask_first() -> None:
    machine = Machine(specs=[spec(shutdown=BRUTAL_KILL)])
    machine.log()
    answer = machine.ask("terminate_child", "a", INFINITY)
    assert machine.log() == [("stop", "a", Killed())]
    machine.exit(Shutdown())
    assert answer.value == Killed()


def test_S_238_a_kill_hook_runs_before_the_grace() -> None:
    seen = []
    machine = Machine(specs=[spec(shutdown=0, kill_hook=seen.append)])
    answer = machine.ask("terminate_child", "a", INFINITY)
    assert seen == [machine.port.runs[0].ref]
    machine.exit(BOOM)
    assert answer.value == Killed()


def test_S_046_children_stop_in_reverse_order_one_at_a_time() -> None:
    machine = Machine(specs=[spec(name) for name in "abc"])
    machine.log()
    machine.core.stop(Shutdown())
    for index in (2, 1, 0):
        assert machine.log() == [("stop", "abc"[index], Shutdown())]
        machine.exit(Shutdown(), machine.port.runs[index])
    assert machine.log() == [("end", Shutdown())]


def test_S_047_dynamic_children_are_all_asked_at_once() -> None:
    machine = dynamic()
    for _ in range(3):
        machine.ask("start_child", spec())
        machine.up()
    machine.log()
    machine.core.stop(Shutdown())
    assert machine.log() == [("stop", "a", Shutdown())] * 3
    for run in machine.port.runs:
        machine.exit(Shutdown(), run)
    assert machine.log() == [("end", Shutdown())]


def test_S_054_past_the_deadline_everything_left_is_killed_side_by_side() -> None:
    machine = Machine(specs=[spec(name, shutdown=60) for name in "abc"])
    machine.log()
    machine.core.deadline = machine.port.clock.now() + 0.3
    machine.core.stop(Shutdown())
    assert machine.port.runs[2].deadline == machine.core.deadline
    machine.log()
    machine.advance(0.3)
    assert {entry[1] for entry in machine.log() if entry[2] == Killed()} == {"a", "b", "c"}
    machine.advance(1.0)
    assert machine.log()[-1] == ("end", Shutdown())


def test_S_055_a_second_stop_with_less_time_wins() -> None:
    machine = Machine(specs=[spec(shutdown=INFINITY)])
    machine.core.stop(Shutdown())
    machine.core.deadline = machine.port.clock.now() + 0.2
    machine.core.tighten()
    machine.advance(0.2)
    machine.advance(1.0)
    assert machine.log()[-1] == ("end", Shutdown())


def test_a_supervisor_that_stops_answers_operations_at_once_and_restarts_nothing() -> None:
    machine = Machine(specs=[spec("a"), spec("b")])
    machine.core.stop(Shutdown())
    machine.exit(BOOM, machine.port.runs[0])
    assert isinstance(machine.ask("start_child", spec("c")).error, NoProcError)
    machine.exit(Shutdown(), machine.port.runs[1])
    assert machine.log()[-1] == ("end", Shutdown())


def test_S_262_during_a_delay_the_next_attempt_is_visible_and_siblings_are_served() -> None:
    machine = Machine(specs=[spec("a", backoff=Backoff(initial=3, jitter=0)), spec("b")])
    machine.exit(BOOM, machine.port.runs[0])
    info = machine.core.table.infos()[0]
    assert (info.state, info.ref) == (State.RESTARTING, None)
    assert info.next_attempt_at == machine.port.clock.now() + 3
    machine.exit(BOOM, machine.port.runs[1])
    machine.up()
    assert machine.core.find("b").generation == 1
    machine.advance(3)
    machine.up()
    assert machine.core.find("a").generation == 1


def test_S_263_a_stop_during_a_delay_is_immediate() -> None:
    machine = Machine(specs=[spec()], backoff=Backoff(initial=30))
    machine.exit(BOOM)
    machine.core.stop(Shutdown())
    assert machine.log()[-1] == ("end", Shutdown())
    assert machine.port.clock.pending() == []


def test_S_264_an_uptime_of_reset_after_starts_the_delays_again() -> None:
    backoff = Backoff(initial=1, jitter=0, reset_after=10)
    machine = Machine(specs=[spec()], backoff=backoff, max_restarts=100)
    delays = []
    for uptime in (0, 9.9, 10):
        machine.advance(uptime)
        machine.exit(BOOM)
        delays.append(machine.core.find("a").next_attempt_at - machine.port.clock.now())
        machine.advance(delays[-1])
        machine.up()
    assert delays == [1, 2, 1]


def test_S_265_the_failure_after_max_attempts_in_a_row_escalates() -> None:
    machine = Machine(specs=[spec()], backoff=Backoff(initial=1, jitter=0, max_attempts=3), max_restarts=99)
    for _ in range(3):
        machine.exit(BOOM)
        machine.advance(10)
        machine.up()
    assert machine.states() == [State.RUNNING]
    machine.exit(BOOM)
    assert machine.log()[-1][0] == "end"


def parked(**options):
    """A dynamic supervisor with a healthy and a parked child."""
    exits = []
    machine = dynamic(on_exceeded="park", **options)
    for name in ("good", "bad"):
        fields = {"on_exit": exits.append} if name == "bad" else {}
        machine.ask("start_child", spec(name, **fields))
        machine.up()
    machine.exit(BOOM)
    for _ in range(2):
        machine.up()
        machine.exit(BOOM)
    return machine, exits


def test_S_266_a_child_that_always_fails_is_parked_alone() -> None:
    machine, exits = parked(max_restarts=2)
    assert machine.states() == [State.RUNNING, State.PARKED]
    assert machine.core.table.counts().parked == 1
    assert [(end.decision, end.delay) for end in exits] == [("restart", 0), ("restart", 0), ("parked", 60)]
    assert exits[-1].reason == BOOM
    machine.exit(BOOM, machine.port.runs[0])
    machine.up()
    assert machine.states() == [State.RUNNING, State.PARKED]


def test_S_266_a_trial_start_follows_and_failing_it_doubles_the_rest() -> None:
    machine, exits = parked(max_restarts=2)
    machine.advance(60)
    assert machine.states() == [State.RUNNING, State.RESTARTING]
    machine.fail()
    assert machine.states() == [State.RUNNING, State.PARKED]
    assert exits[-1].delay == 120
    machine.advance(120)
    machine.up()
    machine.exit(BOOM)
    assert exits[-1].delay == 240


def test_S_266_a_trial_that_stays_up_closes_the_circuit() -> None:
    machine, exits = parked(max_restarts=2)
    machine.advance(60)
    machine.up()
    machine.advance(5)
    machine.exit(BOOM)
    assert exits[-1].decision == "restart"


def test_S_266_restart_child_wakes_a_parked_child_by_its_last_ref() -> None:
    machine, _ = parked(max_restarts=2)
    last = machine.port.runs[-1].ref
    answer = machine.ask("restart_child", last)
    assert isinstance(machine.ask("restart_child", machine.port.runs[0].ref).error, Running)
    machine.up()
    assert answer.value is machine.port.runs[-1].ref
    assert isinstance(machine.ask("restart_child", last).error, NotFound)
    assert machine.states() == [State.RUNNING, State.RUNNING]


def test_waking_a_parked_child_that_fails_parks_it_again() -> None:
    machine, _ = parked(max_restarts=2)
    answer = machine.ask("restart_child", machine.port.runs[-1].ref)
    machine.fail()
    assert isinstance(answer.error, StartFailed)
    assert machine.states() == [State.RUNNING, State.PARKED]


def test_attempts_that_end_in_a_rest_are_no_other_childs_debt() -> None:
    machine = dynamic(on_exceeded="park", max_restarts=0)
    machine.ask("start_child", spec(backoff=Backoff(initial=1, jitter=0, max_attempts=2)))
    machine.up()
    for _ in range(2):
        machine.exit(BOOM)
        machine.advance(5)
        machine.up()
    assert machine.states() == [State.RUNNING]
    machine.exit(BOOM)
    assert machine.states() == [State.PARKED]
    assert len(machine.core.window) == 0


def test_terminating_a_parked_child_tells_that_it_is_over() -> None:
    machine, exits = parked(max_restarts=2)
    assert machine.ask("terminate_child", machine.port.runs[-1].ref, INFINITY).done
    assert exits[-1].decision == "removed"
    assert machine.port.clock.pending() == [] or min(machine.port.clock.pending()) < 60


def test_an_on_exit_that_raises_is_logged_and_does_no_harm() -> None:
    def bad(_exit):
        raise RuntimeError("mine")

    machine = Machine(specs=[spec(on_exit=bad)])
    machine.exit(BOOM)
    machine.up()
    assert machine.states() == [State.RUNNING]


def test_S_069_a_temporary_child_does_not_keep_its_arguments() -> None:
    machine = Machine(specs=[spec(restart="temporary", args=("large",)), spec("b", args=("kept",))])
    assert machine.core.find("a").spec.args == ()
    assert machine.core.find("b").spec.args == ("kept",)


def test_more_zombies_than_allowed_end_the_supervisor() -> None:
    machine = Machine(specs=[spec("a", shutdown=0), spec("b", shutdown=0)], max_zombies=1)
    for name in "ab":
        machine.ask("terminate_child", name, INFINITY)
        machine.advance(1.0)
    word, reason = machine.log()[-1]
    assert word == "end"
    assert isinstance(reason.detail, TooManyZombies)


def test_hold_waits_for_the_thread_of_the_abandoned_run() -> None:
    machine = Machine(specs=[spec(shutdown=0, on_stuck="hold")])
    machine.ask("terminate_child", "a", INFINITY)
    machine.advance(1.0)
    answer = machine.ask("restart_child", "a")
    assert len(machine.port.runs) == 1
    assert machine.states() == [State.RESTARTING]
    machine.core.zombie_exited(machine.port.runs[0], "t", 1.0)
    machine.up()
    assert answer.value is machine.port.runs[1].ref


def test_an_interrupted_child_is_not_restarted_and_the_root_is_told() -> None:
    machine = Machine(specs=[spec()])
    machine.log()
    machine.exit(Shutdown("interrupt"))
    assert machine.log() == [("interrupt",)]
    assert machine.states() == [State.STOPPED]


def test_nothing_is_restarted_when_threads_can_no_longer_start() -> None:
    machine = Machine(specs=[spec()])
    machine.port.can_start = lambda: False
    machine.exit(BOOM)
    assert machine.states() == [State.STOPPED]


def test_S_115_a_restart_that_answers_ignore_counts_as_success() -> None:
    machine = Machine(specs=[spec()])
    machine.exit(BOOM)
    run = machine.port.runs[-1]
    machine.core.child_started(run.record, run, None, ignored=True)
    assert machine.states() == [State.STOPPED]


def test_S_116_a_dynamic_restart_that_answers_ignore_removes_the_child() -> None:
    machine = dynamic()
    machine.ask("start_child", spec())
    machine.up()
    machine.exit(BOOM)
    run = machine.port.runs[-1]
    machine.core.child_started(run.record, run, None, ignored=True)
    assert machine.states() == []
