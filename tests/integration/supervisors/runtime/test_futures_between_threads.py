from __future__ import annotations

import asyncio
import queue
import threading
import time

import pykka
import pytest

from supervisors.runtime import PooledFuture

WAIT = 5.0


@pytest.fixture
def future():
    return PooledFuture()


def in_thread(function):
    thread = threading.Thread(target=function)
    thread.start()
    return thread


def test_get_waits_for_another_thread(future) -> None:
    thread = in_thread(lambda: future.set(1))

    assert future.get(timeout=WAIT) == 1
    thread.join(WAIT)


def test_many_getters_all_wake(future) -> None:
    results, ready = [], threading.Barrier(5)

    def get():
        ready.wait(WAIT)
        results.append(future.get(timeout=WAIT))

    threads = [in_thread(get) for _ in range(4)]
    ready.wait(WAIT)
    future.set(1)
    for thread in threads:
        thread.join(WAIT)

    assert results == [1] * 4


def test_exactly_one_of_many_setters_wins() -> None:
    for _ in range(50):
        future, start, lost = PooledFuture(), threading.Barrier(4), []

        def settle(number, future=future, start=start, lost=lost):
            start.wait(WAIT)
            try:
                future.set(number)
            except queue.Full:
                lost.append(number)

        threads = [in_thread(lambda number=number: settle(number)) for number in range(4)]
        for thread in threads:
            thread.join(WAIT)
        assert sorted([*lost, future.get(timeout=0)]) == [0, 1, 2, 3]


def test_every_callback_runs_once_however_it_races_with_the_setter() -> None:
    for _ in range(50):
        future, start, calls = PooledFuture(), threading.Barrier(3), []

        def add(future=future, start=start, calls=calls):
            start.wait(WAIT)
            for number in range(20):
                future.add_done_callback(lambda _, number=number: calls.append(number))

        threads = [in_thread(add), in_thread(add)]
        start.wait(WAIT)
        future.set(None)
        for thread in threads:
            thread.join(WAIT)
        assert sorted(calls) == sorted(list(range(20)) * 2)


def test_a_getter_is_not_held_up_by_a_slow_callback(future) -> None:
    gate, got = threading.Event(), threading.Event()
    future.add_done_callback(lambda _: gate.wait(WAIT))
    ready = threading.Event()

    def get():
        ready.set()
        future.get(timeout=WAIT)
        got.set()

    getter = in_thread(get)
    ready.wait(WAIT)
    setter = in_thread(lambda: future.set(1))

    assert got.wait(WAIT)
    gate.set()
    setter.join(WAIT)
    getter.join(WAIT)


def test_one_deadline_holds_for_all_parents_of_a_join(future) -> None:
    joined = future.join(*(PooledFuture() for _ in range(5)))
    before = time.monotonic()
    with pytest.raises(pykka.Timeout):
        joined.get(timeout=0.05)

    assert time.monotonic() - before < 1


def test_a_timeout_is_kept_while_another_thread_waits_in_the_same_hook(future) -> None:
    entered, gate = threading.Event(), threading.Event()

    def hook(_timeout):
        entered.set()
        gate.wait(WAIT)
        return "through"

    future.set_get_hook(hook)
    thread = in_thread(future.get)
    assert entered.wait(WAIT)
    before = time.monotonic()
    with pytest.raises(pykka.Timeout):
        future.get(timeout=0.05)

    assert time.monotonic() - before < 1
    gate.set()
    assert future.get(timeout=WAIT) == "through"
    thread.join(WAIT)


def test_a_derived_value_is_computed_once_for_many_getters(future) -> None:
    calls, start = [], threading.Barrier(4)

    def compute(value):
        calls.append(value)
        return value

    mapped = future.map(compute)

    def get():
        start.wait(WAIT)
        assert mapped.get(timeout=WAIT) == 1

    threads = [in_thread(get) for _ in range(3)]
    start.wait(WAIT)
    future.set(1)
    for thread in threads:
        thread.join(WAIT)

    assert calls == [1]


def test_await_does_not_block_the_loop_while_an_actor_works(start, gate) -> None:
    ref = start()

    async def awaiting(future):
        return await future

    async def main():
        task = asyncio.ensure_future(awaiting(ref.ask(lambda actor: gate.wait(WAIT) and "done", block=False)))
        for _ in range(10):
            await asyncio.sleep(0)
        was_done = task.done()
        gate.set()
        return was_done, await task

    assert asyncio.run(main()) == (False, "done")


def test_a_stop_can_be_awaited_and_called_back(start) -> None:
    refs = [start(), start()]
    called = PooledFuture()

    async def main():
        return await refs[0].stop(block=False)

    refs[1].stop(block=False).add_done_callback(lambda future: called.set(future.get()))

    assert asyncio.run(main()) is True
    assert called.get(timeout=WAIT) is True


def test_the_answer_to_a_cancelled_ask_is_dropped(start, gate) -> None:
    ref = start()
    future = ref.ask(lambda actor: gate.wait(WAIT), block=False)
    assert future.cancel()
    gate.set()

    assert ref.ask("lives", timeout=WAIT) == "lives"
