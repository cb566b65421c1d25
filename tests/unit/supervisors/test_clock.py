import threading

from supervisors.clock import SystemClock
from supervisors.testing import FakeClock, FakeRandom


def test_cancelled_timers_do_not_pile_up_until_they_are_due() -> None:
    clock = SystemClock()
    for _ in range(1000):
        clock.call_later(3600, int).cancel()
    assert len(clock._heap) <= 202
    clock.release()
    assert clock._thread is None


def test_a_timer_wakes_the_thread_only_when_it_would_look_too_late() -> None:
    clock = SystemClock(linger=60)
    first = threading.Event()
    clock.call_later(0, first.set)
    assert first.wait(5)  # the thread lingers now, or will
    woken = []
    notify = clock._condition.notify
    clock._condition.notify = lambda: woken.append(1) or notify()
    for _ in range(10):
        clock.call_later(3600, int).cancel()
    assert woken == []
    soon = threading.Event()
    clock.call_later(0.01, soon.set)
    assert soon.wait(5)
    clock._condition.notify = notify
    clock.release()
    assert clock._thread is None


def test_a_timer_that_is_due_in_ten_thousand_years_stops_no_other() -> None:
    clock = SystemClock()
    far = clock.call_later(1e12, int)
    for _ in range(2):
        soon = threading.Event()
        clock.call_later(0.01, soon.set)
        assert soon.wait(5)
    far.cancel()
    clock.release()
    assert clock._thread is None


def test_timers_run_in_order_and_a_cancelled_one_does_not() -> None:
    clock = SystemClock()
    seen, done = [], threading.Event()
    clock.call_later(0.02, done.set)
    clock.call_later(0.01, lambda: seen.append("b"))
    dropped = clock.call_later(0.005, lambda: seen.append("x"))
    clock.call_later(0, lambda: seen.append("a"))
    dropped.cancel()
    assert done.wait(5)
    assert seen == ["a", "b"]
    clock.release()


def test_the_fake_clock_makes_calls_at_the_moment_they_are_due() -> None:
    clock = FakeClock(now=10.0)
    seen = []
    clock.call_later(2, lambda: seen.append(("b", clock.now())))
    clock.call_later(1, lambda: clock.call_later(0.5, lambda: seen.append(("a", clock.now()))))
    clock.call_later(3, lambda: seen.append("never")).cancel()
    clock.advance(1)
    assert clock.pending() == [0.5, 1.0]
    clock.advance(5)
    assert seen == [("a", 11.5), ("b", 12.0)]
    assert clock.now() == 16.0


def test_the_fake_random_gives_the_shares_it_was_told() -> None:
    source = FakeRandom([0.0, 0.5])
    assert [source.uniform(10, 20) for _ in range(3)] == [10, 15, 10]
