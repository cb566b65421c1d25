"""A file that may not grow any more (RLIMIT_FSIZE): beside `max_page_count`, a full disk as the system sees it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("resource", reason="limits are POSIX")

CHILD = """
import asyncio, resource, sys
import alloy_actors as alloy
from alloy_actors.content import user
from alloy_actors.journal import Accepted, Journal
from alloy_actors.store.sqlite import SqliteStore

SIZE = 64 * 1024  # bytes that a file may have
path = sys.argv[1]


async def fill(journal):
    for number in range(1000):
        try:
            await journal.append(Accepted(f"r{number}", user("x" * 1000)))
        except alloy.StoreError as error:
            return number, error
    raise AssertionError("it never got full")


async def main():
    with SqliteStore(path) as store:
        journal = Journal("ada", store.take_token("ada"), store)
        await journal.append(Accepted("first", user("hi")))
        _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (SIZE, hard))
        written, error = await fill(journal)
        assert "'ada' could not be written" in str(error), error
        assert [record.request_id for record in store.load("ada")] == ["first", *(f"r{n}" for n in range(written))]
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
        await journal.append(Accepted("last", user("hi")))
    with SqliteStore(path) as store:
        records = store.load("ada")
        assert [records[0].request_id, records[-1].request_id] == ["first", "last"]
        assert len(records) == written + 2
    print("went on after", written)


asyncio.run(main())
"""


def test_a_file_that_may_not_grow_is_an_answer_and_the_store_goes_on_when_it_may(tmp_path: Path) -> None:
    child = subprocess.run(
        [sys.executable, "-c", CHILD, tmp_path / "agents.db"],
        check=False,
        capture_output=True,
        text=True,
        timeout=50,
    )
    assert child.returncode == 0, child.stderr
    assert "went on after" in child.stdout
