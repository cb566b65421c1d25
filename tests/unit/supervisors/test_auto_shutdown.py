"""Which ends of children end their supervisor."""

import pytest

from supervisors.backoff import Backoff
from supervisors.children import State
from supervisors.reasons import Killed, Normal, Shutdown
from supervisors.spec import INFINITY
from tests.machine import BOOM, Machine, spec

SLOW = Backoff(initial=30, jitter=0)


@pytest.mark.parametrize("mode", ["never", "any_significant", "all_significant"])
def test_S_120_S_121_children_that_are_not_significant_end_nothing(mode) -> None:
    for restart in ("temporary", "transient"):
        for reason in (Normal(), BOOM, Killed()):
            machine = Machine(specs=[spec("a", restart=restart)], auto_shutdown=mode)
            machine.exit(reason)
            assert not machine.core.stopping


def significant(name, restart="transient"):
    return spec(name, restart=restart, significant=True)


@pytest.mark.parametrize("reason", [Normal(), BOOM, Killed()])
def test_S_122_S_123_any_end_of_a_significant_temporary_child_ends_the_supervisor(reason) -> None:
    machine = Machine(specs=[significant("a", "temporary"), spec("b")], auto_shutdown="any_significant")
    machine.log()
    machine.exit(reason, machine.port.runs[0])
    assert machine.log() == [("stop", "b", Shutdown())]
    machine.exit(Shutdown(), machine.port.runs[1])
    assert machine.log() == [("end", Shutdown())]


def test_S_124_a_significant_transient_child_must_end_well_for_that() -> None:
    machine = Machine(specs=[significant("a")], auto_shutdown="any_significant")
    machine.exit(BOOM)
    machine.up()
    assert not machine.core.stopping
    machine.exit(Shutdown("done"))
    assert machine.core.stopping


def test_S_125_all_significant_children_must_have_ended_for_the_other_mode() -> None:
    machine = Machine(
        specs=[significant("a"), significant("b", "temporary"), spec("c")], auto_shutdown="all_significant"
    )
    machine.exit(BOOM, machine.port.runs[1])
    assert not machine.core.stopping
    machine.exit(Normal(), machine.port.runs[0])
    assert machine.core.stopping


def test_a_child_that_waits_for_its_restart_counts_as_one_that_is_left() -> None:
    machine = Machine(
        specs=[significant("a"), significant("b")], auto_shutdown="all_significant", backoff=SLOW
    )
    machine.exit(BOOM, machine.port.runs[0])
    machine.exit(Normal(), machine.port.runs[1])
    assert not machine.core.stopping
    machine.advance(30)
    machine.up()
    machine.exit(Normal())
    assert machine.core.stopping


def test_what_is_not_an_end_of_its_own_ends_nothing() -> None:
    machine = Machine(
        specs=[significant("a"), significant("b")], auto_shutdown="all_significant", strategy="one_for_all"
    )
    machine.ask("terminate_child", "a", INFINITY)
    machine.exit(Shutdown(), machine.port.runs[0])
    failing = machine.ask("start_child", significant("c"))
    machine.fail()
    ignored = machine.ask("start_child", significant("d"))
    run = machine.port.runs[-1]
    machine.core.child_started(run.record, run, None, ignored=True)
    assert failing.error is not None
    assert ignored.value is None
    assert not machine.core.stopping
    machine.exit(Normal(), machine.port.runs[1])  # stopped by hand counts as ended, and this is the last
    assert machine.core.stopping


@pytest.mark.parametrize("reason", [Shutdown(), Normal()])
def test_bystanders_of_a_group_restart_end_nothing(reason) -> None:
    machine = Machine(
        specs=[spec("a"), significant("b"), significant("t", "temporary")],
        auto_shutdown="any_significant",
        strategy="one_for_all",
    )
    machine.exit(BOOM, machine.port.runs[0])
    machine.exit(Normal(), machine.port.runs[2])
    machine.exit(reason, machine.port.runs[1])
    machine.up(), machine.up()
    assert not machine.core.stopping
    assert machine.states() == [State.RUNNING, State.RUNNING]


def test_a_significant_child_that_ends_before_its_supervisor_is_up_ends_it_afterwards() -> None:
    machine = Machine(auto_shutdown="any_significant")
    machine.core.is_up = False
    machine.core.start_initial([significant("a"), spec("b")])
    machine.up()
    machine.exit(Normal(), machine.port.runs[0])
    assert not machine.core.stopping
    machine.up()
    assert machine.core.stopping
    assert ("up",) in machine.log()
