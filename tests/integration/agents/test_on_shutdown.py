"""`on_shutdown` gets the conversation of an agent that has ended for good."""

from __future__ import annotations

import asyncio
import queue
import threading
from pathlib import Path

import pytest
import structlog

import alloy_actors as alloy
from alloy_actors.actors.entry import AgentEntry
from alloy_actors.testing import ScriptedProvider, cut, hang
from tests.checks import check_sendable

WAIT = 5.0


@pytest.fixture
def sessions() -> queue.SimpleQueue[alloy.Session]:
    return queue.SimpleQueue()


def texts(session: alloy.Session) -> list[str]:
    return [message.text for message in session.messages]


def test_a_stopped_agent_hands_its_conversation_over_before_stop_returns(
    system: alloy.AgentSystem, sessions: queue.SimpleQueue[alloy.Session]
) -> None:
    """T71."""
    agent = system.spawn("a", provider=ScriptedProvider(["hi"]), on_shutdown=sessions.put)
    agent.chat("hello")
    exported = agent.export_session()
    agent.stop()
    session = sessions.get_nowait()
    assert (session.id, session.messages, session.usage) == (exported.id, exported.messages, exported.usage)
    assert session.metadata == {"name": "a", "model": agent.health().model, "status": "stopped"}
    assert session.created_at == exported.created_at
    assert sessions.empty()


def test_the_end_of_a_system_is_the_end_of_its_agents(sessions: queue.SimpleQueue[alloy.Session]) -> None:
    with alloy.AgentSystem() as system:
        for name in ("a", "b", "c"):
            system.spawn(name, provider=ScriptedProvider(["hi"]), on_shutdown=sessions.put).chat(name)
    assert sorted(texts(sessions.get_nowait())[0] for _ in range(3)) == ["a", "b", "c"]
    assert sessions.empty()


def test_middleware_that_halts_everything_does_not_keep_it_from_being_called(
    system: alloy.AgentSystem, sessions: queue.SimpleQueue[alloy.Session]
) -> None:
    """T73; the hooks of a session are in test_session_hooks.py."""

    class Closed(alloy.Middleware):
        def before_completion(self, run: alloy.RunView) -> alloy.Halt:
            return alloy.Halt("closed")

    agent = system.spawn("a", provider=ScriptedProvider([]), middleware=[Closed()], on_shutdown=sessions.put)
    assert agent.chat("hello").status == "halted"
    agent.stop()
    session = sessions.get_nowait()
    assert texts(session)[0] == "hello"
    check_sendable(session.messages)


def test_a_crash_is_not_the_end(
    system: alloy.AgentSystem, sessions: queue.SimpleQueue[alloy.Session]
) -> None:
    agent = system.spawn("a", provider=ScriptedProvider(["hi", "again"]), on_shutdown=sessions.put)
    agent.chat("hello")
    agent.crash()
    agent.chat("more")
    assert sessions.empty()
    agent.stop()
    assert texts(sessions.get_nowait()) == ["hello", "hi", "more", "again"]


def test_a_parked_agent_that_is_stopped_still_has_its_conversation(
    system: alloy.AgentSystem, sessions: queue.SimpleQueue[alloy.Session]
) -> None:
    agent = system.spawn("a", provider=ScriptedProvider(["hi"]), on_shutdown=sessions.put)
    agent.chat("hello")
    with pytest.raises(alloy.AgentDownError):
        while True:
            agent.crash()
            agent.messages()  # waits for the restart
    agent.stop()
    assert texts(sessions.get_nowait()) == ["hello", "hi"]
    assert sessions.empty()


def test_a_run_that_is_on_leaves_first(
    system: alloy.AgentSystem, sessions: queue.SimpleQueue[alloy.Session]
) -> None:
    provider = ScriptedProvider(["hi", hang()])
    agent = system.spawn("a", provider=provider, on_shutdown=sessions.put)
    agent.chat("hello")
    results: queue.SimpleQueue[alloy.Result] = queue.SimpleQueue()
    started = threading.Event()

    def stream() -> None:
        results.put(agent.stream_chat("more", on_event=lambda _event: started.set()))

    thread = threading.Thread(target=stream)
    thread.start()
    assert started.wait(WAIT)
    agent.stop()
    thread.join(WAIT)
    assert results.get(timeout=WAIT).status == "cancelled"
    session = sessions.get_nowait()
    assert texts(session)[:3] == ["hello", "hi", "more"]
    check_sendable(session.messages)


def test_an_async_one_is_awaited(system: alloy.AgentSystem) -> None:
    said: list[str] = []

    async def on_shutdown(session: alloy.Session) -> None:
        await asyncio.sleep(0)
        said.extend(texts(session))

    agent = system.spawn("a", provider=ScriptedProvider(["hi"]), on_shutdown=on_shutdown)
    agent.chat("hello")
    agent.stop()
    assert said == ["hello", "hi"]


def test_stop_waits_for_it_however_late_it_begins(
    system: alloy.AgentSystem, sessions: queue.SimpleQueue[alloy.Session], monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = system.spawn("a", provider=ScriptedProvider(["hi"]), on_shutdown=sessions.put)
    agent.chat("hello")
    begun, returned = threading.Event(), threading.Event()
    bury = AgentEntry._bury

    def late(self: AgentEntry) -> None:
        begun.set()
        returned.wait(0.2)  # a stop that does not wait returns now
        bury(self)

    monkeypatch.setattr(AgentEntry, "_bury", late)
    first = threading.Thread(target=agent.stop)
    first.start()
    assert begun.wait(WAIT)
    agent.stop()
    returned.set()
    assert texts(sessions.get_nowait()) == ["hello", "hi"]
    first.join(WAIT)


async def _stop_on_own_loop(seen: list[asyncio.AbstractEventLoop]) -> None:
    async def on_shutdown(_session: alloy.Session) -> None:
        seen.append(asyncio.get_running_loop())

    async with alloy.AgentSystem(loop=asyncio.get_running_loop()) as system:
        agent = await system.aspawn("a", provider=ScriptedProvider(["hi"]), on_shutdown=on_shutdown)
        await agent.astop()
    seen.append(asyncio.get_running_loop())


def test_an_async_one_runs_on_the_loop_given_to_the_system() -> None:
    seen: list[asyncio.AbstractEventLoop] = []
    asyncio.run(_stop_on_own_loop(seen))
    assert len(seen) == 2
    assert seen[0] is seen[1]


@pytest.mark.parametrize("failure", [ValueError("no disk"), SystemExit(3)])
def test_what_it_raises_is_logged_and_harms_nothing(
    system: alloy.AgentSystem, failure: BaseException
) -> None:
    """T71."""

    def on_shutdown(_session: alloy.Session) -> None:
        raise failure

    agent = system.spawn("a", provider=ScriptedProvider(["hi"]), on_shutdown=on_shutdown)
    agent.chat("hello")
    with structlog.testing.capture_logs() as logs:
        agent.stop()
    (record,) = [log for log in logs if log["event"] == "callback_failed"]
    assert type(failure).__name__ in record["exception"]
    assert agent.health().status == "stopped"


def test_an_agent_that_never_came_up_says_nothing(sessions: queue.SimpleQueue[alloy.Session]) -> None:
    """T71."""
    system = alloy.AgentSystem()
    system.stop()
    with pytest.raises(alloy.AgentDownError):
        system.spawn("a", provider=ScriptedProvider(["hi"]), on_shutdown=sessions.put)
    assert sessions.empty()


def test_it_must_be_callable(system: alloy.AgentSystem) -> None:
    with pytest.raises(alloy.ConfigError, match="on_shutdown must be a function"):
        system.spawn("a", provider=ScriptedProvider(["hi"]), on_shutdown="save.json")


@pytest.mark.parametrize("store", ["memory:", "sqlite:///{folder}/agents.db"])
def test_a_session_saved_at_the_end_goes_on_in_another_system(store: str, tmp_path: Path) -> None:
    file = tmp_path / "session.json"
    with alloy.AgentSystem(store=store.format(folder=tmp_path)) as system:
        agent = system.spawn(
            "a",
            provider=ScriptedProvider(["hi", cut("half an answer", alloy.ServerError("gone"))]),
            max_retries=0,
            on_shutdown=lambda session: file.write_bytes(session.to_json()),
        )
        agent.chat("hello")
        agent.stream_chat("more", lambda _text: None)
    session = alloy.Session.from_json(file.read_bytes())
    check_sendable(session.messages)
    provider = ScriptedProvider(["welcome back"])
    with alloy.AgentSystem() as system:
        again = system.spawn("b", provider=provider, session=session)
        assert again.chat("and now?").text == "welcome back"
    assert [message.text for message in provider.requests[-1].messages[:2]] == ["hello", "hi"]
    assert "half an answer" in provider.requests[-1].messages[3].text
