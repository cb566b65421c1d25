import functools
import gc
import itertools
import queue
import threading
import weakref

import pytest

from supervisors import (
    BRUTAL_KILL,
    CallTimeout,
    Crash,
    Exit,
    Failed,
    Fenced,
    Killed,
    MaxChildren,
    NoProcError,
    Normal,
    NotFound,
    Ok,
    Shutdown,
    TaskExited,
    TaskSupervisor,
    callers,
    current,
    monitor,
    poll_all,
    result_all,
    sleep,
    stop_requested,
)
from supervisors.events import ChildAbandoned, ChildExited, ChildStarted, ZombieExited
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
    task, signals = ref.ask(lambda me: (tasks.submit(fail, link=True), me.signals))
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
    with pytest.raises(CallTimeout, match="of 2 tasks"):
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


def test_a_task_of_a_supervisor_that_was_itself_abandoned_still_tells_its_end(begin) -> None:
    tasks = begin()
    task = tasks.submit(until_asked)
    abandon(incarnation_of(tasks), Killed(abandoned=True))
    with pytest.raises(TaskExited):
        task.result(PATIENCE)


def test_a_task_is_not_started_for_an_owner_that_was_given_up(tasks, owner) -> None:
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
    with pytest.raises(ValueError, match="strategy"):
        TaskSupervisor.start(strategy="one_for_all")


def test_S_127_a_task_supervisor_has_no_automatic_shutdown() -> None:
    for value in ("any_significant", "all_significant"):
        with pytest.raises(ValueError, match="auto_shutdown"):
            TaskSupervisor.start(auto_shutdown=value)
