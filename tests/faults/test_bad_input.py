"""Bad input: each line of it is one clear error that says what to do, or a documented no-op, and the system lives on."""

from __future__ import annotations

import queue
import sqlite3
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import alloy_actors as alloy
from alloy_actors.local import LocalServer
from alloy_actors.store._file import FORMAT
from alloy_actors.store.sqlite import SqliteStore
from alloy_actors.testing import Gate, ScriptedProvider, held, tool_call
from tests.checks import check_sendable

WAIT = 10.0


@pytest.fixture
def system(tmp_path: Path) -> Iterator[alloy.AgentSystem]:
    """One that is in use while others are tried; it must not notice."""
    with alloy.AgentSystem(store=f"sqlite:///{tmp_path / 'in-use.db'}") as system:
        agent = system.spawn("ada", provider=ScriptedProvider(lambda _request: "hi"))
        agent.chat("before")
        yield system
        assert agent.chat("after", timeout=WAIT).ok
        check_sendable(agent.messages())
        assert agent.health().restarts == 0


# -- store files (what permissions refuse is tried in tests/integration/store/test_opening.py, as another user) -----


def a_directory(path: Path) -> None:
    path.mkdir()


def nothing(_path: Path) -> None:
    pass


def text(path: Path) -> None:
    path.write_text("These are my notes.\n" * 100)


def a_strangers_database(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE notes (text TEXT)")
    connection.close()


def a_newer_store(path: Path) -> None:
    SqliteStore(path).close()
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA user_version = {FORMAT + 1}")
    connection.close()


@pytest.mark.parametrize(
    ("name", "make", "said"),
    [
        ("agents.db", a_directory, "is a directory: name a file in it, such as .*/agents.db"),
        ("missing/agents.db", nothing, "the folder .*/missing does not exist: make it, or name another path"),
        ("agents.db", text, "is not a database.*: name another path"),
        ("agents.db", a_strangers_database, "a database of another program: name another path"),
        ("agents.db", a_newer_store, rf"format {FORMAT + 1}, newer than this version reads.*: upgrade"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_what_cannot_be_a_store(
    system: alloy.AgentSystem, tmp_path: Path, name: str, make: Callable[[Path], None], said: str
) -> None:
    folder = tmp_path / "other"
    folder.mkdir()
    make(folder / name)
    before = files(folder)
    with pytest.raises(alloy.ConfigError, match=said):
        alloy.AgentSystem(store=f"sqlite:///{folder / name}")
    assert files(folder) == before, "something was written"


def files(folder: Path) -> dict[str, bytes]:
    """By name; without those that SQLite itself makes to read one of ours."""
    found = (file for file in folder.rglob("*") if file.is_file())
    return {file.name: file.read_bytes() for file in found if not file.name.endswith(("-wal", "-shm"))}


def test_a_store_that_is_in_use(system: alloy.AgentSystem, tmp_path: Path) -> None:
    with pytest.raises(alloy.FencedError, match="in use by process .*: stop that one, or .* takeover=True"):
        alloy.AgentSystem(store=f"sqlite:///{tmp_path / 'in-use.db'}")


# -- names and messages --------------------------------------------------------------------------------------------


def test_a_name_that_is_taken(system: alloy.AgentSystem) -> None:
    with pytest.raises(alloy.ConfigError, match=r"'ada' exists already.*: agent\('ada'\) is its handle"):
        system.spawn("ada", provider=ScriptedProvider("hi"))


@pytest.mark.parametrize("name", ["", 3, b"ada", "half a \ud83d pair"])
def test_what_is_no_name(system: alloy.AgentSystem, name: Any) -> None:
    with pytest.raises(alloy.ConfigError, match="spawn: name must be .*got"):
        system.spawn(name, provider=ScriptedProvider("hi"))
    with pytest.raises(alloy.ConfigError, match="request_id must be .*got"):
        system.agent("ada").chat("hi", request_id=name)
    with pytest.raises(alloy.ConfigError, match="topic must be .*got"):
        system.publish(name, "hi")


@pytest.mark.parametrize("message", ["", None, b"\xff\xfe", ["hi"]])
def test_what_is_no_message(system: alloy.AgentSystem, message: Any) -> None:
    agent = system.agent("ada")
    before = agent.messages()
    for call in (agent.chat, agent.send_message, agent.stream_chat, agent.steer):
        with pytest.raises(alloy.ConfigError, match="message must"):
            call(message)
    assert agent.messages() == before


def test_a_message_with_half_a_character_is_kept_and_sent_with_a_replacement(
    server: LocalServer, tmp_path: Path
) -> None:
    """As it comes from a file's name, or from a text that was cut in two."""
    store = f"sqlite:///{tmp_path / 'agents.db'}"
    provider = alloy.OpenAICompat(model="scripted-fast", api_url=server.url)
    with alloy.AgentSystem(store=store) as system:
        agent = system.spawn("ada", provider=provider)
        assert 'You said: "half a � pair"' in agent.chat("half a \ud83d pair").raise_for_status().text
        assert agent.chat("whole").ok
    with alloy.AgentSystem(store=store) as system:
        agent = system.spawn("ada", provider=provider)
        assert [message.text for message in agent.messages()][::2] == ["half a \ud83d pair", "whole"]
        assert agent.chat("and again").ok


def test_what_is_logged_of_half_a_character_breaks_nothing(system: alloy.AgentSystem) -> None:
    @alloy.tool
    def read() -> str:
        """Fail with the name of a file that is no text."""
        raise FileNotFoundError("no such file: \udcff.txt")

    script = [tool_call("read"), "sorry"]
    agent = system.spawn(provider=ScriptedProvider(script), tools=[read], tool_timeout=WAIT)
    result = agent.chat("go", timeout=WAIT).raise_for_status()
    assert "no such file" in result.messages[2].blocks[0].content


def test_a_very_large_message_is_a_message(server: LocalServer, tmp_path: Path) -> None:
    """What is too large for a model is the model's to say: one clear error, and the agent goes on."""
    large = "a word " * 1_000_000
    with alloy.AgentSystem(store=f"sqlite:///{tmp_path / 'agents.db'}") as system:
        agent = system.spawn("ada", provider=alloy.OpenAICompat(model="scripted-fast", api_url=server.url))
        assert agent.chat(large, timeout=WAIT).ok
        small = ScriptedProvider(_refuses_more_than(1000))
        agent.set_model(small)
        result = agent.chat("too much?", timeout=WAIT)
        assert isinstance(result.error, alloy.ContextOverflowError)
        agent.reset()
        assert agent.chat("and now?", timeout=WAIT).ok
        agent.stop()
    with SqliteStore(tmp_path / "agents.db") as store:
        store.load("ada")


def _refuses_more_than(limit: int) -> Callable[[alloy.ModelRequest], str]:
    def answer(request: alloy.ModelRequest) -> str:
        if sum(len(message.text) for message in request.messages) > limit:
            raise alloy.ContextOverflowError("the history does not fit")
        return "fine"

    return answer


# -- callbacks -----------------------------------------------------------------------------------------------------


def test_a_callback_that_raises_is_logged_and_the_next_is_called(
    system: alloy.AgentSystem, capsys: pytest.CaptureFixture[str]
) -> None:
    agent = system.agent("ada")
    told: queue.SimpleQueue[alloy.Result] = queue.SimpleQueue()

    def broken(_result: alloy.Result) -> None:
        raise ValueError("a bug in a callback")

    async def broken_too(_result: alloy.Result) -> None:
        raise ValueError("a bug in an async callback")

    for callback in (broken, broken_too, told.put):
        agent.send_message("hi", callback)
    assert told.get(timeout=WAIT).ok
    assert agent.chat("hi").ok
    printed = capsys.readouterr().out
    assert "a bug in a callback" in printed
    assert printed.count("callback_failed") == 2


def test_callbacks_that_block_for_ever_keep_only_their_own_agents_callbacks_waiting(tmp_path: Path) -> None:
    """More of them than the pool has threads."""
    blocked = threading.Semaphore(0)
    release = threading.Event()

    def block(_result: alloy.Result) -> None:
        blocked.release()
        release.wait(60)

    with alloy.AgentSystem(store=f"sqlite:///{tmp_path / 'agents.db'}", stop_timeout=0.5) as system:
        provider = ScriptedProvider(lambda _request: "hi")
        agents = [system.spawn(f"blocked-{number}", provider=provider) for number in range(12)]
        for agent in agents:
            agent.send_message("hi", block)
        for _ in agents:
            assert blocked.acquire(timeout=WAIT)
        told: queue.SimpleQueue[alloy.Result] = queue.SimpleQueue()
        other = system.spawn("other", provider=provider)
        other.send_message("hi", told.put)
        assert told.get(timeout=WAIT).ok
        assert agents[0].chat("hi", timeout=WAIT).ok, "the agent itself goes on"
        agents[0].send_message("hi", told.put)
        assert agents[0].chat("hi", timeout=WAIT).ok
        assert told.empty(), "callbacks of one agent are called in order"
    assert told.empty()  # the system has stopped although they never returned
    release.set()
    assert told.get(timeout=WAIT).ok, "and the one behind is called when it is its turn"


def test_a_listener_that_blocks_keeps_only_its_own_caller_waiting(system: alloy.AgentSystem) -> None:
    entered, release = threading.Event(), threading.Event()

    def block(_chunk: str) -> None:
        entered.set()
        release.wait(60)

    agent = system.agent("ada")
    streaming = threading.Thread(target=lambda: agent.stream_chat("hi", block))
    streaming.start()
    assert entered.wait(WAIT)
    assert agent.chat("and I?", timeout=WAIT).ok
    release.set()
    streaming.join(WAIT)


# -- calls at the wrong time ---------------------------------------------------------------------------------------


def test_steering_an_idle_agent_does_nothing_and_says_so(system: alloy.AgentSystem) -> None:
    agent = system.agent("ada")
    before = agent.messages()
    assert agent.steer("left") is False
    assert agent.messages() == before


def test_cancelling_what_is_finished_or_unknown_does_nothing_and_says_so(system: alloy.AgentSystem) -> None:
    agent = system.agent("ada")
    result = agent.chat("hi", request_id="R")
    assert agent.cancel_request("R") is False
    assert agent.cancel_request("unknown") is False
    assert agent.cancel_request() is False
    assert agent.result("R") is result


def test_the_same_id_for_another_message_is_refused(system: alloy.AgentSystem) -> None:
    agent = system.agent("ada")
    agent.chat("hi", request_id="R")
    with pytest.raises(alloy.ConfigError, match="'R' was already used for another message: ids name one"):
        agent.chat("something else", request_id="R")


def test_one_more_than_may_wait_is_refused_and_the_others_are_served(system: alloy.AgentSystem) -> None:
    gate = Gate()
    told: queue.SimpleQueue[alloy.Result] = queue.SimpleQueue()
    agent = system.spawn("small", provider=ScriptedProvider([held(gate, "1"), "2"]), max_pending=1)
    agent.send_message("1", told.put)
    gate.arrived()
    agent.send_message("2", told.put)
    with pytest.raises(alloy.QueueFullError, match="max_pending=1.*: wait for one, or raise max_pending"):
        agent.send_message("3")
    gate.release()
    assert [told.get(timeout=WAIT).text for _ in range(2)] == ["1", "2"]
