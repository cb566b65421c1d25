"""Names and handles across restarts."""

import threading

import pykka
import pytest

from supervisors import (
    INFINITY,
    Backoff,
    NoProc,
    NoProcError,
    Strategy,
    Supervisor,
    SupervisorError,
    WouldDeadlock,
    call,
    cast,
    names,
    start_actor,
    whereis,
)
from supervisors.events import ChildParked, ChildStarted, RestartScheduled, StartFailedEvent
from tests.conformance.waiting import NO_LIMIT, PATIENCE, in_thread


def test_S_163_between_incarnations_a_name_is_nobodys(start, spec, events, do, hang) -> None:
    gate = hang()
    # The old incarnation has ended; the next one cannot take the name while its constructor hangs.
    made = []

    def init(_actor):
        made.append(1)
        if len(made) > 1:
            gate(_actor)

    start([spec("a", name="worker", init=init)])
    old = whereis("worker")
    assert call("worker", "one") == "one"
    old.tell(do.crash)
    assert gate.entered.wait(PATIENCE)
    assert whereis("worker") is None
    with pytest.raises(NoProcError):
        call("worker", "between", NO_LIMIT)
    assert cast("worker", "between") is False
    gate.release.set()
    new = events.wait(ChildStarted, generation=1).ref
    assert whereis("worker") is new
    assert new is not old
    assert call("worker", "two") == "two"


def test_S_164_a_handle_reaches_the_new_incarnation_and_the_old_ref_stays_dead(
    start, spec, events, do
) -> None:
    sup = start([spec("a")])
    handle, old = sup.child("a"), sup.which_child("a").ref
    assert handle.call("one") == "one"
    handle.tell(do.crash)
    events.wait(ChildStarted, id="a", generation=1)
    assert handle.call("two") == "two"
    assert handle.cast("three") is True
    with pytest.raises(pykka.ActorDeadError):
        old.tell("old")
    with pytest.raises(NoProcError):
        call(old, "old")
    assert handle.whereis() is sup.which_child("a").ref


@pytest.mark.parametrize("by", ["child", "via"])
def test_S_164_a_handle_may_wait_for_a_restart_in_progress(start, spec, events, do, clock, by) -> None:
    sup = start([spec("a", name="worker")], clock=clock, backoff=Backoff(initial=30, jitter=0))
    handle = sup.child("a", wait=PATIENCE) if by == "child" else names.via("worker", wait=PATIENCE)
    handle.tell(do.crash)
    events.wait(RestartScheduled, id="a")
    asked = in_thread(lambda: handle.call("hello", NO_LIMIT))
    clock.advance(30)
    assert asked.get(timeout=PATIENCE) == "hello"


def test_S_164_the_timeout_of_a_call_holds_for_the_wait_of_its_handle_too(
    start, spec, events, do, clock
) -> None:
    sup = start([spec("a")], clock=clock, backoff=Backoff(initial=30, jitter=0))
    sup.child("a").tell(do.crash)
    events.wait(RestartScheduled, id="a")
    with pytest.raises(NoProcError):
        sup.child("a", wait=INFINITY).call("hello", 0.01)


@pytest.mark.parametrize("by", ["child", "via", "name"])
def test_S_164_a_parked_child_is_not_waited_for(start, spec, events, do, by) -> None:
    sup = start(
        [spec("a", name="worker", backoff=Backoff(initial=0, jitter=0, max_attempts=0))], on_exceeded="park"
    )
    target = {
        "child": sup.child("a", wait=NO_LIMIT),
        "via": names.via("worker", wait=NO_LIMIT),
        "name": "worker",
    }[by]
    call(target, "hello")
    cast(target, do.crash)
    events.wait(ChildParked, id="a")
    with pytest.raises(NoProcError) as caught:
        call(target, "hello", NO_LIMIT)
    assert caught.value.reason == NoProc(parked=True)
    sup.terminate_child("a")
    with pytest.raises(NoProcError) as caught:
        call(target, "hello", 0.01)
    assert caught.value.reason == NoProc()
    sup.restart_child("a")
    assert call(target, "hello") == "hello"


def test_S_164_who_waits_for_a_child_hears_when_it_will_not_come(start, spec, events, do, clock) -> None:
    sup = start([spec("a")], clock=clock, backoff=Backoff(initial=30, jitter=0))
    handle = sup.child("a", wait=NO_LIMIT)
    handle.tell(do.crash)
    events.wait(RestartScheduled, id="a")
    asked = in_thread(lambda: handle.call("hello", NO_LIMIT))
    sup.terminate_child("a")
    with pytest.raises(NoProcError):
        asked.get(timeout=PATIENCE)


def test_S_165_a_stop_frees_the_name_and_is_refused_to_oneself(start, spec, actor) -> None:
    sup = start([spec("a")], name="root")
    with pytest.raises(WouldDeadlock):
        call(sup.which_child("a").ref, lambda _actor: sup.stop())
    assert Supervisor.ref("root") is sup
    sup.stop()
    assert whereis("root") is None
    assert sup.stop() is False
    with pytest.raises(NoProcError):
        Supervisor.ref("root")
    ref = actor()
    with pytest.raises(WouldDeadlock, match="stop_self"):
        call(ref, lambda actor: actor.actor_ref.stop())
    assert call(ref, "alive") == "alive"
    assert call(ref, lambda actor: actor.actor_ref.stop(block=False)).get(timeout=PATIENCE) is True
    assert ref.stop() is False


def test_S_165_a_blocking_stop_in_on_start_fails_the_start(worker) -> None:
    with pytest.raises(SupervisorError) as caught:
        start_actor(worker, on_start=lambda actor: actor.actor_ref.stop())
    assert isinstance(caught.value.reason.exception, WouldDeadlock)


@pytest.mark.parametrize("strategy", list(Strategy))
def test_S_166_named_children_are_restarted_fifty_times_under_their_names(
    start, spec, events, do, strategy
) -> None:
    sup = start([spec("a", name="a"), spec("b", name="b")], max_restarts=1000, strategy=strategy)
    for generation in range(1, 51):
        call("a", "alive")
        cast("a", do.crash)
        events.wait(ChildStarted, id="a", generation=generation)
        if strategy is not Strategy.ONE_FOR_ONE:
            events.wait(ChildStarted, id="b", generation=generation)
        assert call("b", "alive") == "alive"
    for child in sup.which_children():
        assert whereis(child.id) is child.ref
        assert child.restarts == (0 if strategy is Strategy.ONE_FOR_ONE and child.id == "b" else 50)
    assert not [event for event in events.seen if isinstance(event, StartFailedEvent)]


def test_S_166_callers_of_a_name_whose_owner_keeps_crashing_are_all_answered(start, spec, events, do) -> None:
    sup = start([spec("a", name="worker")], max_restarts=1000)
    over = threading.Event()

    def ask_on():
        answers = {"hello": 0, "nobody": 0}
        while not over.is_set():
            try:
                answers[call("worker", "hello", NO_LIMIT)] += 1
            except NoProcError:  # between two of them, or crashed before it answered
                answers["nobody"] += 1
        return answers

    askers = [in_thread(ask_on) for _ in range(4)]
    for generation in range(1, 31):
        sup.child("a", wait=PATIENCE).cast(do.crash)
        events.wait(ChildStarted, id="a", generation=generation)
    over.set()
    answers = [asker.get(timeout=PATIENCE * 4) for asker in askers]
    assert sum(answer["hello"] for answer in answers) > 0
    assert names.lookup("worker") == [(sup.which_child("a").ref, None)]
