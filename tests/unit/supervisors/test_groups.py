"""Restarts of several children together, decision by decision, without a thread."""

import pytest

from supervisors.backoff import Backoff
from supervisors.children import State
from supervisors.errors import (
    InvalidChildSpec,
    InvalidOption,
    RestartIntensityExceeded,
)
from supervisors.options import Options
from supervisors.reasons import Killed, Normal, Shutdown
from supervisors.spec import BRUTAL_KILL, INFINITY
from tests.machine import BOOM, Family, spec

SLOW = Backoff(initial=30, jitter=0)


def test_S_082_one_for_all_ends_the_others_in_reverse_order_and_starts_all_in_order() -> None:
    family = Family("one_for_all", "a", "b", "c")
    family.crash("b")
    assert family.said() == "-c"
    assert family.shown() == {"a": "running", "b": "restarting", "c": "stopping"}
    family.ended("c")
    assert family.said() == "-a"
    family.ended("a")
    assert family.said() == "+a"
    assert family.shown() == dict.fromkeys("abc", "restarting")
    family.came_up("a")
    assert family.said() == "+b"
    family.came_up("b", "c")
    assert family.said() == "+c"
    assert family.shown() == dict.fromkeys("abc", "running")
    assert [record.generation for record in family.core.table.records()] == [1, 1, 1]
    assert len(family.core.window) == 1


def test_S_084_S_086_rest_for_one_leaves_those_before_alone() -> None:
    family = Family("rest_for_one", *"abcde")
    family.crash("c")
    family.ended("e", "d")
    family.came_up("c", "d", "e")
    assert family.said() == "-e -d +c +d +e"
    assert [record.generation for record in family.core.table.records()] == [0, 0, 1, 1, 1]


def test_the_next_member_waits_for_one_that_had_nobody_to_wait_for() -> None:
    family = Family("rest_for_one", "a", "b", spec("c", restart="transient"))
    family.crash("c", Normal())
    family.crash("b")
    assert family.said() == "+b"
    assert family.core.busy
    family.came_up("b", "c")
    assert not family.core.busy


def test_members_that_need_no_end_are_skipped_and_stopped_ones_come_back_to_life() -> None:
    family = Family("one_for_all", spec("done", restart="transient"), "byhand", "gone", "a")
    family.crash("done", Normal())
    family.ask("terminate_child", "byhand", INFINITY)
    family.ended("byhand")
    family.ask("terminate_child", "gone", INFINITY)
    family.ended("gone")
    family.ask("delete_child", "gone")
    family.log()
    family.crash("a")
    family.came_up("done", "byhand", "a")
    assert family.said() == "+done +byhand +a"
    assert family.shown() == dict.fromkeys(["done", "byhand", "a"], "running")


def test_temporary_bystanders_are_dropped() -> None:
    family = Family("one_for_all", "a", spec("t", restart="temporary"), "b")
    family.crash("a")
    family.ended("b", "t")
    family.came_up("a", "b")
    assert family.shown() == {"a": "running", "b": "running"}


def test_on_exit_of_a_bystander_says_that_it_comes_back() -> None:
    ends = []
    family = Family(
        "one_for_all",
        "a",
        spec("b", on_exit=ends.append),
        spec("t", restart="temporary", on_exit=ends.append),
    )
    family.crash("a")
    family.ended("t", "b")
    assert [(end.id, end.decision, end.reason) for end in ends] == [
        ("t", "removed", Shutdown()),
        ("b", "restart", Shutdown()),
    ]


@pytest.mark.parametrize("strategy", ["one_for_all", "rest_for_one"])
def test_S_083_S_085_a_group_that_cannot_come_back_ends_the_supervisor(strategy) -> None:
    family = Family(strategy, "a", "b", max_restarts=4)
    family.crash("a")
    family.ended("b")
    family.came_up("a")
    for _ in range(4):
        assert family.core.stopping is False
        family.fail()  # b; one_for_all then ends a and starts it again
        family.run()
        if strategy == "one_for_all" and not family.core.stopping:
            family.ended("a")
            family.came_up("a")
    family.ended("a")
    word, reason = family.log()[-1]
    assert word == "end"
    assert isinstance(reason.detail, RestartIntensityExceeded)
    assert reason.detail.child_id == "b"
    assert set(family.shown().values()) == {"stopped"}
    assert len([run for run in family.port.runs if run.id == "b"]) == 1 + 4


def test_one_for_all_after_a_failed_start_keeps_those_before_until_the_next_attempt() -> None:
    family = Family("one_for_all", "a", spec("b", backoff=SLOW), "c", max_seconds=60)
    family.crash("b")
    family.ended("c", "a")
    family.advance(30)
    family.came_up("a")
    family.fail()
    assert family.shown() == {"a": "running", "b": "restarting", "c": "stopped"}
    assert family.core.find("b").next_attempt_at == family.port.clock.now() + 30
    family.log()
    family.advance(30)
    family.ended("a")
    family.came_up("a", "b", "c")
    assert family.said() == "-a +a +b +c"
    assert len(family.core.window) == 2


def test_rest_for_one_goes_on_at_the_child_that_failed_to_start() -> None:
    family = Family("rest_for_one", "a", "b", "c")
    family.crash("a")
    family.ended("c", "b")
    family.came_up("a")
    family.log()
    family.fail()
    family.run()
    family.came_up("b", "c")
    assert family.said() == "+b +c"
    assert family.core.find("a").generation == 1
    assert len(family.core.window) == 2


def test_requests_get_in_between_two_attempts() -> None:
    family = Family("one_for_all", "a", "b")
    family.crash("a")
    family.ended("b")
    run = family.port.runs[-1]
    family.core.child_started(run.record, run, BOOM)  # the next attempt waits in the queue now
    answer = family.ask("terminate_child", "a", INFINITY)
    assert answer.value is None
    assert family.shown() == {"a": "stopped", "b": "stopped"}
    assert family.said() == "-b +a"


def test_the_delay_of_a_group_is_that_of_the_child_that_failed() -> None:
    family = Family("one_for_all", "a", spec("b", backoff=SLOW), "c")
    family.crash("b")
    assert family.said() == "-c"  # at once
    family.ended("c", "a")
    due = family.port.clock.now() + 30
    infos = family.core.table.infos()
    assert [(info.state, info.next_attempt_at) for info in infos] == [(State.RESTARTING, due)] * 3
    assert len(family.core.window) == 0  # counted when it is made
    family.log()
    family.advance(29)
    assert family.said() == ""
    family.advance(1)
    family.came_up("a", "b", "c")
    assert family.said() == "+a +b +c"
    assert len(family.core.window) == 1


def test_an_attempt_waits_for_members_that_take_longer_to_end_than_the_delay() -> None:
    family = Family("one_for_all", "a", spec("b", shutdown=60), backoff=Backoff(initial=1, jitter=0))
    family.crash("a")
    family.advance(1)
    assert family.said() == "-b"
    family.ended("b")
    assert family.said() == "+a"


def test_a_failure_during_the_delay_merges_the_groups() -> None:
    family = Family(
        "rest_for_one", spec("a", backoff=Backoff(initial=5, jitter=0)), "b", spec("c", backoff=SLOW), "d"
    )
    family.crash("c")
    family.ended("d")
    family.advance(10)
    family.crash("a")
    family.ended("b")
    assert family.said() == "-d -b"
    assert family.core.find("a").next_attempt_at == family.port.clock.now() + 20
    family.advance(19)
    assert family.said() == ""
    family.advance(1)
    family.came_up(*"abcd")
    assert len(family.core.window) == 1


def test_a_merged_group_waits_for_the_longer_delay() -> None:
    family = Family(
        "rest_for_one", spec("a", backoff=SLOW), "b", spec("c", backoff=Backoff(initial=5, jitter=0))
    )
    family.crash("c")
    family.advance(2)
    family.crash("a")
    family.ended("b")
    family.advance(29)
    assert family.said() == "-b"
    family.advance(1)
    family.came_up(*"abc")


def test_a_failure_without_a_delay_joins_the_group_that_waits() -> None:
    family = Family("rest_for_one", "a", spec("b", backoff=SLOW))
    family.crash("b")
    family.crash("a")
    assert family.shown() == {"a": "restarting", "b": "restarting"}
    assert len(family.core.window) == 0
    family.advance(30)
    family.came_up("a", "b")
    assert len(family.core.window) == 1


def test_an_earlier_child_that_fails_while_members_end_widens_the_group_and_counts() -> None:
    family = Family("rest_for_one", *"abc")
    family.crash("b")
    assert family.said() == "-c"
    family.crash("a")
    family.ended("c")
    family.came_up("a", "b", "c")
    assert family.said() == "+a +b +c"
    assert len(family.core.window) == 2


def test_a_member_that_was_up_again_and_fails_starts_the_group_anew_from_there() -> None:
    family = Family("rest_for_one", *"abcd")
    family.crash("a")
    family.ended(*"dcb")
    family.came_up("a", "b")
    family.log()
    family.crash("b")  # while c starts
    assert family.said() == "-c"
    family.ended("c")
    family.came_up(*"bcd")
    assert family.said() == "+b +c +d"
    assert [record.generation for record in family.core.table.records()] == [1, 2, 1, 1]
    assert len(family.core.window) == 2


def test_a_member_that_ends_by_itself_before_its_turn_is_a_bystander() -> None:
    ends = []
    family = Family("one_for_all", spec("a", on_exit=ends.append), "b", "c", max_restarts=1)
    family.crash("b")
    family.crash("a")
    family.ended("c")
    family.came_up(*"abc")
    assert [end.decision for end in ends] == ["restart"]
    assert len(family.core.window) == 1


def test_an_attempt_over_the_limit_is_not_made() -> None:
    family = Family("one_for_all", "a", "b", max_restarts=1)
    family.crash("a")
    family.ended("b")
    family.came_up("a", "b")
    family.log()
    family.crash("a")
    assert family.said() == "-b"
    family.ended("b")
    ((word, reason),) = family.log()
    assert (word, reason.detail.child_id) == ("end", "a")


def test_a_delayed_attempt_over_the_limit_ends_the_supervisor_when_it_is_due() -> None:
    family = Family("one_for_all", "a", "b", max_restarts=0, backoff=SLOW)
    family.crash("a")
    family.ended("b")
    assert not family.core.stopping
    family.advance(30)
    assert family.log()[-1][0] == "end"


def test_a_stop_in_any_part_of_a_group_restart_ends_what_runs() -> None:
    for part in range(4):
        family = Family("one_for_all", "a", "b", "c", backoff=Backoff(initial=5, jitter=0))
        family.crash("b")
        if part > 0:
            family.ended("c")
        if part > 1:
            family.ended("a")
        if part > 2:
            family.advance(5)
            family.came_up("a")
        family.log()
        family.core.stop(Shutdown())
        family.run()
        for run in reversed(family.port.runs):
            if run.record.run is run:
                family.exit(Shutdown(), run)
        assert family.log()[-1] == ("end", Shutdown())
        assert family.port.clock.pending() == []
        assert set(family.shown().values()) == {"stopped"}


def test_parking_and_dependent_siblings_exclude_each_other() -> None:
    with pytest.raises(InvalidOption, match="on_exceeded") as caught:
        Options(strategy="one_for_all", on_exceeded="park")
    assert isinstance(caught.value, ValueError)
    family = Family("rest_for_one", "a")
    with pytest.raises(InvalidChildSpec, match="rest_for_one"):
        family.core.check(spec("b", on_exceeded="park"))


def test_a_killed_bystander_of_a_brutal_spec_comes_back() -> None:
    family = Family("one_for_all", "a", spec("b", shutdown=BRUTAL_KILL))
    family.crash("a")
    family.exit(Killed(), family.run_of("b"))
    family.came_up("a", "b")


def test_an_unknown_strategy_or_mode_is_refused_with_the_valid_ones() -> None:
    for field, value in (("strategy", "none_for_one"), ("auto_shutdown", "sometimes")):
        with pytest.raises(InvalidOption, match=r"must be one of") as caught:
            Options(**{field: value})
        assert (caught.value.field, caught.value.value) == (field, value)
