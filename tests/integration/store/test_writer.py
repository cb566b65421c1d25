"""The group writer alone: what is in a group, who is told, and that nobody waits for nobody."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from alloy_actors.store._writer import GroupWriter

WAIT = 10.0


class Disk:
    """Groups that were written; `hold` makes the next ones wait."""

    def __init__(self) -> None:
        self.groups: list[list[int]] = []
        self.told: list[int] = []
        self.threads: set[str] = set()
        self.writing = threading.Semaphore(0)
        self.let = threading.Event()
        self.let.set()
        self.all_told = threading.Event()
        self.last = -1

    def commit(self, group: list[int]) -> None:
        self.writing.release()
        assert self.let.wait(WAIT)
        self.groups.append(group)

    def tell(self, work: int) -> None:
        self.threads.add(threading.current_thread().name)
        self.told.append(work)
        if work == self.last:
            self.all_told.set()


@pytest.fixture
def disk() -> Disk:
    return Disk()


@pytest.fixture
def writer(disk: Disk) -> Iterator[GroupWriter[int]]:
    made = GroupWriter(disk.commit, disk.tell)
    yield made
    disk.let.set()
    made.close()


def test_what_is_submitted_while_a_group_is_written_makes_the_next_one(
    disk: Disk, writer: GroupWriter[int]
) -> None:
    disk.let.clear()
    writer.submit(0)
    assert disk.writing.acquire(timeout=WAIT)
    for number in range(1, 100):
        writer.submit(number)
    disk.last = 99
    disk.let.set()
    assert disk.all_told.wait(WAIT)
    assert disk.groups == [[0], list(range(1, 100))]
    assert disk.told == list(range(100))
    assert disk.threads == {"alloy-store"}


def test_no_thread_before_the_first_work_and_none_after_the_end(disk: Disk) -> None:
    writer = GroupWriter(disk.commit, disk.tell)
    assert "alloy-store" not in [thread.name for thread in threading.enumerate()]
    writer.submit(1)
    assert any(thread.name == "alloy-store" and thread.daemon for thread in threading.enumerate())
    writer.close()
    assert "alloy-store" not in [thread.name for thread in threading.enumerate()]


def test_a_flush_writes_what_is_queued_itself_when_the_writer_is_stuck_in_a_callback(disk: Disk) -> None:
    """As when a callback waits for a lock that the flushing thread holds."""
    stuck, released = threading.Event(), threading.Event()

    def tell(work: int) -> None:
        if work == 0:
            stuck.set()
            assert released.wait(WAIT)
        disk.tell(work)

    writer = GroupWriter(disk.commit, tell)
    writer.submit(0)
    assert stuck.wait(WAIT)
    writer.submit(1)
    writer.flush()
    assert disk.groups == [[0], [1]]
    assert disk.told == []
    released.set()
    writer.close()
    assert disk.told == [0, 1]


def test_a_flush_of_an_idle_writer_is_told_by_the_writer(disk: Disk, writer: GroupWriter[int]) -> None:
    disk.last = 5
    for number in range(6):
        writer.submit(number)
        writer.flush()
    assert [number for group in disk.groups for number in group] == list(range(6))
    assert disk.all_told.wait(WAIT)
    assert disk.threads == {"alloy-store"}


def test_closing_writes_and_tells_what_is_queued(disk: Disk, writer: GroupWriter[int]) -> None:
    disk.let.clear()
    writer.submit(0)
    assert disk.writing.acquire(timeout=WAIT)
    writer.submit(1)
    disk.let.set()
    writer.close()
    assert disk.told == [0, 1]
    assert not writer.submit(2)
    writer.close()


def test_a_callback_may_close_the_writer(disk: Disk) -> None:
    closed = threading.Event()

    def tell(_work: int) -> None:
        writer.close()
        closed.set()

    writer = GroupWriter(disk.commit, tell)
    writer.submit(1)
    assert closed.wait(WAIT)
    assert not writer.submit(2)


def test_a_callback_that_raises_harms_nobody(disk: Disk) -> None:
    def tell(work: int) -> None:
        if work == 0:
            raise RuntimeError("a bug in a callback")
        disk.tell(work)

    writer = GroupWriter(disk.commit, tell)
    disk.last = 1
    writer.submit(0)
    writer.submit(1)
    assert disk.all_told.wait(WAIT)
    writer.close()


def test_many_threads_submit_and_every_piece_of_work_is_written_and_told_once(
    disk: Disk, writer: GroupWriter[int]
) -> None:
    start = threading.Barrier(8)

    def work(base: int) -> None:
        start.wait(WAIT)
        for number in range(200):
            writer.submit(base + number)
            if number % 50 == 0:
                writer.flush()

    threads = [threading.Thread(target=work, args=(1000 * index,)) for index in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT)
    writer.close()
    written = [number for group in disk.groups for number in group]
    assert disk.told == written
    assert sorted(written) == sorted(1000 * index + number for index in range(8) for number in range(200))
