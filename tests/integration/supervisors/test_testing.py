"""What users test with: it waits for what it says, and finds what was left behind."""

from __future__ import annotations

import threading

import pytest

from supervisors import Backoff, ChildSpec, PooledActor, Registry, Supervisor, monitor, names, start_actor
from supervisors.events import ChildAbandoned, subscribe
from supervisors.testing import FakeClock, FakeRandom, assert_no_leaks, settle

WAIT = 5.0


class Worker(PooledActor):
    def on_receive(self, message):
        return message(self) if callable(message) else message


@pytest.fixture(autouse=True)
def _nothing_is_left():
    yield
    assert_no_leaks(WAIT)


def worker(**fields):
    return ChildSpec(id="a", start=Worker, **fields)


def crash(_actor):
    raise ValueError("mine")


def end(ref, message=crash):
    down = monitor(ref)
    ref.tell(message)
    down.wait(WAIT)


def test_the_example_of_the_module_works() -> None:
    clock = FakeClock()
    with Supervisor.start([worker()], clock=clock, backoff=Backoff(initial=30, jitter=0)) as root:
        end(root.which_child("a").ref)
        settle(root)
        assert root.which_child("a").state == "restarting"
        assert clock.pending() == [30]
        clock.advance(29.9)
        settle(root)
        assert root.which_child("a").state == "restarting"
        clock.advance(0.1)
        settle(root)
        assert root.which_child("a").generation == 1


def test_supervisors_below_take_over_the_clock_of_the_root() -> None:
    clock = FakeClock(now=0.0)
    inner = ChildSpec(
        id="inner",
        start=Supervisor,
        args=([worker()],),
        kwargs={"backoff": Backoff(initial=10, jitter=0.5), "random": FakeRandom([0.0])},
    )
    with Supervisor.start([inner], clock=clock) as root:
        below = root.which_child("inner").ref
        end(below.which_child("a").ref)
        settle(root)
        assert below.which_child("a").next_attempt_at == 5.0


def test_settle_waits_for_what_is_under_way_and_tells_the_tree_when_it_does_not_end() -> None:
    gate, entered = threading.Event(), threading.Event()
    root = Supervisor.start([])
    root.start_child(worker(name="slow"))

    class Slow(Worker):
        def on_start(self):
            entered.set()
            gate.wait(WAIT * 2)

    begun = root.start_child(ChildSpec(id="b", start=Slow), block=False)
    assert entered.wait(WAIT)
    with pytest.raises(AssertionError, match="b  starting"):
        settle(root, timeout=0.05)
    gate.set()
    settle(root)
    assert root.which_child("b").state == "running"
    assert begun.get(timeout=WAIT).is_alive()
    root.stop()
    settle(root)


def test_settle_waits_until_subscribers_know() -> None:
    seen, root = [], Supervisor.start([])
    unsubscribe = subscribe(seen.append, root=root)
    root.start_child(worker())
    settle(root)
    assert [event.id for event in seen] == ["a"]
    unsubscribe()
    root.stop()


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Supervisor.start([], name="left"), "supervisor left"),
        (lambda: start_actor(Worker, name="left"), r"1 entries in <Registry 'names'"),
    ],
)
def test_what_still_lives_is_a_leak(make, says) -> None:
    left = make()
    with pytest.raises(AssertionError, match=says):
        assert_no_leaks(0)
    left.stop()


def test_a_zombie_is_a_leak() -> None:
    gate, entered, abandoned = threading.Event(), threading.Event(), threading.Event()
    unsubscribe = subscribe(lambda event: isinstance(event, ChildAbandoned) and abandoned.set())

    def hang(_actor):
        entered.set()
        gate.wait(WAIT * 2)

    root = Supervisor.start([worker(shutdown=0)], name="top")
    root.child("a").tell(hang)
    assert entered.wait(WAIT)
    root.stop()
    assert abandoned.wait(WAIT)
    with pytest.raises(AssertionError, match="zombie top/a"):
        assert_no_leaks(0)
    gate.set()
    unsubscribe()


def test_entries_locks_and_waiting_handles_of_any_registry_are_leaks() -> None:
    registry, ref = Registry("of this test"), start_actor(Worker)
    registry.register("key", ref=ref)
    with registry.lock("key"), pytest.raises(AssertionError) as caught:
        assert_no_leaks(0)
    assert "1 entries in <Registry 'of this test'" in str(caught.value)
    assert "1 locks of <Registry 'of this test'" in str(caught.value)
    _, give_up = names.registrations.when_registered("nobody")
    with pytest.raises(AssertionError, match="1 waiting for a key of <Registry 'names'"):
        assert_no_leaks(0)
    give_up()
    ref.stop()


def test_a_fake_random_gives_the_shares_it_was_told_to() -> None:
    random = FakeRandom([0.0, 0.5, 1.0])
    assert [random.uniform(2, 4) for _ in range(4)] == [2, 3, 4, 2]
