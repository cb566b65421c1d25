"""Tool calls that a person has to approve: asked together, decided once, and never run without a recorded decision."""

from __future__ import annotations

import asyncio
import queue
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import alloy_actors as alloy
from alloy_actors.journal import ApprovalAsked, ApprovalDecided, ToolCallStarted
from alloy_actors.testing import Gate, ScriptedProvider, held, tool_call, tool_calls
from tests.checks import check_sendable

if TYPE_CHECKING:
    from collections.abc import Iterator

WAIT = 5.0
ran: list[tuple[int, int]] = []


@alloy.tool
def add(a: int, b: int) -> int:
    """Add two numbers."""
    ran.append((a, b))
    return a + b


@pytest.fixture(autouse=True)
def _nothing_has_run() -> Iterator[None]:
    ran.clear()
    yield
    ran.clear()


class Careful(alloy.Middleware):
    """Wants an approval for every call whose `a` is above 1."""

    def __init__(self, timeout: float | None = None) -> None:
        self.timeout = timeout

    def before_tool_call(self, run: alloy.RunView, call: alloy.ToolCall) -> alloy.RequireApproval | None:
        if call.input["a"] > 1:
            return alloy.RequireApproval(f"{call.input['a']} is large", timeout=self.timeout)
        return None


def decision_recorded(system: alloy.AgentSystem, monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Set when the store has a decision."""
    recorded = threading.Event()
    append = type(system._store).append

    def watched(store: Any, agent_id: str, token: int, records: Any, on_appended: Any) -> None:
        def told(error: Exception | None) -> None:
            on_appended(error)
            if any(isinstance(record, ApprovalDecided) for record in records):
                recorded.set()

        append(store, agent_id, token, records, told)

    monkeypatch.setattr(type(system._store), "append", watched)
    return recorded


class Asked:
    """Hears the events of a request on a thread of its own, and waits for what it is asked."""

    def __init__(self, agent: alloy.AgentRef, text: str = "go", request_id: str = "r") -> None:
        self.events: queue.SimpleQueue[alloy.ApprovalRequested] = queue.SimpleQueue()
        self.results: queue.SimpleQueue[alloy.Result] = queue.SimpleQueue()
        self._agent = agent
        self._thread = threading.Thread(target=self._run, args=(text, request_id))
        self._thread.start()

    def _run(self, text: str, request_id: str) -> None:
        self.results.put(self._agent.stream_chat(text, on_event=self._hear, request_id=request_id))

    def _hear(self, event: alloy.Event) -> None:
        if isinstance(event, alloy.ApprovalRequested):
            self.events.put(event)

    def next(self) -> alloy.ApprovalRequested:
        return self.events.get(timeout=WAIT)

    def result(self) -> alloy.Result:
        self._thread.join(WAIT)
        return self.results.get(timeout=WAIT)


def calling(*numbers: int) -> ScriptedProvider:
    return ScriptedProvider([tool_calls(*(tool_call("add", a=a, b=1) for a in numbers)), "done", "more"])


def spawn(system: alloy.AgentSystem, *numbers: int, **options: Any) -> alloy.AgentRef:
    given = {"provider": calling(*numbers), "tools": [add], "middleware": [Careful()], **options}
    return system.spawn("a", **given)


def answers(result: alloy.Result) -> list[str]:
    return [block.content for block in result.messages[2].blocks]


def test_an_approved_call_runs_a_denied_one_is_answered_and_all_are_asked_before_any_runs(
    system: alloy.AgentSystem,
) -> None:
    agent = spawn(system, 1, 2, 3)
    asked = Asked(agent)
    two, three = asked.next(), asked.next()
    assert (two.type, two.name, two.input, two.reason) == (
        "approval_requested",
        "add",
        {"a": 2, "b": 1},
        "2 is large",
    )
    assert ran == []
    health = agent.health()
    assert (health.status, health.pending_approvals) == ("running", 2)
    waiting = agent.approvals()
    assert [(one.request_id, one.call_id, one.input["a"], one.reason) for one in waiting] == [
        ("r", two.id, 2, "2 is large"),
        ("r", three.id, 3, "3 is large"),
    ]
    assert agent.deny("r", three.id, "three is too much") is True
    assert [one.call_id for one in agent.approvals()] == [two.id]
    assert agent.approve("r", two.id) is True
    result = asked.result()
    assert result.text == "done"
    assert answers(result) == ["2", "3", "Blocked: not approved: three is too much"]
    assert sorted(ran) == [(1, 1), (2, 1)]
    assert (agent.approvals(), agent.health().pending_approvals) == ([], 0)
    check_sendable(agent.messages())


def test_the_first_decision_counts_and_what_nobody_asked_for_is_refused(system: alloy.AgentSystem) -> None:
    agent = spawn(system, 2, 3)
    with pytest.raises(alloy.ConfigError, match="has asked for no approval of call 'c' in request 'r'"):
        agent.approve("r", "c")
    asked = Asked(agent)
    two, three = asked.next(), asked.next()
    assert agent.approve("r", two.id) is True
    assert agent.deny("r", two.id) is False
    with pytest.raises(alloy.ConfigError, match=f"approve: .*waiting: \\('r', '{three.id}'\\)"):
        agent.approve("another", three.id)
    with pytest.raises(alloy.ConfigError, match="deny: reason must be a non-empty string"):
        agent.deny("r", three.id, "")
    with pytest.raises(alloy.ConfigError, match="approve: input is a list: input must be a dict"):
        agent.approve("r", three.id, input=[1])  # type: ignore[arg-type]
    agent.deny("r", three.id)
    assert answers(asked.result())[0] == "3"
    assert agent.approve("r", three.id) is False  # decided, and over


def test_an_approval_may_change_the_arguments_and_the_model_sees_the_call_it_made(
    system: alloy.AgentSystem,
) -> None:
    agent = spawn(system, 2)
    asked = Asked(agent)
    given = {"a": 10, "b": 1}
    agent.approve("r", asked.next().id, input=given)
    given["a"] = 99
    result = asked.result()
    assert answers(result) == ["11"]
    assert result.messages[1].tool_calls[0].input == {"a": 2, "b": 1}


def test_middleware_after_the_one_that_wants_an_approval_is_still_asked(system: alloy.AgentSystem) -> None:
    class Policy(alloy.Middleware):
        def before_tool_call(self, run: alloy.RunView, call: alloy.ToolCall) -> Any:
            return alloy.Block("never") if call.input["a"] == 3 else alloy.Edit({**call.input, "b": 5})

    agent = spawn(system, 2, 3, middleware=[Careful(), Policy()])
    asked = Asked(agent)
    two = asked.next()
    assert two.input == {"a": 2, "b": 5}  # what it would run with
    assert len(agent.approvals()) == 1
    agent.approve("r", two.id)
    assert answers(asked.result()) == ["7", "Blocked: never"]


def test_the_time_of_the_run_stands_still_while_it_waits(system: alloy.AgentSystem) -> None:
    later = threading.Event()
    agent = spawn(system, 2, timeout=0.5)
    asked = Asked(agent)
    call = asked.next()
    later.wait(0.6)  # longer than the run may take: it is over now, unless its clock stood still
    agent.approve("r", call.id)
    assert asked.result().text == "done"


def test_an_approval_nobody_gives_in_time_is_denied(system: alloy.AgentSystem) -> None:
    agent = spawn(system, 2, middleware=[Careful(timeout=0.05)])
    result = Asked(agent).result()
    assert answers(result) == ["Blocked: not approved: nobody decided within 0.05 seconds"]
    assert ran == []


@pytest.mark.parametrize("how", ["cancel", "stop"])
def test_a_cancel_or_stop_ends_the_wait_by_the_door(system: alloy.AgentSystem, how: str) -> None:
    agent = spawn(system, 1, 2)
    asked = Asked(agent)
    call = asked.next()
    if how == "cancel":
        assert agent.cancel_request("r")
    else:
        agent.stop()
    result = asked.result()
    assert result.status == "cancelled"
    assert len(result.messages[2].blocks) == 2
    check_sendable(result.messages)
    assert ran == []
    assert agent.approvals() == []
    assert agent.approve("r", call.id) is False


@pytest.mark.parametrize("order", ["asked, then drained", "drained, then asked"])
def test_a_drain_does_not_wait_for_a_person(order: str) -> None:
    with alloy.AgentSystem() as system:
        gate = Gate()
        provider = ScriptedProvider([held(gate, tool_call("add", a=2, b=1)), "done"])
        agent = spawn(system, provider=provider)
        asked = Asked(agent)
        gate.arrived()
        drained: queue.SimpleQueue[bool] = queue.SimpleQueue()
        drain = threading.Thread(target=lambda: drained.put(system.drain(60 * WAIT)))
        if order == "asked, then drained":
            gate.release()
            asked.next()
            drain.start()
        else:
            drain.start()
            gate.release()
        assert drained.get(timeout=WAIT) is False
        drain.join(WAIT)
        system.stop()
        assert asked.result().status == "cancelled"
    assert ran == []


def test_a_crash_while_it_waits_asks_again_and_decisions_meanwhile_are_not_lost(
    system: alloy.AgentSystem,
) -> None:
    agent = spawn(system, 2, 3)
    asked = Asked(agent)
    two, three = asked.next(), asked.next()
    agent.crash()
    agent.approve("r", two.id)  # before, while or after it comes back: it counts
    while asked.next().id != three.id:
        pass
    assert agent.deny("r", three.id, "no") is True
    assert answers(asked.result()) == ["3", "Blocked: not approved: no"]
    assert ran == [(2, 1)]
    assert agent.health().restarts == 1
    assert asked.events.empty()
    check_sendable(agent.messages())


def test_decisions_are_in_the_log_before_their_effect(tmp_path: Path) -> None:
    with alloy.AgentSystem(store=f"sqlite:///{tmp_path}/agents.db") as system:
        agent = spawn(system, 2, 3)
        asked = Asked(agent)
        two, three = asked.next(), asked.next()
        agent.deny("r", three.id, "no")
        agent.approve("r", two.id)
        asked.result()
        records = [
            record
            for record in system._store.load("a")
            if isinstance(record, ApprovalAsked | ApprovalDecided | ToolCallStarted)
        ]
    assert [type(record).__name__ for record in records] == [
        "ApprovalAsked",
        "ApprovalAsked",
        "ApprovalDecided",
        "ApprovalDecided",
        "ToolCallStarted",
    ]
    assert ApprovalDecided("r", two.id, True, "", {"a": 2, "b": 1}) in records
    assert ApprovalDecided("r", three.id, False, "no") in records


def test_a_later_process_asks_again_about_what_was_not_decided_and_uses_what_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"sqlite:///{tmp_path}/agents.db"
    with alloy.AgentSystem(store=url) as system:
        recorded = decision_recorded(system, monkeypatch)
        agent = spawn(system, 2, 3)
        asked = Asked(agent)
        two, three = asked.next(), asked.next()
        agent.approve("r", two.id)
        assert recorded.wait(WAIT)
        system.stop()
        assert asked.result().status == "cancelled"
    assert ran == []
    with alloy.AgentSystem(store=url) as system:
        subscription = system.subscribe("agent:a:events")
        agent = system.spawn("a", provider=ScriptedProvider(["done"]), tools=[add], middleware=[Careful()])
        event = next(event for event in subscription if isinstance(event, alloy.ApprovalRequested))
        assert event.id == three.id
        assert agent.health().pending_approvals == 1
        agent.approve("r", three.id)
        result = agent.chat("go", request_id="r", timeout=WAIT)
        subscription.close()
    assert result.text == "done"
    assert sorted(ran) == [(2, 1), (3, 1)]


def test_an_asyncio_service_hears_and_decides_on_its_own_loop(system: alloy.AgentSystem) -> None:
    agent = spawn(system, 2)

    async def main() -> list[str]:
        heard = []
        async for event in agent.astream_chat("go"):
            heard.append(event.type)
            if isinstance(event, alloy.ApprovalRequested):
                assert agent.approve(event.request_id, event.id)
        return heard

    heard = asyncio.run(main())
    assert heard.index("approval_requested") < heard.index("tool_start")
    assert heard[-1] == "run_finished"


def test_a_run_without_an_agent_has_nobody_to_ask() -> None:
    result = alloy.run("go", provider=calling(2), tools=[add], middleware=[Careful()])
    assert isinstance(result.error, alloy.ConfigError)
    assert "wants an approval for add" in str(result.error)
    assert ran == []
    check_sendable(result.messages)


@pytest.mark.parametrize(
    ("decision", "said"),
    [
        (alloy.RequireApproval(""), "RequireApproval.reason must be a text"),
        (
            alloy.RequireApproval("x", timeout=0),
            "RequireApproval.timeout must be a number of seconds above 0",
        ),
        (alloy.RequireApproval("x", timeout=float("inf")), "RequireApproval.timeout must be"),
    ],
)
def test_an_approval_that_makes_no_sense_is_refused_by_name(
    system: alloy.AgentSystem, decision: object, said: str
) -> None:
    class Wrong(alloy.Middleware):
        def before_tool_call(self, run: alloy.RunView, call: alloy.ToolCall) -> Any:
            return decision

    result = spawn(system, 2, middleware=[Wrong()]).chat("go")
    assert isinstance(result.error, alloy.ConfigError)
    assert "Wrong.before_tool_call returned" in str(result.error)
    assert said in str(result.error)
