import functools
import gc
import itertools
import os
import queue
import threading
import weakref

import pytest

from supervisors import (
    BRUTAL_KILL,
    MISSING,
    CallTimeout,
    Crash,
    Exit,
    ExitSignal,
    Failed,
    Killed,
    MaxChildren,
    NoProcError,
    Normal,
    NotFound,
    Ok,
    PooledActor,
    Shutdown,
    StartFailed,
    TaskExited,
    TaskSupervisor,
    TimedOut,
    callers,
    current,
    monitor,
    poll_all,
    result_all,
    sleep,
    start_actor,
    stop_requested,
    zombies,
)
from supervisors.events import ChildAbandoned, ChildExited, ChildStarted, ZombieExited
from supervisors.testing import settle

PATIENCE = 10.0


@pytest.fixture
def begin():
    """Start task supervisors that are stopped with the test."""
    made = []

    def start(**flags):
        ref = TaskSupervisor.start(**flags)
        made.append(ref)
        return ref

    yield start
    for ref in made:
        ref.stop(timeout=1)


@pytest.fixture
def tasks(begin):
    return begin()


class Held:
    """A function that blocks until the test lets go, and does not notice a request to stop."""

    def __init__(self):
        self.entered, self.release = threading.Event(), threading.Event()

    def __call__(self, value=None):
        self.entered.set()
        assert self.release.wait(PATIENCE * 3)
        return value


@pytest.fixture
def held():
    """Functions that block until the test ends, or lets go."""
    made = []

    def make():
        made.append(Held())
        return made[-1]

    yield make
    for one in made:
        one.release.set()


def until_asked(value=None):
    """Work until somebody wants a stop."""
    sleep(PATIENCE * 3)
    return value


def fail(*_args):
    raise ValueError("boom")


def leave(reason):
    raise Exit(reason)


def task_threads():
    return [thread for thread in threading.enumerate() if thread.name.startswith("TaskActor")]


def end_of_threads():
    for thread in task_threads():
        thread.join(PATIENCE)
    assert task_threads() == []


class Owner(PooledActor):
    """Runs what it is sent; keeps exit signals."""

    def __init__(self):
        super().__init__()
        self.signals = queue.SimpleQueue()

    def on_receive(self, message):
        if isinstance(message, ExitSignal):
            self.signals.put(message)
            return None
        return message(self)


class Trapping(Owner):
    trap_exit = True


@pytest.fixture
def owner():
    made = []

    def make(kind=Owner):
        made.append(start_actor(kind))
        return made[-1]

    yield make
    for ref in made:
        ref.stop()


# Submit


def test_S_190_a_task_supervisor_is_a_child_like_others_and_begins_empty(start) -> None:
    sup = start([TaskSupervisor.child_spec(name="tasks")])
    tasks = TaskSupervisor.ref("tasks")
    assert tasks.children() == []
    assert tasks.count_children().specs == tasks.count_children().active == 0
    assert sup.which_child("tasks").type == "supervisor"
    assert tasks.submit(str, 1).result() == "1"


def test_S_191_a_task_is_listed_while_it_runs_and_gone_with_its_result(tasks, held) -> None:
    work = held()
    task = tasks.submit(work, "value")
    watch = monitor(task.ref)
    assert work.entered.wait(PATIENCE)
    assert tasks.children() == [task.ref]
    work.release.set()
    assert task.result(PATIENCE) == "value"
    assert tasks.children() == []
    assert tasks.count_children().specs == 0
    assert watch.wait(PATIENCE).reason == Normal()


def test_S_192_arguments_go_to_the_function_by_position_and_by_name(tasks) -> None:
    def work(*args, **kwargs):
        return args, kwargs

    assert tasks.submit(work, 1, 2, three=3).result() == ((1, 2), {"three": 3})
    named_like_ours = functools.partial(work, link=True, shutdown=0)
    assert tasks.submit(named_like_ours, 1).result() == ((1,), {"link": True, "shutdown": 0})


def test_S_193_a_crash_of_an_unlinked_task_reaches_its_owner_as_an_exception_only(tasks) -> None:
    task = tasks.submit(fail)
    with pytest.raises(TaskExited) as caught:
        task.result(PATIENCE)
    assert isinstance(caught.value.reason, Crash)
    assert isinstance(caught.value.__cause__, ValueError)
    assert tasks.submit(str, 1).result() == "1"


def test_S_193_a_linked_owner_that_traps_exits_is_told_of_the_crash(tasks, owner) -> None:
    ref = owner(Trapping)
    signals = queue.SimpleQueue()

    def submit(me):
        me.signals = signals
        return tasks.submit(fail, link=True)

    task = ref.ask(submit)
    signal = signals.get(timeout=PATIENCE)
    assert signal.source is task.ref
    assert isinstance(signal.reason, Crash)
    assert ref.ask(lambda _me: "alive") == "alive"


def test_S_193_a_linked_owner_that_does_not_trap_ends_with_the_task(tasks, owner) -> None:
    ref = owner()
    watch = monitor(ref)
    ref.tell(lambda _me: tasks.submit(fail, link=True))
    assert isinstance(watch.wait(PATIENCE).reason, Crash)


def test_an_owner_that_is_linked_outlives_the_normal_end_of_its_task(tasks, owner) -> None:
    ref = owner()
    assert ref.ask(lambda _me: tasks.submit(str, 1, link=True).result()) == "1"
    assert ref.ask(lambda _me: "alive") == "alive"


@pytest.mark.parametrize(("link", "reason"), [(True, Shutdown("bye")), (False, Normal())])
def test_the_end_of_the_owner_ends_a_linked_task_only(tasks, owner, held, link, reason) -> None:
    ref, work = owner(), held()

    def body():
        work.entered.set()
        while not stop_requested() and not work.release.is_set():
            work.release.wait(0.005)

    def submit(_me):
        return tasks.submit(body, link=link)

    task = ref.ask(submit)
    watch = monitor(task.ref)
    assert work.entered.wait(PATIENCE)
    ref.tell(lambda _me: leave(Shutdown("bye")))
    assert monitor(ref).wait(PATIENCE)
    if not link:
        assert task.ref.is_alive()
        work.release.set()
    assert watch.wait(PATIENCE).reason == (Normal() if link else reason)


@pytest.mark.parametrize("reason", [Normal(), Shutdown(), Shutdown("enough")])
def test_S_194_an_end_without_a_value_is_an_exception_that_says_why(tasks, reason) -> None:
    with pytest.raises(TaskExited) as caught:
        tasks.submit(leave, reason).result(PATIENCE)
    assert caught.value.reason == reason


def test_S_195_only_the_owner_may_use_a_task(tasks, owner) -> None:
    task = tasks.submit(until_asked)
    uses = [
        task.result,
        task.poll,
        task.shutdown,
        task.ignore,
        lambda: result_all([task]),
        lambda: poll_all([task]),
    ]
    refused = queue.SimpleQueue()

    def use_all():
        for use in uses:
            try:
                use()
            except ValueError as error:
                refused.put(error)

    stranger = threading.Thread(target=use_all)
    stranger.start()
    stranger.join(PATIENCE)
    assert refused.qsize() == len(uses)
    with pytest.raises(ValueError, match="owner"):
        owner().ask(lambda _me: task.poll())
    assert task.poll() is None
    assert task.shutdown() is None


def test_a_task_belongs_to_its_actor_whatever_thread_runs_that(tasks, owner) -> None:
    ref = owner()
    task = ref.ask(lambda _me: tasks.submit(str, 1))
    assert ref.ask(lambda _me: task.result()) == "1"


def test_S_196_poll_says_none_until_there_is_a_result(tasks, held) -> None:
    work = held()
    task = tasks.submit(work, 7)
    assert task.poll() is None
    assert task.poll(0.001) is None
    work.release.set()
    assert task.poll(PATIENCE) == Ok(7)
    with pytest.raises(ValueError, match="awaited"):
        task.poll()


def test_S_197_shutdown_stops_a_task_or_takes_the_result_that_is_there(tasks) -> None:
    running = tasks.submit(until_asked)
    assert running.shutdown() is None
    assert not running.ref.is_alive()
    finished = tasks.submit(str, 1)
    monitor(finished.ref).wait(PATIENCE)
    assert finished.shutdown() == Ok("1")
    crashed = tasks.submit(fail)
    monitor(crashed.ref).wait(PATIENCE)
    result = crashed.shutdown()
    assert isinstance(result, Failed)
    assert isinstance(result.reason, Crash)
    for task in (running, finished, crashed):
        with pytest.raises(ValueError, match="shut down"):
            task.result()


def test_a_value_that_comes_while_the_task_is_asked_to_stop_is_not_lost(tasks) -> None:
    def body():
        try:
            sleep(PATIENCE * 3)
        except Exit:
            return "partial"

    assert tasks.submit(body).shutdown() == Ok("partial")


@pytest.mark.parametrize("timeout", [BRUTAL_KILL, 0])
def test_S_198_a_task_that_does_not_end_is_abandoned_and_counted_until_it_does(
    tasks, held, events, timeout
) -> None:
    work = held()
    task = tasks.submit(work)
    assert work.entered.wait(PATIENCE)
    result = task.shutdown(timeout)
    assert result == (None if timeout is BRUTAL_KILL else Failed(Killed(abandoned=True)))
    assert tasks.children() == []
    assert tasks.count_children().zombies == 1
    events.wait(ChildAbandoned)
    work.release.set()
    events.wait(ZombieExited)
    assert tasks.count_children().zombies == 0


def test_S_198a_ignore_lets_a_task_go_on_for_nobody(tasks, held) -> None:
    work = held()
    running = tasks.submit(work)
    watch = monitor(running.ref)
    assert running.ignore() is None
    with pytest.raises(ValueError, match="ignored"):
        running.result()
    assert running.ref.is_alive()
    work.release.set()
    assert watch.wait(PATIENCE).reason == Normal()
    finished, crashed = tasks.submit(str, 1), tasks.submit(fail)
    assert finished.poll(PATIENCE) == Ok("1")
    monitor(crashed.ref).wait(PATIENCE)
    settle(tasks)
    assert isinstance(crashed.ignore(), Failed)


def test_ignore_of_a_task_that_has_finished_takes_its_value(tasks) -> None:
    task = tasks.submit(str, 1)
    monitor(task.ref).wait(PATIENCE)
    settle(tasks)
    assert task.ignore() == Ok("1")


def test_a_task_that_takes_too_long_goes_on_unless_it_is_linked(tasks, owner, held) -> None:
    work = held()
    task = tasks.submit(work)
    with pytest.raises(CallTimeout):
        task.result(0)
    assert task.ref.is_alive()
    with pytest.raises(ValueError, match="awaited"):
        task.result()

    def wait_in_vain(_me):
        linked = tasks.submit(until_asked, link=True)
        watch = monitor(linked.ref, notify=queue.SimpleQueue())
        with pytest.raises(CallTimeout):
            linked.result(0)
        return watch

    ref = owner()
    assert ref.ask(wait_in_vain).wait(PATIENCE).reason == Shutdown()
    assert ref.ask(lambda _me: "alive") == "alive"


def test_S_199_result_all_keeps_order_and_raises_for_the_first_crash_at_once(tasks, held) -> None:
    slow = held()
    some = [tasks.submit(slow, "a"), tasks.submit(str, "b"), tasks.submit(str, "c")]
    monitor(some[2].ref).wait(PATIENCE)
    slow.release.set()
    assert result_all(some, PATIENCE) == ["a", "b", "c"]
    assert result_all([]) == []
    stuck = held()
    waiting, crashing = tasks.submit(stuck, "late"), tasks.submit(fail)
    with pytest.raises(TaskExited):
        result_all([waiting, crashing], None)
    stuck.release.set()
    assert waiting.result(PATIENCE) == "late"


def test_result_all_gives_up_what_is_late(tasks, held) -> None:
    work = held()
    late, early = tasks.submit(work), tasks.submit(str, 1)
    with pytest.raises(CallTimeout, match="2|1 of 2"):
        result_all([late, early], 0)
    with pytest.raises(ValueError, match="awaited"):
        late.poll()


def test_S_200_poll_all_returns_when_the_limit_is_reached(tasks, held) -> None:
    slow = [held(), held()]
    some = [tasks.submit(slow[0]), tasks.submit(str, 1), tasks.submit(slow[1]), tasks.submit(str, 3)]
    assert poll_all(some, PATIENCE, limit=2) == [None, Ok("1"), None, Ok("3")]
    assert poll_all([some[0], some[2]], 0) == [None, None]
    for work in slow:
        work.release.set()
    assert poll_all([some[0], some[2]], PATIENCE) == [Ok(None), Ok(None)]
    assert poll_all([]) == []


def test_poll_all_can_ignore_or_stop_what_is_late(tasks, held) -> None:
    work = held()
    ignored, stopped = tasks.submit(work), tasks.submit(until_asked)
    assert poll_all([ignored], 0, on_timeout="ignore") == [None]
    assert ignored.ref.is_alive()
    assert poll_all([stopped], 0, on_timeout="stop_task") == [None]
    assert not stopped.ref.is_alive()
    for task in (ignored, stopped):
        with pytest.raises(ValueError, match="awaited"):
            task.poll()


def test_S_201_start_child_runs_for_nobody(tasks) -> None:
    done = queue.SimpleQueue()
    ref = tasks.start_child(done.put, "ran")
    assert done.get(timeout=PATIENCE) == "ran"
    monitor(ref).wait(PATIENCE)
    settle(tasks)
    assert tasks.count_children().specs == 0


@pytest.mark.parametrize("restart", ["permanent", "transient"])
def test_S_201_a_task_may_be_run_again(begin, restart, events) -> None:
    tasks = begin(max_restarts=2)
    runs = itertools.count()
    again = threading.Event()

    def body():
        if next(runs) == 0:
            leave(Normal()) if restart == "permanent" else fail()
        again.set()
        sleep(PATIENCE * 3)

    tasks.start_child(body, restart=restart)
    assert again.wait(PATIENCE)
    events.wait(ChildStarted, generation=1)
    assert len(tasks.children()) == 1


def test_S_201_brutal_kill_is_honoured_when_the_supervisor_stops(begin, held, events) -> None:
    tasks, work = begin(), held()
    tasks.start_child(work, shutdown=BRUTAL_KILL)
    assert work.entered.wait(PATIENCE)
    tasks.stop()
    assert events.wait(ChildExited).reason == Killed(abandoned=True)


def test_S_202_a_full_supervisor_refuses_and_names_the_option(begin, held) -> None:
    tasks, work = begin(max_children=1), held()
    task = tasks.submit(work, 1)
    with pytest.raises(MaxChildren, match="max_children=1"):
        tasks.submit(str, 2)
    work.release.set()
    assert task.result(PATIENCE) == 1
    assert tasks.submit(str, 2).result() == "2"  # a result means that the place is free


def test_S_203_terminate_child_ends_a_task_once(tasks) -> None:
    task = tasks.submit(until_asked)
    assert tasks.terminate_child(task.ref) == Shutdown()
    assert not task.ref.is_alive()
    with pytest.raises(NotFound):
        tasks.terminate_child(task.ref)
    with pytest.raises(TaskExited) as caught:
        task.result()
    assert caught.value.reason == Shutdown()


def test_S_204_callers_lead_from_a_task_to_whoever_is_behind_it(tasks, owner) -> None:
    def inner():
        return callers(), current().ref

    def outer():
        below = tasks.submit(inner)
        return callers(), below.result(), current().ref, below.ref

    ref = owner()
    above, (below, inner_ref), outer_ref, task_ref = ref.ask(lambda _me: tasks.submit(outer).result())
    assert above == [ref]
    assert below == [outer_ref, ref]
    assert inner_ref == task_ref
    assert callers() == []
    assert tasks.submit(callers).result() == []  # a thread is no actor


def test_the_supervisor_is_the_parent_of_a_task_whoever_submits_it(tasks) -> None:
    assert tasks.submit(lambda: current().supervisor).result() is tasks


def test_a_task_runs_on_a_daemon_thread_that_is_named_after_it(begin) -> None:
    tasks = begin(name="fetchers")
    thread = tasks.submit(threading.current_thread).result()
    assert thread.daemon
    assert thread.name == "TaskActor fetchers/current_thread#0"


def test_many_tasks_may_wait_for_tasks_of_their_own(tasks) -> None:
    def tree(depth):
        if depth == 0:
            return 1
        return sum(result_all([tasks.submit(tree, depth - 1) for _ in range(2)], PATIENCE * 2))

    assert tree(6) == 64


def test_the_supervisor_lets_go_of_arguments_when_the_task_has_ended(tasks) -> None:
    class Prompt:
        pass

    prompt = Prompt()
    gone = weakref.ref(prompt)
    task = tasks.submit(id, prompt)
    assert task.result() == id(prompt)
    end_of_threads()
    del prompt
    gc.collect()
    assert gone() is None


def test_results_of_tasks_outlive_their_supervisor(begin) -> None:
    tasks = begin()
    task, stopped = tasks.submit(str, 1), tasks.submit(until_asked)
    monitor(task.ref).wait(PATIENCE)
    tasks.stop()
    assert task.result(PATIENCE) == "1"
    with pytest.raises(TaskExited) as caught:
        stopped.result(PATIENCE)
    assert caught.value.reason == Shutdown()
    with pytest.raises(NoProcError):
        tasks.submit(str, 1)


def test_a_task_of_a_supervisor_that_was_itself_abandoned_still_tells_its_end(start, held) -> None:
    from supervisors.reasons import Killed as Kill
    from supervisors.runtime import abandon, incarnation_of

    tasks = TaskSupervisor.start()
    task = tasks.submit(until_asked)
    abandon(incarnation_of(tasks), Kill(abandoned=True))
    with pytest.raises(TaskExited):
        task.result(PATIENCE)


def test_a_task_is_not_started_for_an_owner_that_was_given_up(tasks, owner) -> None:
    from supervisors.errors import Fenced
    from supervisors.runtime import abandon, incarnation_of

    ref = owner()
    entered, go, told = threading.Event(), threading.Event(), queue.SimpleQueue()

    def submit_late(_me):
        entered.set()
        go.wait(PATIENCE)
        try:
            tasks.submit(str, 1)
        except Fenced as error:
            told.put(error)

    ref.tell(submit_late)
    assert entered.wait(PATIENCE)
    abandon(incarnation_of(ref))
    go.set()
    assert isinstance(told.get(timeout=PATIENCE), Fenced)
    for zombie in zombies():
        assert zombie.thread_name


def test_what_cannot_be_a_task_is_refused_at_the_call(tasks) -> None:
    async def coroutine():
        return 1

    for use in (tasks.submit, tasks.start_child):
        with pytest.raises(TypeError, match="function"):
            use(42)
        with pytest.raises(TypeError, match="asyncio.run"):
            use(coroutine)
        with pytest.raises(ValueError, match="shutdown"):
            use(str, shutdown=-1)
    with pytest.raises(ValueError, match="restart"):
        tasks.start_child(str, restart="sometimes")
    with pytest.raises(ValueError, match="only an actor"):
        tasks.submit(str, link=True)
    task = tasks.submit(until_asked)
    for timeout in (-1, float("nan"), True, "x"):
        for use in (task.result, task.poll, task.shutdown, lambda t: result_all([task], t)):
            with pytest.raises(ValueError, match="timeout"):
                use(timeout)
    with pytest.raises(ValueError, match="limit"):
        poll_all([task], limit=0)
    with pytest.raises(ValueError, match="on_timeout"):
        poll_all([task], on_timeout="x")
    assert task.shutdown() is None
    with pytest.raises(TypeError, match="strategy"):
        TaskSupervisor.start(strategy="one_for_one")


# Stream


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
    from supervisors.runtime import abandon, incarnation_of

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


# Flags


def test_S_127_a_task_supervisor_has_no_automatic_shutdown() -> None:
    for value in ("any_significant", "all_significant"):
        with pytest.raises(ValueError, match="auto_shutdown"):
            TaskSupervisor.start(auto_shutdown=value)


def test_the_default_concurrency_is_the_number_of_cpus(begin) -> None:
    tasks = begin(max_children=os.cpu_count())
    assert len(list(tasks.stream(str, range(os.cpu_count() * 2)))) == os.cpu_count() * 2
