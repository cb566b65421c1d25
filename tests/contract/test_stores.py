"""What every store does."""

from __future__ import annotations

import asyncio

import pytest

from alloy_actors.content import user
from alloy_actors.errors import FencedError
from alloy_actors.journal import Accepted, Journal, Store, WasReset
from alloy_actors.store.memory import MemoryStore


@pytest.fixture(params=[MemoryStore])
def store(request: pytest.FixtureRequest) -> Store:
    return request.param()


def append(store: Store, token: int, *records: object, agent: str = "agent") -> Exception | None:
    outcome: list[Exception | None] = []
    store.append(agent, token, records, outcome.append)
    return outcome[0]


A, B = Accepted("a", user("1")), Accepted("b", user("2"))


def test_records_come_back_in_order(store: Store) -> None:
    token = store.take_token("agent")
    assert append(store, token, A) is None
    assert append(store, token, B, WasReset()) is None
    assert list(store.load("agent")) == [A, B, WasReset()]


def test_an_unknown_agent_has_no_records(store: Store) -> None:
    assert list(store.load("nobody")) == []


def test_a_new_token_refuses_the_older_ones(store: Store) -> None:
    old = store.take_token("agent")
    new = store.take_token("agent")
    assert isinstance(append(store, old, A), FencedError)
    assert append(store, new, B) is None
    assert list(store.load("agent")) == [B]


def test_agents_do_not_share_tokens(store: Store) -> None:
    token = store.take_token("agent")
    store.take_token("other")
    assert append(store, token, A) is None


def test_a_deleted_agent_is_forgotten_and_its_tokens_stay_refused(store: Store) -> None:
    token = store.take_token("agent")
    append(store, token, A)
    store.delete("agent")
    assert isinstance(append(store, token, B), FencedError)
    assert append(store, store.take_token("agent"), B) is None
    assert list(store.load("agent")) == [B]


def test_compacting_replaces_the_log(store: Store) -> None:
    token = store.take_token("agent")
    append(store, token, A, B)
    outcome: list[Exception | None] = []
    store.compact("agent", token, (B,), outcome.append)
    assert outcome == [None]
    assert list(store.load("agent")) == [B]


def test_only_agents_with_records_are_listed(store: Store) -> None:
    append(store, store.take_token("agent"), A)
    store.take_token("empty")
    assert store.agents() == ["agent"]


def test_a_journal_awaits_the_append_and_raises_what_the_store_said(store: Store) -> None:
    async def write() -> None:
        old = Journal("agent", store.take_token("agent"), store)
        await old.append(A)
        await Journal("agent", store.take_token("agent"), store).append(B)
        with pytest.raises(FencedError):
            await old.append(WasReset())

    asyncio.run(write())
    assert list(store.load("agent")) == [A, B]


def test_a_closed_store_takes_nothing(store: Store) -> None:
    token = store.take_token("agent")
    store.close()
    assert append(store, token, A) is not None
