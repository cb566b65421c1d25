"""Waiting for the disk on an event loop."""

from __future__ import annotations

import asyncio
import threading

import pytest

from alloy_actors.content import user
from alloy_actors.errors import StoreError
from alloy_actors.journal import Accepted, Journal, OnAppended
from tests.integration.store.support import WAIT

A = Accepted("a", user("1"))


class SlowStore:
    """Keeps the appends until `answer` says on another thread what became of them."""

    def __init__(self) -> None:
        self.waiting: list[OnAppended] = []

    def append(self, agent_id: str, token: int, records: object, on_appended: OnAppended) -> None:
        self.waiting.append(on_appended)

    def answer(self, error: Exception | None = None) -> None:
        """Answer all on a thread of its own, and keep this one, which is the loop's, busy meanwhile."""
        waiting, self.waiting = self.waiting, []
        thread = threading.Thread(target=lambda: [on_appended(error) for on_appended in waiting])
        thread.start()
        thread.join(WAIT)


def counted(loop: asyncio.AbstractEventLoop, monkeypatch: pytest.MonkeyPatch) -> list[object]:
    calls: list[object] = []
    real = loop.call_soon_threadsafe
    monkeypatch.setattr(
        loop, "call_soon_threadsafe", lambda *args, **kwargs: (calls.append(args), real(*args, **kwargs))[1]
    )
    return calls


def test_a_thousand_answers_at_once_wake_the_loop_once(monkeypatch: pytest.MonkeyPatch) -> None:
    store = SlowStore()

    async def main() -> int:
        loop = asyncio.get_running_loop()
        journal = Journal("agent", 1, store)
        for _ in range(2):  # and the second time as well
            tasks = [asyncio.create_task(journal.append(A)) for _ in range(1000)]
            while len(store.waiting) < 1000:
                await asyncio.sleep(0)
            calls = counted(loop, monkeypatch)
            store.answer()
            await asyncio.wait_for(asyncio.gather(*tasks), WAIT)
        return len(calls)

    assert asyncio.run(main()) == 1


def test_everyone_gets_what_the_store_said() -> None:
    store = SlowStore()

    async def main() -> list[object]:
        tasks = [asyncio.create_task(Journal("agent", 1, store).append(A)) for _ in range(3)]
        while len(store.waiting) < 3:
            await asyncio.sleep(0)
        store.answer(StoreError("the disk is full"))
        return await asyncio.gather(*tasks, return_exceptions=True)

    assert [type(error) for error in asyncio.run(main())] == [StoreError] * 3


def test_who_was_cancelled_is_not_told_and_the_others_are() -> None:
    store = SlowStore()

    async def main() -> list[object]:
        tasks = [asyncio.create_task(Journal("agent", 1, store).append(A)) for _ in range(3)]
        while len(store.waiting) < 3:
            await asyncio.sleep(0)
        tasks[1].cancel()
        store.answer()
        return await asyncio.gather(*tasks, return_exceptions=True)

    assert [type(outcome) for outcome in asyncio.run(main())] == [
        type(None),
        asyncio.CancelledError,
        type(None),
    ]


def test_an_answer_after_the_loop_was_closed_goes_nowhere() -> None:
    store = SlowStore()
    loop = asyncio.new_event_loop()
    task = loop.create_task(Journal("agent", 1, store).append(A))
    loop.call_soon(loop.stop)
    loop.run_forever()
    (on_appended,) = store.waiting
    task.cancel()
    loop.call_soon(loop.stop)
    loop.run_forever()
    loop.close()
    on_appended(None)


def test_two_loops_do_not_wait_for_each_other() -> None:
    store, both = SlowStore(), threading.Barrier(2, timeout=WAIT)
    outcomes: list[object] = []

    async def main() -> None:
        task = asyncio.create_task(Journal("agent", 1, store).append(A))
        await asyncio.sleep(0)
        if both.wait() == 0:
            store.answer()
        outcomes.append(await asyncio.wait_for(task, WAIT))

    threads = [threading.Thread(target=asyncio.run, args=(main(),)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT)
    assert outcomes == [None, None]
