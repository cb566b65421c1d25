"""Reading an agent's rows: along its chain, newest first, checked row by row."""

from __future__ import annotations

import zlib
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeAlias

from alloy_actors.errors import StoreError
from alloy_actors.store._codec import NewerRecordError, decode
from alloy_actors.store._heads import find

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator, Sequence

    from alloy_actors.content import Message
    from alloy_actors.journal import Record

Row: TypeAlias = tuple[int, int, int, bytes]
"""id, prev, crc, data"""

CHAIN = """
WITH RECURSIVE chain(id, prev) AS (
    SELECT id, prev FROM records WHERE id = :last AND agent = :number
    UNION ALL
    SELECT r.id, r.prev FROM chain AS c JOIN records AS r ON r.id = c.prev
        WHERE r.agent = :number AND c.prev < c.id  -- so that a damaged link cannot make a circle
)
"""

_ROWS = f"{CHAIN} SELECT r.id, r.prev, r.crc, r.data FROM chain AS c JOIN records AS r ON r.id = c.id ORDER BY r.id"  # noqa: S608  (our own text)


@contextmanager
def one_moment(connection: sqlite3.Connection) -> Iterator[None]:
    """All that is read in the block is of one moment, whatever is written meanwhile."""
    if connection.in_transaction:
        yield
        return
    connection.execute("BEGIN")
    try:
        yield
    finally:
        connection.execute("ROLLBACK")


def seed_of(agent_id: str) -> int:
    """What the checksums of an agent's rows begin with, so that another agent's row is noticed among them."""
    return zlib.crc32(f"{agent_id}\0".encode("utf-8", "surrogatepass"))


def checksum(seed: int, prev: int, data: bytes) -> int:
    """What stands beside a row's data: of all that says where the row belongs."""
    return zlib.crc32(data, zlib.crc32(b"%d" % prev, seed))


def read_records(connection: sqlite3.Connection, agent_id: str) -> list[Record]:
    """All records of an agent, oldest first; empty for an unknown one.

    Raises:
        StoreError: A record is damaged, missing, or from a newer version.
        sqlite3.Error: The file could not be read.
    """
    with one_moment(connection):
        number, last = find(connection, agent_id)
        return read_chain(connection, agent_id, number, last)


def read_chain(connection: sqlite3.Connection, agent_id: str, number: int | None, last: int) -> list[Record]:
    """As `read_records`, for who knows where the log ends: the agent's row of `agents`, its newest of `records`."""
    rows = connection.execute(_ROWS, {"number": number, "last": last}).fetchall()
    missing = rows[0][1] if rows else last
    if missing:
        msg = f"record {missing} of agent {agent_id!r} is missing: restore a backup, or delete the agent"
        raise StoreError(msg, agent_id=agent_id, record=missing)
    return _decode_rows(agent_id, rows)


def _decode_rows(agent_id: str, rows: Sequence[Row]) -> list[Record]:
    records: list[Record] = []
    accepted: dict[str, Message] = {}
    seed = seed_of(agent_id)
    for row, prev, crc, data in rows:
        try:
            if checksum(seed, prev, data) != crc:
                msg = "its checksum is wrong"
                raise ValueError(msg)
            records += decode(data, accepted)
        except NewerRecordError as error:
            msg = (
                f"record {row} of agent {agent_id!r} holds {error}: "
                "it was written by a newer version of alloy-actors: upgrade this one"
            )
            raise StoreError(msg, agent_id=agent_id, record=row) from None
        except Exception as error:
            msg = (
                f"record {row} of agent {agent_id!r} is damaged ({type(error).__name__}: {error}): "
                "restore a backup, or delete the agent"
            )
            raise StoreError(msg, agent_id=agent_id, record=row) from error
    return records
