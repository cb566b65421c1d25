"""What every store does."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from alloy_actors.content import Usage, assistant, user
from alloy_actors.errors import FencedError
from alloy_actors.journal import Accepted, Journal, RunBegan, Seeded, Store, WasReset
from alloy_actors.store.memory import MemoryStore
from alloy_actors.store.sqlite import SqliteStore


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    made = MemoryStore() if request.param == "memory" else SqliteStore(tmp_path / "agents.db")
    yield made
    made.close()


def outcome(call: Callable[[Callable[[Exception | None], object]], object]) -> Exception | None:
    """What a store says, on whatever thread."""
    said: list[Exception | None] = []
    heard = threading.Event()

    def hear(error: Exception | None) -> None:
        said.append(error)
        heard.set()

    call(hear)
    assert heard.wait(10)
    return said[0]


def append(store: Store, token: int, *records: object, agent: str = "agent") -> Exception | None:
    return outcome(lambda hear: store.append(agent, token, records, hear))


def compact(store: Store, token: int, *records: object, agent: str = "agent") -> Exception | None:
    return outcome(lambda hear: store.compact(agent, token, records, hear))


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
    assert compact(store, token, B) is None
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


def test_what_was_appended_before_a_newer_token_was_taken_counts(store: Store) -> None:
    """A request accepted while its agent restarts is not lost, although nobody has waited for the disk yet."""
    old, said = store.take_token("agent"), []
    store.append("agent", old, (A,), said.append)
    new = store.take_token("agent")
    store.append("agent", old, (B,), said.append)
    assert list(store.load("agent")) == [A]
    assert append(store, new, B) is None  # a store answers in order, so it has answered the others too
    assert len(said) == 2
    assert [type(error) for error in said if error is not None] == [FencedError]


def test_a_log_that_has_come_from_compacting_is_appended_to(store: Store) -> None:
    token = store.take_token("agent")
    append(store, token, A, B)
    base = Seeded((user("1"), assistant("2")), Usage(3, 4))
    assert compact(store, token, base, B) is None
    assert append(store, token, RunBegan("b", B.message)) is None
    assert list(store.load("agent")) == [base, B, RunBegan("b", B.message)]


def test_compacting_to_nothing_leaves_an_agent_without_records(store: Store) -> None:
    token = store.take_token("agent")
    append(store, token, A)
    assert compact(store, token) is None
    assert store.agents() == []
    assert append(store, token, B) is None
    assert list(store.load("agent")) == [B]


def test_an_old_token_cannot_compact(store: Store) -> None:
    old = store.take_token("agent")
    append(store, old, A)
    store.take_token("agent")
    assert isinstance(compact(store, old), FencedError)
    assert list(store.load("agent")) == [A]


def test_an_append_of_nothing_is_an_append(store: Store) -> None:
    token = store.take_token("agent")
    assert append(store, token) is None
    assert store.agents() == []


def test_deleting_an_unknown_agent_does_nothing(store: Store) -> None:
    store.delete("nobody")
    assert store.agents() == []


def test_answers_come_in_the_order_of_the_appends(store: Store) -> None:
    tokens = {f"agent-{number}": store.take_token(f"agent-{number}") for number in range(20)}
    answered: list[tuple[str, int]] = []
    done = threading.Event()
    for turn in range(10):
        for agent, token in tokens.items():
            mine = (agent, turn)
            store.append(agent, token, (A,), lambda error, mine=mine: answered.append(mine))
    store.append("agent-0", tokens["agent-0"], (B,), lambda error: done.set())
    assert done.wait(10)
    assert answered == [(agent, turn) for turn in range(10) for agent in tokens]


def test_many_waiters_on_one_loop_are_all_answered(store: Store) -> None:
    async def write(agent: str) -> None:
        journal = Journal(agent, store.take_token(agent), store)
        for number in range(5):
            await journal.append(Accepted(str(number), user("x")))

    async def main() -> None:
        await asyncio.gather(*(write(f"agent-{number}") for number in range(50)))

    asyncio.run(main())
    assert all(len(store.load(agent)) == 5 for agent in store.agents())
    assert len(store.agents()) == 50


def test_the_tokens_of_a_retired_agent_are_refused(store: Store) -> None:
    token = store.take_token("agent")
    append(store, token, A)
    store.retire("agent", token)
    assert isinstance(append(store, token, B), FencedError)
    assert append(store, store.take_token("agent"), B) is None
    assert store.load("agent")[-1] == B


def test_an_old_incarnation_retires_nothing(store: Store) -> None:
    old = store.take_token("agent")
    new = store.take_token("agent")
    append(store, new, A)
    store.retire("agent", old)
    assert append(store, new, B) is None
    assert list(store.load("agent")) == [A, B]


def test_a_closed_store_says_so_when_it_is_read(store: Store) -> None:
    token = store.take_token("agent")
    assert append(store, token, A) is None
    store.close()
    with pytest.raises(FencedError, match="closed"):
        store.load("agent")


def test_closing_twice_is_harmless(store: Store) -> None:
    store.close()
    store.close()
