"""The pool: it neither starves nor grows without need, and never runs one actor on two threads."""

from __future__ import annotations

import sys
import threading
import time

import pytest

from supervisors.errors import WouldDeadlock
from supervisors.runtime import (
    Dispatcher,
    PooledActor,
    PooledFuture,
    managed_blocking,
    release_idle_threads,
    sleep,
)
from supervisors.runtime.dispatcher import Worker

pytestmark = pytest.mark.usefixtures("no_threads")

WAIT = 10.0


@pytest.fixture
def pool():
    return Dispatcher.get("actors")


@pytest.fixture
def small():
    """A class of actors whose pool has two threads and may have four."""
    Dispatcher._all["small"] = Dispatcher("small", core=2, cap=4, linger=0.05)

    class Small(PooledActor):
        dispatcher = "small"

        def on_receive(self, message):
            return message(self) if callable(message) else message

    yield Small
    release_idle_threads()
    assert Dispatcher._all.pop("small").thread_count == 0


def chain(refs):
    """Make a blocking ask that each actor passes on to the next."""

    def step(actor):
        return "end" if not refs else refs[0].ask(chain(refs[1:]))

    return step


def test_a_chain_of_blocking_asks_deeper_than_the_core_is_answered(start, pool) -> None:
    refs = [start() for _ in range(50)]
    before = time.monotonic()

    assert refs[0].ask(chain(refs[1:]), timeout=WAIT) == "end"
    assert time.monotonic() - before < WAIT / 2
    assert pool.blocked_count == 0


def test_a_chain_deeper_than_the_pool_can_grow_is_refused_instead_of_hanging(small, start) -> None:
    refs = [start(small) for _ in range(6)]

    with pytest.raises(WouldDeadlock, match="at most 4 threads"):
        refs[0].ask(chain(refs[1:]), timeout=WAIT)
    assert [ref.ask("alive", timeout=WAIT) for ref in refs] == ["alive"] * 6


def test_handlers_that_only_sleep_are_no_reason_to_refuse_a_wait(small, start) -> None:
    other, refs = PooledFuture(), [start(small) for _ in range(4)]
    naps = [ref.ask(lambda actor: sleep(0.05) or "slept", block=False) for ref in refs[:3]]
    asked = refs[3].ask(lambda actor: other.get(timeout=WAIT), block=False)
    end = time.monotonic() + WAIT
    while Dispatcher.get("small").blocked_count < 4 and not naps[0].done() and time.monotonic() < end:
        refs[0].actor_stopped.wait(0.001)
    other.set("answered")

    assert asked.get(timeout=WAIT) == "answered"
    assert [nap.get(timeout=WAIT) for nap in naps] == ["slept"] * 3


def test_a_chain_as_deep_as_the_pool_can_grow_is_answered(small, start) -> None:
    refs = [start(small) for _ in range(4)]

    assert refs[0].ask(chain(refs[1:]), timeout=WAIT) == "end"


def test_handlers_that_block_with_notice_do_not_hold_up_others(start) -> None:
    release = threading.Event()

    def wait(actor):
        with managed_blocking():
            return release.wait(WAIT)

    blocked = [start() for _ in range(10)]
    futures = [ref.ask(wait, block=False) for ref in blocked]
    answer = start().ask("served", timeout=WAIT)
    release.set()

    assert answer == "served"
    assert [future.get(timeout=WAIT) for future in futures] == [True] * 10


def test_managed_blocking_nests_and_does_nothing_outside_of_a_pool(start, pool) -> None:
    with managed_blocking(), managed_blocking():
        pass

    def nest(actor):
        with managed_blocking():
            with managed_blocking():
                inner = pool.blocked_count
            between = pool.blocked_count
        return inner, between, pool.blocked_count

    assert start().ask(nest) == (1, 1, 0)


def test_an_exception_within_managed_blocking_ends_it(start, pool) -> None:
    def fail(actor):
        with managed_blocking():
            raise LookupError

    with pytest.raises(LookupError):
        start().ask(fail)
    assert pool.blocked_count == 0


def test_handlers_that_block_without_notice_are_got_round(start, pool) -> None:
    release = threading.Event()
    refs = [start() for _ in range(40)]
    for ref in refs:
        ref.tell(lambda actor: release.wait(WAIT))
    before = time.monotonic()
    answer = start().ask("served", timeout=WAIT)
    waited = time.monotonic() - before
    grown = pool.thread_count
    release.set()

    assert answer == "served"
    assert waited < WAIT / 2
    assert pool.core < grown <= pool.cap


def test_the_pool_shrinks_to_its_core_when_the_blocked_have_returned(small, start) -> None:
    pool, release = Dispatcher.get("small"), threading.Event()
    refs = [start(small) for _ in range(4)]
    futures = [ref.ask(lambda actor: release.wait(WAIT), block=False) for ref in refs]
    end = time.monotonic() + WAIT
    while pool.thread_count < 4 and time.monotonic() < end:
        refs[0].actor_stopped.wait(0.01)
    grown, workers = pool.thread_count, set(pool._workers)
    release.set()
    for future in futures:
        future.get(timeout=WAIT)
    ended = [worker for worker in workers if not in_core(pool, worker)]

    assert grown == 4
    assert pool.thread_count == pool.core
    assert len(ended) == 2
    assert pool.blocked_count == 0


def in_core(pool, worker: Worker) -> bool:
    """Wait until the pool has shrunk; then whether the worker is still there."""
    end = time.monotonic() + WAIT
    while pool.thread_count > pool.core and time.monotonic() < end:
        worker.thread.join(0.01)
    return worker in pool._workers


def test_handlers_that_compute_do_not_grow_the_pool(start, pool) -> None:
    stop = threading.Event()

    def burn(actor):
        while not stop.is_set():
            sum(range(1000))

    refs, idle = [start() for _ in range(4)], start()
    for ref in refs:
        ref.tell(burn)
    waiting = idle.ask("served", block=False)
    looks = 0
    while looks < 20 and not waiting.done():  # 20 looks of the watchdog's length
        refs[0].actor_stopped.wait(0.02)
        looks += 1
    grown = pool.thread_count
    stop.set()

    assert waiting.get(timeout=WAIT) == "served"
    assert grown == pool.core


def test_one_who_computes_and_one_who_blocks_leave_room_for_others(start) -> None:
    stop = threading.Event()

    def burn(actor):
        while not stop.is_set():
            sum(range(1000))

    one, two, three = start(), start(), start()
    one.tell(burn)
    two.tell(lambda actor: stop.wait(WAIT))
    answer = three.ask("served", timeout=WAIT)
    stop.set()

    assert answer == "served"


def test_supervisors_dispatcher_answers_while_the_actors_pool_is_at_its_cap(start) -> None:
    class Super(PooledActor):
        dispatcher = "supervisors"

        def on_receive(self, message):
            return threading.current_thread().name

    release = threading.Event()
    for ref in [start() for _ in range(70)]:
        ref.tell(lambda actor: release.wait(WAIT))
    name = start(Super).ask("who", timeout=WAIT)
    release.set()

    assert name.startswith("supervisors-supervisors-")


def test_a_hot_actor_does_not_hold_up_cold_ones(start) -> None:
    class Hot(PooledActor):
        def on_receive(self, message):
            self.actor_ref.tell(message)

    hot = [start(Hot) for _ in range(4)]
    for ref in hot:
        for _ in range(100):
            ref.tell("again")
    cold = [start() for _ in range(20)]

    assert [ref.ask(number, timeout=WAIT) for number, ref in enumerate(cold)] == list(range(20))


def test_a_slow_handler_gives_way_after_each_message(start) -> None:
    """A slice ends after 5 ms, so a cold actor waits for one message of the hot one and not for 32."""
    order, tick = [], threading.Event()
    hot = [start(), start()]
    for ref in hot:
        for number in range(40):
            ref.tell(lambda actor, number=number: order.append(number) or tick.wait(0.006))
    cold = start()
    cold.ask(lambda actor: order.append("cold"), timeout=WAIT)

    assert order.index("cold") < 40


@pytest.mark.slow
def test_handlers_of_one_actor_never_overlap() -> None:
    class Counted(PooledActor):
        def __init__(self) -> None:
            super().__init__()
            self.inside = self.overlaps = self.handled = 0

        def on_receive(self, message):
            self.inside += 1
            if self.inside != 1:
                self.overlaps += 1
            self.handled += 1
            if message % 97 == 0:
                sleep(0)
            self.inside -= 1
            if message == -1:
                return self.overlaps, self.handled
            return None

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        refs = [Counted.start() for _ in range(4)]
        start = threading.Barrier(8)

        def produce():
            start.wait(WAIT)
            for number in range(1, 1500):
                refs[number % 4].tell(number)

        threads = [threading.Thread(target=produce) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(WAIT)
        results = [ref.ask(-1, timeout=WAIT) for ref in refs]
        for ref in refs:
            ref.stop()
    finally:
        sys.setswitchinterval(before)

    assert [overlaps for overlaps, _ in results] == [0, 0, 0, 0]
    assert sum(handled for _, handled in results) == 8 * 1499 + 4


def test_threads_start_with_the_first_actor_and_end_after_the_last(start, pool) -> None:
    assert pool.thread_count == 0
    ref = start()
    ref.ask("hello")
    threads = [thread for thread in threading.enumerate() if thread.name.startswith("supervisors-actors-")]
    ref.stop()
    release_idle_threads()

    assert 1 <= len(threads) <= pool.core
    assert all(thread.daemon for thread in threads)
    assert not any(thread.is_alive() for thread in threads)
    assert pool.thread_count == 0


def test_idle_threads_end_by_themselves_when_no_actor_is_left(small, start) -> None:
    ref = start(small)
    ref.ask("hello")
    threads = [worker.thread for worker in Dispatcher.get("small")._workers]
    ref.stop()
    for thread in threads:
        thread.join(WAIT)

    assert not any(thread.is_alive() for thread in threads)


def test_release_leaves_the_threads_of_the_living_alone(start) -> None:
    ref = start()
    ref.ask("hello")
    release_idle_threads(timeout=0.2)

    assert ref.ask("still served", timeout=WAIT) == "still served"
    ref.stop()
    release_idle_threads()
    assert start().ask("served again", timeout=WAIT) == "served again"


def test_an_actor_that_waits_in_a_handler_is_still_itself_afterwards(start) -> None:
    from supervisors.runtime import current

    other = start()

    def ask_around(actor):
        mine = current()
        seen = other.ask(lambda actor: current())
        sleep(0.001)  # the library's own, which waits as itself
        return mine is current(), seen is not mine

    assert start().ask(ask_around, timeout=WAIT) == (True, True)


def test_a_worker_that_could_not_be_started_is_not_missed(start, pool, monkeypatch, logs) -> None:
    first = start()
    first.ask("one thread is there")
    entered, release = threading.Event(), threading.Event()
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", no_thread)
        first.tell(lambda actor: entered.set() or release.wait(WAIT))
        assert entered.wait(WAIT)
        waiting = [Echo.start() for _ in range(3)]
        release.set()
        answers = [ref.ask("served", timeout=WAIT) for ref in waiting]
    for ref in waiting:
        ref.stop()

    assert answers == ["served"] * 3


class Echo(PooledActor):
    def on_receive(self, message):
        return message


def no_thread(_thread):
    raise RuntimeError("can't start new thread")


def test_a_future_set_by_a_plain_thread_wakes_a_handler(start) -> None:
    future = PooledFuture()
    waiting = start().ask(lambda actor: future.get(timeout=WAIT), block=False)
    future.set("woken")

    assert waiting.get(timeout=WAIT) == "woken"
