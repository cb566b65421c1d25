import threading
import time
from queue import SimpleQueue

import pykka
import pytest

from supervisors import (
    CalleeExited,
    Crash,
    Down,
    Exit,
    ExitSignal,
    Fenced,
    Killed,
    NoProc,
    Normal,
    PooledActor,
    Shutdown,
    demonitor,
    kill,
    link,
    monitor,
    names,
    send_exit,
    start_actor,
    stop_self,
    unlink,
    whereis,
)
from supervisors.events import ChildExited
from supervisors.testing import settle

PATIENCE = 10.0


def make_trapper(base):
    class Trapper(base):
        """Calls the functions it is sent, and keeps what else it hears."""

        use_daemon_thread = True
        trap_exit = True

        def __init__(self):
            super().__init__()
            self.heard = SimpleQueue()

        def on_receive(self, message):
            if callable(message):
                return message(self)
            return self.heard.put(message)

    return Trapper


TRAPPERS = {"pooled": make_trapper(PooledActor), "threading": make_trapper(pykka.ThreadingActor)}


@pytest.fixture
def trapper(worker):
    """The class of actors that trap exits, on the same runtime as `worker`."""
    return TRAPPERS["pooled" if issubclass(worker, PooledActor) else "threading"]


@pytest.fixture
def actor(worker):
    """Start actors that nobody supervises; they end with the test."""
    made = []

    def begin(cls=worker, *args, **options):
        made.append(start_actor(cls, *args, **options))
        return made[-1]

    yield begin
    for ref in made:
        if ref.is_alive():
            ref.stop()


def heard_by(ref):
    """What a trapper hears, to wait for; taken out once, an actor's attributes are its own."""
    return ref.ask(lambda actor: [actor.heard])[0]


def abandon(ref, hang):
    gate = hang()
    ref.tell(gate)
    assert gate.entered.wait(PATIENCE)
    kill(ref)


ENDS = {
    "normal": (lambda ref, do, _hang: ref.stop(), Normal()),
    "finished": (lambda ref, do, _hang: ref.tell(do.finish(Normal())), Normal()),
    "shutdown": (lambda ref, do, _hang: ref.tell(do.finish(Shutdown())), Shutdown()),
    "with a detail": (lambda ref, do, _hang: ref.tell(do.finish(Shutdown("x"))), Shutdown("x")),
    "crash": (lambda ref, do, _hang: ref.tell(do.crash), Crash),
    "killed": (lambda ref, do, _hang: kill(ref), Killed()),
    "abandoned": (lambda ref, do, hang: abandon(ref, hang), Killed(abandoned=True)),
}


@pytest.fixture(params=sorted(ENDS))
def end(request, do, hang):
    """End an actor in one of all the ways; returns what is expected of the reason."""
    how, reason = ENDS[request.param]

    def ends(ref):
        how(ref, do, hang)
        return reason

    return ends


def fits(reason, expected):
    return isinstance(reason, expected) if isinstance(expected, type) else reason == expected


def test_S_150_a_monitor_brings_one_down_with_the_reason(actor, end) -> None:
    ref, downs = actor(), SimpleQueue()
    mark = monitor(ref, notify=downs)
    expected = end(ref)
    down = downs.get(timeout=PATIENCE)
    assert (down.ref, down.target) == (mark, ref)
    assert fits(down.reason, expected)
    assert mark.wait(0) == down
    assert downs.empty()


def test_S_151_monitoring_a_dead_actor_brings_noproc_at_once(actor) -> None:
    ref = actor()
    ref.stop()
    assert monitor(ref).wait(0).reason == NoProc()


def test_S_152_each_monitor_is_its_own(actor, trapper) -> None:
    ref, watcher = actor(), actor(trapper)
    heard = heard_by(watcher)
    gone, stays = (watcher.ask(lambda _actor: monitor(ref)) for _ in range(2))
    assert gone is not stays
    demonitor(gone)
    demonitor(gone)
    ref.stop()
    assert heard.get(timeout=PATIENCE) == Down(stays, ref, Normal())
    other, entered, release = actor(), threading.Event(), threading.Event()
    queued = watcher.ask(lambda _actor: monitor(other))
    watcher.tell(lambda _actor: entered.set() or release.wait(PATIENCE))
    assert entered.wait(PATIENCE)
    other.stop()  # the Down is in the inbox now
    demonitor(queued)
    release.set()
    watcher.ask(lambda _actor: None)
    assert heard.empty()


def test_S_153_a_linked_actor_is_asked_to_stop_with_the_same_reason(actor, end) -> None:
    first, second = actor(), actor()
    link(first, second)
    down = monitor(second)
    expected = end(first)
    if expected == Normal():
        assert monitor(first).wait(PATIENCE)
        assert second.ask("still there") == "still there"
        return
    reason = down.wait(PATIENCE).reason
    assert isinstance(reason, Killed) if isinstance(expected, Killed) else fits(reason, expected)


def test_S_153_links_go_both_ways_and_can_be_made_inside(actor, do) -> None:
    first, second = actor(), actor(name="second")
    first.ask(lambda _actor: link("second"))
    down = monitor(first)
    second.tell(do.crash)
    assert isinstance(down.wait(PATIENCE).reason, Crash)


def test_S_154_who_traps_exits_is_told_of_every_end_and_stays(actor, trapper, end) -> None:
    first, second = actor(), actor(trapper)
    heard = heard_by(second)
    link(first, second)
    expected = end(first)
    signal = heard.get(timeout=PATIENCE)
    assert isinstance(signal, ExitSignal)
    assert signal.source is first
    assert fits(signal.reason, expected)
    assert second.is_alive()
    assert heard.empty()


def test_S_155_one_unlink_ends_a_link_made_twice(actor, trapper, do) -> None:
    first, second, third = actor(), actor(), actor(trapper)
    heard = heard_by(third)
    for _ in range(2):
        link(first, second)
        third.ask(lambda _actor: link(first))
    unlink(first, second)
    third.ask(lambda _actor: unlink(first))
    unlink(first, second)
    watched = monitor(first)
    first.tell(do.crash)
    watched.wait(PATIENCE)
    assert second.ask("here") == "here"
    third.ask(lambda _actor: None)
    assert heard.empty()


def test_S_155_a_link_to_oneself_has_no_effect(actor, trapper) -> None:
    ref = actor(trapper)
    ref.ask(lambda actor: link(actor.actor_ref))
    link(ref, ref)
    down = monitor(ref)
    ref.stop()
    assert down.wait(PATIENCE).reason == Normal()


def test_S_156_when_down_arrives_names_are_free_and_asks_have_failed(actor, hang, do) -> None:
    ref, gate, seen = actor(name="named"), hang(), SimpleQueue()
    names.register("second name", ref=ref)

    def look(down):
        failed = []
        for pending in asked:
            with pytest.raises(CalleeExited):
                pending.get(timeout=0)
            failed.append(pending)
        seen.put((down.reason, whereis("named"), names.lookup("second name"), names.keys(ref), len(failed)))

    monitor(ref, notify=look)
    ref.tell(gate)
    assert gate.entered.wait(PATIENCE)
    ref.tell(do.finish(Shutdown("over")))
    asked = [ref.ask("never answered", block=False) for _ in range(3)]
    gate.release.set()
    assert seen.get(timeout=PATIENCE) == (Shutdown("over"), None, [], [], 3)


@pytest.mark.parametrize("supervised", [False, True])
def test_S_161_exit_under_ask_and_under_tell_ends_with_that_reason(
    actor, start, spec, do, supervised
) -> None:
    for under_ask in (True, False):
        ref = start([spec("a", restart="transient")]).which_child("a").ref if supervised else actor()
        down = monitor(ref)
        if under_ask:
            with pytest.raises(CalleeExited) as caught:
                ref.ask(do.finish(Shutdown("idle")))
            assert caught.value.reason == Shutdown("idle")
        else:
            ref.tell(do.finish(Shutdown("idle")))
        assert down.wait(PATIENCE).reason == Shutdown("idle")


def test_S_162_stop_self_ends_after_the_reply(actor) -> None:
    ref = actor()
    down = monitor(ref)

    def handler(_actor):
        stop_self(Shutdown("x"))
        return "the answer"

    assert ref.ask(handler) == "the answer"
    assert down.wait(PATIENCE).reason == Shutdown("x")


def test_linking_to_the_dead_is_a_signal_of_noproc(actor, trapper) -> None:
    dead, trapping, mortal = actor(), actor(trapper), actor()
    dead.stop()
    heard = heard_by(trapping)
    for target in (dead, "nobody of that name"):
        trapping.ask(lambda _actor, target=target: link(target))
        assert heard.get(timeout=PATIENCE) == ExitSignal(target, NoProc())
    down = monitor(mortal)
    link(dead, mortal)
    assert down.wait(PATIENCE).reason == NoProc()


def test_a_plain_pykka_actor_or_none_at_all_cannot_be_linked(actor) -> None:
    plain = pykka.ThreadingActor.start()
    with pytest.raises(TypeError, match="start_actor"):
        link(plain, actor())
    with pytest.raises(TypeError, match="start_actor"):
        send_exit(plain)
    with pytest.raises(TypeError, match="start_actor"):
        kill(plain)
    with pytest.raises(ValueError, match="two actors"):
        link(actor())
    plain.stop()


def test_links_leave_nothing_behind(actor) -> None:
    long_lived = actor()
    for _ in range(5):
        other = actor()
        link(long_lived, other)
        other.stop()
    unlinked = actor()
    link(unlinked, long_lived)
    unlink(long_lived, unlinked)
    assert not long_lived.actor_inbox.incarnation.watchers
    assert not unlinked.actor_inbox.incarnation.watchers


def test_links_made_while_one_side_ends_bring_one_signal(trapper, worker) -> None:
    for _ in range(30):
        first, second, start = start_actor(worker), start_actor(trapper), threading.Barrier(2)
        heard = heard_by(second)

        def tie(first=first, second=second, start=start):
            start.wait(PATIENCE)
            link(first, second)

        thread = threading.Thread(target=tie)
        thread.start()
        start.wait(PATIENCE)
        first.stop()
        thread.join(PATIENCE)
        assert heard.get(timeout=PATIENCE).reason in {Normal(), NoProc()}
        second.ask(lambda _actor: None)
        assert heard.empty()
        second.stop()


def test_a_ring_of_links_ends_together(actor, do) -> None:
    ring = [actor() for _ in range(20)]
    for one, other in zip(ring, ring[1:] + ring[:1], strict=True):
        link(one, other)
    downs = [monitor(ref) for ref in ring]
    ring[7].tell(do.crash)
    assert len({down.wait(PATIENCE).reason for down in downs}) == 1


def test_an_abandoned_incarnation_may_not_link(actor, do) -> None:
    ref, other, entered, release, caught = actor(), actor(), threading.Event(), threading.Event(), []

    def handler(_actor):
        entered.set()
        release.wait(PATIENCE)
        for act in (link, unlink):
            try:
                act(other)
            except Fenced as error:
                caught.append(error)

    down = monitor(ref)
    ref.tell(handler)
    assert entered.wait(PATIENCE)
    kill(ref)
    assert down.wait(PATIENCE).reason == Killed(abandoned=True)
    release.set()
    end = time.monotonic() + PATIENCE
    while len(caught) < 2:
        assert time.monotonic() < end


def test_send_exit_asks_to_end_with_a_reason(actor, trapper) -> None:
    mortal, trapping, sender = actor(name="mortal"), actor(trapper), actor()
    heard = heard_by(trapping)
    down = monitor(mortal)
    assert send_exit(mortal, Normal()) is True  # asks nobody else
    assert mortal.ask("here") == "here"
    assert send_exit("mortal", Shutdown("go")) is True
    assert down.wait(PATIENCE).reason == Shutdown("go")
    assert send_exit(mortal) is False
    assert send_exit("mortal") is False
    send_exit(trapping)
    assert heard.get(timeout=PATIENCE) == ExitSignal(None, Shutdown())
    for reason in (Normal(), Killed()):
        sender.ask(lambda _actor, reason=reason: send_exit(trapping, reason))
        assert heard.get(timeout=PATIENCE) == ExitSignal(sender, reason)


def test_normal_sent_to_oneself_ends_one(actor, trapper) -> None:
    ref = actor()
    down = monitor(ref)
    ref.ask(lambda actor: send_exit(actor.actor_ref, Normal()))
    assert down.wait(PATIENCE).reason == Normal()
    trapping = actor(trapper)
    heard = heard_by(trapping)
    trapping.ask(lambda actor: send_exit(actor.actor_ref, Normal()))
    assert heard.get(timeout=PATIENCE) == ExitSignal(trapping, Normal())


def test_what_is_no_exit_reason_is_refused_where_it_is_given(actor) -> None:
    ref = actor()
    for act in (
        lambda: send_exit(ref, "done"),
        lambda: ref.ask(lambda _actor: stop_self("done")),
        lambda: ref.ask(lambda _actor: Exit("done")),
    ):
        with pytest.raises(TypeError, match="no exit reason"):
            act()
    assert ref.ask("unharmed") == "unharmed"


def test_a_link_to_a_supervisor_ends_its_tree_with_that_reason(actor, start, spec, do) -> None:
    sup, ref = start([spec("a")]), actor()
    child = monitor(sup.which_child("a").ref)
    link(sup, ref)
    ref.tell(do.finish(Shutdown("both")))
    assert sup.wait(PATIENCE) == Shutdown("both")
    assert child.wait(PATIENCE).reason == Shutdown()


def test_a_supervised_child_that_is_linked_is_restarted_by_the_rules(actor, start, spec, do, events) -> None:
    sup, ref = start([spec("a"), spec("b", restart="transient")]), actor()
    for name in "ab":
        link(ref, sup.which_child(name).ref)
    ref.tell(do.finish(Shutdown("gone")))
    assert events.wait_all(ChildExited, "id", {"a", "b"})["b"].reason == Shutdown("gone")
    settle(sup, PATIENCE)
    assert [child.state for child in sup.which_children()] == ["running", "stopped"]
