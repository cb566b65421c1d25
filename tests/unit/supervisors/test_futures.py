"""What a future does within one thread; pykka's own cases first."""

from __future__ import annotations

import asyncio
import concurrent.futures
import queue
import sys

import pykka
import pytest
from structlog.testing import capture_logs

from supervisors.runtime import PooledFuture


@pytest.fixture
def future():
    return PooledFuture()


def failed(error: BaseException) -> PooledFuture:
    future = PooledFuture()
    future.set_exception((type(error), error, None))
    return future


# As pykka's


def test_a_value_can_be_got_many_times(future) -> None:
    future.set(1)

    assert [future.get(), future.get(timeout=0)] == [1, 1]


def test_an_exception_is_raised_with_its_traceback(future) -> None:
    def culprit() -> None:
        raise NameError("foo")

    try:
        culprit()
    except NameError:
        future.set_exception()
    with pytest.raises(NameError, match="foo") as caught:
        future.get()

    assert "culprit" in [entry.name for entry in caught.traceback]


def test_an_exception_class_without_a_value_is_raised_as_its_instance(future) -> None:
    future.set_exception((KeyError, None, None))

    with pytest.raises(KeyError):
        future.get()


def test_a_pending_future_times_out_with_pykkas_exception(future) -> None:
    with pytest.raises(pykka.Timeout, match="0 seconds"):
        future.get(timeout=0)


@pytest.mark.parametrize("again", [lambda f: f.set(2), lambda f: f.set_exception((KeyError, None, None))])
def test_a_second_outcome_is_refused(future, again) -> None:
    future.set(1)

    with pytest.raises(queue.Full):
        again(future)
    assert future.get() == 1


def test_a_future_with_a_hook_takes_no_outcome_and_one_with_an_outcome_no_hook(future) -> None:
    future.set_get_hook(lambda _timeout: 123)
    other = PooledFuture()
    other.set(1)

    with pytest.raises(queue.Full):
        future.set(1)
    with pytest.raises(queue.Full):
        future.set_exception((KeyError, None, None))
    with pytest.raises(queue.Full):
        other.set_get_hook(lambda _timeout: 123)
    assert future.get() == 123


def test_a_hook_runs_once_when_it_succeeds_and_again_when_it_fails(future) -> None:
    calls = []

    def hook(timeout):
        calls.append(timeout)
        if len(calls) == 1:
            raise pykka.Timeout("not yet")

    future.set_get_hook(hook)
    with pytest.raises(pykka.Timeout):
        future.get(timeout=0)

    assert (future.get(timeout=3), future.get()) == (None, None)
    assert len(calls) == 2
    assert calls[1] == pytest.approx(3, abs=0.5)


def test_map_filter_reduce_and_join_give_futures_of_derived_values(future) -> None:
    other = PooledFuture()
    mapped = future.map(len)
    filtered = future.filter(lambda value: value > 1)
    reduced = future.reduce(lambda a, b: a + b, 10)
    joined = future.join(other)
    future.set([1, 2, 3])
    other.set(4)

    assert mapped.get(timeout=0) == 3
    assert filtered.get(timeout=0) == [2, 3]
    assert reduced.get(timeout=0) == 16
    assert joined.get(timeout=0) == [[1, 2, 3], 4]


def test_a_derived_value_is_computed_once(future) -> None:
    calls = []
    mapped = future.map(calls.append)
    future.set(1)

    assert (mapped.get(), mapped.get(), calls) == (None, None, [1])


@pytest.mark.parametrize("derive", [lambda f: f.filter(bool), lambda f: f.reduce(max), lambda f: f.map(len)])
def test_a_value_of_the_wrong_type_is_a_type_error_of_the_derived_future(future, derive) -> None:
    derived = derive(future)
    future.set(1)

    with pytest.raises(TypeError):
        derived.get(timeout=0)


def test_derived_futures_time_out_when_a_parent_is_pending(future) -> None:
    for derived in (
        future.map(str),
        future.filter(bool),
        future.reduce(max),
        future.join(failed(KeyError())),
    ):
        with pytest.raises(pykka.Timeout):
            derived.get(timeout=0)


def test_the_exception_of_a_parent_is_the_exception_of_what_is_derived() -> None:
    with pytest.raises(KeyError):
        failed(KeyError("x")).map(str).map(len).get()


def test_derived_futures_join_with_pykkas_own(future) -> None:
    foreign = pykka.ThreadingFuture()
    joined = future.join(foreign)
    future.set(1)
    foreign.set(2)

    assert joined.get(timeout=0) == [1, 2]


def test_get_all_takes_them(future) -> None:
    future.set(1)

    assert pykka.get_all([future, future]) == [1, 1]


# Beyond pykka's


def test_done_says_whether_get_would_wait(future) -> None:
    mapped = future.map(str)
    before = (future.done(), mapped.done())
    future.set(1)

    assert (before, future.done(), mapped.done()) == ((False, False), True, True)


def test_callbacks_run_in_order_with_the_future_also_after_the_fact(future) -> None:
    seen = []
    future.add_done_callback(lambda f: seen.append(("first", f.get())))
    future.add_done_callback(lambda f: seen.append(("second", f.get())))
    future.set(1)
    future.add_done_callback(lambda f: seen.append(("late", f.get())))

    assert seen == [("first", 1), ("second", 1), ("late", 1)]


@pytest.mark.parametrize("error", [ValueError("bad"), SystemExit(3), KeyboardInterrupt()])
def test_a_raising_callback_is_logged_once_and_stops_neither_setter_nor_others(future, error) -> None:
    seen = []

    def bad(_future):
        raise error

    future.add_done_callback(bad)
    future.add_done_callback(seen.append)
    with capture_logs() as logs:
        future.set(1)

    assert seen == [future]
    assert [entry["event"] for entry in logs] == ["future_callback_failed"]


def test_callbacks_of_derived_futures_run_when_the_last_parent_is_done(future) -> None:
    seen = []
    other = PooledFuture()
    future.join(other).add_done_callback(lambda f: seen.append(f.get()))
    future.map(lambda x: 1 / x).add_done_callback(lambda f: seen.append(f.done()))
    future.set(0)
    before = list(seen)
    other.set(2)

    assert (before, seen) == ([True], [True, [0, 2]])


def test_a_cancelled_future_drops_the_late_outcome(future) -> None:
    assert future.cancel()
    future.set(1)
    future.set_exception((KeyError, None, None))

    assert future.cancelled()
    with pytest.raises(concurrent.futures.CancelledError):
        future.get()


def test_a_future_with_an_outcome_cannot_be_cancelled(future) -> None:
    future.set(1)

    assert not future.cancel()
    assert not future.cancelled()
    assert future.get() == 1
    with pytest.raises(queue.Full):
        future.set(2)


def test_cancel_calls_back(future) -> None:
    seen = []
    future.add_done_callback(lambda f: seen.append(f.cancelled()))
    future.cancel()

    assert seen == [True]


def test_await_returns_the_value_or_raises(future) -> None:
    async def main():
        return await future, await future.map(str)

    future.set(1)

    assert asyncio.run(main()) == (1, "1")
    with pytest.raises(KeyError):
        asyncio.run(awaiting(failed(KeyError())))


async def awaiting(future):
    return await future


def test_await_lets_the_loop_go_on_until_the_value_comes(future) -> None:
    async def main():
        waiting = asyncio.create_task(awaiting(future.map(lambda x: x + 1)))
        for _ in range(5):
            await asyncio.sleep(0)
        assert not waiting.done()
        future.set(1)
        return await waiting

    assert asyncio.run(main()) == 2


def test_a_cancelled_task_leaves_nothing_in_the_future(future) -> None:
    async def main():
        task = asyncio.create_task(awaiting(future))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())

    assert future._waiting == []
    future.set(1)


def test_an_outcome_after_the_awaiting_loop_was_closed_goes_nowhere(future) -> None:
    loop = asyncio.new_event_loop()
    task = loop.create_task(awaiting(future))
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()

    future.set(1)
    assert not task.done()
    task._log_destroy_pending = False


def test_a_future_is_small() -> None:
    future = PooledFuture()

    assert sys.getsizeof(future) + sys.getsizeof(future._once) + sys.getsizeof(future._waiting) < 300
