"""What can be opened as a store, by whom, and what is said about the rest."""

from __future__ import annotations

import os
import re
import socket
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import pytest

import alloy_actors as alloy
from alloy_actors.errors import ConfigError, FencedError, StoreError
from alloy_actors.store._file import APPLICATION_ID, FORMAT, open_for_writing
from alloy_actors.store.sqlite import SqliteStore
from tests.integration.store.support import accepted, append, fill, numbers, python


def header(path: Path) -> tuple[int, int]:
    connection = sqlite3.connect(path)
    try:
        (application_id,) = connection.execute("PRAGMA application_id").fetchone()
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        return application_id, version
    finally:
        connection.close()


def execute(path: Path, *statements: str) -> None:
    connection = sqlite3.connect(path)
    try:
        for statement in statements:
            connection.execute(statement)
        connection.commit()
    finally:
        connection.close()


# -- paths that are no store ---------------------------------------------------------------------------------------


def test_a_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is a directory: name a file in it"):
        SqliteStore(tmp_path)


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="missing does not exist: make it"):
        SqliteStore(tmp_path / "missing" / "agents.db")


def test_a_socket_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("agents.db")
        with pytest.raises(ConfigError, match="no regular file"):
            SqliteStore("agents.db")


@pytest.mark.parametrize("content", [b"x", b"These are my notes.\n" * 400])
def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "notes.txt"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match="is not a database"):
        SqliteStore(path)
    assert path.read_bytes() == content
    assert list(tmp_path.iterdir()) == [path]


def test_another_programs_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "theirs.db"
    execute(path, "CREATE TABLE agents (name TEXT)")
    before = path.read_bytes()
    with pytest.raises(ConfigError, match="database of another program"):
        SqliteStore(path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_an_empty_file_becomes_a_store(tmp_path: Path) -> None:
    path = tmp_path / "agents.db"
    path.touch()
    SqliteStore(path).close()
    assert header(path) == (APPLICATION_ID, FORMAT)


PERMISSIONS = """
import os, sys
from alloy_actors.errors import AlloyError
from alloy_actors.store.sqlite import SqliteStore
path, mode, folder_mode = sys.argv[1], int(sys.argv[2], 8), int(sys.argv[3], 8)
os.chmod(path, mode)
os.chmod(os.path.dirname(path), folder_mode)
if os.geteuid() == 0:  # who may do anything
    os.chown(path, 65534, 65534)
    os.chown(os.path.dirname(path), 65534, 65534)
    os.chdir("/")
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
try:
    SqliteStore(path)
except AlloyError as error:
    print(type(error).__name__, error)
"""


@pytest.mark.parametrize(
    ("mode", "folder", "said"),
    [
        ("000", "755", "cannot be read"),
        ("444", "755", "agents.db is read-only"),
        ("644", "555", "the folder .* is read-only"),
    ],
)
def test_permissions_that_refuse_a_store_are_named(mode: str, folder: str, said: str) -> None:
    made = Path(subprocess.check_output(["mktemp", "-d"], text=True).strip())  # others may go through it
    path = made / "agents.db"
    try:
        SqliteStore(path).close()
        done = subprocess.run(
            [sys.executable, "-c", PERMISSIONS, path, mode, folder],
            check=False,
            capture_output=True,
            text=True,
            timeout=30,
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith("ConfigError store: ")
        assert re.search(said, done.stdout), done.stdout
    finally:
        made.chmod(0o755)
        for file in made.iterdir():
            file.unlink()
        made.rmdir()


def test_what_the_store_makes_is_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "agents.db"
    with SqliteStore(path) as store:
        fill(store, "agent", 1)
        modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir()}
    assert modes == dict.fromkeys(["agents.db", "agents.db-lock", "agents.db-shm", "agents.db-wal"], 0o600)


# -- formats -------------------------------------------------------------------------------------------------------


def test_a_newer_file_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "agents.db"
    SqliteStore(path).close()
    execute(path, f"PRAGMA user_version = {FORMAT + 1}")
    with pytest.raises(ConfigError, match=rf"format {FORMAT + 1}, newer .* \(up to {FORMAT}\): upgrade"):
        SqliteStore(path)
    assert header(path) == (APPLICATION_ID, FORMAT + 1)


def add_a_column(connection: sqlite3.Connection) -> None:
    connection.execute("ALTER TABLE agents ADD COLUMN name TEXT")


def test_an_older_file_is_brought_up_to_date_with_what_is_in_it(tmp_path: Path) -> None:
    path = tmp_path / "agents.db"
    with SqliteStore(path) as store:
        fill(store, "agent", 3)
    opened = open_for_writing(path, newest=FORMAT + 1, migrations={FORMAT: add_a_column})
    rows = opened.write.execute("SELECT id, name FROM agents").fetchall()
    opened.close()
    assert rows == [("agent", None)]
    assert header(path) == (APPLICATION_ID, FORMAT + 1)
    open_for_writing(path, newest=FORMAT + 1, migrations={}).close()  # once is enough


def test_a_new_file_goes_through_the_migrations_too(tmp_path: Path) -> None:
    opened = open_for_writing(tmp_path / "new.db", newest=FORMAT + 1, migrations={FORMAT: add_a_column})
    assert opened.write.execute("SELECT id, name FROM agents").fetchall() == []
    opened.close()


def test_a_migration_that_fails_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    def half_way(connection: sqlite3.Connection) -> None:
        add_a_column(connection)
        connection.execute("SELECT * FROM nowhere")

    path = tmp_path / "agents.db"
    with SqliteStore(path) as store:
        fill(store, "agent", 3)
    with pytest.raises(StoreError, match="could not be opened: no such table"):
        open_for_writing(path, newest=FORMAT + 1, migrations={FORMAT: half_way})
    with SqliteStore(path) as store:
        assert numbers(store, "agent") == [0, 1, 2]


# -- one writer ----------------------------------------------------------------------------------------------------


def test_a_second_store_on_one_file_is_refused_until_the_first_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "agents.db"
    (tmp_path / "alias.db").symlink_to(path)
    first = SqliteStore(path)
    with pytest.raises(FencedError, match=rf"in use by process {os.getpid()}: .* takeover=True"):
        SqliteStore(tmp_path / "alias.db")
    first.close()
    SqliteStore(path).close()


def test_taking_over_ends_the_other_ones_writing(tmp_path: Path) -> None:
    path = tmp_path / "agents.db"
    loser = SqliteStore(path)
    token = fill(loser, "agent", 1)
    winner = SqliteStore(path, takeover=True)
    error = append(loser, "agent", token, accepted(1))
    assert isinstance(error, FencedError)
    assert "taken over" in str(error)
    assert numbers(winner, "agent") == [0]
    assert append(winner, "agent", winner.take_token("agent"), accepted(2)) is None
    assert isinstance(append(loser, "agent", loser.take_token("agent"), accepted(3)), FencedError)
    assert numbers(loser, "agent") == [0, 2]  # it may still look
    loser.close()
    with pytest.raises(FencedError):  # the lock is the winner's, whatever becomes of the loser
        SqliteStore(path)
    winner.close()
    SqliteStore(path).close()


def test_tokens_grow_from_process_to_process(tmp_path: Path) -> None:
    path = tmp_path / "agents.db"
    tokens = []
    for _ in range(3):
        with SqliteStore(path) as store:
            tokens += [store.take_token("agent"), store.take_token("agent")]
    assert tokens == sorted(set(tokens))
    with SqliteStore(path) as store:
        store.take_token("agent")
        assert isinstance(append(store, "agent", tokens[-1], accepted(0)), FencedError)


HOLDER = """
import sys
from alloy_actors.content import user
from alloy_actors.journal import Accepted
from alloy_actors.store.sqlite import SqliteStore
store = SqliteStore(sys.argv[1])
token = store.take_token("agent")
print("open", flush=True)
for line in sys.stdin:
    store.append("agent", token, [Accepted(line.strip(), user("x"))], lambda error: print(repr(error), flush=True))
"""


def test_another_process_has_the_file_until_it_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "agents.db"
    with python(HOLDER, path) as holder:
        assert holder.stdout.readline() == "open\n"
        with pytest.raises(FencedError, match=f"process {holder.pid}"):
            SqliteStore(path)
        holder.kill()
        holder.wait()
        SqliteStore(path).close()


def test_a_process_that_was_taken_over_writes_nothing_more(tmp_path: Path) -> None:
    path = tmp_path / "agents.db"
    with python(HOLDER, path) as holder:
        assert holder.stdout.readline() == "open\n"
        holder.stdin.write("r0\n")
        holder.stdin.flush()
        assert holder.stdout.readline() == "None\n"
        with SqliteStore(path, takeover=True) as store:
            holder.stdin.write("r1\n")
            holder.stdin.flush()
            lines = [holder.stdout.readline(), holder.stdout.readline()]  # the log's, and the answer
            assert any("store_taken_over" in line for line in lines)
            assert any(line.startswith("FencedError(") for line in lines)
            assert numbers(store, "agent") == [0]
        holder.kill()


def test_a_database_that_another_program_holds_is_not_opened_for_now(tmp_path: Path) -> None:
    """As when a process was stopped in the middle of a transaction."""
    path = tmp_path / "agents.db"
    SqliteStore(path).close()
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreError, match="holds the database locked; if that one is stopped, end it"):
        SqliteStore(path, busy_timeout=0.05)
    other.close()
    SqliteStore(path).close()


# -- the system's option -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url", ["sqlite:", "sqlite://", "sqlite:///", "sqlite://host/a.db", "sqlite:///:memory:"]
)
def test_what_is_no_url_of_a_store_is_explained(url: str) -> None:
    with pytest.raises(ConfigError, match="write sqlite:///agents.db for a file in the working directory"):
        alloy.AgentSystem(store=url)


def test_a_relative_and_an_absolute_url_name_one_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    SqliteStore.from_url("sqlite:///agents.db").close()
    with SqliteStore.from_url(f"sqlite:///{tmp_path}/agents.db") as store:
        assert repr(store) == f"<SqliteStore {tmp_path}/agents.db>"
    assert sorted(file.name for file in tmp_path.iterdir()) == ["agents.db", "agents.db-lock"]


def test_a_system_on_a_store_that_cannot_be_opened_does_not_start(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is a directory"):
        alloy.AgentSystem(store=f"sqlite:///{tmp_path}")


def test_a_mistake_in_another_option_leaves_the_store_closed(tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        alloy.AgentSystem(store=f"sqlite:///{tmp_path}/agents.db", factory=3)
    assert list(tmp_path.iterdir()) == []
