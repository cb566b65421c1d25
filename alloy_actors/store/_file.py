"""Opening a store's file: whose it is, which version wrote it, and who may write it now.

agents.db        the SQLite database; -wal and -shm beside it are SQLite's and belong to it
agents.db-lock   held locked (`flock`) by the process that writes, which kill -9 frees too; holds that process's id

Whoever opens the file for writing takes the next epoch. Every transaction checks that its epoch is still the newest,
so a process that was frozen while another one took over writes nothing when it thaws.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import stat
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from alloy_actors.errors import ConfigError, FencedError, StoreError
from alloy_actors.journal import unfinished_by
from alloy_actors.store._heads import nothing_to_sum_up, sum_up
from alloy_actors.store._reading import read_chain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    Migration = Callable[[sqlite3.Connection], None]

APPLICATION_ID = 0x414C4C4F  # "ALLO", in the file's header
FORMAT = 3
"""The version of the tables; an older file is brought up to it, a newer one is refused."""

_SUMMED_UP_LATER = 3  # the first format whose table of agents is not up to date with every append

WAL_PAGES = 64
"""SQLite moves the log's pages into the database when there are so many. The log stays near 256 KiB, which a processor's cache
holds: with 1 MiB a commit takes 5 % more CPU time, alone or in a group (`python -m benchmarks store`)."""

_SMALLEST = 512  # bytes of a database; SQLite takes a shorter file for an empty one and writes over it

_TABLES = """
CREATE TABLE owner (
    epoch INTEGER NOT NULL,
    summed INTEGER NOT NULL  -- agents says how things stood at this row of records
);
INSERT INTO owner VALUES (0, 0);
CREATE TABLE agents (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    last INTEGER NOT NULL DEFAULT 0,  -- its newest row of records
    unfinished INTEGER NOT NULL DEFAULT 0  -- its requests that were accepted and have no end
);
-- A chain instead of an index: new rows go to the end of the file, however long the history is.
CREATE TABLE records (
    id INTEGER PRIMARY KEY,
    agent INTEGER NOT NULL,
    prev INTEGER NOT NULL CHECK (prev < id),  -- the agent's row before, 0 for its first
    crc INTEGER NOT NULL,
    change INTEGER NOT NULL,  -- what the batch adds to the agent's unfinished requests
    data BLOB NOT NULL  -- a batch of records as JSON
);
"""


@dataclass(frozen=True, slots=True)
class Opened:
    """A store's file, open for writing by this process."""

    path: str
    write: sqlite3.Connection
    read: sqlite3.Connection
    lock: int
    epoch: int

    def close(self) -> None:
        """Let go of everything; the lock comes last, when nothing more can be written."""
        self.read.close()
        self.write.close()
        os.close(self.lock)


def open_for_writing(
    path: str | os.PathLike[str],
    *,
    takeover: bool = False,
    busy_timeout: float = 5.0,
    newest: int = FORMAT,
    migrations: Mapping[int, Migration] | None = None,
) -> Opened:
    """Open or make the file and become its only writer.

    Args:
        path: Of the database.
        takeover: Become the writer although another process is; that one is refused from now on.
        busy_timeout: Seconds to wait for a program that holds SQLite's own lock.
        newest: The format to bring the file to.
        migrations: How; None is MIGRATIONS.

    Raises:
        ConfigError: The path cannot be a store, or is none.
        FencedError: Another process, or another store object of this one, has the file.
        StoreError: SQLite could not read or write it.
    """
    name = str(Path(path).resolve())  # so that every way to a file leads to one lock
    if _check_path(name):
        with _translated(name):
            reader = _connect_to_read(name, busy_timeout)
            try:
                _check_format(
                    reader, name, newest
                )  # before anything is written beside a file that is not ours
            finally:
                reader.close()
    lock = _take_lock(name, takeover=takeover)
    connections: list[sqlite3.Connection] = []
    try:
        # Conversations are nobody else's; SQLite gives its own files the same mode.
        with suppress(FileExistsError):
            os.close(os.open(name, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        with _translated(name):
            write = _connect(name, busy_timeout)
            connections.append(write)
            _prepare(write, name)
            epoch = _begin_epoch(write, name, newest, MIGRATIONS if migrations is None else migrations)
            read = _connect_to_read(name, busy_timeout)
            connections.append(read)
    except BaseException:
        for connection in connections:
            connection.close()
        os.close(lock)
        raise
    return Opened(name, write, read, lock, epoch)


def open_for_reading(path: str | os.PathLike[str], busy_timeout: float = 5.0) -> sqlite3.Connection:
    """Open a store that may be in use by another process; the connection refuses to write.

    Raises:
        ConfigError: There is no store at the path.
        StoreError: SQLite could not read it.
    """
    name = str(Path(path).resolve())
    if not _check_path(name, to_write=False):
        raise ConfigError(f"store: there is no file {name}")
    with _translated(name):
        reader = _connect_to_read(name, busy_timeout)
        try:
            version = _check_format(reader, name, FORMAT)
            if version == 0:
                raise ConfigError(f"store: {name} is empty: no store was ever opened there")
            if version < _SUMMED_UP_LATER:
                nothing_to_sum_up(reader)
        except BaseException:
            reader.close()
            raise
    return reader


# -- the path ------------------------------------------------------------------------------------------------------


def _check_path(name: str, *, to_write: bool = True) -> bool:
    """Refuse what SQLite would explain badly; return whether the file is there."""
    folder = Path(name).parent
    if not folder.is_dir():
        raise ConfigError(f"store: the folder {folder} does not exist: make it, or name another path")
    found = None
    try:
        found = Path(name).stat()
    except FileNotFoundError:
        pass
    except OSError as error:
        raise ConfigError(f"store: {name} cannot be looked at: {error.strerror}") from error
    if found is not None:
        if stat.S_ISDIR(found.st_mode):
            raise ConfigError(f"store: {name} is a directory: name a file in it, such as {name}/agents.db")
        if not stat.S_ISREG(found.st_mode):
            raise ConfigError(f"store: {name} is no regular file")
        if 0 < found.st_size < _SMALLEST:
            raise ConfigError(f"store: {name} is not a database: name another path")
        if not os.access(name, os.R_OK):
            raise ConfigError(f"store: {name} cannot be read: its permissions refuse it")
        if to_write and not os.access(name, os.W_OK):
            raise ConfigError(f"store: {name} is read-only, and agents write their journals into it")
    if to_write and not os.access(folder, os.W_OK | os.X_OK):
        raise ConfigError(
            f"store: the folder {folder} is read-only, and SQLite keeps its log beside the database"
        )
    return found is not None


def _take_lock(name: str, *, takeover: bool) -> int:
    """Lock the file beside the database; return its descriptor."""
    path = f"{name}-lock"
    if takeover:
        # The loser keeps its lock, on a file that has no name any more.
        fresh = f"{path}.{os.getpid()}"
        lock = _open_lock(fresh)
        fcntl.flock(lock, fcntl.LOCK_EX)
        Path(fresh).replace(path)
    else:
        while True:
            lock = _open_lock(path)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.fstat(lock).st_ino == Path(path).stat().st_ino:
                    break
                os.close(lock)  # somebody took over between the two calls
            except (BlockingIOError, FileNotFoundError) as error:
                holder = os.pread(lock, 20, 0).decode("ascii", "replace").strip()
                os.close(lock)
                if isinstance(error, FileNotFoundError):
                    continue
                raise FencedError(
                    f"the store {name} is in use by process {holder or 'unknown'}: stop that one, or take it over "
                    "with takeover=True (the other process then writes nothing more)"
                ) from None
    os.ftruncate(lock, 0)
    os.pwrite(lock, f"{os.getpid()}\n".encode("ascii"), 0)
    return lock


def _open_lock(path: str) -> int:
    try:
        return os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
    except OSError as error:
        raise ConfigError(f"store: the lock file {path} cannot be opened: {error.strerror}") from error


# -- the database --------------------------------------------------------------------------------------------------


@contextmanager
def _translated(name: str) -> Iterator[None]:
    """SQLite's errors at opening, in words."""
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT):
            msg = f"store: {name} is not a database, or it is damaged ({error}): name another path, or restore a backup"
            raise ConfigError(msg) from error
        reason = str(error)
        if code == sqlite3.SQLITE_BUSY:
            reason = "another program holds the database locked; if that one is stopped, end it"
        msg = f"the store {name} could not be opened: {reason}"
        raise StoreError(msg) from error


def _connect(name: str, busy_timeout: float) -> sqlite3.Connection:
    return sqlite3.connect(name, timeout=busy_timeout, isolation_level=None, check_same_thread=False)


def _connect_to_read(name: str, busy_timeout: float) -> sqlite3.Connection:
    uri = f"file:{quote(name)}?mode=ro"
    return sqlite3.connect(uri, uri=True, timeout=busy_timeout, isolation_level=None, check_same_thread=False)


def _check_format(connection: sqlite3.Connection, name: str, newest: int) -> int:
    """The file's format, 0 for an empty file.

    Raises:
        ConfigError: It is another program's database, or a newer version's.
    """
    (application_id,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if application_id != APPLICATION_ID:
        (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if application_id or version or tables:
            raise ConfigError(f"store: {name} is a database of another program: name another path")
        return 0
    if version > newest:
        raise ConfigError(
            f"store: {name} has format {version}, newer than this version reads (up to {newest}): upgrade alloy-actors"
        )
    return int(version)


def _prepare(connection: sqlite3.Connection, name: str) -> None:
    (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
    if mode != "wal":
        raise ConfigError(
            f"store: {name} is on a file system on which SQLite cannot keep a write-ahead log: use a local disk"
        )
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA fullfsync = ON")  # macOS: past the disk's own cache
    connection.execute("PRAGMA checkpoint_fullfsync = ON")
    connection.execute(f"PRAGMA wal_autocheckpoint = {WAL_PAGES}")


def _begin_epoch(
    connection: sqlite3.Connection, name: str, newest: int, migrations: Mapping[int, Migration]
) -> int:
    """Make or migrate the tables and take the next epoch, all in one transaction."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        version = _check_format(connection, name, newest)
        if version == 0:
            run_script(connection, _TABLES)
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            version = FORMAT
        while version < newest:
            migrations[version](connection)
            version += 1
        connection.execute(f"PRAGMA user_version = {version}")
        sum_up(connection)
        connection.execute("UPDATE owner SET epoch = epoch + 1")
        (epoch,) = connection.execute("SELECT epoch FROM owner").fetchone()
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    return int(epoch)


def _count_unfinished(connection: sqlite3.Connection) -> None:
    """Format 1 to 2: how many requests of each agent have no end, so that a start need not read every journal."""
    run_script(
        connection,
        """
        ALTER TABLE agents ADD COLUMN unfinished INTEGER NOT NULL DEFAULT 0;
        ALTER TABLE records ADD COLUMN change INTEGER NOT NULL DEFAULT 0;
        """,
    )
    for number, agent_id, last in connection.execute("SELECT number, id, last FROM agents").fetchall():
        try:
            count = unfinished_by(read_chain(connection, agent_id, number, last))
        except StoreError:
            continue  # a damaged journal: whoever loads it is told
        connection.execute("UPDATE agents SET unfinished = ? WHERE number = ?", (count, number))


def _sum_up_later(connection: sqlite3.Connection) -> None:
    """Format 2 to 3: appends leave `agents` alone, where a trigger had kept it up to date with every row."""
    run_script(
        connection,
        """
        DROP TRIGGER appended;
        ALTER TABLE owner ADD COLUMN summed INTEGER NOT NULL DEFAULT 0;
        UPDATE owner SET summed = (SELECT coalesce(max(id), 0) FROM records);
        """,
    )


MIGRATIONS: dict[int, Migration] = {1: _count_unfinished, 2: _sum_up_later}
"""From a format to the next one; each runs inside the transaction that also writes the new number."""


def run_script(connection: sqlite3.Connection, script: str) -> None:
    """`executescript` would commit first."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            connection.execute(statement)
            statement = ""
