"""`session_start` may keep an agent from coming up, `session_end` sees it off; neither is asked by a one-shot run."""

from __future__ import annotations

import asyncio
import threading
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import pytest
import structlog

import alloy_actors as alloy
from alloy_actors.actors import session_hooks
from alloy_actors.testing import Gate, ScriptedProvider

WAIT = 5.0


class Host(alloy.Middleware):
    """Notes both hooks; `start` and `end` are what they return, or raise."""

    def __init__(self, log: list[str], name: str = "m", start: Any = None, end: Any = None) -> None:
        self.log, self.name, self.start, self.end = log, name, start, end
        self.views: list[alloy.SessionView] = []

    def _note(self, hook: str, session: alloy.SessionView, answer: Any) -> Any:
        self.log.append(f"{self.name}.{hook}")
        self.views.append(session)
        if isinstance(answer, BaseException):
            raise answer
        return answer

    def session_start(self, session: alloy.SessionView) -> Any:
        return self._note("session_start", session, self.start)

    def session_end(self, session: alloy.SessionView) -> Any:
        return self._note("session_end", session, self.end)


class AsyncHost(Host):
    async def session_start(self, session: alloy.SessionView) -> Any:
        return self._note("session_start", session, self.start)

    async def session_end(self, session: alloy.SessionView) -> Any:
        return self._note("session_end", session, self.end)


KINDS = pytest.mark.parametrize("host", [Host, AsyncHost])


@KINDS
def test_a_session_begins_in_order_and_ends_in_reverse_before_on_shutdown(
    system: alloy.AgentSystem, host: type[Host]
) -> None:
    log: list[str] = []
    first, second = host(log, "a"), host(log, "b")
    agent = system.spawn(
        "clerk",
        provider=ScriptedProvider(["hi"]),
        middleware=[first, second],
        context={"tenant": 7},
        on_shutdown=lambda session: log.append(f"on_shutdown of {len(session.messages)}"),
    )
    assert log == ["a.session_start", "b.session_start"]
    used = agent.chat("hello").usage
    agent.stop()
    assert log[2:] == ["b.session_end", "a.session_end", "on_shutdown of 2"]
    begun, ended = first.views
    assert (begun.agent, begun.model, begun.messages, begun.context["tenant"]) == ("clerk", "scripted", (), 7)
    assert [message.text for message in ended.messages] == ["hello", "hi"]
    assert ended.usage == used != begun.usage


@KINDS
def test_a_halt_at_the_start_makes_spawn_fail_with_its_reason(
    system: alloy.AgentSystem, host: type[Host]
) -> None:
    """T73."""
    log: list[str] = []
    middleware = [host(log, "a"), host(log, "b", start=alloy.Halt("no tenant")), host(log, "c")]
    with pytest.raises(alloy.HaltedError, match="'clerk' was not started: Halted by middleware: no tenant"):
        system.spawn("clerk", provider=ScriptedProvider([]), middleware=middleware)
    assert log == ["a.session_start", "b.session_start"]
    assert system.agents() == []
    # The name is free, nothing of the first attempt is left, and nothing is said about its end.
    again = system.spawn("clerk", provider=ScriptedProvider(["hi"]), messages=[])
    assert again.chat("hello").text == "hi"
    again.stop()
    assert log == ["a.session_start", "b.session_start"]


def test_an_agent_started_without_a_system_may_be_refused_as_well() -> None:
    """T73."""
    middleware = [Host([], start=alloy.Halt("closed"))]
    with pytest.raises(alloy.HaltedError, match="closed"):
        alloy.Agent.start(provider=ScriptedProvider([]), middleware=middleware)


def test_an_agent_that_is_not_to_start_subscribes_to_nothing(system: alloy.AgentSystem) -> None:
    """T74: topics are subscribed to only after `session_start` has let the agent through."""
    heard: list[int] = []

    class Listening(alloy.Middleware):
        def session_start(self, session: alloy.SessionView) -> alloy.Halt:
            heard.append(system.publish("news", "early"))
            return alloy.Halt("not today")

    with pytest.raises(alloy.HaltedError):
        system.spawn("a", provider=ScriptedProvider([]), middleware=[Listening()], subscribe=["news"])
    assert (heard, system.publish("news", "late")) == ([0], 0)


@KINDS
def test_a_start_hook_that_raises_is_named_by_the_error_of_spawn(
    system: alloy.AgentSystem, host: type[Host]
) -> None:
    bug = RuntimeError("no such table")
    with pytest.raises(alloy.CrashError, match="session_start raised RuntimeError: no such table") as caught:
        system.spawn("a", provider=ScriptedProvider([]), middleware=[host([], start=bug)])
    assert caught.value.__cause__ is bug
    with pytest.raises(alloy.CrashError):  # it ends neither the callback pool nor the loop
        system.spawn("a", provider=ScriptedProvider([]), middleware=[host([], start=SystemExit(3))])
    with pytest.raises(alloy.ConfigError, match="session_start returned Block: return None or Halt"):
        system.spawn("a", provider=ScriptedProvider([]), middleware=[host([], start=alloy.Block("x"))])
    assert system.spawn("a", provider=ScriptedProvider(["hi"])).chat("hello").text == "hi"


def test_a_start_hook_that_hangs_keeps_spawn_waiting_only_so_long(
    system: alloy.AgentSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session_hooks, "LIMIT", 0.05)
    gate = Gate()
    cancelled = threading.Event()

    class Hangs(alloy.Middleware):
        async def session_start(self, session: alloy.SessionView) -> None:
            try:
                await gate.wait()
            finally:
                cancelled.set()

    with pytest.raises(alloy.TimeoutError, match="session_start did not return within"):
        system.spawn("a", provider=ScriptedProvider([]), middleware=[Hangs()])
    assert cancelled.wait(WAIT)
    assert system.agents() == []


def test_a_start_hook_is_not_asked_again_when_the_agent_comes_back_from_a_crash(
    system: alloy.AgentSystem,
) -> None:
    log: list[str] = []
    agent = system.spawn("a", provider=ScriptedProvider(["hi"]), middleware=[Host(log)])
    agent.crash()
    assert agent.chat("hello", timeout=WAIT).text == "hi"
    assert agent.health().restarts == 1
    agent.stop()
    assert log == ["m.session_start", "m.session_end"]


def test_a_later_process_asks_again_and_shows_what_the_store_has(tmp_path: Path) -> None:
    store = f"sqlite:///{tmp_path}/agents.db"
    with alloy.AgentSystem(store=store) as system:
        system.spawn("a", provider=ScriptedProvider(["hi"]), middleware=[Host([])]).chat("hello")
    again = Host([], start=alloy.Halt("not today"))
    with alloy.AgentSystem(store=store) as system:
        with pytest.raises(alloy.HaltedError):
            system.spawn("a", provider=ScriptedProvider([]), middleware=[again])
        assert [message.text for message in again.views[0].messages] == ["hello", "hi"]
        agent = system.spawn("a", provider=ScriptedProvider(["back"]), middleware=[Host([])])
        assert agent.chat("again").text == "back"
        assert [message.text for message in agent.messages()] == ["hello", "hi", "again", "back"]


def test_a_refused_start_writes_nothing_down(tmp_path: Path) -> None:
    with alloy.AgentSystem(store=f"sqlite:///{tmp_path}/agents.db") as system:
        old = [alloy.Message("user", "old"), alloy.Message("assistant", "yes")]
        refused = Host([], start=alloy.Halt("not today"))
        with pytest.raises(alloy.HaltedError):
            system.spawn("a", provider=ScriptedProvider([]), messages=old, middleware=[refused])
        assert [message.text for message in refused.views[0].messages] == ["old", "yes"]
        agent = system.spawn("a", provider=ScriptedProvider(["hi"]))
        assert agent.messages() == []


@KINDS
@pytest.mark.parametrize("end", [alloy.Halt("stay"), RuntimeError("no disk"), SystemExit(3), "nonsense"])
def test_whatever_comes_of_an_end_hook_the_others_and_on_shutdown_are_still_called(
    system: alloy.AgentSystem, host: type[Host], end: object
) -> None:
    """T71, T73."""
    log: list[str] = []
    middleware = [host(log, "a"), host(log, "b", end=end)]
    agent = system.spawn(
        "clerk",
        provider=ScriptedProvider(["hi"]),
        middleware=middleware,
        on_shutdown=lambda _: log.append("on_shutdown"),
    )
    with structlog.testing.capture_logs() as logs:
        agent.stop()
    assert log[2:] == ["b.session_end", "a.session_end", "on_shutdown"]
    (said,) = [one for one in logs if one["event"] in ("halt_ignored", "hook_failed")]
    assert (said["hook"], said["agent"]) == ("session_end", "clerk")
    words = said.get("reason") or said["exception"]
    assert any(word in words for word in ("stay", "no disk", "SystemExit", "session_end returned str"))


def test_a_one_shot_run_has_no_session() -> None:
    log: list[str] = []
    result = alloy.run("hi", provider=ScriptedProvider("x"), middleware=[Host(log, start=alloy.Halt("no"))])
    assert (result.status, log) == ("completed", [])


def test_plain_session_hooks_run_off_the_callers_loop_and_async_ones_on_the_loop_that_was_given() -> None:
    tenant: ContextVar[str] = ContextVar("tenant", default="nobody")
    seen: dict[str, object] = {}

    class Looking(alloy.Middleware):
        def session_start(self, session: alloy.SessionView) -> None:
            seen["plain"] = (threading.current_thread(), tenant.get())

    class AsyncLooking(alloy.Middleware):
        async def session_start(self, session: alloy.SessionView) -> None:
            seen["loop"] = (asyncio.get_running_loop(), tenant.get())

        async def session_end(self, session: alloy.SessionView) -> None:
            seen["end"] = asyncio.get_running_loop()

    async def main() -> None:
        tenant.set("acme")
        loop = asyncio.get_running_loop()
        async with alloy.AgentSystem(loop=loop) as system:
            middleware = [Looking(), AsyncLooking()]
            agent = await system.aspawn("a", provider=ScriptedProvider(["hi"]), middleware=middleware)
            assert (await agent.achat("hello")).text == "hi"
            await agent.astop()
        assert seen["loop"] == (loop, "acme")
        assert seen["end"] is loop

    asyncio.run(main())
    thread, who = seen["plain"]
    assert who == "acme"
    assert thread is not threading.main_thread()
    assert "alloy-loop" not in thread.name


def test_a_start_is_waited_for_by_nobody_but_its_caller(system: alloy.AgentSystem) -> None:
    gate = Gate()

    class Slow(alloy.Middleware):
        async def session_start(self, session: alloy.SessionView) -> None:
            await gate.wait()

    spawned: list[alloy.AgentRef] = []

    def spawn() -> None:
        spawned.append(system.spawn("slow", provider=ScriptedProvider(["hi"]), middleware=[Slow()]))

    thread = threading.Thread(target=spawn)
    thread.start()
    gate.arrived()
    # Meanwhile other agents come up and answer, and a request for this one is taken.
    assert system.spawn("b", provider=ScriptedProvider(["fine"])).chat("go", timeout=WAIT).text == "fine"
    handle = system.agent("slow")
    assert handle.health().status == "starting"
    request_id = handle.send_message("hello", request_id="early")
    gate.release()
    thread.join(WAIT)
    assert spawned == [handle]
    assert handle.chat("hello", request_id=request_id, timeout=WAIT).text == "hi"


def test_an_agent_that_is_stopped_before_its_start_hook_has_answered_does_not_come_up(
    system: alloy.AgentSystem,
) -> None:
    gate = Gate()
    log: list[str] = []

    class Slow(Host):
        async def session_start(self, session: alloy.SessionView) -> None:
            await gate.wait()

    def spawn() -> None:
        system.spawn("slow", provider=ScriptedProvider([]), middleware=[Slow(log)])

    thread = threading.Thread(target=spawn)
    thread.start()
    gate.arrived()
    handle = system.agent("slow")
    stopping = threading.Thread(target=handle.stop)
    stopping.start()
    gate.release()
    thread.join(WAIT)
    stopping.join(WAIT)
    assert handle.health().status == "stopped"
    assert system.agents() == []


def test_an_aspawn_that_is_cancelled_in_its_start_hook_frees_the_name(system: alloy.AgentSystem) -> None:
    gate = Gate()

    class Slow(alloy.Middleware):
        async def session_start(self, session: alloy.SessionView) -> None:
            await gate.wait()

    async def main() -> None:
        slow = asyncio.create_task(system.aspawn("a", provider=ScriptedProvider([]), middleware=[Slow()]))
        await asyncio.to_thread(gate.arrived)
        handle = system.agent("a")
        slow.cancel()
        with pytest.raises(asyncio.CancelledError):
            await slow
        assert handle.health().status == "starting"
        gate.release()
        await handle.astop()  # waits for its end
        agent = await system.aspawn("a", provider=ScriptedProvider(["hi"]))
        assert (await agent.achat("hello")).text == "hi"
        await agent.astop()

    asyncio.run(main())
