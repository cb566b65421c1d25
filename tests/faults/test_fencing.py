"""Two processes on one store, and the first is frozen, not dead: it writes nothing when it thaws, says so, and stops."""

from __future__ import annotations

import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import alloy_actors as alloy
from alloy_actors.local import LocalServer
from alloy_actors.store.sqlite import SqliteStore
from alloy_actors.testing import Gate, ScriptedProvider, held, tool_call
from tests.checks import check_journal, check_sendable
from tests.faults.effects import Effects, check_effects
from tests.faults.loser import TEXT, options
from tests.world.stubborn import wait_stubbornly

WAIT = 20.0


class Frozen:
    """The process of `loser.py`; its lines are read as they come."""

    def __init__(self, folder: Path, url: str) -> None:
        command = [sys.executable, "-m", "tests.faults.loser", folder, url, "thaw"]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        for line in self.process.stdout:
            self._lines.put(line.strip())

    def line(self) -> str:
        return self._lines.get(timeout=WAIT)

    def ask(self, agent: str) -> None:
        self.process.stdin.write(f"{agent}\n")
        self.process.stdin.flush()

    def ask_until_stopped(self, agent: str) -> list[str]:
        """What its callers are told until it has stopped: that is a message to its actor, which may not have come to it."""
        told = []
        for _ in range(1000):
            self.ask(agent)
            told.append(self.line())
            if self.line() == f"{agent} is stopped":
                return told
        pytest.fail(f"{agent} does not stop: {told[-1]}")


@pytest.fixture
def frozen(tmp_path: Path, server: LocalServer) -> Iterator[Frozen]:
    child = Frozen(tmp_path, server.url)
    assert child.line() == "READY"
    server.wait_stats(active=1)
    child.process.send_signal(signal.SIGSTOP)
    yield child
    with child.process as process:
        process.send_signal(signal.SIGCONT)
        process.kill()
    child._reader.join(WAIT)


def test_a_frozen_process_that_was_taken_over_writes_nothing_tells_its_callers_and_its_agents_stop(
    frozen: Frozen, tmp_path: Path, server: LocalServer
) -> None:
    with pytest.raises(alloy.FencedError, match=rf"in use by process {frozen.process.pid}.*takeover=True"):
        alloy.AgentSystem(store=f"sqlite:///{tmp_path / 'agents.db'}")
    with alloy.AgentSystem(
        store=f"sqlite:///{tmp_path / 'agents.db'}",
        takeover=True,
        factory=lambda _name: options(tmp_path, server.url, None),
    ) as winner:
        agent = winner.agent("running")
        results = [agent.chat(TEXT, request_id=request_id, timeout=WAIT) for request_id in ("R", "Q")]
        assert [result.status for result in results] == ["completed", "completed"]

        server.open_gate("thaw")  # the answer to the frozen one is there when it thaws
        frozen.process.send_signal(signal.SIGCONT)
        assert {frozen.line() for _ in range(2)} == {"told R FencedError", "told Q FencedError"}
        assert set(frozen.ask_until_stopped("running")) <= {"refused FencedError", "refused AgentDownError"}
        frozen.ask("running")
        assert [frozen.line(), frozen.line()] == ["refused AgentDownError", "running is stopped"]
        refusals = frozen.ask_until_stopped("idle")
        assert refusals[0] == "refused FencedError"
        assert set(refusals) <= {"refused FencedError", "refused AgentDownError"}

        assert agent.chat("and you?", timeout=WAIT).ok
        live = agent.messages()
    check_sendable(live)
    check_effects(list(Effects(tmp_path / "effects").read()), live)
    with SqliteStore(tmp_path / "agents.db") as store:
        check_journal(store.load("running"))
        assert store.load("idle") == []


def test_two_systems_in_one_process_keep_to_the_same_rules(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'agents.db'}"
    gate = Gate()
    told: queue.SimpleQueue[alloy.Result] = queue.SimpleQueue()
    ran: list[str] = []

    @alloy.tool
    def effect() -> str:
        """Do it."""
        ran.append("effect")
        return "done"

    script = [held(gate, tool_call("effect"))]
    with alloy.AgentSystem(store=url) as loser:
        agent = loser.spawn("ada", provider=ScriptedProvider(script), tools=[effect])
        idle = loser.spawn("idle", provider=ScriptedProvider(["never"]))
        idle_too = loser.spawn("idle-too", provider=ScriptedProvider(["never"]))
        agent.send_message("go", told.put, request_id="R")
        gate.arrived()
        factory = {"provider": ScriptedProvider([tool_call("effect"), "done"]), "tools": [effect]}
        with alloy.AgentSystem(store=url, takeover=True, factory=lambda _name: factory) as winner:
            assert winner.agent("ada").chat("go", request_id="R", timeout=WAIT).text == "done"
            gate.release()
            assert isinstance(told.get(timeout=WAIT).error, alloy.FencedError)
            assert ran == ["effect"]
            with pytest.raises(alloy.FencedError):
                idle.send_message("are you there?")
            with pytest.raises(alloy.FencedError):
                idle_too.chat("are you there?")
            while idle.health().status != "stopped":
                pass
            with pytest.raises(alloy.AgentDownError):
                idle.send_message("are you there?")
            assert winner.agent("ada").health().status == "idle"
    assert told.empty()


def test_an_incarnation_that_was_replaced_writes_nothing_in_the_same_system(tmp_path: Path) -> None:
    """A run of a dead incarnation that will not end: its reply comes when the next one has long gone on."""
    with alloy.AgentSystem(store=f"sqlite:///{tmp_path / 'agents.db'}") as system:
        gate, late = Gate(), threading.Event()

        class Stubborn:
            """Will not be cancelled the first time."""

            model = "stubborn"
            times = 0

            async def complete(self, request: object, on_deltas: object = None) -> alloy.ModelReply:
                self.times += 1
                if self.times > 1:
                    return alloy.ModelReply(alloy.Message("assistant", "the new one's"))
                await wait_stubbornly(gate)
                late.set()
                return alloy.ModelReply(alloy.Message("assistant", "the old one's"))

        agent = system.spawn("ada", provider=Stubborn())
        told: queue.SimpleQueue[alloy.Result] = queue.SimpleQueue()
        agent.send_message("go", told.put)
        gate.arrived(timeout=WAIT)
        agent.crash("drill")
        assert told.get(timeout=WAIT).text == "the new one's"
        gate.release()
        assert late.wait(WAIT)
        assert agent.chat("again", timeout=WAIT).text == "the new one's"
        assert [message.text for message in agent.messages()][1::2] == ["the new one's"] * 2
        assert agent.health().status == "idle"
    assert told.empty()
