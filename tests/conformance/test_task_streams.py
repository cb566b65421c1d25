import gc
import itertools
import os
import queue
import threading

import pytest

from supervisors import (
    BRUTAL_KILL,
    MISSING,
    CallTimeout,
    Crash,
    Failed,
    Killed,
    MaxChildren,
    NoProcError,
    Normal,
    Ok,
    Shutdown,
    StartFailed,
    TaskExited,
    TimedOut,
    callers,
    current,
    monitor,
)
from supervisors.events import ZombieExited
from supervisors.runtime import abandon, incarnation_of
from supervisors.testing import settle
from tests.conformance.task_support import (
    PATIENCE,
    Trapping,
    end_of_threads,
    fail,
    held_functions,
    leave,
    owners,
    task_supervisors,
    until_asked,
)

begin = pytest.fixture(task_supervisors)
held = pytest.fixture(held_functions)
owner = pytest.fixture(owners)


@pytest.fixture
def tasks(begin):
    return begin()


def test_S_205_a_stream_gives_all_results_in_order_and_leaves_nothing(tasks) -> None:
    assert list(tasks.stream(lambda n: n * n, range(1, 5))) == [Ok(1), Ok(4), Ok(9), Ok(16)]
    assert tasks.children() == []
    assert list(tasks.stream(str, [])) == []
    end_of_threads()


def test_S_205_the_slowest_first_still_comes_first(tasks) -> None:
    last = threading.Event()

    def work(n):
        if n == 1:
            assert last.wait(PATIENCE)
        if n == 4:
            last.set()
        return n

    assert list(tasks.stream(work, range(1, 5), max_concurrency=4)) == [Ok(1), Ok(2), Ok(3), Ok(4)]


def test_S_206_an_unordered_stream_gives_results_as_they_come(tasks) -> None:
    gate = threading.Event()

    def work(n):
        if n == 1:
            assert gate.wait(PATIENCE)
        return n

    stream = tasks.stream(work, [1, 2], max_concurrency=2, ordered=False)
    assert next(stream) == Ok(2)
    gate.set()
    assert list(stream) == [Ok(1)]
    assert list(tasks.stream(str, range(4), ordered=False, max_concurrency=1)) == [
        Ok("0"), Ok("1"), Ok("2"), Ok("3")
    ]  # fmt: skip


def test_S_207_tasks_that_exit_are_failed_elements_for_a_consumer_that_lives_on(tasks) -> None:
    reasons = [Shutdown("a"), Normal(), Shutdown(), Shutdown("d")]
    assert list(tasks.stream(leave, reasons)) == [Failed(reason) for reason in reasons]
    crashed = list(tasks.stream(fail, [1, 2], zip_input=True))
    assert [type(result.reason) for result in crashed] == [Crash, Crash]
    assert [result.input for result in crashed] == [1, 2]
    assert next(tasks.stream(fail, [1])).input is MISSING


@pytest.mark.parametrize("kind", ["cooperative", "blocked"])
def test_S_208_closing_a_stream_stops_what_still_runs(tasks, held, events, kind) -> None:
    work = held()
    started = threading.Barrier(4, timeout=PATIENCE)

    def body(n):
        started.wait()
        if n == 0:
            return n
        return until_asked() if kind == "cooperative" else work()

    shutdown = PATIENCE if kind == "cooperative" else BRUTAL_KILL
    stream = tasks.stream(body, range(4), max_concurrency=4, shutdown=shutdown)
    assert next(stream) == Ok(0)
    stream.close()
    assert tasks.children() == []
    abandoned = tasks.count_children().zombies
    assert abandoned == (0 if kind == "cooperative" else 3)
    work.release.set()
    for _ in range(abandoned):
        events.wait(ZombieExited)
    end_of_threads()


def test_an_exception_in_the_consumer_or_in_the_input_stops_what_still_runs(tasks) -> None:
    def inputs():
        yield 1
        yield 2
        raise KeyError("input")

    with pytest.raises(KeyError, match="input"):
        list(tasks.stream(until_asked, inputs(), max_concurrency=3))
    assert tasks.children() == []

    def consume():
        for _ in tasks.stream(lambda n: n or until_asked(), [1, 0, 0], max_concurrency=3):
            raise LookupError("consumer")

    with pytest.raises(LookupError):
        consume()
    assert tasks.children() == []


def test_S_209_a_task_that_takes_too_long_may_fail_alone(begin, clock) -> None:
    tasks = begin(clock=clock)
    entered, quick = threading.Barrier(3, timeout=PATIENCE), queue.SimpleQueue()

    def work(n):
        if n in {1, 3}:
            entered.wait()
            until_asked()
        quick.put(current().ref)
        return n

    stream = tasks.stream(work, [1, 2, 3, 4], timeout=2, on_timeout="stop_task", max_concurrency=4)
    results = queue.SimpleQueue()
    consumer = threading.Thread(target=lambda: results.put(list(stream)))
    consumer.start()
    entered.wait()
    for _ in range(2):
        monitor(quick.get(timeout=PATIENCE)).wait(PATIENCE)
    settle(tasks)  # the quick ones have ended, else time would be over for them too
    clock.advance(2)
    assert results.get(timeout=PATIENCE) == [Failed(TimedOut()), Ok(2), Failed(TimedOut()), Ok(4)]
    consumer.join(PATIENCE)
    assert clock.pending() == []


def test_a_task_that_takes_too_long_ends_the_stream_unless_told_otherwise(tasks) -> None:
    with pytest.raises(CallTimeout):
        list(tasks.stream(until_asked, range(3), timeout=0, max_concurrency=3))
    assert tasks.children() == []


def test_a_task_that_takes_too_long_and_cannot_be_stopped_frees_its_slot(tasks, held, events) -> None:
    work = held()

    def body(n):
        return work() if n == 0 else n

    stream = tasks.stream(
        body,
        [0, 1],
        timeout=0.05,
        on_timeout="stop_task",
        max_concurrency=1,
        shutdown=BRUTAL_KILL,
        zip_input=True,
    )
    assert next(stream) == Failed(TimedOut(), input=0)
    assert tasks.count_children().zombies == 1
    work.release.set()
    events.wait(ZombieExited)
    assert [type(result) for result in stream] == [Ok]


@pytest.mark.parametrize(
    "option",
    [
        {"max_concurrency": 0},
        {"max_concurrency": 1.5},
        {"max_concurrency": True},
        {"on_timeout": "x"},
        {"timeout": -1},
        {"timeout": "x"},
        {"shutdown": "x"},
        {"shutdown": -1},
        {"ordered": 1},
        {"zip_input": None},
        {"link": "yes"},
    ],
)
def test_S_210_options_out_of_range_are_refused_at_the_call(tasks, option) -> None:
    (name,) = option
    with pytest.raises(ValueError, match=name):
        tasks.stream(str, [1], **option)


def test_what_cannot_be_streamed_is_refused_at_the_call(tasks) -> None:
    with pytest.raises(TypeError, match="function"):
        tasks.stream(1, [1])
    with pytest.raises(TypeError, match="iter"):
        tasks.stream(str, 1)


def test_S_211_a_stream_bounds_tasks_and_reads_ahead_no_more_than_one(tasks) -> None:
    lock = threading.Lock()
    running, most, taken, finished = 0, 0, 0, 0
    ahead = []

    def inputs():
        nonlocal taken
        for n in range(100):
            taken += 1
            with lock:
                ahead.append(taken - finished)
            yield n

    def work(n):
        nonlocal running, most, finished
        with lock:
            running += 1
            most = max(most, running)
        with lock:
            running -= 1
            finished += 1
        return n

    assert list(tasks.stream(work, inputs(), max_concurrency=2)) == [Ok(n) for n in range(100)]
    assert most <= 2
    assert max(ahead) <= 2 + 1


def test_a_stream_of_endless_input_may_be_cut(tasks) -> None:
    stream = tasks.stream(str, itertools.count(), max_concurrency=2)
    assert [result.value for result in itertools.islice(stream, 5)] == ["0", "1", "2", "3", "4"]
    stream.close()
    assert tasks.children() == []


def test_S_212_a_stream_may_be_consumed_by_another_thread_or_actor(tasks, owner) -> None:
    results = queue.SimpleQueue()
    stream = tasks.stream(str, range(3))
    consumer = threading.Thread(target=lambda: results.put(list(stream)))
    consumer.start()
    assert results.get(timeout=PATIENCE) == [Ok("0"), Ok("1"), Ok("2")]
    consumer.join(PATIENCE)
    ref = owner()
    inside = tasks.stream(lambda _n: callers(), range(2))
    assert ref.ask(lambda _me: list(inside)) == [Ok([ref]), Ok([ref])]


def test_S_213_a_stream_without_a_limit_waits(begin, clock, held) -> None:
    tasks, work = begin(clock=clock), held()
    stream = tasks.stream(work, [1], timeout=None)
    results = queue.SimpleQueue()
    consumer = threading.Thread(target=lambda: results.put(list(stream)))
    consumer.start()
    assert work.entered.wait(PATIENCE)
    clock.advance(1e6)
    work.release.set()
    assert results.get(timeout=PATIENCE) == [Ok(1)]
    consumer.join(PATIENCE)


def test_a_stream_may_use_every_place_of_its_supervisor_and_no_more(begin) -> None:
    tasks = begin(max_children=2)
    assert [result.value for result in tasks.stream(str, range(50), max_concurrency=2)] == [
        str(n) for n in range(50)
    ]
    with pytest.raises(MaxChildren):
        list(tasks.stream(until_asked, range(3), max_concurrency=3))
    assert tasks.children() == []


def test_a_linked_stream_ends_with_its_first_failure(tasks, owner) -> None:
    with pytest.raises(TaskExited):
        list(tasks.stream(lambda n: n or fail(), [1, 0, 1], link=True))
    assert tasks.children() == []
    trapping = owner(Trapping)
    results = trapping.ask(lambda _me: list(tasks.stream(lambda n: n or fail(), [1, 0], link=True)))
    assert [type(result) for result in results] == [Ok, Failed]


def test_the_end_of_the_consumer_ends_the_tasks_of_a_linked_stream(tasks, owner) -> None:
    ref, started = owner(), threading.Barrier(3, timeout=PATIENCE)

    def body(_n):
        started.wait()
        until_asked()

    ref.tell(lambda _me: list(tasks.stream(body, range(2), link=True, max_concurrency=2, timeout=None)))
    started.wait()
    settle(tasks)
    watches = [monitor(child) for child in tasks.children()]
    assert len(watches) == 2
    abandon(incarnation_of(ref))
    for watch in watches:
        assert isinstance(watch.wait(PATIENCE).reason, Killed)


def test_a_stream_of_a_supervisor_that_stops_gives_what_it_has_and_raises(begin) -> None:
    tasks = begin()
    results, started = queue.SimpleQueue(), threading.Barrier(3, timeout=PATIENCE)

    def body(n):
        if n < 2:
            started.wait()
        until_asked()

    stream = tasks.stream(body, range(3), max_concurrency=2, timeout=None)

    def consume():
        try:
            for result in stream:
                results.put(result)
        except (NoProcError, StartFailed) as error:  # by how far the stop has come when a third one is due
            results.put(error)

    consumer = threading.Thread(target=consume)
    consumer.start()
    started.wait()
    settle(tasks)
    tasks.stop()
    consumer.join(PATIENCE)
    seen = [results.get_nowait() for _ in range(results.qsize())]
    assert isinstance(seen[-1], (NoProcError, StartFailed))


def test_a_forgotten_stream_stops_its_tasks_without_anybody_waiting(tasks) -> None:
    started = threading.Barrier(3, timeout=PATIENCE)

    def body(n):
        started.wait()
        return n or until_asked()

    stream = tasks.stream(body, [1, 0], max_concurrency=2, timeout=None)
    consumer = threading.Thread(target=next, args=(stream,))
    consumer.start()
    started.wait()
    consumer.join(PATIENCE)
    del consumer
    watches = [monitor(ref) for ref in tasks.children()]
    del stream  # this thread is not the consumer
    gc.collect()
    for watch in watches:
        assert watch.wait(PATIENCE).reason in {Shutdown(), Normal()}


def test_the_default_concurrency_is_the_number_of_cpus(begin) -> None:
    tasks = begin(max_children=os.cpu_count())
    assert len(list(tasks.stream(str, range(os.cpu_count() * 2)))) == os.cpu_count() * 2
