"""What is asked of a supervisor, and threads that will not end, while children are restarted together."""

from supervisors.backoff import Backoff
from supervisors.errors import (
    AlreadyPresent,
    AlreadyStarted,
    Restarting,
    TooManyZombies,
)
from supervisors.reasons import Shutdown
from supervisors.spec import INFINITY
from tests.machine import BOOM, Family, Machine, spec

SLOW = Backoff(initial=30, jitter=0)


def test_terminating_the_failed_child_gives_the_restart_up() -> None:
    ends = []
    family = Family("rest_for_one", "a", "b", spec("c", on_exit=ends.append), backoff=SLOW)
    family.crash("b")
    family.ended("c")
    assert family.ask("terminate_child", "b", INFINITY).value is None
    assert family.shown() == {"a": "running", "b": "stopped", "c": "stopped"}
    assert [end.decision for end in ends] == ["restart", "stopped"]
    assert family.port.clock.pending() == []
    family.advance(100)
    assert family.said() == "-c"


def test_terminating_the_failed_child_while_members_end_gives_up_when_they_have() -> None:
    family = Family("one_for_all", "a", "b")
    family.crash("a")
    family.ask("terminate_child", "a", INFINITY)
    family.ended("b")
    assert family.shown() == {"a": "stopped", "b": "stopped"}
    assert isinstance(family.ask("start_child", spec("a")).error, AlreadyPresent)


def test_terminating_another_member_takes_that_one_out_only() -> None:
    family = Family("one_for_all", "a", "b", "c", backoff=SLOW)
    family.crash("a")
    family.ended("c", "b")
    family.ask("terminate_child", "b", INFINITY)
    assert family.shown()["b"] == "stopped"
    family.advance(30)
    family.came_up("a", "c")
    assert family.shown() == {"a": "running", "b": "stopped", "c": "running"}
    family.crash("a")  # the next restart brings it back
    family.ended("c")
    family.advance(30)
    family.came_up("a", "b", "c")


def test_terminating_a_member_that_is_being_ended_or_started_keeps_it_stopped() -> None:
    family = Family("one_for_all", "a", "b", "c")
    family.crash("a")
    ending = family.ask("terminate_child", "c", INFINITY)
    family.ended("c")
    assert ending.value == Shutdown()
    family.ended("b")
    family.came_up("a")
    starting = family.ask("terminate_child", "b", INFINITY)
    family.ended("b")
    assert starting.value == Shutdown()
    assert family.shown() == {"a": "running", "b": "stopped", "c": "stopped"}
    assert not family.core.busy


def test_a_member_stopped_by_hand_and_restarted_by_hand_takes_part_again() -> None:
    family = Family("one_for_all", "a", "b", backoff=SLOW)
    family.crash("a")
    family.ended("b")
    family.ask("terminate_child", "b", INFINITY)
    restarting = family.ask("restart_child", "b")
    family.came_up("b")
    assert restarting.value is family.run_of("b").ref
    family.log()
    family.advance(30)
    family.ended("b")
    family.came_up("a", "b")
    assert family.said() == "-b +a +b"


def test_operations_wait_while_members_are_ended_or_started_but_not_during_the_delay() -> None:
    family = Family("one_for_all", "a", "b", backoff=SLOW)
    family.crash("a")
    restarting, adding = family.ask("restart_child", "a"), family.ask("start_child", spec("c"))
    assert not restarting.done
    assert not adding.done
    family.ended("b")
    assert isinstance(restarting.error, Restarting)
    assert isinstance(family.ask("delete_child", "b").error, Restarting)
    family.came_up("c")
    assert adding.value is family.run_of("c").ref
    family.advance(30)
    again = family.ask("start_child", spec("b"))
    family.ended("c")
    family.came_up("a", "b")
    assert not again.done
    family.came_up("c")
    assert isinstance(again.error, AlreadyStarted)


def test_a_child_that_starts_when_its_group_is_ended_is_let_up_first() -> None:
    family = Family("one_for_all", "a")
    adding = family.ask("start_child", spec("b"))
    family.crash("a")
    assert not adding.done
    family.came_up("b")
    assert adding.value is family.run_of("b").ref
    assert family.said() == "+b -b"
    family.ended("b")
    family.came_up("a", "b")


def test_a_child_that_fails_to_start_when_its_group_is_ended_is_gone() -> None:
    family = Family("one_for_all", "a")
    adding = family.ask("start_child", spec("b"))
    family.crash("a")
    family.core.child_started(family.run_of("b").record, family.run_of("b"), BOOM)
    family.run()
    assert adding.error is not None
    family.came_up("a")
    assert family.shown() == {"a": "running"}


def test_a_child_that_somebody_stops_comes_back_with_the_group() -> None:
    family = Family("one_for_all", "a", "b")
    stopping = family.ask("terminate_child", "b", INFINITY)
    family.crash("a")
    family.ended("b")
    assert stopping.value == Shutdown()
    family.came_up("a", "b")


def test_a_group_restart_waits_until_the_initial_children_are_up() -> None:
    machine = Machine(strategy="one_for_all")
    machine.core.is_up = False
    machine.core.start_initial([spec("a"), spec("b")])
    machine.up()
    first, second = machine.port.runs
    machine.log()
    machine.exit(BOOM, first)
    assert machine.log() == []
    machine.up(second)
    assert machine.log() == [("up",), ("stop", "b", Shutdown())]


def test_a_start_that_takes_too_long_is_a_failed_attempt() -> None:
    family = Family("rest_for_one", "a", spec("b", start_timeout=2))
    family.crash("a")
    family.ended("b")
    family.came_up("a")
    family.advance(2)
    family.advance(1)
    assert family.core.table.counts().zombies == 1
    family.came_up("b")
    assert family.core.find("b").generation == 1


def test_a_group_waits_for_the_thread_of_a_member_that_holds_what_the_next_run_needs() -> None:
    family = Family("one_for_all", "a", spec("b", shutdown=0, on_stuck="hold"))
    stuck = family.run_of("b")
    family.crash("a")
    family.advance(1)
    assert family.said() == "-b -b abandonb"
    assert family.shown() == {"a": "restarting", "b": "restarting"}
    assert not family.core.busy  # so operations are served
    assert isinstance(family.ask("restart_child", "b").error, Restarting)
    family.core.zombie_exited(stuck, "t", 1.0)
    family.run()
    family.came_up("a", "b")
    assert family.said() == "+a +b"


def test_a_group_that_is_given_up_while_it_waits_for_a_thread_starts_nobody_later() -> None:
    family = Family("one_for_all", "a", spec("b", shutdown=0, on_stuck="hold"))
    stuck = family.run_of("b")
    family.ask("terminate_child", "b", INFINITY)
    family.advance(1)
    family.crash("a")
    assert family.shown() == {"a": "restarting", "b": "restarting"}
    family.ask("terminate_child", "a", INFINITY)
    family.log()
    family.core.zombie_exited(stuck, "t", 1.0)
    family.run()
    assert family.said() == ""
    assert family.shown() == {"a": "stopped", "b": "stopped"}


def test_a_manual_start_that_is_held_joins_the_group() -> None:
    family = Family("one_for_all", "a", spec("b", shutdown=0, on_stuck="hold"))
    stuck = family.run_of("b")
    family.ask("terminate_child", "b", INFINITY)
    family.advance(1)
    starting = family.ask("restart_child", "b")
    family.crash("a")
    assert not starting.done
    family.core.zombie_exited(stuck, "t", 1.0)
    family.run()
    family.came_up("a", "b")
    assert starting.value is family.run_of("b").ref


def test_a_member_that_will_not_end_escalates_when_its_spec_says_so() -> None:
    family = Family("one_for_all", "a", spec("b", shutdown=0, on_stuck="escalate"), "c")
    family.crash("a")
    family.ended("c")
    family.advance(1)
    word, reason = family.log()[-1]
    assert word == "end"
    assert reason.detail.child_id == "b"


def test_too_many_zombies_in_a_group_restart_end_the_supervisor() -> None:
    family = Family("one_for_all", "a", spec("b", shutdown=0), spec("c", shutdown=0), max_zombies=1)
    family.crash("a")
    family.advance(1)
    family.advance(1)
    word, reason = family.log()[-1]
    assert word == "end"
    assert isinstance(reason.detail, TooManyZombies)


def test_a_member_that_answers_ignore_is_left_out() -> None:
    family = Family("one_for_all", "a", "b", "c")
    family.crash("a")
    family.ended("c", "b")
    family.came_up("a")
    run = family.port.runs[-1]
    family.core.child_started(run.record, run, None, ignored=True)
    family.run()
    family.came_up("c")
    assert family.shown() == {"a": "running", "b": "stopped", "c": "running"}


def test_a_constructor_that_raises_is_a_failed_attempt_too() -> None:
    family = Family("one_for_all", "a", "b", max_restarts=2)
    family.port.launch_error = OSError("no")
    family.crash("a")
    family.ended("b")
    assert family.log()[-1][0] == "end"
    assert set(family.shown().values()) == {"stopped"}


def test_an_interrupted_bystander_still_tells_the_root() -> None:
    family = Family("one_for_all", "a", "b", "c")
    family.crash("a")
    family.crash("b", Shutdown("interrupt"))
    assert ("interrupt",) in family.log()
