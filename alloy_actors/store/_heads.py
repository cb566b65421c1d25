"""Where each agent's log ends, and how many of its requests have no end.

A commit writes every page that it touches, so an append touches `records` and nothing else. The table `agents` says how
things stood at the row `owner.summed`; what the rows after it have changed, the tail, is summed up when it has grown to
`TAIL` rows and when a file is opened. Who reads in between looks at both.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlite3

TAIL = 256
"""Rows that may wait to be summed up: looking an agent up reads through them."""

_FIND = """
SELECT number, max(last, coalesce(
    (SELECT max(id) FROM records WHERE id > (SELECT summed FROM owner) AND agent = number), 0
)) FROM agents WHERE id = ?
"""

IDS = """
SELECT id FROM agents
WHERE last > 0 OR number IN (SELECT agent FROM records WHERE id > (SELECT summed FROM owner))
ORDER BY number
"""
"""The ids of agents that have records, oldest first."""

UNFINISHED_IDS = """
SELECT a.id FROM agents AS a LEFT JOIN (
    SELECT agent, sum(change) AS change FROM records WHERE id > (SELECT summed FROM owner) GROUP BY agent
) AS tail ON tail.agent = a.number
WHERE a.unfinished + coalesce(tail.change, 0) > 0
ORDER BY a.number
"""
"""The ids of agents with requests that have no end, oldest first."""

# REPLACE instead of UPDATE ... FROM, which SQLite has only since 3.33.
_SUM_UP = """
REPLACE INTO agents (number, id, last, unfinished)
SELECT a.number, a.id, max(r.id), a.unfinished + sum(r.change)
FROM records AS r JOIN agents AS a ON a.number = r.agent
WHERE r.id > (SELECT summed FROM owner) GROUP BY r.agent
"""


def find(connection: sqlite3.Connection, agent_id: str) -> tuple[int | None, int]:
    """The agent's row of `agents` and its newest row of `records`; (None, 0) when it has none.

    Raises:
        sqlite3.Error: The file could not be read.
    """
    return connection.execute(_FIND, (agent_id,)).fetchone() or (None, 0)


def sum_up(connection: sqlite3.Connection) -> None:
    """Bring `agents` up to the newest row; inside the caller's transaction.

    Raises:
        sqlite3.Error: The file could not be read or written.
    """
    connection.execute(_SUM_UP)
    connection.execute("UPDATE owner SET summed = (SELECT coalesce(max(id), 0) FROM records)")


def nothing_to_sum_up(connection: sqlite3.Connection) -> None:
    """For reading a file whose format kept `agents` up to date with every append."""
    connection.execute(
        "CREATE TEMP VIEW owner AS SELECT epoch, 9223372036854775807 AS summed FROM main.owner"
    )
