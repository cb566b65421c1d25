"""The pool of tool workers with real threads under a real supervisor."""

from __future__ import annotations

import asyncio
import contextvars
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from structlog.testing import capture_logs

from alloy_actors.actors.blocking import blocking_region
from alloy_actors.actors.tool_pool import ToolPool
from alloy_actors.content import ToolCall
from alloy_actors.deadline import NEVER
from alloy_actors.errors import ToolError
from alloy_actors.tool_runner import Cancelled, ToolOutcome, ToolRunner
from alloy_actors.tooldef import ToolContext, toolbox
from supervisors import Supervisor
from supervisors.runtime import zombies
from supervisors.testing import FakeClock, assert_no_leaks, settle

LONG = 10.0  # seconds; a limit for what hangs, never waited for


@contextmanager
def running(pool: ToolPool) -> Iterator[ToolPool]:
    """The pool under a root supervisor; afterwards nothing of it is left."""
    root = Supervisor.start([pool.child_spec()])
    try:
        yield pool
    finally:
        root.stop(timeout=LONG)
        assert_no_leaks()
        assert not [thread for thread in threading.enumerate() if thread.name.startswith("alloy-tool")]


class Observer:
    async def starting(self, calls: Any) -> None: ...
    async def ended(self, outcome: ToolOutcome) -> None: ...


def context(call: ToolCall, cancelled: Cancelled) -> ToolContext:
    return ToolContext(tool_call_id=call.id, cancelled=cancelled)


async def run(pool: ToolPool, names: list[str], *tools: Any, timeout: float = LONG) -> list[ToolOutcome]:
    calls = [ToolCall(str(index), name, {}) for index, name in enumerate(names)]
    runner = ToolRunner(pool)
    return await runner.run(
        calls, toolbox(tools), context, timeout=timeout, deadline=NEVER, observer=Observer()
    )


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what another thread is about to do."""
    async with asyncio.timeout(LONG):
        while not condition():
            await asyncio.sleep(0.001)  # it is the pool of threads that acts, and it tells nobody


def texts(outcomes: list[ToolOutcome]) -> list[str]:
    return [outcome.result.content for outcome in outcomes]


def test_the_calls_of_one_reply_run_in_parallel() -> None:
    barrier = threading.Barrier(8)

    def meets() -> str:
        barrier.wait(LONG)
        return threading.current_thread().name

    with running(ToolPool(workers=8)) as pool:
        names = texts(asyncio.run(run(pool, ["meets"] * 8, meets)))
        assert len(set(names)) == 8
        assert all(name.startswith("alloy-tool") for name in names)
        assert pool.statistics().started == 8


def test_results_keep_call_order_when_workers_finish_out_of_order() -> None:
    second_done = threading.Event()

    def first() -> str:
        assert second_done.wait(LONG)
        return "first"

    def second() -> str:
        second_done.set()
        return "second"

    with running(ToolPool()) as pool:
        assert texts(asyncio.run(run(pool, ["first", "second"], first, second))) == ["first", "second"]


def test_workers_are_started_on_demand_and_kept_warm() -> None:
    def work() -> None: ...

    async def main() -> None:
        for _ in range(20):
            await run(pool, ["work"], work)

    with running(ToolPool()) as pool:
        assert pool.statistics().started == 0
        asyncio.run(main())
        assert pool.statistics().started == 1


def test_no_more_than_the_limit_run_at_once_and_the_rest_waits_its_turn() -> None:
    """T35: a cap."""
    lock = threading.Lock()
    running_now = [0]
    most = [0]
    barrier = threading.Barrier(3)

    def work() -> None:
        with lock:
            running_now[0] += 1
            most[0] = max(most[0], running_now[0])
        barrier.wait(LONG)
        with lock:
            running_now[0] -= 1

    with running(ToolPool(workers=3)) as pool:
        outcomes = asyncio.run(run(pool, ["work"] * 30, work))
        assert not any(outcome.error for outcome in outcomes)
        assert most[0] == 3
        statistics = pool.statistics()
        assert (statistics.limit, statistics.started, statistics.queued, statistics.busy) == (3, 3, 0, 0)


def test_idle_workers_retire() -> None:
    clock = FakeClock()
    barrier = threading.Barrier(3)

    def meets() -> None:
        barrier.wait(LONG)

    async def main() -> None:
        await run(pool, ["meets"] * 3, meets)
        await until(lambda: pool.statistics().idle == 3)
        clock.advance(4.9)
        assert pool.statistics().idle == 3
        clock.advance(0.2)
        assert pool.statistics().idle == 0
        await until(lambda: not any(thread.name.startswith("alloy-tool") for thread in threading.enumerate()))
        await run(pool, ["meets"] * 3, meets)  # and new ones come
        assert pool.statistics().started == 6

    with running(ToolPool(idle_timeout=5.0, clock=clock)) as pool:
        asyncio.run(main())


def test_calls_made_before_the_supervisor_is_up_wait_for_it() -> None:
    pool = ToolPool()

    async def main() -> None:
        task = asyncio.create_task(run(pool, ["work"], lambda_tool))
        await until(lambda: pool.statistics().queued == 1)
        await asyncio.to_thread(started.set)
        assert texts(await task) == ["done"]

    def lambda_tool() -> str:
        return "done"

    lambda_tool.__name__ = "work"
    started = threading.Event()
    roots: list[Any] = []

    def start() -> None:
        started.wait(LONG)
        roots.append(Supervisor.start([pool.child_spec()]))

    thread = threading.Thread(target=start)
    thread.start()
    try:
        asyncio.run(main())
    finally:
        started.set()
        thread.join(LONG)
        roots[0].stop(timeout=LONG)
    assert_no_leaks()


def test_a_stuck_worker_is_replaced_at_once_and_subtracted_when_it_returns() -> None:
    release = threading.Event()
    told: list[bool] = []

    def stuck(ctx: ToolContext) -> None:
        release.wait(LONG)
        told.append(ctx.cancelled.is_set())

    def works() -> str:
        return "works"

    async def main() -> None:
        (outcome,) = await run(pool, ["stuck"], stuck, timeout=0.05)
        assert outcome.result.content.startswith("Tool stuck timed out after 0.05s.")
        await until(lambda: pool.statistics().stuck == 1)
        assert pool.statistics().busy == 0
        assert texts(await run(pool, ["works"], works)) == ["works"]  # the only slot is free
        with capture_logs():  # the supervisor reports the thread that would not end
            await until(lambda: any(zombie.stack for zombie in zombies()))
        assert "release.wait" in zombies()[0].stack
        release.set()
        await until(lambda: pool.statistics().stuck == 0 and not zombies())
        assert texts(await run(pool, ["works"], works)) == ["works"]

    with running(ToolPool(workers=1)) as pool:
        asyncio.run(main())
    assert told == [True]


def test_beyond_the_limit_of_stuck_calls_a_call_is_refused_at_once() -> None:
    release = threading.Event()

    def stuck() -> None:
        release.wait(LONG)

    async def works() -> str:
        return "works"

    async def main() -> None:
        await run(pool, ["stuck"] * 3, stuck, timeout=0.05)
        await until(lambda: pool.statistics().stuck == 3)
        outcomes = await run(pool, ["stuck", "works"], stuck, works)
        assert "3 earlier calls did not end in time" in outcomes[0].result.content
        assert "max_stuck_tools=2" in outcomes[0].result.content
        assert texts(outcomes)[1] == "works"  # async tools need no worker
        release.set()
        await until(lambda: pool.statistics().stuck == 0)
        assert texts(await run(pool, ["stuck"], stuck)) == [""]

    with capture_logs(), running(ToolPool(workers=4, max_stuck=2)) as pool:
        asyncio.run(main())


def test_a_cancelled_run_leaves_its_worker_and_the_queue_is_cleared_of_its_calls() -> None:
    begun, release = threading.Event(), threading.Event()
    ran: list[str] = []

    def slow() -> None:
        begun.set()
        release.wait(LONG)

    def later() -> None:
        ran.append("later")

    async def main() -> None:
        task = asyncio.create_task(run(pool, ["slow", "later"], slow, later))
        await until(begun.is_set)
        await until(lambda: pool.statistics().queued == 1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await until(lambda: pool.statistics().stuck == 1)
        assert pool.statistics().queued == 0
        release.set()
        await until(lambda: pool.statistics().stuck == 0)

    with capture_logs(), running(ToolPool(workers=1)) as pool:
        asyncio.run(main())
    assert ran == []


def test_a_tool_that_exits_or_raises_keeps_its_worker() -> None:
    def exits() -> None:
        sys.exit(1)

    def interrupts() -> None:
        raise KeyboardInterrupt

    def who() -> str:
        return threading.current_thread().name

    async def main() -> None:
        before = texts(await run(pool, ["who"], who))
        with capture_logs():
            for tool in (exits, interrupts):
                (outcome,) = await run(pool, [tool.__name__], tool)
                assert "crashed during execution" in outcome.result.content
        assert texts(await run(pool, ["who"], who)) == before
        assert pool.statistics().started == 1

    with running(ToolPool(workers=1)) as pool:
        asyncio.run(main())


def test_a_raw_function_may_raise_anything() -> None:
    def raises(error: BaseException) -> Callable[[], object]:
        def function() -> object:
            raise error

        return function

    async def main() -> None:
        with pytest.raises(ValueError, match="mine"):
            await pool.call(raises(ValueError("mine")), name="f")
        with pytest.raises(RuntimeError, match="StopIteration"):
            await pool.call(raises(StopIteration()), name="f")
        with pytest.raises(ToolError, match="SystemExit"):
            await pool.call(raises(SystemExit(1)), name="f")
        assert await pool.call(lambda: 3, name="f") == 3

    with running(ToolPool()) as pool:
        asyncio.run(main())


def test_context_variables_travel_to_the_worker() -> None:
    variable = contextvars.ContextVar("variable", default="")

    def reads() -> str:
        return variable.get()

    async def main() -> None:
        for value in ("one", "two"):
            variable.set(value)
            assert texts(await run(pool, ["reads"], reads)) == [value]

    with running(ToolPool(workers=1)) as pool:
        asyncio.run(main())


@pytest.mark.parametrize("workers", [1, 2, 32])
def test_nested_waits_never_starve(workers: int) -> None:
    depth = 40
    loops: list[asyncio.AbstractEventLoop] = []

    def nest(level: int) -> int:
        if level == depth:
            return level
        future = asyncio.run_coroutine_threadsafe(pool.call(lambda: nest(level + 1), name="nest"), loops[0])
        with blocking_region(), blocking_region():  # regions nest
            return future.result(LONG)  # type: ignore[return-value] # what nest returned

    async def main() -> None:
        loops.append(asyncio.get_running_loop())
        assert await pool.call(lambda: nest(0), name="nest") == depth
        await until(lambda: pool.statistics().busy == 0)
        assert pool.statistics().blocked == 0

    with running(ToolPool(workers=workers)) as pool:
        asyncio.run(main())


def test_workers_side_by_side_may_all_wait_for_others() -> None:
    loops: list[asyncio.AbstractEventLoop] = []
    everybody = threading.Barrier(40)

    def inner() -> str:
        return "inner"

    def outer() -> object:
        with blocking_region():
            everybody.wait(LONG)  # all 40 wait at the same time, on two slots
            return asyncio.run_coroutine_threadsafe(pool.call(inner, name="inner"), loops[0]).result(LONG)

    async def main() -> None:
        loops.append(asyncio.get_running_loop())
        results = await asyncio.gather(*(pool.call(outer, name="outer") for _ in range(40)))
        assert results == ["inner"] * 40
        await until(lambda: pool.statistics().busy == 0)
        # Those that came back one too many have left: the pool has its size again.
        assert pool.statistics().idle <= 2

    with running(ToolPool(workers=2)) as pool:
        asyncio.run(main())


def test_a_blocked_worker_that_is_abandoned_is_counted_once() -> None:
    release = threading.Event()

    def waits() -> None:
        with blocking_region():
            release.wait(LONG)

    async def main() -> None:
        with capture_logs():
            await run(pool, ["waits"], waits, timeout=0.05)
            await until(lambda: pool.statistics().stuck == 1)
            assert (pool.statistics().blocked, pool.statistics().busy) == (0, 0)
            release.set()
            await until(lambda: pool.statistics().stuck == 0)
        statistics = pool.statistics()
        assert (statistics.blocked, statistics.busy, statistics.idle) == (0, 0, 0)
        assert await pool.call(lambda: 1, name="f") == 1

    with running(ToolPool(workers=1)) as pool:
        asyncio.run(main())


def test_outside_of_a_worker_a_blocking_region_does_nothing() -> None:
    with blocking_region(), blocking_region():
        pass


def test_stopping_ends_the_workers_and_answers_who_waits() -> None:
    pool = ToolPool(workers=1)
    root = Supervisor.start([pool.child_spec()])
    begun, release = threading.Event(), threading.Event()

    def slow() -> None:
        begun.set()
        release.wait(LONG)

    async def main() -> None:
        busy = asyncio.create_task(pool.call(slow, name="slow"))
        await until(begun.is_set)
        waiting = asyncio.create_task(pool.call(slow, name="slow"))
        await until(lambda: pool.statistics().queued == 1)
        with capture_logs():
            await asyncio.to_thread(root.stop, timeout=0.2)
        with pytest.raises(ToolError, match="has been stopped"):
            await waiting
        with pytest.raises(ToolError, match="has been stopped"):
            await pool.call(slow, name="slow")
        assert len(zombies()) == 1  # its thread is named in the report
        release.set()
        await busy  # whoever still waits gets what the tool returned
        await until(lambda: not zombies())

    asyncio.run(main())
    assert_no_leaks()


def test_the_pool_goes_on_when_its_supervisor_is_restarted() -> None:
    pool = ToolPool(workers=2)
    root = Supervisor.start([pool.child_spec()])

    async def main() -> None:
        assert await pool.call(lambda: 1, name="f") == 1
        old = root.which_child("tools").ref
        assert old is not None
        with capture_logs():
            old.core.port.post(int, "no number")  # an error in the supervisor itself
            await until(lambda: not old.is_alive())
            settle(root)
        assert await pool.call(lambda: 2, name="f") == 2
        assert root.which_child("tools").ref is not old

    try:
        asyncio.run(main())
    finally:
        root.stop(timeout=LONG)
    assert_no_leaks()


def test_a_pool_without_threads_answers_with_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    with running(ToolPool()) as pool:

        async def main() -> None:
            start = threading.Thread.start

            def no_threads(thread: threading.Thread) -> None:
                if not thread.name.startswith("supervisors-"):  # those of the dispatchers
                    raise RuntimeError("can't start new thread")
                start(thread)

            with capture_logs(), monkeypatch.context() as patch:
                patch.setattr(threading.Thread, "start", no_threads)
                with pytest.raises(ToolError, match=r"no worker could be started .*can't start new thread"):
                    await pool.call(lambda: 1, name="f")
            assert await pool.call(lambda: 1, name="f") == 1

        asyncio.run(main())


def test_many_calls_from_many_tasks_are_all_answered() -> None:
    async def main() -> None:
        async def one(n: int) -> None:
            assert await pool.call(lambda: n, name="f") == n

        for _ in range(5):
            await asyncio.gather(*(one(n) for n in range(500)))
        assert pool.statistics().queued == 0

    with running(ToolPool(workers=4)) as pool:
        asyncio.run(main())
