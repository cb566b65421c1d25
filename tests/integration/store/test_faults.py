"""What a store on disk makes of full disks, other programs, damage, forks and kills."""

from __future__ import annotations

import random
import shutil
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from alloy_actors.content import Message, ToolCall, Usage
from alloy_actors.errors import FencedError, StoreError
from alloy_actors.journal import Replied, RunBegan
from alloy_actors.store._file import Opened
from alloy_actors.store._reading import checksum, seed_of
from alloy_actors.store.sqlite import SqliteStore
from tests.integration.store.support import WAIT, accepted, append, fill, numbers, python


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "agents.db"


@pytest.fixture
def store(path: Path) -> Iterator[SqliteStore]:
    with SqliteStore(path, busy_timeout=0.05) as made:
        yield made


def limit_pages(store: SqliteStore, more: int) -> None:
    """Let the database grow by `more` pages and no further, as on a full disk."""
    connection = store._file.write
    (now,) = connection.execute("PRAGMA page_count").fetchone()
    connection.execute(f"PRAGMA max_page_count = {now + more}")


class Group:
    """Appends that go to the disk in one group: the writer is kept busy until they are all queued."""

    def __init__(self, store: SqliteStore) -> None:
        self.store = store
        self.answers: dict[str, Exception | None] = {}
        self._held, self._release = threading.Event(), threading.Event()
        self._left = threading.Semaphore(0)
        store.append("holder", store.take_token("holder"), [accepted(0)], self._hold)
        assert self._held.wait(WAIT)

    def _hold(self, _error: object) -> None:
        self._held.set()
        assert self._release.wait(WAIT)

    def add(self, agent: str, record: object) -> None:
        def answer(error: Exception | None) -> None:
            self.answers[agent] = error
            self._left.release()

        self.store.append(agent, self.store.take_token(agent), [record], answer)

    def write(self, count: int) -> dict[str, Exception | None]:
        self._release.set()
        for _ in range(count):
            assert self._left.acquire(timeout=WAIT)
        return self.answers


# -- writing that fails --------------------------------------------------------------------------------------------


def test_a_full_disk_is_an_answer_and_nothing_is_half_written(store: SqliteStore) -> None:
    token = fill(store, "agent", 1)
    limit_pages(store, 2)
    error = append(store, "agent", token, accepted(1), accepted(2, "x" * 100_000))
    assert isinstance(error, StoreError)
    assert error.agent_id == "agent"
    assert "full: make room" in str(error)
    assert numbers(store, "agent") == [0]
    limit_pages(store, 1000)
    assert append(store, "agent", token, accepted(3, "x" * 100_000)) is None
    assert numbers(store, "agent") == [0, 3]


def test_one_append_that_does_not_fit_does_not_take_its_group_with_it(store: SqliteStore) -> None:
    fill(store, "agent", 1)
    group = Group(store)
    limit_pages(store, 5)
    for number in range(9):
        group.add(f"agent-{number}", accepted(number, "x" * (100_000 if number == 4 else 10)))
    answers = group.write(9)
    assert isinstance(answers.pop("agent-4"), StoreError)
    assert set(answers.values()) == {None}
    assert all(numbers(store, agent) == [int(agent[-1])] for agent in answers)
    assert numbers(store, "agent-4") == []


def test_a_record_that_is_no_json_fails_alone(store: SqliteStore) -> None:
    call = ToolCall("c", "t", {"x": object()})
    group = Group(store)
    for number in range(3):
        group.add(f"agent-{number}", accepted(number))
    group.add("odd", Replied("r", Message("assistant", (call,)), "tool_use", Usage()))
    answers = group.write(4)
    error = answers.pop("odd")
    assert isinstance(error, StoreError)
    assert "cannot be written down" in str(error)
    assert set(answers.values()) == {None}


def test_a_database_that_another_program_holds_is_an_answer(store: SqliteStore, path: Path) -> None:
    token = fill(store, "agent", 1)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    error = append(store, "agent", token, accepted(1))
    assert isinstance(error, StoreError)
    assert "another program has held the database locked for 0.05 s" in str(error)
    assert numbers(store, "agent") == [0]  # reading goes on
    other.execute("ROLLBACK")
    other.close()
    assert append(store, "agent", token, accepted(2)) is None
    assert numbers(store, "agent") == [0, 2]


def test_a_failed_append_is_not_referred_to_by_what_follows(store: SqliteStore) -> None:
    """RunBegan leaves its message to Accepted only when that one is on the disk."""
    token = fill(store, "agent", 1)
    limit_pages(store, 2)
    big = accepted(1, "x" * 100_000)
    assert append(store, "agent", token, big) is not None
    limit_pages(store, 1000)
    began = RunBegan(big.request_id, big.message)
    assert append(store, "agent", token, began) is None
    assert store.load("agent")[-1] == began


def test_a_failed_compaction_leaves_the_log_as_it_was(store: SqliteStore) -> None:
    token = fill(store, "agent", 3)
    limit_pages(store, 2)
    said: list[Exception | None] = []
    store.compact("agent", token, [accepted(9, "x" * 100_000)], said.append)
    assert numbers(store, "agent") == [0, 1, 2]
    assert append(store, "agent", token, accepted(3)) is None
    assert isinstance(said[0], StoreError)
    assert numbers(store, "agent") == [0, 1, 2, 3]


# -- damage --------------------------------------------------------------------------------------------------------


def change(path: Path, statement: str, *values: object) -> None:
    connection = sqlite3.connect(path)
    with connection:
        assert connection.execute(statement, values).rowcount == 1
    connection.close()


def rows(path: Path, agent: str) -> list[int]:
    connection = sqlite3.connect(path)
    found = connection.execute(
        "SELECT r.id FROM records r JOIN agents a ON a.number = r.agent WHERE a.id = ? ORDER BY r.id",
        (agent,),
    ).fetchall()
    connection.close()
    return [row for (row,) in found]


@pytest.fixture
def written(path: Path) -> Path:
    with SqliteStore(path) as store:
        for agent in ("ada", "bob"):
            fill(store, agent, 5)
    return path


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE records SET data = CAST(replace(CAST(data AS TEXT), 'hello', 'jello') AS BLOB) WHERE id = ?",
        "UPDATE records SET data = x'00ff' WHERE id = ?",
        "UPDATE records SET crc = 0 WHERE id = ?",
    ],
)
def test_a_damaged_record_isolates_its_agent_and_is_named(written: Path, statement: str) -> None:
    row = rows(written, "bob")[2]
    change(written, statement, row)
    with SqliteStore(written) as store:
        with pytest.raises(StoreError, match=f"record {row} of agent 'bob' is damaged") as caught:
            store.load("bob")
        assert (caught.value.agent_id, caught.value.record) == ("bob", row)
        assert numbers(store, "ada") == list(range(5))
        assert append(store, "ada", store.take_token("ada"), accepted(5)) is None
        assert append(store, "new", store.take_token("new"), accepted(0)) is None
        assert store.agents() == ["ada", "bob", "new"]
        store.delete("bob")
        assert store.load("bob") == []


def test_a_missing_record_is_noticed(written: Path) -> None:
    _first, second, *_ = rows(written, "bob")
    change(written, "DELETE FROM records WHERE id = ?", second)
    with (
        SqliteStore(written) as store,
        pytest.raises(StoreError, match=f"record {second} of agent 'bob' is missing"),
    ):
        store.load("bob")
    newest = rows(written, "ada")[-1]
    change(written, "DELETE FROM records WHERE id = ?", newest)
    with (
        SqliteStore(written) as store,
        pytest.raises(StoreError, match=f"record {newest} of agent 'ada' is missing"),
    ):
        store.load("ada")


def test_a_record_of_a_newer_version_is_refused_as_such(written: Path) -> None:
    newest, before = rows(written, "bob")[-1], rows(written, "bob")[-2]
    data = b'[["dreamt","r9"]]'
    crc = checksum(seed_of("bob"), before, data)
    change(written, "UPDATE records SET data = ?, crc = ? WHERE id = ?", data, crc, newest)
    with (
        SqliteStore(written) as store,
        pytest.raises(StoreError, match="'dreamt'.* newer version .*: upgrade"),
    ):
        store.load("bob")


def test_damage_on_the_disk_is_found_where_it_is(path: Path) -> None:
    with SqliteStore(path) as store:
        fill(store, "ada", 3)
        fill(store, "bob", 1, "needle" * 10_000)
    content = bytearray(path.read_bytes())
    at = content.index(b"needleneedle", len(content) // 2)
    content[at : at + 6] = b"noodle"
    path.write_bytes(content)
    with SqliteStore(path) as store:
        with pytest.raises(StoreError, match="agent 'bob' is damaged"):
            store.load("bob")
        assert numbers(store, "ada") == [0, 1, 2]


def test_a_torn_end_of_the_log_costs_only_what_is_torn(
    store: SqliteStore, path: Path, tmp_path: Path
) -> None:
    """As after a power cut: SQLite's log ends anywhere, or with bytes that were never written."""
    fill(store, "agent", 20)
    database, log = path.read_bytes(), Path(f"{path}-wal").read_bytes()
    chance = random.Random(7)
    seen = set()
    for attempt in range(30):
        copy = tmp_path / str(attempt) / "agents.db"
        copy.parent.mkdir()
        copy.write_bytes(database)
        cut = chance.randrange(len(log))
        tail = bytes(len(log) - cut) if attempt % 2 else b""
        Path(f"{copy}-wal").write_bytes(log[:cut] + tail)
        with SqliteStore(copy) as torn:
            found = numbers(torn, "agent")
            assert found == list(range(len(found)))
            assert append(torn, "agent", torn.take_token("agent"), accepted(len(found))) is None
            assert numbers(torn, "agent") == list(range(len(found) + 1))
        seen.add(len(found))
        shutil.rmtree(copy.parent)
    assert len(seen) > 5  # it did cut in different places


# -- processes -----------------------------------------------------------------------------------------------------

APPENDING = """
import asyncio, os, sys
from alloy_actors.content import user
from alloy_actors.journal import Accepted, Journal
from alloy_actors.store.sqlite import SqliteStore

store = SqliteStore(sys.argv[1])

async def write(agent):
    journal = Journal(agent, store.take_token(agent), store)
    number = 0
    while True:
        await journal.append(*(Accepted(f"r{number + part}", user("x" * 50 * part)) for part in range(3)))
        number += 3
        os.write(1, f"{agent} {number}\\n".encode())

async def main():
    await asyncio.gather(*(write(f"agent-{index}") for index in range(20)))

asyncio.run(main())
"""


@pytest.mark.parametrize("lines", [1, 37, 250, 900])
def test_everything_acknowledged_is_there_after_kill_9_and_nothing_is_torn(path: Path, lines: int) -> None:
    with python(APPENDING, path) as writing:
        said = [writing.stdout.readline() for _ in range(lines)]
        writing.kill()
        said += writing.stdout.readlines()
    acknowledged: dict[str, int] = {}
    for line in said:
        if line.endswith("\n"):
            agent, number = line.split()
            acknowledged[agent] = int(number)
    assert acknowledged
    with SqliteStore(path) as store:
        for agent, count in acknowledged.items():
            found = numbers(store, agent)
            assert found == list(range(len(found)))
            assert len(found) % 3 == 0
            assert len(found) >= count


FORKING = """
import os, sys, threading, warnings
warnings.simplefilter("ignore", DeprecationWarning)  # forking with threads: that is the point
from alloy_actors.content import user
from alloy_actors.journal import Accepted
from alloy_actors.store.sqlite import SqliteStore

store = SqliteStore(sys.argv[1])
token = store.take_token("agent")

def append(number):
    said, heard = [], threading.Event()
    store.append("agent", token, [Accepted(f"r{number}", user("x"))], lambda error: (said.append(error), heard.set()))
    assert heard.wait(10)
    return said[0]

assert append(0) is None
child = os.fork()
if child == 0:
    print("append:", append(1))
    for call in (lambda: store.load("agent"), lambda: store.take_token("agent"), store.agents,
                 lambda: store.delete("agent"), lambda: store.retire("agent", token)):
        try:
            call()
        except Exception as error:
            print(type(error).__name__, error)
    store.close()
    sys.exit(0)
assert os.waitpid(child, 0)[1] == 0
assert append(2) is None
print("parent:", [record.request_id for record in store.load("agent")])
store.close()
"""


def test_a_forked_child_is_told_that_its_handle_is_dead_and_harms_nothing(path: Path) -> None:
    with python(FORKING, path) as forking:
        lines, _ = forking.communicate(timeout=30)
    said = lines.splitlines()
    assert len([line for line in said if f"belongs to process {forking.pid}" in line]) == 6
    assert said[-1] == "parent: ['r0', 'r2']"
    with SqliteStore(path) as store:
        assert numbers(store, "agent") == [0, 2]


SURVIVED = """
import os, sys, warnings
warnings.simplefilter("ignore", DeprecationWarning)
from alloy_actors.store.sqlite import SqliteStore
store = SqliteStore(sys.argv[1])
if os.fork() == 0:
    print("forked", flush=True)
    sys.stdin.read()
    os._exit(0)
sys.stdin.read()
"""


def test_a_forked_child_does_not_hold_the_lock_beyond_its_parent(path: Path) -> None:
    with python(SURVIVED, path) as parent:
        assert parent.stdout.readline() == "forked\n"
        parent.kill()
        parent.wait()
        SqliteStore(
            path
        ).close()  # the child lives until its input ends, which it does at the end of the block


def test_closing_while_appends_are_queued_answers_them_all(path: Path) -> None:
    store = SqliteStore(path)
    group = Group(store)
    for number in range(20):
        group.add(f"agent-{number}", accepted(number))
    closing = threading.Thread(target=store.close)
    closing.start()
    assert set(group.write(20).values()) == {None}
    closing.join(WAIT)
    with pytest.raises(FencedError, match="closed"):
        store.load("agent-1")
    with SqliteStore(path) as again:
        assert len(again.agents()) == 21


def test_a_second_close_returns_when_the_file_is_closed(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = SqliteStore(path)
    closing, go_on = threading.Event(), threading.Event()
    order: list[str] = []
    close = Opened.close

    def slow(opened: Opened) -> None:
        closing.set()
        assert go_on.wait(WAIT)
        close(opened)
        order.append("closed")

    def second() -> None:
        store.close()
        order.append("returned")

    monkeypatch.setattr(Opened, "close", slow)
    threads = [threading.Thread(target=store.close), threading.Thread(target=second)]
    threads[0].start()
    assert closing.wait(WAIT)
    threads[1].start()
    threads[1].join(0.05)  # time enough to return too early
    go_on.set()
    for thread in threads:
        thread.join(WAIT)
    assert order == ["closed", "returned"]
