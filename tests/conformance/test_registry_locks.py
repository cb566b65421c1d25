"""Locks of registries: one holder a key, and never a dead one."""

import threading
from queue import SimpleQueue

import pytest

from supervisors import (
    Crash,
    Exit,
    Killed,
    WouldDeadlock,
    call,
    monitor,
)
from tests.conformance.waiting import PATIENCE, eventually, in_thread, inside


def test_S_184_different_keys_run_side_by_side(actor, either) -> None:
    together = threading.Barrier(2)

    def hold(key):
        with either.lock(key):
            together.wait(PATIENCE)
            return key

    asked = [in_thread(lambda ref=actor(), key=key: inside(ref, lambda: hold(key))) for key in ("a", "b")]
    assert [answer.get(timeout=PATIENCE) for answer in asked] == ["a", "b"]


def test_S_184_the_same_key_excludes(actor, either) -> None:
    inside_now, most, refs = [], [], [actor() for _ in range(4)]

    def hold(ref):
        for _ in range(25):
            with either.lock("key"):
                inside_now.append(ref)
                most.append(len(inside_now))
                inside_now.remove(ref)

    for future in [in_thread(lambda ref=ref: inside(ref, lambda: hold(ref))) for ref in refs]:
        future.get(timeout=PATIENCE * 3)
    assert (len(most), max(most)) == (100, 1)
    assert len(either.locks) == 0


def test_S_184_a_lock_is_let_go_when_the_body_raises(actor, either) -> None:
    ref = actor()

    def fail():
        with either.lock("key"):
            raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        inside(ref, fail)
    with either.lock("key"):
        pass


def test_S_184_a_lock_goes_to_the_next_when_its_holder_is_abandoned(start, spec, hang, either, actor) -> None:
    sup, gate, order = start([spec("a", shutdown=0)]), hang(), []

    def hold(actor):
        with either.lock("key"):
            gate(actor)

    def follow(number):
        with either.lock("key"):
            order.append(number)

    sup.child("a").tell(hold)
    assert gate.entered.wait(PATIENCE)
    followers = []
    for number in range(3):
        followers.append(in_thread(lambda ref=actor(), number=number: inside(ref, lambda: follow(number))))
        eventually(lambda number=number: either.locks.waiting("key") == number + 1)
    sup.terminate_child("a")
    for follower in followers:
        follower.get(timeout=PATIENCE)
    assert order == [0, 1, 2]
    gate.release.set()  # the zombie leaves its `with`, and lets nothing go that is another's by now


def test_S_184_a_waiter_that_is_abandoned_is_skipped_and_its_thread_let_go(
    start, spec, hang, either, actor
) -> None:
    sup, holder, gate, entered = start([spec("a", shutdown=0)]), actor(), hang(), []
    heard = SimpleQueue()

    def hold(actor):
        with either.lock("key"):
            gate(actor)

    def wait_in_vain(_actor):
        try:
            with either.lock("key"):
                entered.append("the abandoned one")
        except Exit as error:
            heard.put(error.reason)
            raise

    holder.tell(hold)
    assert gate.entered.wait(PATIENCE)
    sup.child("a").tell(wait_in_vain)
    eventually(lambda: either.locks.waiting("key") == 1)
    sup.terminate_child("a")
    assert heard.get(timeout=PATIENCE) == Killed(abandoned=True)
    assert either.locks.waiting("key") == 0
    gate.release.set()
    with either.lock("key"):
        assert entered == []


def test_S_184_a_lock_held_across_messages_ends_with_its_holder(actor, either, do) -> None:
    ref = actor()

    def take(actor):
        actor.kept = either.lock("key")
        actor.kept.__enter__()

    call(ref, take)
    waiting = in_thread(lambda: either.lock("key").__enter__())
    eventually(lambda: either.locks.waiting("key") == 1)
    down = monitor(ref)
    ref.tell(do.crash)
    assert isinstance(down.wait(PATIENCE).reason, Crash)
    waiting.get(timeout=PATIENCE)


def test_S_184a_the_holder_may_take_other_locks_and_entries_know_nothing_of_them(actor, either) -> None:
    ref = actor()

    def hold():
        with either.lock("a"), either.lock("b"):
            either.register("a", 1)
            return either.lookup("a")

    assert inside(ref, hold) == [(ref, 1)]
    with either.lock("a"):
        either.unregister("a", ref=ref)
    assert either.count() == 0


def test_taking_a_lock_twice_is_refused_and_keeps_the_first(actor, either) -> None:
    def twice():
        with either.lock("key"), either.lock("key"):
            raise AssertionError("held twice")

    for run in (twice, lambda ref=actor(): inside(ref, twice)):
        with pytest.raises(WouldDeadlock, match="holds the lock"):
            run()
    assert len(either.locks) == 0
