"""Looking at a tree: the tree itself, zombies, events."""

import threading

import pytest

from supervisors import (
    Backoff,
    ChildSpec,
    Supervisor,
    format_tree,
    monitor,
    subscribe,
    tree,
    zombies,
)
from supervisors.events import (
    ChildAbandoned,
    ChildExited,
    ChildParked,
    ChildStarted,
    CleanupError,
    IntensityExceeded,
    RestartScheduled,
    ShutdownError,
    StartFailedEvent,
    SupervisorStopped,
    ZombieExited,
    bus,
)
from supervisors.testing import settle
from tests.conformance.waiting import PATIENCE, eventually


def test_S_249_a_node_says_what_a_child_is_doing_and_who_it_is(start, spec, events, do) -> None:
    sup = start(
        [spec("a"), ChildSpec(id="inner", start=Supervisor, args=([spec("leaf", restart="transient")],))],
        name="top",
    )
    inner = sup.which_child("inner").ref
    inner.child("leaf").tell(do.crash)
    events.wait(ChildStarted, id="leaf", generation=1)
    root = tree(sup)
    a, middle = root.children
    (leaf,) = middle.children
    assert [(node.id, node.type, str(node.state)) for node in (root, a, middle, leaf)] == [
        ("top", "supervisor", "running"),
        ("a", "worker", "running"),
        ("inner", "supervisor", "running"),
        ("leaf", "worker", "running"),
    ]
    assert (leaf.path, leaf.generation, leaf.restarts) == (("top", "inner", "leaf"), 1, 1)
    assert (root.ref, middle.ref, leaf.ref) == (sup, inner, inner.which_child("leaf").ref)
    assert format_tree(sup).splitlines() == [
        "top [one_for_one 0/2]",
        "+- a  running",
        "+- inner [one_for_one 1/3]",
        "|  +- leaf  running gen 1 (1 restart, last Crash(ValueError))",
    ]


def test_S_249_a_start_or_a_stop_that_hangs_can_be_looked_at(start, spec, hang) -> None:
    sup, starts, stops = start([spec("a")], name="top"), hang(), hang()
    begun = sup.start_child(spec("b", on_start=starts, on_stop=stops), block=False)
    assert starts.entered.wait(PATIENCE)
    assert "b  starting" in format_tree(sup)
    starts.release.set()
    begun.get(timeout=PATIENCE)
    ended = sup.stop(block=False)
    assert stops.entered.wait(PATIENCE)
    text = format_tree(sup)
    assert text.startswith("top [one_for_one 0/2]  stopping")
    assert "b  stopping" in text
    stops.release.set()
    ended.get(timeout=PATIENCE)
    assert format_tree(sup) == "top [one_for_one 0/2]  stopped"


def test_S_249_a_child_that_waits_for_a_zombie_says_so(start, spec, hang, events) -> None:
    sup, gate = start([spec("a", shutdown=0, on_stuck="hold")], name="top"), hang()
    sup.child("a").tell(gate)
    assert gate.entered.wait(PATIENCE)
    sup.terminate_child("a")
    held = sup.restart_child("a", block=False)
    eventually(lambda: sup.which_child("a").held_by_zombie)
    assert tree(sup).children[0].held_by_zombie
    text = format_tree(sup, stacks=True)
    assert "a  restarting (held by zombie, 1 zombie, last Killed(abandoned=True))" in text
    assert "in __call__" in text  # the stack of the zombie
    gate.release.set()
    assert held.get(timeout=PATIENCE).is_alive()
    assert not sup.which_child("a").held_by_zombie


def test_zombies_are_listed_by_the_tree_they_belong_to_not_by_its_name(start, spec, hang) -> None:
    one, two, gate = start([spec("a", shutdown=0)]), start([spec("a", shutdown=0)]), hang()
    one.child("a").tell(gate)
    assert gate.entered.wait(PATIENCE)
    one.terminate_child("a")
    (zombie,) = zombies(one)
    assert (zombie.id, zombie.generation, zombies(two)) == ("a", 0, [])
    assert zombie in zombies()
    assert zombie.thread_name
    assert "in __call__" in zombie.stack


@pytest.mark.parametrize("subscriber", ["raises", "blocks"])
def test_S_250_a_subscriber_that_raises_or_blocks_delays_no_restart(
    start, spec, do, hang, subscriber
) -> None:
    gate, told = hang(), threading.Event()

    def listen(event):
        told.set()
        if subscriber == "raises":
            raise ValueError("mine")
        gate(event)

    unsubscribe = subscribe(listen)
    sup = start([spec("a", name="worker")], max_restarts=100)
    assert told.wait(PATIENCE)
    for restart in range(1, 11):
        ref = sup.which_child("a").ref
        down = monitor(ref)
        ref.tell(do.crash)
        down.wait(PATIENCE)
        eventually(lambda restart=restart: sup.which_child("a").generation == restart)
    assert sup.child("a").call("alive") == "alive"
    assert gate.entered.is_set() == (subscriber == "blocks")
    assert not gate.release.is_set()  # it blocks still
    unsubscribe()


def test_a_subscriber_of_a_tree_hears_each_kind_of_event_with_its_path(spec, hang, do, start) -> None:
    seen = []

    def on_stop(_actor):
        raise ValueError("mine")

    def on_start(_actor):
        raise ValueError("mine")

    quick = Backoff(initial=0, jitter=0, max_attempts=0)
    sup = start([spec("a")], name="top", max_restarts=0)
    unsubscribe = subscribe(seen.append, root=sup)
    gate = hang()

    sup.start_child(spec("unclean", on_stop=on_stop, restart="transient"))
    sup.terminate_child("unclean")
    with pytest.raises(Exception, match="failing"):
        sup.start_child(spec("failing", on_start=on_start))
    sup.start_child(spec("stuck", shutdown=0))
    sup.child("stuck").tell(gate)
    assert gate.entered.wait(PATIENCE)
    sup.terminate_child("stuck")
    gate.release.set()
    eventually(lambda: sup.count_children().zombies == 0)
    parked = sup.start_child(spec("parked", backoff=quick, on_exceeded="park"))
    down = monitor(parked)
    parked.tell(do.crash)
    down.wait(PATIENCE)
    settle(sup)
    last = sup.start_child(spec("last", backoff=Backoff(initial=0, jitter=0)))
    last.tell(do.crash)
    sup.wait(PATIENCE)
    assert bus.flush(PATIENCE)
    unsubscribe()

    kinds = {(type(event), getattr(event, "id", None)) for event in seen}
    assert kinds >= {
        (ChildStarted, "unclean"),
        (ChildExited, "unclean"),
        (CleanupError, "unclean"),
        (StartFailedEvent, "failing"),
        (ChildAbandoned, "stuck"),
        (ShutdownError, "stuck"),
        (ZombieExited, "stuck"),
        (ChildParked, "parked"),
        (RestartScheduled, "last"),
        (IntensityExceeded, "last"),
        (SupervisorStopped, None),
    }
    assert {event.path for event in seen} == {("top",)}
