import threading
import time

import pykka
import pytest

from supervisors import (
    BRUTAL_KILL,
    INFINITY,
    ChildSpec,
    Crash,
    Killed,
    Normal,
    NotFound,
    Shutdown,
    Supervisor,
    monitor,
)
from supervisors.events import ChildExited, ShutdownError

PATIENCE = 10.0


def test_S_040_children_without_a_limit_are_waited_for(start, spec) -> None:
    sup = start([spec("a", shutdown=INFINITY), spec("b", shutdown=INFINITY, type="supervisor")])
    downs = [monitor(child.ref) for child in sup.which_children()]
    sup.stop()
    assert [down.wait(PATIENCE).reason for down in downs] == [Shutdown(), Shutdown()]


@pytest.mark.parametrize("dynamic", [False, True])
def test_S_041_S_042_a_child_that_hangs_is_abandoned_and_the_others_end_well(
    start, start_dynamic, spec, hang, dynamic
) -> None:
    sup = start_dynamic() if dynamic else start([])
    good, bad = sup.start_child(spec("a")), sup.start_child(spec("b", shutdown=0.2))
    blocked = hang()
    bad.tell(blocked)
    assert blocked.entered.wait(PATIENCE)
    downs = [monitor(good), monitor(bad)]
    started = time.monotonic()
    assert sup.stop()
    assert time.monotonic() - started < 5  # 0.2 s and the kill grace, not for ever
    assert [down.wait(PATIENCE).reason for down in downs] == [Shutdown(), Killed(abandoned=True)]


def test_S_043_a_brutal_kill_neither_asks_nor_cleans_up(start, spec, hang, journal) -> None:
    sup = start([spec("a", shutdown=BRUTAL_KILL, journal=journal), spec("b", shutdown=1.0)])
    first, second = (child.ref for child in sup.which_children())
    blocked = hang()
    first.tell(blocked)
    assert blocked.entered.wait(PATIENCE)
    downs = [monitor(first), monitor(second)]
    sup.stop()
    assert isinstance(downs[0].wait(PATIENCE).reason, Killed)
    assert downs[1].wait(PATIENCE).reason == Shutdown()
    assert ("stop", "a") not in journal


def test_S_044_dynamic_children_with_brutal_kill_are_all_killed(start_dynamic, spec) -> None:
    sup = start_dynamic()
    downs = [monitor(sup.start_child(spec(index, shutdown=BRUTAL_KILL))) for index in range(10)]
    sup.stop()
    assert {down.wait(PATIENCE).reason for down in downs} == {Killed()}


@pytest.mark.parametrize("restart", ["permanent", "transient", "temporary"])
def test_S_045_children_that_end_otherwise_while_being_stopped_do_not_hold_it_up(
    start_dynamic, spec, do, restart
) -> None:
    sup = start_dynamic()
    reasons = [Normal(), Shutdown(), Shutdown("x"), None]
    refs = [sup.start_child(spec(restart=restart)) for _ in reasons]
    downs = [monitor(ref) for ref in refs]
    for ref, reason in zip(refs, reasons, strict=True):
        work = do.until_asked(do.crash if reason is None else do.finish(reason))
        ref.tell(work)
        assert work.entered.wait(PATIENCE)
    assert sup.stop()
    got = [down.wait(PATIENCE).reason for down in downs]
    assert got[:3] == reasons[:3]
    assert isinstance(got[3], Crash)


def test_S_046_children_stop_in_reverse_order_without_overlap(start, spec, journal) -> None:
    def on_stop(actor):
        journal.append(("stopped", actor.name))

    ids = list("mazbk")
    sup = start([spec(name, journal=journal, on_stop=on_stop) for name in ids])
    journal.clear()
    sup.stop()
    assert journal == [(word, name) for name in reversed(ids) for word in ("stop", "stopped")]


def test_S_047_dynamic_children_stop_side_by_side(start_dynamic, worker) -> None:
    together = threading.Barrier(3)

    def on_stop(_actor):
        together.wait(PATIENCE)  # breaks unless all three are inside at once

    sup = start_dynamic()
    for index in range(3):
        sup.start_child(ChildSpec(id=index, start=worker, kwargs={"on_stop": on_stop}, shutdown=30))
    sup.stop()
    assert not together.broken


def test_S_048_each_dynamic_child_has_its_own_deadline(start_dynamic, spec, hang) -> None:
    sup = start_dynamic()
    quick = [sup.start_child(spec(index, shutdown=30)) for index in range(2)]
    slow = sup.start_child(spec("slow", shutdown=0.05))
    blocked = hang()
    slow.tell(blocked)
    assert blocked.entered.wait(PATIENCE)
    downs = [monitor(ref) for ref in (*quick, slow)]
    sup.stop()
    assert [down.wait(PATIENCE).reason for down in downs] == [Shutdown(), Shutdown(), Killed(abandoned=True)]


@pytest.mark.parametrize("shutdown", [INFINITY, 1.0])
def test_S_049_S_050_a_child_may_end_with_a_reason_of_its_own(
    start_dynamic, spec, hang, do, shutdown
) -> None:
    sup = start_dynamic()
    ref = sup.start_child(spec(shutdown=shutdown))
    down, work = monitor(ref), do.until_asked(do.finish(Shutdown("oops")))
    ref.tell(work)
    assert work.entered.wait(PATIENCE)
    assert sup.terminate_child(ref) == Shutdown("oops")
    assert down.wait(PATIENCE).reason == Shutdown("oops")


@pytest.mark.parametrize(("restart", "reported"), [("permanent", True), ("transient", False)])
def test_S_051_a_permanent_child_that_ends_normally_while_stopped_is_reported(
    start, spec, do, events, restart, reported
) -> None:
    sup = start([spec("a", restart=restart)])
    work = do.until_asked(do.finish(Normal()))
    sup.which_child("a").ref.tell(work)
    assert work.entered.wait(PATIENCE)
    assert sup.terminate_child("a") == Normal()
    kinds = [type(event) for event in events.drain()]
    assert ChildExited in kinds
    assert (ShutdownError in kinds) is reported


def test_S_052_termination_says_how_the_child_ended(start_dynamic, spec, counts) -> None:
    sup = start_dynamic()
    brutal, timed = sup.start_child(spec(shutdown=BRUTAL_KILL)), sup.start_child(spec(shutdown=1.0))
    assert sup.terminate_child(brutal) == Killed()
    assert sup.terminate_child(timed) == Shutdown()
    with pytest.raises(NotFound):
        sup.terminate_child(timed)
    assert counts(sup) == (0, 0, 0, 0)


def test_S_053_grandchildren_stop_before_their_supervisor_in_reverse(start, spec, journal) -> None:
    class Inner(Supervisor):
        def on_stop(self):
            journal.append(("stop", "inner"))

    inner = ChildSpec(
        id="inner", start=Inner, args=([spec("x", journal=journal), spec("y", journal=journal)],)
    )
    sup = start([spec("first", journal=journal), inner, spec("last", journal=journal)])
    journal.clear()
    sup.stop()
    assert [name for _, name in journal] == ["last", "y", "x", "inner", "first"]


def test_S_054_past_the_deadline_of_a_stop_everything_left_is_killed_side_by_side(start, spec, hang) -> None:
    sup = start([spec(index, shutdown=60) for index in range(4)])
    refs = [child.ref for child in sup.which_children()]
    for ref in refs[1:]:
        blocked = hang()
        ref.tell(blocked)
        assert blocked.entered.wait(PATIENCE)
    downs = [monitor(ref) for ref in refs]
    started = time.monotonic()
    sup.stop(timeout=0.3)
    assert time.monotonic() - started < 4  # 0.3 s and one grace for all; one after the other takes longer
    reasons = [down.wait(PATIENCE).reason for down in downs]
    assert reasons[1:] == [Killed(abandoned=True)] * 3


def test_S_055_of_two_stops_the_shorter_deadline_wins(start, spec, hang) -> None:
    sup = start([spec("a", shutdown=60)])
    blocked = hang()
    sup.which_child("a").ref.tell(blocked)
    assert blocked.entered.wait(PATIENCE)
    started = time.monotonic()
    first, second = sup.stop(timeout=50, block=False), sup.stop(timeout=0.2, block=False)
    assert first.get(timeout=PATIENCE)
    assert second.get(timeout=PATIENCE)
    assert time.monotonic() - started < PATIENCE


def test_S_056_a_stop_drops_and_counts_what_is_queued_and_fails_queued_asks(start, spec, do, events) -> None:
    sup = start([spec("a")])
    ref, work, seen = sup.which_child("a").ref, do.until_asked(), []
    ref.tell(work)
    assert work.entered.wait(PATIENCE)
    for index in range(1000):
        ref.tell(lambda _actor, index=index: seen.append(index))
    asked = ref.ask("late", block=False)
    assert sup.terminate_child("a") == Shutdown()
    with pytest.raises(pykka.ActorDeadError):
        asked.get(timeout=PATIENCE)
    assert seen == []
    assert events.wait(ChildExited).dropped == 1000


def test_S_057_drain_handles_what_is_queued_first(start, spec, hang, journal) -> None:
    sup = start([spec("a", drain=True, journal=journal)])
    ref, gate = sup.which_child("a").ref, hang()
    ref.tell(gate)
    assert gate.entered.wait(PATIENCE)
    for index in range(1000):
        ref.tell(lambda _actor, index=index: journal.append(index))
    answer = sup.terminate_child("a", block=False)
    gate.release.set()
    assert answer.get(timeout=PATIENCE) == Shutdown()
    assert journal == [("start", "a"), *range(1000), ("stop", "a")]


def test_a_tree_ten_deep_starts_and_stops_on_one_dispatcher_thread(start, spec) -> None:
    from supervisors.runtime import Dispatcher

    seen = set()

    def note(_actor):
        seen.add(threading.current_thread().name)

    tree = ChildSpec(id="leaf", start=spec().start, kwargs={"init": note})
    for depth in range(10):
        tree = ChildSpec(id=f"level {depth}", start=Supervisor, args=([tree],))
    sup = start([tree])
    depth, child = 0, sup
    while isinstance(child.which_children()[0].ref, type(sup)):
        child = child.which_children()[0].ref
        depth += 1
    assert depth == 10
    assert Dispatcher.get("supervisors").thread_count == 1
    sup.stop(timeout=5)
    assert Dispatcher.get("supervisors").thread_count <= 1
    assert len(seen) == 1
