import threading
import time

import pytest

from supervisors import (
    AlreadyPresent,
    AlreadyStarted,
    Backoff,
    ChildSpec,
    Crash,
    DynamicSupervisor,
    Killed,
    Normal,
    RestartIntensityExceeded,
    Shutdown,
    Supervisor,
    backoff_reset,
    kill,
    monitor,
)
from supervisors.events import (
    ChildExited,
    ChildStarted,
    IntensityExceeded,
    RestartScheduled,
    SupervisorStopped,
)

PATIENCE = 10.0


@pytest.mark.parametrize("reason", [Normal(), Shutdown(), Shutdown("info"), None])
def test_S_060_S_061_S_062_a_permanent_child_comes_back(start, spec, events, do, counts, reason) -> None:
    sup = start([spec("a")])
    old = sup.which_child("a").ref
    old.tell(do.crash if reason is None else do.finish(reason))
    new = events.wait(ChildStarted, id="a", generation=1).ref
    assert new is not old
    assert new is sup.which_child("a").ref
    assert counts(sup) == (1, 1, 0, 1)


def test_S_063_S_064_a_transient_child_that_ended_well_is_kept_stopped(
    start, spec, events, do, counts
) -> None:
    sup = start([spec("a", restart="transient")])
    ref = sup.which_child("a").ref
    for reason in (Normal(), Shutdown(), Shutdown("x")):
        ended = threading.Event()
        monitor(ref, notify=lambda _down, ended=ended: ended.set())
        ref.tell(do.finish(reason))
        assert ended.wait(PATIENCE)
        events.wait(ChildExited, id="a", reason=reason)
        info = sup.which_child("a")
        assert (info.state, info.ref, info.last_exit) == ("stopped", None, reason)
        assert counts(sup) == (1, 0, 0, 1)
        ref = sup.restart_child("a")


def test_S_065_a_transient_child_that_crashed_comes_back(start, spec, events, do) -> None:
    sup = start([spec("a", restart="transient")])
    sup.which_child("a").ref.tell(do.crash)
    events.wait(ChildStarted, id="a", generation=1)


def test_S_066_a_temporary_child_never_comes_back_and_its_id_is_free(start, spec, events, do, counts) -> None:
    sup = start([])
    for message in (do.finish(Normal()), do.finish(Shutdown()), do.finish(Shutdown("x")), do.crash):
        sup.start_child(spec("a", restart="temporary")).tell(message)
        events.wait(ChildExited, id="a")
        sup.start_child(spec("b", restart="temporary"))  # behind the decision about "a"
        sup.terminate_child("b")
        assert counts(sup) == (0, 0, 0, 0)


@pytest.mark.parametrize(
    ("restart", "reason", "left"),
    [
        ("temporary", Shutdown(), 0),
        ("temporary", None, 0),
        ("transient", Shutdown("s"), 0),
        ("transient", None, 1),
        ("permanent", Shutdown(), 1),
        ("permanent", None, 1),
    ],
)
def test_S_067_dynamic_children_come_back_by_their_type(
    start_dynamic, spec, events, do, counts, restart, reason, left
) -> None:
    sup = start_dynamic()
    sup.start_child(spec("a", restart=restart)).tell(do.crash if reason is None else do.finish(reason))
    events.wait(ChildExited, id="a")
    if left:
        events.wait(ChildStarted, id="a", generation=1)
    sup.terminate_child(sup.start_child(spec("b")))
    assert counts(sup) == (left, left, 0, left)


def test_S_068_a_stop_by_anybody_is_a_normal_end(start, spec, events) -> None:
    sup = start([spec("a"), spec("b", restart="transient")])
    for name in "ba":
        sup.which_child(name).ref.stop()
        assert events.wait(ChildExited, id=name).reason == Normal()
    events.wait(ChildStarted, id="a", generation=1)
    assert sup.which_child("b").state == "stopped"


def test_S_080_S_095_the_third_crash_ends_the_supervisor_with_its_cause(start, spec, events, do) -> None:
    sup = start([spec("a"), spec("b")])
    other = sup.which_child("b").ref
    for generation in (1, 2):
        sup.which_child("a").ref.tell(do.crash)
        events.wait(ChildStarted, id="a", generation=generation)
    assert sup.which_child("b").ref is other
    sup.which_child("b").ref.tell(do.crash)
    reason = sup.wait(PATIENCE)
    assert isinstance(reason, Shutdown)
    assert isinstance(reason.detail, RestartIntensityExceeded)
    assert reason.detail.child_id == "b"
    assert isinstance(reason.detail.last_reason, Crash)
    kinds = [type(event) for event in events.drain()]
    assert kinds.index(IntensityExceeded) < len(kinds) - kinds[::-1].index(ChildExited) - 1
    assert SupervisorStopped in kinds


class FailsLater:
    """An on_start that works `good` times and fails then, `bad` times."""

    def __init__(self, good=1, bad=10**6):
        self.good, self.bad, self.calls = good, bad, 0

    def __call__(self, _actor):
        self.calls += 1
        if self.good < self.calls <= self.good + self.bad:
            raise OSError("not now")


@pytest.mark.parametrize("limit", [1, 4, 10])
def test_S_081_S_088_S_089_a_child_that_cannot_come_back_ends_the_supervisor(
    start, start_dynamic, spec, do, limit
) -> None:
    for sup in (start([], max_restarts=limit), start_dynamic(max_restarts=limit)):
        failing = FailsLater()
        sibling = monitor(sup.start_child(spec("b")))
        sup.start_child(spec("a", on_start=failing)).tell(do.crash)
        assert sup.wait(PATIENCE).detail.child_id == "a"
        assert failing.calls == 1 + limit
        assert sibling.wait(PATIENCE).reason == Shutdown()


def test_S_087_a_dynamic_supervisor_replaces_one_child_and_gives_up_at_the_third(
    start_dynamic, spec, events, do
) -> None:
    sup = start_dynamic()
    first, second = sup.start_child(spec("a")), sup.start_child(spec("b"))
    for generation in (1, 2):
        first.tell(do.crash)
        first = events.wait(ChildStarted, id="a", generation=generation).ref
    assert second.ask("there") == "there"
    first.tell(do.crash)
    assert sup.wait(PATIENCE).ok


def test_S_090_S_114_a_restart_that_fails_once_is_tried_again(start_dynamic, spec, events, do) -> None:
    failing = FailsLater(bad=1)
    sup = start_dynamic()
    sup.start_child(spec("a", on_start=failing)).tell(do.crash)
    events.wait(ChildStarted, id="a", generation=1)
    assert failing.calls == 3
    assert len(sup.core.window) == 2
    assert sup.is_alive()


def test_S_091_crashes_outside_the_window_do_not_add_up(start, spec, events, do, clock) -> None:
    sup = start([spec("a")], max_restarts=1, max_seconds=1, clock=clock)
    for generation in range(1, 6):
        sup.which_child("a").ref.tell(do.crash)
        events.wait(ChildStarted, id="a", generation=generation)
        clock.advance(2.1)
    assert sup.is_alive()


def test_S_093_no_restarts_allowed_means_the_first_crash_ends_it(start, spec, do) -> None:
    sup = start([spec("a")], max_restarts=0)
    sup.which_child("a").ref.tell(do.crash)
    assert sup.wait(PATIENCE).detail.child_id == "a"


def test_S_094_operations_never_count(start, spec) -> None:
    sup = start([spec("a")], max_restarts=0)
    for _ in range(5):
        sup.terminate_child("a")
        sup.restart_child("a")
        sup.start_child(spec("b"))
        sup.terminate_child("b")
        sup.delete_child("b")
    assert sup.is_alive()


def test_S_098_the_wall_clock_has_no_part_in_it(start, spec, events, do, monkeypatch) -> None:
    sup = start([spec("a")], max_restarts=1, max_seconds=3600)
    sup.which_child("a").ref.tell(do.crash)
    events.wait(ChildStarted, id="a", generation=1)
    monkeypatch.setattr(time, "time", lambda: 0.0)
    sup.which_child("a").ref.tell(do.crash)
    assert sup.wait(PATIENCE).detail.child_id == "a"


def test_S_096_S_097_a_restarted_sub_supervisor_has_its_static_children_only(start, spec, events, do) -> None:
    inner = ChildSpec(id="inner", start=Supervisor, args=([spec("static")],), kwargs={"max_restarts": 0})
    sup = start([inner, spec("sibling")])
    sub, sibling = sup.which_child("inner").ref, sup.which_child("sibling").ref
    sub.start_child(spec("added"))
    sub.which_child("static").ref.tell(do.crash)
    again = events.wait(ChildStarted, id="inner", generation=1).ref
    assert [child.id for child in again.which_children()] == ["static"]
    assert not sub.is_alive()
    assert sup.which_child("sibling").ref is sibling


@pytest.mark.parametrize("restart", ["transient", "temporary"])
def test_a_sub_supervisor_that_gave_up_comes_back_only_when_it_is_permanent(
    start, spec, events, do, restart, capsys
) -> None:
    inner = ChildSpec(
        id="inner", start=Supervisor, args=([spec("a")],), kwargs={"max_restarts": 0}, restart=restart
    )
    sup = start([inner])
    sup.which_child("inner").ref.which_child("a").ref.tell(do.crash)
    assert isinstance(events.wait(ChildExited, id="inner").reason.detail, RestartIntensityExceeded)
    sup.start_child(spec("behind the decision"))
    assert [child.state for child in sup.which_children()] == (
        ["stopped"] if restart == "transient" else []
    ) + ["running"]
    assert "supervisor_not_restarted" in capsys.readouterr().out


@pytest.fixture
def delayed(start, spec, events, do, clock):
    """A supervisor whose child "a" waits 30 s for its next attempt."""
    failing = FailsLater(bad=1)
    sup = start(
        [spec("a", on_start=failing, backoff=Backoff(initial=30, jitter=0)), spec("b")],
        clock=clock,
        name="delayed",
        max_restarts=9,
    )
    sup.which_child("a").ref.tell(do.crash)
    events.wait(RestartScheduled, id="a")
    return sup


def test_S_110_S_111_a_child_that_waits_for_its_restart_can_be_seen_and_ended(
    delayed, spec, clock, counts
) -> None:
    from supervisors import Restarting

    info = delayed.which_child("a")
    assert (info.state, info.ref, info.next_attempt_at) == ("restarting", None, clock.now() + 30)
    assert counts(delayed) == (2, 1, 0, 2)
    assert delayed.count_children().restarting == 1
    with pytest.raises(AlreadyPresent):
        delayed.start_child(spec("a"))
    for operation in (delayed.restart_child, delayed.delete_child):
        with pytest.raises(Restarting):
            operation("a")
    assert delayed.terminate_child("a") is None
    assert delayed.which_child("a").state == "stopped"
    with pytest.raises(Exception, match="not now"):
        delayed.restart_child("a")
    assert delayed.restart_child("a").is_alive()


def test_S_112_S_263_a_stop_does_not_wait_for_a_delayed_restart(delayed) -> None:
    from supervisors import whereis

    assert delayed.stop(block=False).get(timeout=PATIENCE)
    assert whereis("delayed") is None


def test_S_262_a_sibling_is_restarted_during_a_delay(delayed, events, do, clock) -> None:
    delayed.which_child("b").ref.tell(do.crash)
    events.wait(ChildStarted, id="b", generation=1)
    assert delayed.which_child("a").state == "restarting"
    clock.advance(30)
    events.wait(RestartScheduled, id="a")  # that attempt fails, the next comes a minute later
    clock.advance(60)
    assert events.wait(ChildStarted, id="a", generation=1).ref.ask("back") == "back"


def test_S_113_a_dynamic_child_that_waits_for_its_restart_is_addressed_by_its_last_ref(
    start_dynamic, spec, events, do, clock, counts
) -> None:
    sup = start_dynamic(clock=clock, backoff=Backoff(initial=30))
    ref = sup.start_child(spec("a"))
    ref.tell(do.crash)
    events.wait(RestartScheduled, id="a")
    assert sup.which_child(ref).state == "restarting"
    assert [child.state for child in sup.which_children()] == ["restarting"]
    assert sup.terminate_child(ref) is None
    assert counts(sup) == (0, 0, 0, 0)


@pytest.mark.parametrize("dynamic", [False, True])
def test_S_115_S_116_a_restart_that_answers_ignore_is_no_failure(
    start, start_dynamic, spec, events, do, counts, dynamic
) -> None:
    from supervisors import IGNORE

    calls = []

    def once(_actor):
        calls.append(1)
        return IGNORE if len(calls) > 1 else None

    sup = start_dynamic() if dynamic else start([])
    sup.start_child(spec("a", on_start=once)).tell(do.crash)
    events.wait(RestartScheduled, id="a")
    while len(calls) < 2 or sup.count_children().restarting:
        sup.terminate_child(sup.start_child(spec("b")) if dynamic else (sup.start_child(spec("b")), "b")[1])
        if not dynamic:
            sup.delete_child("b")
    assert counts(sup) == ((0, 0, 0, 0) if dynamic else (1, 0, 0, 1))
    assert sup.is_alive()


def test_S_117_counts_follow_children_that_wait_and_come_back(
    start_dynamic, spec, events, do, clock, counts
) -> None:
    sup = start_dynamic(clock=clock, backoff=Backoff(initial=5, jitter=0))
    refs = [sup.start_child(spec(index)) for index in range(3)]
    for ref in refs[:2]:
        ref.tell(do.crash)
    events.wait_all(RestartScheduled, "id", {0, 1})
    assert counts(sup) == (3, 1, 0, 3)
    clock.advance(5)
    back = [events.wait(ChildStarted, generation=1).ref for _ in range(2)]
    assert counts(sup) == (3, 3, 0, 3)
    for left, ref in enumerate([refs[2], *back]):
        sup.terminate_child(ref)
        assert counts(sup) == (2 - left, 2 - left, 0, 2 - left)


def test_S_118_a_thread_that_cannot_start_is_a_failed_attempt(start, events, do, monkeypatch) -> None:
    import pykka

    class Plain(pykka.ThreadingActor):
        use_daemon_thread = True

        def on_receive(self, message):
            return message(self)

    sup = start([ChildSpec(id="a", start=Plain)])
    real, failed = threading.Thread.start, []

    def once(thread):
        if "Plain" in thread.name and not failed:
            failed.append(thread.name)
            raise RuntimeError("can't start new thread")
        real(thread)

    monkeypatch.setattr(threading.Thread, "start", once)
    sup.which_child("a").ref.tell(do.crash)
    events.wait(ChildStarted, id="a", generation=1)
    assert len(failed) == 1


def test_S_141_extra_arguments_come_first_also_on_a_restart(start_dynamic, worker, events, do) -> None:
    sup = start_dynamic(extra_args=("extra",))
    ref = sup.start_child(ChildSpec(id="a", start=worker, args=(["own"],)))
    assert ref.ask(lambda actor: (actor.name, list(actor.journal)[:1])) == ("extra", ["own"])
    ref.tell(do.crash)
    again = events.wait(ChildStarted, generation=1).ref
    assert again.ask(lambda actor: actor.name) == "extra"


def test_S_230_a_restart_waits_until_the_old_incarnation_has_cleaned_up(
    start, spec, hang, do, journal, events
) -> None:
    gate = hang()
    sup = start([spec("a", journal=journal, on_stop=gate)])
    sup.which_child("a").ref.tell(do.finish(Normal()))
    assert gate.entered.wait(PATIENCE)
    assert journal == [("start", "a"), ("stop", "a")]
    gate.release.set()
    events.wait(ChildStarted, generation=1)
    assert journal == [("start", "a"), ("stop", "a"), ("start", "a")]


def test_the_decision_about_an_exit_is_told_to_the_specs_callback(
    start_dynamic, spec, do, clock, events
) -> None:
    exits = []
    told = threading.Semaphore(0)

    def on_exit(end):
        exits.append(end)
        told.release()

    sup = start_dynamic(clock=clock, on_exceeded="park", max_restarts=1000, max_seconds=1)
    backoff = Backoff(initial=0.05, jitter=0, max_attempts=1, reset_after=60)
    ref = sup.start_child(spec("agent", restart="transient", backoff=backoff, on_exit=on_exit))
    ref.tell(do.crash)
    assert told.acquire(timeout=PATIENCE)
    clock.advance(0.05)
    ref = events.wait(ChildStarted, id="agent", generation=1).ref
    ref.tell(do.crash)
    assert told.acquire(timeout=PATIENCE)
    assert [(end.id, end.generation, end.decision, end.delay) for end in exits] == [
        ("agent", 0, "restart", 0.05),
        ("agent", 1, "parked", 60.0),
    ]
    assert isinstance(exits[0].reason, Crash)
    again = sup.restart_child(ref)
    again.tell(do.finish(Normal()))
    assert told.acquire(timeout=PATIENCE)
    assert (exits[-1].decision, exits[-1].reason, exits[-1].generation) == ("removed", Normal(), 2)


def test_S_266_a_child_that_keeps_crashing_is_parked_alone(start_dynamic, spec, events, do, clock) -> None:
    from supervisors.events import ChildParked

    sup = start_dynamic(on_exceeded="park", clock=clock)
    good, bad = sup.start_child(spec("good")), sup.start_child(spec("bad"))
    for generation in (1, 2):
        bad.tell(do.crash)
        bad = events.wait(ChildStarted, id="bad", generation=generation).ref
    bad.tell(do.crash)
    parked = events.wait(ChildParked)
    assert (parked.id, parked.generation, parked.park_time) == ("bad", 2, 60.0)
    assert sup.count_children().parked == 1
    assert good.ask("untouched") == "untouched"
    clock.advance(60)
    trial = events.wait(ChildStarted, id="bad", generation=3).ref
    trial.tell(do.crash)
    assert events.wait(ChildParked).park_time == 120
    assert sup.restart_child(trial).ask("awake") == "awake"
    assert sup.count_children().parked == 0


def test_S_167_a_named_sub_supervisor_that_is_killed_comes_back_under_its_name(start, spec, events) -> None:
    from supervisors import whereis

    inner = DynamicSupervisor.child_spec(name="sub")
    static = Supervisor.child_spec([spec("w", name="worker")], name="tree")
    sup = start([inner, static])
    for name in ("sub", "tree"):
        old, worker = whereis(name), whereis("worker")
        kill(old)
        assert events.wait(ChildExited, id=name).reason == Killed()
        new = events.wait(ChildStarted, id=name, generation=1).ref
        assert whereis(name) is new
    assert whereis("worker") not in {None, worker}
    assert sup.is_alive()


ENDS = {
    "kill": lambda sup, do: kill(sup.which_child("a").ref),
    "normal": lambda sup, do: sup.which_child("a").ref.tell(do.finish(Normal())),
    "crash": lambda sup, do: sup.which_child("a").ref.tell(do.crash),
    "terminate": lambda sup, do: sup.terminate_child("a"),
}


@pytest.mark.parametrize("end", sorted(ENDS))
@pytest.mark.parametrize("restart", ["permanent", "transient", "temporary"])
def test_S_071_after_any_end_start_child_answers_by_the_state(start, spec, events, do, restart, end) -> None:
    sup = start([spec("a", restart=restart)])
    ENDS[end](sup, do)
    events.wait(ChildExited, id="a")
    comes_back = restart == "permanent" or (restart == "transient" and end in {"kill", "crash"})
    if comes_back and end != "terminate":
        events.wait(ChildStarted, id="a", generation=1)
        with pytest.raises(AlreadyStarted):
            sup.start_child(spec("a", restart=restart))
    else:
        sup.start_child(spec("behind the decision"))
        if restart == "temporary":
            assert sup.start_child(spec("a", restart=restart)).is_alive()
        else:
            with pytest.raises(AlreadyPresent):
                sup.start_child(spec("a", restart=restart))


def test_a_child_that_says_it_is_well_is_delayed_as_if_it_were_the_first_time(
    start, spec, events, do, clock
) -> None:
    sup = start([spec("a", backoff=Backoff(initial=1, jitter=0))], clock=clock, max_restarts=9)
    delays = []
    for generation in (1, 2, 3):
        ref = sup.which_child("a").ref
        if generation == 3:
            ref.ask(lambda _actor: backoff_reset())
        ref.tell(do.crash)
        delays.append(events.wait(RestartScheduled, id="a").delay)
        clock.advance(10)
        events.wait(ChildStarted, generation=generation)
    assert delays == [1, 2, 1]


def test_an_error_of_the_supervisor_itself_ends_it_after_its_children(start, spec, journal, events) -> None:
    def broken():
        raise ZeroDivisionError

    inner = Supervisor.child_spec([spec("a", journal=journal), spec("b", journal=journal)], name="inner")
    sup = start([inner])
    sub = sup.which_child("inner").ref
    sub.core.port.post(broken)
    assert isinstance(sub.wait(PATIENCE), Crash)
    assert journal[2:4] == [("stop", "b"), ("stop", "a")]
    assert events.wait(ChildStarted, id="inner", generation=1).ref.count_children().active == 2
