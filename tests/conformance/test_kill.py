import threading

import pytest

from supervisors import Killed, kill, monitor, start_actor, whereis
from supervisors.events import ChildAbandoned, ChildExited, ChildStarted, RestartScheduled, ZombieExited
from supervisors.testing import settle

PATIENCE = 10.0


def test_a_killed_child_is_restarted_and_counted(start, spec, events, journal) -> None:
    sup = start([spec("a", journal=journal)])
    for generation in (1, 2):
        assert kill(sup.which_child("a").ref) is True
        assert events.wait(ChildExited, id="a").reason == Killed()
        events.wait(ChildStarted, id="a", generation=generation)
    assert len(sup.core.window) == 2
    kill(sup.which_child("a").ref)
    assert sup.wait(PATIENCE).detail.last_reason == Killed()
    assert journal == [("start", "a")] * 3  # it gets no time to clean up
    assert kill("nobody") is False


def test_a_killed_child_that_hangs_is_abandoned_counted_and_replaced(start, spec, events, hang) -> None:
    sup = start([spec("a", shutdown=60, name="a")])
    old, gate = whereis("a"), hang()
    old.tell(gate)
    assert gate.entered.wait(PATIENCE)
    kill("a")
    assert events.wait(ChildAbandoned, id="a").generation == 0
    assert events.wait(ChildExited, id="a").reason == Killed(abandoned=True)
    new = events.wait(ChildStarted, id="a", generation=1).ref
    assert whereis("a") is new
    assert sup.count_children().zombies == 1
    gate.release.set()
    events.wait(ZombieExited, id="a")
    settle(sup, PATIENCE)
    assert sup.count_children().zombies == 0
    assert len(sup.core.window) == 1


def test_a_kill_hook_is_called_for_a_kill(start, spec, events, hang) -> None:
    gate, hooked = hang(), []

    def hook(ref):
        hooked.append(ref)
        gate.release.set()

    sup = start([spec("a", kill_hook=hook)])
    ref = sup.which_child("a").ref
    ref.tell(gate)
    assert gate.entered.wait(PATIENCE)
    kill(ref)
    assert events.wait(ChildExited, id="a").reason == Killed()
    assert hooked == [ref]
    events.wait(ChildStarted, id="a", generation=1)


@pytest.mark.parametrize(("on_stuck", "left"), [("hold", "restarting"), ("escalate", None)])
def test_a_killed_child_that_hangs_is_dealt_with_as_its_spec_says(
    start, spec, events, hang, on_stuck, left
) -> None:
    sup, gate = start([spec("a", on_stuck=on_stuck)]), hang()
    ref = sup.which_child("a").ref
    ref.tell(gate)
    assert gate.entered.wait(PATIENCE)
    kill(ref)
    if left is None:
        assert sup.wait(PATIENCE).detail.last_reason == Killed(abandoned=True)
        return
    events.wait(RestartScheduled, id="a")
    settle(sup, PATIENCE)
    assert sup.which_child("a").state == left
    gate.release.set()
    events.wait(ChildStarted, id="a", generation=1)


def test_a_kill_during_a_stop_only_ends_the_waiting(start, spec, hang) -> None:
    sup, gate = start([spec("a", shutdown=60)]), hang()
    ref = sup.which_child("a").ref
    ref.tell(gate)
    assert gate.entered.wait(PATIENCE)
    stopped = sup.terminate_child("a", block=False)
    kill(ref)
    assert stopped.get(timeout=PATIENCE) == Killed(abandoned=True)
    assert sup.which_child("a").state == "stopped"


def test_a_stop_during_a_kill_keeps_the_child_stopped(start, spec, hang, clock) -> None:
    sup, gate = start([spec("a", shutdown=60)], clock=clock), hang()
    ref = sup.which_child("a").ref
    ref.tell(gate)
    assert gate.entered.wait(PATIENCE)
    kill(ref)
    stopped = sup.terminate_child("a", block=False)
    done = threading.Event()
    sup.core.port.post(done.set)
    assert done.wait(PATIENCE)
    clock.advance(1)
    assert stopped.get(timeout=PATIENCE) == Killed(abandoned=True)
    assert sup.which_child("a").state == "stopped"


@pytest.mark.parametrize("dynamic", [False, True])
def test_a_child_killed_while_it_starts_has_failed_to_start(
    start, start_dynamic, spec, hang, dynamic
) -> None:
    sup, gate = start_dynamic() if dynamic else start([]), hang()
    starting = sup.start_child(spec("a", name="a", on_start=gate), block=False)
    assert gate.entered.wait(PATIENCE)
    kill("a")
    with pytest.raises(Exception, match="Killed"):
        starting.get(timeout=PATIENCE)
    assert sup.which_children() == []
    assert sup.is_alive()


@pytest.mark.parametrize("trap_exit", [False, True])
def test_an_actor_that_nobody_supervises_can_be_killed(worker, hang, trap_exit) -> None:
    cls = type("Loner", (worker,), {"trap_exit": trap_exit})
    ref, gate = start_actor(cls), hang()
    down = monitor(ref)
    ref.tell(gate)
    assert gate.entered.wait(PATIENCE)
    kill(ref)
    assert down.wait(PATIENCE).reason == Killed(abandoned=True)
    assert not ref.is_alive()


def test_a_killed_root_takes_its_children_along(start, spec, hang) -> None:
    sup, gate = start([spec("a"), spec("b", shutdown=60)]), hang()
    downs = [monitor(child.ref) for child in sup.which_children()]
    sup.which_child("b").ref.tell(gate)
    assert gate.entered.wait(PATIENCE)
    kill(sup)
    assert sup.wait(PATIENCE) == Killed()
    assert [down.wait(PATIENCE).reason for down in downs] == [Killed(), Killed(abandoned=True)]
