"""Cancel at every point of a request: what hangs stays hung, and the Result is there all the same.

Nothing here is let go before its request was told that it is cancelled, so none of them can have been waited for; how long
it takes is printed by `python -m benchmarks cancel`.
"""

from __future__ import annotations

import asyncio
import os
import queue
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

import alloy_actors as alloy
from alloy_actors.journal import OnAppended, Record, RequestSent
from alloy_actors.local import LocalServer, scripted_model
from alloy_actors.store.memory import MemoryStore
from alloy_actors.testing import Gate, ScriptedProvider, hang, held, tool_call, tool_calls
from alloy_actors.tools import bash_tool
from tests.checks import check_sendable

WAIT = 10.0


@pytest.fixture(scope="module")
def server() -> Iterator[LocalServer]:
    with LocalServer() as server:
        yield server


class Scene:
    """An agent with a request "R" that a test brings to some point."""

    def __init__(self, system: alloy.AgentSystem, provider: Any, **options: Any) -> None:
        self.agent = system.spawn("ada", provider=provider, **options)
        self.told: queue.SimpleQueue[alloy.Result] = queue.SimpleQueue()
        self.agent.send_message("go", self.told.put, request_id="R")

    def cancel(self) -> alloy.Result:
        """Cancel it and return what it comes to."""
        assert self.agent.cancel_request("R")
        result = self.told.get(timeout=WAIT)
        assert (result.request_id, result.status) == ("R", "cancelled")
        assert isinstance(result.error, alloy.CancelledError)
        assert not self.agent.cancel_request("R"), "it has ended"
        check_sendable(result.messages)
        return result

    def check_next(self, provider: Any = None) -> None:
        """The agent goes on as if nothing had been."""
        self.agent.set_model(provider or ScriptedProvider(["fine"]))
        assert self.agent.chat("and now?", timeout=WAIT).ok
        check_sendable(self.agent.messages())
        assert self.told.empty()


def on_wire(server: LocalServer, **directives: Any) -> alloy.OpenAICompat:
    return alloy.OpenAICompat(model=scripted_model("scripted-fast", **directives), api_url=server.url)


# -- the model -----------------------------------------------------------------------------------------------------


def test_waiting_for_the_model(system: alloy.AgentSystem, server: LocalServer) -> None:
    """T76."""
    scene = Scene(system, on_wire(server, fault="hang"))
    server.wait_stats(active=1)
    result = scene.cancel()
    server.wait_stats(active=0, connections=0)
    assert result.messages[-1].text == "[No answer: the request was cancelled.]"
    scene.check_next(on_wire(server))


def test_in_the_middle_of_a_stream_keeps_and_marks_what_was_heard(
    system: alloy.AgentSystem, server: LocalServer
) -> None:
    heard: queue.SimpleQueue[str] = queue.SimpleQueue()
    agent = system.spawn("ada", provider=on_wire(server, fault="stall", deltas=8))
    results: queue.SimpleQueue[alloy.Result] = queue.SimpleQueue()
    streaming = threading.Thread(
        target=lambda: results.put(agent.stream_chat("go", heard.put, request_id="R"))
    )
    streaming.start()
    words = [heard.get(timeout=WAIT) for _ in range(3)]  # half of the deltas; one of them says who speaks
    assert agent.cancel_request("R")
    result = results.get(timeout=WAIT)
    streaming.join(WAIT)
    server.wait_stats(active=0, connections=0)
    assert (result.status, result.text) == ("cancelled", "".join(words))
    assert result.messages[-1].text == (
        f"{result.text}\n\n[This answer was cut off: the request was cancelled.]"
    )
    check_sendable(agent.messages())


def test_in_the_pause_before_the_model_is_asked_again(system: alloy.AgentSystem) -> None:
    class Overloaded:
        model = "overloaded"

        def __init__(self) -> None:
            self.asked = threading.Semaphore(0)

        async def complete(self, request: object, on_deltas: object = None) -> alloy.ModelReply:
            # Said when the loop has gone on from here: the pause has begun then.
            asyncio.get_running_loop().call_soon(self.asked.release)
            raise alloy.OverloadedError("later", retry_after=100.0)

    provider = Overloaded()
    scene = Scene(system, provider)
    assert provider.asked.acquire(timeout=WAIT)
    scene.cancel()
    assert not provider.asked.acquire(blocking=False), "it was asked again"
    scene.check_next()


# -- the tools -----------------------------------------------------------------------------------------------------


def test_in_the_middle_of_parallel_tools(system: alloy.AgentSystem) -> None:
    """Async tools are cancelled, plain ones told and left."""
    order: queue.SimpleQueue[str] = queue.SimpleQueue()
    started = threading.Semaphore(0)
    release = threading.Event()

    @alloy.tool
    def quick() -> str:
        """End at once."""
        return "done"

    @alloy.tool
    async def coro() -> str:
        """Wait on the loop."""
        started.release()
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            order.put("coro was cancelled")
        return "never"

    @alloy.tool
    def polite(context: alloy.ToolContext) -> str:
        """Wait, and look whether anybody waits for it."""
        started.release()
        assert context.cancelled.wait(WAIT)
        order.put("polite was told")
        return "nobody hears this"

    @alloy.tool
    def deaf() -> str:
        """Wait, and look at nothing."""
        started.release()
        release.wait(WAIT)
        return "nobody hears this"

    calls = [tool_call(name) for name in ("quick", "coro", "polite", "deaf")]
    script = ScriptedProvider([tool_calls(*calls)])
    scene = Scene(system, script, tools=[quick, coro, polite, deaf])
    for _ in range(3):
        assert started.acquire(timeout=WAIT)
    result = scene.cancel()
    assert {order.get(timeout=WAIT) for _ in range(2)} == {"coro was cancelled", "polite was told"}
    assert not release.is_set(), "the deaf one was not waited for"
    assert system._tools.statistics().stuck == 1, "the deaf one is counted"
    _quick, *others = (block.content for block in result.messages[2].blocks)
    assert all("outcome of this call is unknown: the request was cancelled" in other for other in others)
    release.set()
    scene.check_next()


def test_in_the_middle_of_a_command(system: alloy.AgentSystem, tmp_path: Path) -> None:
    """The shell dies, and what it has started in the background with it."""
    os.mkfifo(tmp_path / "pids")
    call = tool_call("bash", command="sleep 1000 & echo $$ $! > pids; wait")
    scene = Scene(
        system, ScriptedProvider([call]), tools=[bash_tool(restricted=False)], working_directory=tmp_path
    )
    shell, child = map(int, (tmp_path / "pids").read_text().split())
    result = scene.cancel()
    for pid in (shell, child):
        wait_until_gone(pid)
    (answer,) = result.messages[2].blocks
    assert "outcome of this call is unknown: the request was cancelled" in answer.content
    scene.check_next()


def wait_until_gone(pid: int) -> None:
    """A killed process that nobody has reaped so far is gone as well."""
    for _ in range(2000):
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return
        if state in "ZX":
            return
        threading.Event().wait(0.005)
    raise AssertionError(f"process {pid} lives on")


# -- where nothing runs --------------------------------------------------------------------------------------------


def test_in_the_queue(system: alloy.AgentSystem) -> None:
    """T76."""
    gate = Gate()
    provider = ScriptedProvider([held(gate, "never")])
    agent = system.spawn("ada", provider=provider)
    told: queue.SimpleQueue[alloy.Result] = queue.SimpleQueue()
    agent.send_message("1", told.put, request_id="1")
    agent.send_message("2", told.put, request_id="2")
    gate.arrived()
    assert agent.cancel_request("2")
    result = told.get(timeout=WAIT)
    assert (result.request_id, result.status, result.turns) == ("2", "cancelled", 0)
    assert agent.health().busy, "the other one goes on"
    assert agent.cancel_request("1")
    assert told.get(timeout=WAIT).request_id == "1"
    assert len(provider.requests) == 1
    check_sendable(agent.messages())


class HeldStore(MemoryStore):
    """Answers to the record that begins a second turn only when it is let."""

    def __init__(self) -> None:
        super().__init__()
        self.held, self.release = threading.Event(), threading.Event()

    def append(self, agent_id: str, token: int, records: Sequence[Record], on_appended: OnAppended) -> None:
        go_on = super().append
        if any(isinstance(record, RequestSent) and record.turn == 2 for record in records):

            def later() -> None:
                self.held.set()
                assert self.release.wait(WAIT)
                go_on(agent_id, token, records, on_appended)

            threading.Thread(target=later).start()
        else:
            go_on(agent_id, token, records, on_appended)


def test_between_two_turns() -> None:
    """The journal is about to say that the model is asked again; it never is."""

    @alloy.tool
    async def quick() -> str:
        """End at once."""
        return "done"

    store = HeldStore()
    provider = ScriptedProvider([tool_call("quick"), "never"])
    with alloy.AgentSystem(store=store) as system:
        scene = Scene(system, provider, tools=[quick])
        assert store.held.wait(WAIT)
        assert scene.agent.cancel_request("R")
        store.release.set()
        result = scene.told.get(timeout=WAIT)
        assert (result.status, result.turns) == ("cancelled", 1)
        assert [call.error for call in result.tool_calls] == [None]
        assert len(provider.requests) == 1
        scene.check_next()


def test_before_the_run_has_begun(system: alloy.AgentSystem) -> None:
    for number in range(50):
        provider = ScriptedProvider([hang()])
        agent = system.spawn(provider=provider)
        told: queue.SimpleQueue[alloy.Result] = queue.SimpleQueue()
        agent.send_message("go", told.put, request_id=f"{number}")
        assert agent.cancel_request(f"{number}")
        assert told.get(timeout=WAIT).status == "cancelled"
        check_sendable(agent.messages())
        agent.stop()


# -- what is no request --------------------------------------------------------------------------------------------


def test_what_is_finished_or_unknown_is_said_to_be_so(system: alloy.AgentSystem) -> None:
    """T76."""
    agent = system.spawn("ada", provider=ScriptedProvider(["hi"]))
    agent.chat("go", request_id="R")
    assert not agent.cancel_request("R")
    assert not agent.cancel_request("unknown")
    assert not agent.cancel_request()
    assert agent.result("R").status == "completed"


def test_a_coroutine_that_cancels_does_not_wait_for_the_disk_on_its_loop() -> None:
    """A request that is still being recorded: the store may take seconds, and the loop is everybody's."""

    class SlowStore(MemoryStore):
        release = threading.Event()

        def append(
            self, agent_id: str, token: int, records: Sequence[Record], on_appended: OnAppended
        ) -> None:
            go_on = super().append

            def later() -> None:
                assert self.release.wait(WAIT)
                go_on(agent_id, token, records, on_appended)

            threading.Thread(target=later).start()

    async def main() -> None:
        async with alloy.AgentSystem(store=SlowStore()) as system:
            agent = await system.aspawn("ada", provider=ScriptedProvider([hang()]))
            sending = asyncio.create_task(agent.asend_message("go", request_id="R"))
            await asyncio.sleep(0)
            cancelling = asyncio.create_task(agent.acancel_request("R"))
            await asyncio.sleep(0)
            SlowStore.release.set()  # the loop came here: nothing blocks it
            assert await asyncio.wait_for(cancelling, WAIT)
            assert await asyncio.wait_for(sending, WAIT) == "R"
            await asyncio.wait_for(agent.drained(), WAIT)  # it may have begun in between
            assert agent.result("R").status == "cancelled"

    asyncio.run(main())


def test_gates_are_not_needed_for_what_is_cancelled(system: alloy.AgentSystem) -> None:
    """Cancelled twice, by two threads: told once."""
    gate = Gate()
    scene = Scene(system, ScriptedProvider([held(gate, "never")]))
    gate.arrived()
    both = threading.Barrier(2)
    answers: queue.SimpleQueue[bool] = queue.SimpleQueue()

    def cancel() -> None:
        both.wait(WAIT)
        answers.put(scene.agent.cancel_request("R"))

    threads = [threading.Thread(target=cancel) for _ in range(2)]
    for thread in threads:
        thread.start()
    assert scene.told.get(timeout=WAIT).status == "cancelled"
    for thread in threads:
        thread.join(WAIT)
    assert any(answers.get(timeout=WAIT) for _ in threads)
    scene.check_next()
