import threading
import time
import weakref

import pytest

from supervisors import (
    AlreadyPresent,
    AlreadyStarted,
    Backoff,
    ChildSpec,
    Crash,
    Killed,
    PooledActor,
    Restarting,
    RestartIntensityExceeded,
    Shutdown,
    Supervisor,
    WouldDeadlock,
    format_tree,
    monitor,
    whereis,
)
from supervisors.events import ChildExited, ChildStarted, RestartScheduled
from supervisors.testing import settle

PATIENCE = 10.0
GROUPS = ["one_for_all", "rest_for_one"]


def refs(sup):
    return {child.id: child.ref for child in sup.which_children()}


def until(condition):
    """Look again and again."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end


def crash(sup, name, do):
    """Crash a child and wait until everything that follows is over; the supervisor may have ended then."""
    ref = refs(sup)[name]
    down = monitor(ref)
    ref.tell(do.crash)
    assert isinstance(down.wait(PATIENCE).reason, Crash)
    settle(sup, PATIENCE)


class FailsLater:
    """An on_start that works once and fails then."""

    def __init__(self):
        self.calls = 0

    def __call__(self, _actor):
        self.calls += 1
        if self.calls > 1:
            raise OSError("not now")


def test_S_082_one_for_all_replaces_all_children(start, spec, events, do, counts) -> None:
    sup = start([spec("1"), spec("2")], strategy="one_for_all")
    before = refs(sup)
    other = monitor(before["2"])
    crash(sup, "1", do)
    assert other.wait(PATIENCE).reason == Shutdown()
    after = refs(sup)
    assert not set(before.values()) & set(after.values())
    assert all(ref.is_alive() for ref in after.values())
    assert counts(sup) == (2, 2, 0, 2)
    assert len(sup.core.window) == 1
    crash(sup, "2", do)
    last = monitor(refs(sup)["1"])
    refs(sup)["2"].tell(do.crash)
    reason = sup.wait(PATIENCE)
    assert isinstance(reason.detail, RestartIntensityExceeded)
    assert (reason.ok, reason.detail.child_id) == (True, "2")
    assert last.wait(PATIENCE).reason == Shutdown()


@pytest.mark.parametrize("strategy", GROUPS)
def test_S_083_S_085_a_member_that_cannot_come_back_ends_the_supervisor_and_all(
    start, spec, do, strategy
) -> None:
    failing = FailsLater()
    sup = start([spec("1"), spec("2", on_start=failing)], strategy=strategy, max_restarts=4)
    sup.which_child("1").ref.tell(do.crash)
    assert sup.wait(PATIENCE).detail.child_id == "2"
    assert failing.calls == 1 + 4


def test_S_084_rest_for_one_replaces_the_child_and_those_after_it(start, spec, do) -> None:
    sup = start([spec("1"), spec("2"), spec("3")], strategy="rest_for_one")
    before = refs(sup)
    third = monitor(before["3"])
    crash(sup, "2", do)
    assert third.wait(PATIENCE).reason == Shutdown()
    after = refs(sup)
    assert after["1"] is before["1"]
    assert [after[name] is before[name] for name in "23"] == [False, False]
    crash(sup, "3", do)
    assert refs(sup)["2"] is after["2"]
    sup.which_child("2").ref.tell(do.crash)
    assert sup.wait(PATIENCE).ok


def test_S_086_rest_for_one_ends_in_reverse_order_and_starts_in_order(start, spec, do, journal) -> None:
    sup = start([spec(str(number), journal=journal) for number in range(1, 6)], strategy="rest_for_one")
    del journal[:]
    crash(sup, "3", do)
    assert journal == [("stop", "5"), ("stop", "4"), ("start", "3"), ("start", "4"), ("start", "5")]


@pytest.mark.parametrize("strategy", GROUPS)
def test_a_group_restart_brings_back_what_was_stopped_and_not_what_was_deleted(
    start, spec, do, strategy
) -> None:
    children = [
        spec("a"),
        spec("done", restart="transient"),
        spec("byhand"),
        spec("gone"),
        spec("t", restart="temporary"),
    ]
    sup = start(children, strategy=strategy)
    down = monitor(sup.which_child("done").ref)
    sup.which_child("done").ref.tell(do.finish())
    down.wait(PATIENCE)
    sup.terminate_child("byhand")
    sup.terminate_child("gone")
    sup.delete_child("gone")
    sup.start_child(spec("last"))
    crash(sup, "a", do)
    assert [(child.id, child.state) for child in sup.which_children()] == [
        ("a", "running"),
        ("done", "running"),
        ("byhand", "running"),
        ("last", "running"),
    ]


def test_queries_and_a_stop_are_served_while_a_member_takes_its_time_to_end(start, spec, do, hang) -> None:
    gate = hang()
    sup = start([spec("a"), spec("b", on_stop=gate)], strategy="one_for_all")
    sup.which_child("a").ref.tell(do.crash)
    assert gate.entered.wait(PATIENCE)
    assert [child.state for child in sup.which_children()] == ["restarting", "stopping"]
    assert "restarting" in format_tree(sup)
    waiting = sup.restart_child("a", block=False)
    stopped = sup.stop(block=False)
    gate.release.set()
    assert stopped.get(timeout=PATIENCE)
    with pytest.raises(Exception, match="not alive|ended"):
        waiting.get(timeout=PATIENCE)


def test_a_member_is_started_when_the_one_before_it_is_up(start, spec, do, hang, events) -> None:
    gate, starts = hang(), []

    def on_start(actor):
        starts.append(actor.name)
        if len(starts) == 3:
            gate(actor)

    sup = start([spec("a", on_start=on_start), spec("b", on_start=on_start)], strategy="one_for_all")
    sup.which_child("b").ref.tell(do.crash)
    assert gate.entered.wait(PATIENCE)
    assert starts == ["a", "b", "a"]
    assert [child.state for child in sup.which_children()] == ["restarting", "restarting"]
    gate.release.set()
    events.wait(ChildStarted, id="b", generation=1)


def test_a_member_that_asks_its_supervisor_while_it_has_to_end_is_refused(start, spec, do, hang) -> None:
    gate, caught = hang(), []

    def ask(_actor):
        try:
            sup.start_child(spec("new"))
        except WouldDeadlock as error:
            caught.append(error)

    sup = start([spec("a"), spec("b", shutdown=60), spec("c", on_stop=gate)], strategy="one_for_all")
    asker = sup.which_child("b").ref
    down = monitor(asker)
    sup.which_child("a").ref.tell(do.crash)
    assert gate.entered.wait(PATIENCE)
    asker.tell(ask)
    until(lambda: sup.core._waiting)  # it is kept waiting until the group is up again
    gate.release.set()
    assert down.wait(PATIENCE).reason == Shutdown()
    settle(sup, PATIENCE)
    assert [(child.id, child.generation) for child in sup.which_children()] == [("a", 1), ("b", 1), ("c", 1)]
    assert len(caught) == 1


def test_a_child_that_is_terminated_while_it_waits_for_its_supervisor_is_refused(
    start, spec, do, hang
) -> None:
    gate, caught = hang(), []

    def ask(_actor):
        try:
            sup.start_child(spec("new", on_start=gate))
        except WouldDeadlock as error:
            caught.append(error)

    sup = start([spec("a", shutdown=60)])
    sup.which_child("a").ref.tell(ask)
    assert gate.entered.wait(PATIENCE)
    stopped = sup.terminate_child("a", block=False)
    assert stopped.get(timeout=PATIENCE) == Shutdown()
    assert len(caught) == 1
    gate.release.set()


@pytest.fixture
def delayed(start, spec, events, do, clock):
    """Three children; the one in the middle has crashed and is restarted in 30 s, with the group."""
    sup = start(
        [spec(name) for name in "abc"],
        strategy="rest_for_one",
        clock=clock,
        backoff=Backoff(initial=30, maximum=120, jitter=0),
        name="delayed",
    )
    sup.which_child("b").ref.tell(do.crash)
    events.wait(RestartScheduled, id="b")
    events.wait(ChildExited, id="c")
    settle(sup, PATIENCE)
    return sup


def test_a_delay_ends_the_bystanders_at_once_and_starts_them_after_it(delayed, clock, spec) -> None:
    states = [(child.id, child.state, child.next_attempt_at) for child in delayed.which_children()]
    due = clock.now() + 30
    assert states == [("a", "running", None), ("b", "restarting", due), ("c", "restarting", due)]
    assert delayed.count_children().restarting == 2
    for name in "bc":
        with pytest.raises(Restarting):
            delayed.restart_child(name)
        with pytest.raises(Restarting):
            delayed.delete_child(name)
        with pytest.raises(AlreadyPresent):
            delayed.start_child(spec(name))
    clock.advance(30)
    settle(delayed, PATIENCE)
    assert [child.generation for child in delayed.which_children()] == [0, 1, 1]


def test_a_handle_that_may_wait_waits_for_the_group(delayed, clock) -> None:
    answers = []
    handle = delayed.child("c", wait=PATIENCE)
    thread = threading.Thread(target=lambda: answers.append(handle.ask("back")))
    thread.start()
    clock.advance(30)
    thread.join(PATIENCE)
    assert answers == ["back"]


def test_a_handle_does_not_lead_to_the_dead_before_their_supervisor_knows(start, spec, do, hang) -> None:
    sup, gate, answers = start([spec("a")]), hang(), []
    sup.core.port.post(gate, None)
    assert gate.entered.wait(PATIENCE)
    handle = sup.child("a")
    down = monitor(handle)
    handle.tell(do.crash)
    down.wait(PATIENCE)
    assert handle.whereis() is None
    thread = threading.Thread(target=lambda: answers.append(sup.child("a", wait=PATIENCE).ask("back")))
    thread.start()
    gate.release.set()
    thread.join(PATIENCE)
    assert answers == ["back"]


def test_an_earlier_member_that_fails_during_the_delay_merges_the_groups(delayed, do, clock, events) -> None:
    clock.advance(20)
    delayed.which_child("a").ref.tell(do.crash)
    events.wait(RestartScheduled, id="a", delay=30.0)
    settle(delayed, PATIENCE)
    clock.advance(29)
    settle(delayed, PATIENCE)
    assert {child.state for child in delayed.which_children()} == {"restarting"}
    clock.advance(1)
    settle(delayed, PATIENCE)
    assert [child.generation for child in delayed.which_children()] == [1, 1, 1]
    assert len(delayed.core.window) == 1


def test_ending_the_child_it_was_for_gives_the_group_restart_up(delayed, clock) -> None:
    assert delayed.terminate_child("b") is None
    assert [child.state for child in delayed.which_children()] == ["running", "stopped", "stopped"]
    assert clock.pending() == []
    assert delayed.restart_child("c").ask("by hand") == "by hand"


def test_a_stop_does_not_wait_for_a_delayed_group(delayed) -> None:
    assert delayed.stop(block=False).get(timeout=PATIENCE)
    assert whereis("delayed") is None


def test_a_group_waits_for_the_thread_of_a_member_that_holds_what_it_needs(
    start, spec, events, do, hang, clock
) -> None:
    gate = hang()
    sup = start([spec("a"), spec("b", shutdown=0, on_stuck="hold")], strategy="one_for_all", clock=clock)
    sup.which_child("b").ref.tell(gate)
    assert gate.entered.wait(PATIENCE)
    sup.which_child("a").ref.tell(do.crash)
    events.wait(ChildExited, id="a")
    while sup.count_children().zombies == 0:
        settle_or_advance(sup, clock)
    assert [child.state for child in sup.which_children()] == ["restarting", "restarting"]
    gate.release.set()
    events.wait(ChildStarted, id="a", generation=1)
    events.wait(ChildStarted, id="b", generation=1)
    assert sup.count_children().zombies == 0


def settle_or_advance(sup, clock):
    """Let the supervisor handle what it has, then let a second pass."""
    done = threading.Event()
    sup.core.port.post(done.set)
    assert done.wait(PATIENCE)
    clock.advance(1)


def test_a_member_that_will_not_end_may_end_the_supervisor(start, spec, events, do, hang) -> None:
    gate = hang()
    sup = start([spec("a"), spec("b", shutdown=0, on_stuck="escalate")], strategy="one_for_all")
    sup.which_child("b").ref.tell(gate)
    assert gate.entered.wait(PATIENCE)
    sup.which_child("a").ref.tell(do.crash)
    assert sup.wait(PATIENCE).detail.last_reason == Killed(abandoned=True)


def test_sub_supervisors_are_members_like_others(start, spec, do, events) -> None:
    inner = Supervisor.child_spec([spec("w", name="worker")], name="inner", strategy="one_for_all")
    sup = start([spec("a"), inner], strategy="one_for_all")
    worker = whereis("worker")
    crash(sup, "a", do)
    assert whereis("worker") not in {None, worker}
    assert sup.count_children().active == 2


def test_S_097_a_crash_below_a_sub_supervisor_replaces_only_that_worker(start, spec, do, counts) -> None:
    inner = [
        Supervisor.child_spec([spec("1"), spec("2")], name=name, max_restarts=2, max_seconds=60)
        for name in ("left", "right")
    ]
    sup = start(inner, strategy="one_for_all")
    before = {name: refs(whereis(name)) for name in ("left", "right")}
    crash(whereis("left"), "1", do)
    after = {name: refs(whereis(name)) for name in ("left", "right")}
    assert after["right"] == before["right"]
    assert after["left"]["2"] is before["left"]["2"]
    assert after["left"]["1"] is not before["left"]["1"]
    assert counts(sup) == (2, 2, 2, 0)
    assert counts(whereis("left")) == (2, 2, 0, 2)


def test_S_166_a_named_member_never_meets_its_own_name(start, spec, do) -> None:
    sup = start(
        [spec("a", name="first"), spec("b", name="second")], strategy="one_for_all", max_restarts=1000
    )
    for turn in range(50):
        crash(sup, "ab"[turn % 2], do)
        assert {child.state for child in sup.which_children()} == {"running"}
        assert whereis("first") is sup.which_child("a").ref
    assert len(sup.core.window) == 50


class Big:
    """An argument that can be watched."""


@pytest.mark.parametrize("strategy", ["one_for_one", *GROUPS])
def test_S_069_S_070_only_children_that_may_come_back_keep_their_arguments(
    start, spec, do, events, strategy
) -> None:
    sup = start([], strategy=strategy)
    kept = Big()
    sup.start_child(spec("kept", keep=kept))
    watched = []
    for _ in range(2):
        big = Big()
        watched.append(weakref.ref(big))
        ref = sup.start_child(spec("t", restart="temporary", keep=big))
        ref.ask(lambda actor: setattr(actor, "keep", None))
        del big
        assert watched[-1]() is None
        ref.tell(do.crash)
        events.wait(ChildExited, id="t")
        settle(sup, PATIENCE)
    crash(sup, "kept", do)
    assert sup.which_child("kept").ref.ask(lambda actor: actor.keep) is kept


ENDS = {
    "normal": lambda ref, sup, do: ref.tell(do.finish()),
    "crash": lambda ref, sup, do: ref.tell(do.crash),
    "terminate": lambda ref, sup, do: sup.terminate_child("a"),
}


@pytest.mark.parametrize("strategy", GROUPS)
@pytest.mark.parametrize("end", sorted(ENDS))
@pytest.mark.parametrize("restart", ["permanent", "transient", "temporary"])
def test_S_071_start_child_answers_by_the_state_under_every_strategy(
    start, spec, do, restart, end, strategy
) -> None:
    sup = start([spec("a", restart=restart), spec("b")], strategy=strategy)
    ref = sup.which_child("a").ref
    down = monitor(ref)
    ENDS[end](ref, sup, do)
    down.wait(PATIENCE)
    settle(sup, PATIENCE)
    comes_back = end != "terminate" and (restart == "permanent" or (restart, end) == ("transient", "crash"))
    if comes_back:
        with pytest.raises(AlreadyStarted):
            sup.start_child(spec("a", restart=restart))
    elif restart == "temporary":
        assert sup.start_child(spec("a", restart=restart)).is_alive()
    else:
        with pytest.raises(AlreadyPresent):
            sup.start_child(spec("a", restart=restart))


def test_a_crash_while_the_initial_children_start_is_seen_to_afterwards(spec, hang, do) -> None:
    gate, made = hang(), []
    first = spec("a", name="early")
    thread = threading.Thread(
        target=lambda: made.append(
            Supervisor.start([first, spec("b", on_start=gate)], strategy="one_for_all")
        )
    )
    thread.start()
    assert gate.entered.wait(PATIENCE)
    down = monitor("early")
    whereis("early").tell(do.crash)
    down.wait(PATIENCE)
    gate.release.set()
    thread.join(PATIENCE)
    settle(made[0], PATIENCE)
    assert [(child.state, child.generation) for child in made[0].which_children()] == [("running", 1)] * 2
    made[0].stop()


@pytest.mark.parametrize("strategy", GROUPS)
def test_partitions_may_be_restarted_together_but_not_those_that_were_resized_away(
    worker, do, strategy, events
) -> None:
    from supervisors import PartitionSupervisor

    spec = ChildSpec(id="w", start=worker)
    with PartitionSupervisor.start(spec, name="parts", partitions=4, strategy=strategy) as sup:
        sup.resize(3)
        crash(sup, 0, do)
        assert [child.state for child in sup.which_children()] == ["running"] * 3 + ["stopped"]
        assert [child.generation for child in sup.which_children()] == [1, 1, 1, 0]
        sup.resize(4)
        assert sup.ref(3).is_alive()


@pytest.mark.parametrize("strategy", GROUPS)
def test_a_partition_that_is_being_resized_away_does_not_come_back(worker, do, strategy, hang) -> None:
    from supervisors import PartitionSupervisor

    gate = hang()
    spec = ChildSpec(id="w", start=worker, kwargs={"on_stop": lambda actor: actor.name == 1 and gate(actor)})
    with PartitionSupervisor.start(
        spec, name="parts", partitions=2, strategy=strategy, with_arguments=lambda _args, number: (number,)
    ) as sup:
        thread = threading.Thread(target=sup.resize, args=(1,))
        thread.start()
        assert gate.entered.wait(PATIENCE)
        down = monitor(sup.ref(0))
        sup.ref(0).tell(do.crash)
        down.wait(PATIENCE)
        gate.release.set()
        thread.join(PATIENCE)
        settle(sup, PATIENCE)
        assert [child.state for child in sup.which_children()] == ["running", "stopped"]


def test_an_actor_without_state_of_its_own_costs_a_group_nothing(start) -> None:
    sup = start([ChildSpec(id=number, start=PooledActor) for number in range(100)], strategy="one_for_all")
    down = monitor(sup.which_child(50).ref)
    sup.which_child(50).ref.stop()
    down.wait(PATIENCE)
    settle(sup, PATIENCE)
    assert {child.generation for child in sup.which_children()} == {1}
