"""What a run writes: in order, together where nothing happens between, nothing forgotten when the store fails."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import pytest

from alloy_actors.content import user
from alloy_actors.conversation import Conversation
from alloy_actors.errors import StoreError
from alloy_actors.journal import Accepted, Journal, Record
from alloy_actors.ledger import Ledger
from alloy_actors.store.memory import MemoryStore


class SlowStore(MemoryStore):
    """Answers when it is told to, and fails when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.appends: list[tuple[Sequence[Record], Callable[[Exception | None], object]]] = []

    def append(self, agent_id: str, token: int, records: Sequence[Record], on_appended: Any) -> None:
        self.appends.append((records, on_appended))

    def answer(self, error: Exception | None = None) -> list[str]:
        """Answer the oldest append; the ids in it."""
        records, on_appended = self.appends.pop(0)
        on_appended(error)
        return ids(records)


def ids(records: Sequence[Record]) -> list[str]:
    return [record.request_id for record in records]


def record(name: str) -> Accepted:
    return Accepted(name, user(name))


def play(scene: Callable[[Ledger, SlowStore, Conversation], Coroutine[Any, Any, None]]) -> None:
    async def run() -> None:
        store, conversation = SlowStore(), Conversation()
        await scene(Ledger(Journal("a", 1, store), conversation), store, conversation)

    asyncio.run(asyncio.wait_for(run(), 5))


async def turns(number: int = 5) -> None:
    for _ in range(number):
        await asyncio.sleep(0)


def test_what_is_noted_is_applied_at_once_and_written_together_by_the_next_flush() -> None:
    async def scene(ledger: Ledger, store: SlowStore, conversation: Conversation) -> None:
        ledger.note(record("a"))
        ledger.note(record("b"), record("c"))
        assert list(conversation.waiting) == ["a", "b", "c"]
        assert store.appends == []
        flush = asyncio.create_task(ledger.flush())
        await turns()
        assert not flush.done()
        assert store.answer() == ["a", "b", "c"]
        await flush
        assert ledger.unwritten == ()
        await ledger.flush()  # nothing to write
        assert store.appends == []

    play(scene)


def test_what_is_begun_is_not_waited_for_and_what_comes_meanwhile_follows_it_by_itself() -> None:
    async def scene(ledger: Ledger, store: SlowStore, _: Conversation) -> None:
        ledger.note(record("a"))
        ledger.begin()
        ledger.note(record("b"))
        ledger.begin()  # one append at a time, so that the order holds
        assert len(store.appends) == 1
        assert ids(ledger.unwritten) == ["a", "b"]
        store.answer()
        await turns()
        assert store.answer() == ["b"]
        await turns()
        assert ledger.unwritten == ()

    play(scene)


def test_a_flush_waits_for_what_was_begun_before_it() -> None:
    async def scene(ledger: Ledger, store: SlowStore, _: Conversation) -> None:
        ledger.note(record("a"))
        ledger.begin()
        ledger.note(record("b"))
        flush = asyncio.create_task(ledger.flush())
        await turns()
        store.answer()
        await turns()
        assert not flush.done()
        store.answer()
        await flush

    play(scene)


def test_what_the_store_would_not_take_goes_first_the_next_time() -> None:
    async def scene(ledger: Ledger, store: SlowStore, conversation: Conversation) -> None:
        ledger.note(record("a"))
        flush = asyncio.create_task(ledger.flush())
        await turns()
        store.answer(StoreError("disk full"))
        with pytest.raises(StoreError):
            await flush
        assert ids(ledger.unwritten) == ["a"]
        after = Ledger(Journal("a", 1, store), conversation, ledger.unwritten)
        after.note(record("b"))
        flush = asyncio.create_task(after.flush())
        await turns()
        assert store.answer() == ["a", "b"]
        await flush

    play(scene)


def test_a_failure_nobody_waited_for_is_tried_again_by_the_flush_before_it_is_an_error() -> None:
    async def scene(ledger: Ledger, store: SlowStore, _: Conversation) -> None:
        ledger.note(record("a"))
        ledger.begin()
        store.answer(StoreError("locked"))
        await turns()
        ledger.note(record("b"))
        flush = asyncio.create_task(ledger.flush())
        await turns()
        assert store.answer() == ["a", "b"]
        await flush

    play(scene)


def test_a_cancelled_flush_loses_nothing_and_the_next_one_waits_for_its_append() -> None:
    async def scene(ledger: Ledger, store: SlowStore, _: Conversation) -> None:
        ledger.note(record("a"))
        flush = asyncio.create_task(ledger.flush())
        await turns()
        flush.cancel()
        await turns()
        ledger.note(record("b"))
        flush = asyncio.create_task(ledger.flush())
        await turns()
        assert store.answer() == ["a"]
        await turns()
        assert store.answer() == ["b"]
        await flush

    play(scene)
