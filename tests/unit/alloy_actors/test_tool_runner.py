"""The runner alone: batches, order, time, and every way in which a tool can fail."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import dataclasses
import enum
import functools
import sys
import threading
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import pytest
import structlog
from pydantic import BaseModel
from structlog.testing import capture_logs

from alloy_actors.content import ToolCall
from alloy_actors.deadline import NEVER, Deadline
from alloy_actors.errors import ToolError
from alloy_actors.tool_runner import Cancelled, ToolOutcome, ToolRunner
from alloy_actors.tooldef import Tool, ToolContext, tool, toolbox

LONG = 10.0  # seconds; nothing here waits as long


class Inline:
    """Workers for tools that do not block: the loop's own thread."""

    async def call(self, function: Callable[[], object], *, name: str) -> object:
        return function()


class Threads:
    """One thread per call; `abandoned` counts the calls whose caller went away."""

    def __init__(self) -> None:
        self.abandoned = 0
        self.threads: list[threading.Thread] = []

    async def call(self, function: Callable[[], object], *, name: str) -> object:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[object] = loop.create_future()

        def work() -> None:
            reply = function()
            with contextlib.suppress(RuntimeError):  # the test is over
                loop.call_soon_threadsafe(lambda: None if future.done() else future.set_result(reply))

        thread = threading.Thread(target=work)
        self.threads.append(thread)
        thread.start()
        try:
            return await future
        except asyncio.CancelledError:
            self.abandoned += 1
            raise


class Observer:
    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.ends: list[str] = []
        self.seen = asyncio.Event()

    async def starting(self, calls: Sequence[ToolCall]) -> None:
        self.batches.append([call.id for call in calls])

    async def ended(self, outcome: ToolOutcome) -> None:
        self.ends.append(outcome.call.id)
        self.seen.set()


def context(call: ToolCall, cancelled: Cancelled) -> ToolContext:
    return ToolContext(agent="a", request_id="r", tool_call_id=call.id, cancelled=cancelled)


def calls(*names: str, **arguments: Any) -> list[ToolCall]:
    return [ToolCall(str(index), name, arguments) for index, name in enumerate(names, 1)]


async def run(
    wanted: Sequence[ToolCall],
    *tools: Any,
    workers: Any = None,
    loop: asyncio.AbstractEventLoop | None = None,
    timeout: float = LONG,
    deadline: Deadline = NEVER,
    observer: Observer | None = None,
) -> list[ToolOutcome]:
    runner = ToolRunner(workers or Inline(), loop=loop)
    outcomes = await runner.run(
        wanted, toolbox(tools), context, timeout=timeout, deadline=deadline, observer=observer or Observer()
    )
    assert [outcome.call for outcome in outcomes] == list(wanted)
    assert [outcome.result.tool_use_id for outcome in outcomes] == [call.id for call in wanted]
    return outcomes


async def one(made: Any, workers: Any = None, **options: Any) -> ToolOutcome:
    made = made if isinstance(made, Tool) else tool(made)
    (outcome,) = await run(calls(made.name), made, workers=workers, **options)
    return outcome


def both_kinds(body: Callable[[], Any]) -> list[Tool]:
    def plain() -> Any:
        return body()

    async def awaited() -> Any:
        return body()

    return [tool(plain, name="broken"), tool(awaited, name="broken")]


def test_no_calls_have_no_outcomes() -> None:
    assert asyncio.run(run([])) == []


def test_plain_and_async_tools_answer_in_call_order() -> None:
    def plain(n: int) -> str:
        return f"plain {n}"

    async def awaited(n: int) -> str:
        await asyncio.sleep(0)
        return f"async {n}"

    outcomes = asyncio.run(run(calls("plain", "awaited", "plain", n=3), plain, awaited))
    assert [outcome.result.content for outcome in outcomes] == ["plain 3", "async 3", "plain 3"]
    assert not any(outcome.result.is_error or outcome.error for outcome in outcomes)
    assert all(outcome.duration >= 0 for outcome in outcomes)


def test_calls_of_a_batch_run_side_by_side_and_results_keep_call_order() -> None:
    """T35: concurrent, order kept."""

    async def main() -> None:
        gate = asyncio.Event()

        async def waits() -> str:
            await gate.wait()
            return "waited"

        async def opens() -> str:
            gate.set()
            return "opened"

        observer = Observer()
        outcomes = await run(calls("waits", "opens"), waits, opens, observer=observer)
        assert [outcome.result.content for outcome in outcomes] == ["waited", "opened"]
        assert observer.batches == [["1", "2"]]
        assert observer.ends == ["2", "1"]

    asyncio.run(main())


def test_a_tool_that_is_not_concurrent_is_a_barrier() -> None:
    """T35: [par seq par]."""
    seen: list[str] = []

    async def free(n: int = 0) -> None:
        seen.append("free begins")
        await asyncio.sleep(0)
        seen.append("free ends")

    @tool(concurrent=False)
    def alone() -> None:
        seen.append("alone")

    observer = Observer()
    names = ["free", "free", "alone", "alone", "free", "unknown", "free"]
    asyncio.run(run(calls(*names), free, alone, observer=observer))
    assert observer.batches == [["1", "2"], ["3"], ["4"], ["5", "6", "7"]]
    side_by_side = ["free begins"] * 2 + ["free ends"] * 2
    assert seen == [*side_by_side, "alone", "alone", *side_by_side]


class Point(BaseModel):
    x: int


@dataclasses.dataclass
class Pair:
    a: int
    b: str


class Word(enum.StrEnum):
    YES = "yes"


@pytest.mark.parametrize(
    ("value", "text", "data"),
    [
        ("text", "text", None),
        (Word.YES, "yes", None),
        (None, "", None),
        (3, "3", 3),
        (True, "true", True),
        ({"a": [1, None]}, '{"a":[1,null]}', {"a": [1, None]}),
        (Point(x=1), '{"x":1}', {"x": 1}),
        ([Pair(1, "b")], '[{"a":1,"b":"b"}]', [{"a": 1, "b": "b"}]),
        ("lone \udce4 surrogate", "lone \ufffd surrogate", None),
        (["name \udce4"], '["name \ufffd"]', ["name \ufffd"]),
    ],
)
def test_a_return_value_becomes_text_and_data(value: Any, text: str, data: Any) -> None:
    """T43; T40."""
    for made in both_kinds(lambda: value):
        outcome = asyncio.run(one(made))
        assert (outcome.result.content, outcome.data, outcome.result.is_error) == (text, data, False)


def test_a_value_without_json_form_is_an_error_naming_tool_and_type() -> None:
    for made in both_kinds(object):
        outcome = asyncio.run(one(made))
        assert outcome.result.is_error
        assert "Tool broken failed: it returned a object" in outcome.result.content


def test_a_coroutine_returned_by_a_plain_tool_is_an_error() -> None:
    async def hidden() -> int:
        return 1

    def call(function: Any) -> Any:
        return function()

    outcome = asyncio.run(one(tool(functools.partial(call, hidden), name="broken")))
    assert "async def" in outcome.result.content


def _raises(error: BaseException) -> Callable[[], Any]:
    def body() -> Any:
        raise error

    return body


@pytest.mark.parametrize(
    ("body", "start"),
    [
        (
            _raises(ValueError("no\nway")),
            "Tool broken crashed: ValueError: no way (body at test_tool_runner.py:",
        ),
        (_raises(RuntimeError()), "Tool broken crashed: RuntimeError (body at"),
        (_raises(StopIteration(3)), "Tool broken crashed: "),
        (lambda: sys.exit(2), "Tool broken crashed during execution: it tried to exit the process (code 2)."),
        (_raises(asyncio.CancelledError()), "Tool broken crashed during execution: CancelledError"),
        (_raises(MemoryError("big")), "Tool broken crashed: MemoryError: big"),
    ],
)
def test_whatever_a_tool_raises_is_one_line_for_the_model_and_one_record_for_us(
    body: Callable[[], Any], start: str
) -> None:
    """T36, T37."""
    for made in both_kinds(body):
        with capture_logs() as logs:
            outcome = asyncio.run(one(made))
        assert outcome.result.content.startswith(start)
        assert "\n" not in outcome.result.content
        assert outcome.result.is_error
        assert outcome.error is not None
        assert "Traceback" in outcome.error
        assert [entry["event"] for entry in logs] == ["tool_crashed"]
        assert logs[0]["tool"] == "broken"


def test_a_keyboard_interrupt_of_a_plain_tool_stays_with_the_tool() -> None:
    plain, _ = both_kinds(_raises(KeyboardInterrupt()))
    with capture_logs():
        outcome = asyncio.run(one(plain, workers=Threads()))
    assert "KeyboardInterrupt" in outcome.result.content


def test_a_keyboard_interrupt_of_an_async_tool_stays_with_it_off_the_main_thread() -> None:
    _, awaited = both_kinds(_raises(KeyboardInterrupt()))
    found: list[ToolOutcome] = []
    with capture_logs():
        thread = threading.Thread(target=lambda: found.append(asyncio.run(one(awaited))))
        thread.start()
        thread.join(LONG)
    assert "KeyboardInterrupt" in found[0].result.content


def test_a_tool_error_is_its_text_and_not_logged() -> None:
    """T36; T40: of errors too."""
    for made in both_kinds(_raises(ToolError("try the other one \udce4"))):
        with capture_logs() as logs:
            outcome = asyncio.run(one(made))
        assert outcome.result.content == "try the other one \ufffd"
        assert outcome.result.is_error
        assert logs == []
    assert asyncio.run(one(both_kinds(_raises(ToolError()))[0])).result.content == "Tool broken failed."


def test_unknown_tools_and_unreadable_arguments_are_answered_without_running() -> None:
    """T36: unknown; T39: no object."""
    ran: list[int] = []

    def works(n: int) -> None:
        ran.append(n)

    wanted = [
        ToolCall("1", "nope", {}),
        ToolCall("2", "works", {}, invalid="[1, 2"),
        ToolCall("3", "works", {"n": "x"}),
        ToolCall("4", "works", {"n": 4}),
    ]
    observer = Observer()
    outcomes = asyncio.run(run(wanted, works, observer=observer))
    texts = [outcome.result.content for outcome in outcomes]
    assert texts[0] == "Unknown tool: nope"
    assert "Tool works: the arguments must be one JSON object, but were '[1, 2'" in texts[1]
    assert texts[2].startswith("Tool works: invalid arguments. n: ")
    assert [outcome.result.is_error for outcome in outcomes] == [True, True, True, False]
    assert ran == [4]
    assert observer.batches == [["1", "2", "3", "4"]]
    assert sorted(observer.ends) == ["1", "2", "3", "4"]


@pytest.mark.parametrize("body", [_raises(ValueError("x")), _raises(ToolError("x")), lambda: sys.exit(1)])
def test_failures_between_sequential_calls_stop_none_of_them(body: Callable[[], Any]) -> None:
    """T36: concurrent or not."""
    for made in both_kinds(body):
        broken = tool(made.function, name="broken", concurrent=False)
        with capture_logs():
            outcomes = asyncio.run(
                run(calls("broken", "fine", "broken", "fine"), broken, tool(lambda: "fine", name="fine"))
            )
        assert [outcome.result.is_error for outcome in outcomes] == [True, False, True, False]


def test_a_sequential_tool_that_takes_too_long_is_answered_and_the_next_one_runs() -> None:
    """T38: sequential too."""

    @tool(concurrent=False, timeout=0.02)
    async def slow() -> None:
        await asyncio.Event().wait()

    outcomes = asyncio.run(run(calls("slow", "fine"), slow, tool(lambda: "fine", name="fine")))
    assert [outcome.result.is_error for outcome in outcomes] == [True, False]
    assert "timed out after 0.02s" in outcomes[0].result.text


def test_long_results_lose_their_middle() -> None:
    """T45."""

    @tool(max_result_chars=10)
    def long() -> str:
        return "abcdefgh" + "ä" * 100 + "yz"

    text = asyncio.run(one(long)).result.content
    assert text == "abcdefgh\n[... truncated: 110 characters, 10 of them shown ...]\nyz"


def test_an_async_tool_that_takes_too_long_is_cancelled_and_answered() -> None:
    """T38: the text, ids kept; seconds here, where the reference has milliseconds."""
    ended: list[str] = []

    @tool(timeout=0.02)
    async def slow() -> str:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("cancelled")
        return ""

    async def fast() -> str:
        return "fast"

    outcomes = asyncio.run(run(calls("slow", "fast", "slow"), slow, fast))
    assert outcomes[0].result.content == (
        "Tool slow timed out after 0.02s. Try a smaller input, or raise tool_timeout."
    )
    assert [outcome.result.is_error for outcome in outcomes] == [True, False, True]
    assert outcomes[0].error == outcomes[0].result.content
    assert ended == ["cancelled", "cancelled"]


def test_a_tool_that_refuses_to_be_cancelled_is_left_behind() -> None:
    async def main() -> None:
        release = asyncio.Event()
        left = asyncio.Event()

        async def stubborn() -> str:
            while not release.is_set():
                try:
                    await release.wait()
                except asyncio.CancelledError:
                    continue
            left.set()
            return "late"

        outcome = await one(tool(stubborn), timeout=0.02)
        assert "timed out" in outcome.result.content
        release.set()
        await asyncio.wait_for(left.wait(), LONG)

    asyncio.run(main())


def test_a_plain_tool_that_takes_too_long_is_told_and_abandoned() -> None:
    workers = Threads()
    contexts: list[ToolContext] = []

    def slow(ctx: ToolContext) -> bool:
        contexts.append(ctx)
        return ctx.cancelled.wait(LONG)

    outcome = asyncio.run(one(slow, workers, timeout=0.05))
    assert outcome.result.content.startswith("Tool slow timed out after 0.05s.")
    workers.threads[0].join(LONG)
    assert contexts[0].cancelled.is_set()
    assert workers.abandoned == 1


def test_a_call_that_no_worker_took_says_so() -> None:
    class Full:
        async def call(self, function: Callable[[], object], *, name: str) -> object:
            return await asyncio.Event().wait()

    outcome = asyncio.run(one(tool(lambda: 1, name="f"), Full(), timeout=0.02))
    assert "without having been started (no worker was free)" in outcome.result.content


def test_workers_may_refuse_a_call_in_words_for_the_model() -> None:
    class Broken:
        async def call(self, function: Callable[[], object], *, name: str) -> object:
            raise ToolError(f"Tool {name}: too many are stuck.")

    outcome = asyncio.run(one(tool(lambda: 1, name="f"), Broken()))
    assert (outcome.result.content, outcome.result.is_error) == ("Tool f: too many are stuck.", True)


def test_the_deadline_of_the_run_bounds_a_call_and_reaches_the_context() -> None:
    deadlines: list[Deadline] = []

    @tool(timeout=LONG)
    async def slow(ctx: ToolContext) -> None:
        deadlines.append(ctx.deadline)
        await asyncio.Event().wait()

    deadline = Deadline.after(0.05)
    outcome = asyncio.run(one(slow, deadline=deadline))
    assert "timed out" in outcome.result.content
    assert deadlines[0].at <= deadline.at + 0.01
    ran: list[int] = []
    late = asyncio.run(one(tool(lambda: ran.append(1), name="late"), deadline=Deadline.after(0)))
    assert late.result.content == "Tool late was not started: the time for the request is up."
    assert ran == []


def test_cancelling_the_run_cancels_async_tools_and_abandons_plain_ones() -> None:
    """T46."""
    workers = Threads()
    contexts: list[ToolContext] = []
    cleaned: list[str] = []

    async def main() -> None:
        begun = asyncio.Event()

        async def awaited() -> None:
            try:
                begun.set()
                await asyncio.Event().wait()
            finally:
                await asyncio.sleep(0)
                cleaned.append("yes")

        def plain(ctx: ToolContext) -> None:
            contexts.append(ctx)
            ctx.cancelled.wait(LONG)

        task = asyncio.create_task(run(calls("plain", "awaited"), plain, awaited, workers=workers))
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert cleaned == ["yes"]

    asyncio.run(main())
    workers.threads[0].join(LONG)
    assert contexts[0].cancelled.is_set()
    assert workers.abandoned == 1


def test_a_stubborn_tool_does_not_hold_up_a_cancelled_run() -> None:
    async def main() -> None:
        begun, release = asyncio.Event(), asyncio.Event()

        async def stubborn() -> None:
            begun.set()
            while not release.is_set():
                try:
                    await release.wait()
                except asyncio.CancelledError:
                    continue

        task = asyncio.create_task(one(tool(stubborn)))
        await begun.wait()
        task.cancel()
        done, _ = await asyncio.wait([task], timeout=LONG)
        assert task in done
        assert task.cancelled()
        assert not release.is_set()
        release.set()

    asyncio.run(main())


def test_an_observer_that_raises_ends_the_calls() -> None:
    cleaned: list[str] = []

    class Fenced(Observer):
        async def ended(self, outcome: ToolOutcome) -> None:
            raise RuntimeError("fenced")

    async def slow() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cleaned.append("yes")

    async def fast() -> None: ...

    async def main() -> None:
        await run(calls("slow", "fast"), slow, fast, observer=Fenced())

    with pytest.raises(RuntimeError, match="fenced"):
        asyncio.run(main())
    assert cleaned == ["yes"]


def test_context_variables_travel_into_tools_and_not_back() -> None:
    variable = contextvars.ContextVar("variable", default="")

    def plain() -> str:
        found = variable.get()
        variable.set("changed")
        return found

    async def awaited() -> str:
        found = variable.get()
        variable.set("changed")
        return found

    async def main() -> None:
        variable.set("mine")
        for workers in (Inline(), Threads()):
            outcomes = await run(calls("plain", "awaited", "plain"), plain, awaited, workers=workers)
            assert [outcome.result.content for outcome in outcomes] == ["mine"] * 3
        assert variable.get() == "mine"

    asyncio.run(main())


def test_the_log_record_of_a_crash_carries_what_the_run_has_bound() -> None:
    async def main() -> list[Any]:
        with capture_logs([structlog.contextvars.merge_contextvars]) as logs:
            structlog.contextvars.bind_contextvars(request_id="r1")
            await one(both_kinds(_raises(ValueError()))[0], Threads())
        return logs

    assert asyncio.run(main())[0]["request_id"] == "r1"


class OtherLoop:
    """A service's own loop on a thread of its own."""

    def __enter__(self) -> asyncio.AbstractEventLoop:
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever)
        self.thread.start()
        return self.loop

    def __exit__(self, *args: object) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(LONG)
        self.loop.close()


def on_other_loop(main: Callable[[asyncio.AbstractEventLoop], Coroutine[Any, Any, None]]) -> None:
    with OtherLoop() as loop:
        asyncio.run(main(loop))


def test_async_tools_run_on_the_loop_their_owner_names() -> None:
    variable = contextvars.ContextVar("variable", default="")

    async def main(loop: asyncio.AbstractEventLoop) -> None:
        lock = asyncio.Lock()
        barrier = asyncio.Barrier(2)

        async def where() -> str:
            async with lock:
                await asyncio.sleep(0)
            await barrier.wait()
            assert asyncio.get_running_loop() is loop
            return variable.get()

        variable.set("mine")
        outcomes = await run(calls("where", "where"), where, loop=loop)
        assert [outcome.result.content for outcome in outcomes] == ["mine", "mine"]

    on_other_loop(main)


def test_a_crash_on_the_other_loop_is_a_result_and_the_loop_lives() -> None:
    async def main(loop: asyncio.AbstractEventLoop) -> None:
        _, exits = both_kinds(lambda: sys.exit(3))
        with capture_logs():
            assert "exit the process" in (await one(exits, loop=loop)).result.content
        assert loop.is_running()

    on_other_loop(main)


def test_timeouts_and_cancellation_reach_the_other_loop() -> None:
    async def main(loop: asyncio.AbstractEventLoop) -> None:
        ended = threading.Semaphore(0)
        begun = threading.Event()

        async def slow() -> None:
            begun.set()
            try:
                await asyncio.Event().wait()
            finally:
                ended.release()

        assert "timed out" in (await one(slow, loop=loop, timeout=0.02)).result.content
        assert await asyncio.to_thread(ended.acquire, timeout=LONG)
        begun.clear()
        task = asyncio.create_task(one(slow, loop=loop))
        assert await asyncio.to_thread(begun.wait, LONG)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await asyncio.to_thread(ended.acquire, timeout=LONG)

    on_other_loop(main)


def test_a_closed_loop_is_one_clear_error() -> None:
    loop = asyncio.new_event_loop()
    loop.close()

    async def works() -> None: ...

    outcome = asyncio.run(one(works, loop=loop))
    assert outcome.result.content == "Tool works cannot run: the event loop given as loop= is closed."


def test_a_loop_that_does_not_run_is_named_in_the_timeout() -> None:
    loop = asyncio.new_event_loop()

    async def works() -> None: ...

    try:
        outcome = asyncio.run(one(works, loop=loop, timeout=0.02))
        assert "the event loop given as loop= is not running" in outcome.result.content
    finally:
        loop.close()


def test_the_other_loop_ending_in_the_middle_is_an_error_result() -> None:
    async def main() -> None:
        begun = threading.Event()
        loops: list[asyncio.AbstractEventLoop] = []

        async def service() -> None:
            loops.append(asyncio.get_running_loop())
            stop = loops_stop.append(asyncio.Event())
            assert stop is None
            begun.set()
            await loops_stop[0].wait()

        loops_stop: list[asyncio.Event] = []
        thread = threading.Thread(target=lambda: asyncio.run(service()))
        thread.start()
        assert await asyncio.to_thread(begun.wait, LONG)

        async def slow() -> None:
            loops_stop[0].set()
            await asyncio.Event().wait()

        with capture_logs():
            outcome = await one(slow, loop=loops[0])
        assert outcome.result.is_error
        assert "CancelledError" in outcome.result.content
        thread.join(LONG)

    asyncio.run(main())
