"""Requests that come while a run is on: queued, refused, joining the run, or taking its place."""

from __future__ import annotations

import asyncio
import queue

import pytest

import alloy_actors as alloy
from alloy_actors.testing import Gate, ScriptedProvider, held, tool_call
from tests.checks import check_sendable

WAIT = 5.0


@alloy.tool
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


class Scene:
    """An agent whose run waits at a gate in its first turn."""

    def __init__(self, system: alloy.AgentSystem, first: object, *script: object, **options: object) -> None:
        self.gate = Gate()
        self.provider = ScriptedProvider([held(self.gate, first), *script])
        self.agent = system.spawn("a", provider=self.provider, tools=[add], **options)
        self.results: queue.SimpleQueue[alloy.Result] = queue.SimpleQueue()
        self.agent.send_message("go", self.results.put, request_id="run")
        self.gate.arrived()

    def result(self) -> alloy.Result:
        return self.results.get(timeout=WAIT)


def test_steering_joins_the_run_beside_the_results_of_its_tools(system: alloy.AgentSystem) -> None:
    scene = Scene(system, tool_call("add", a=1, b=2), "3, as you said")
    assert scene.agent.steer("say it nicely")
    scene.agent.send_message("and shortly", scene.results.put, request_id="more", when_busy="steer")
    scene.gate.release()
    first, second = scene.result(), scene.result()
    assert [(one.request_id, one.text) for one in (first, second)] == [
        ("run", "3, as you said"),
        ("more", "3, as you said"),
    ]
    answer = scene.provider.requests[1].messages[-1]
    assert [block.type for block in answer.blocks] == ["tool_result", "text", "text"]
    assert (answer.blocks[0].content, answer.text) == ("3", "say it nicely\nand shortly")
    assert len(scene.agent.messages()) == 4
    check_sendable(scene.agent.messages())


def test_steering_that_comes_with_the_last_reply_gives_the_run_another_turn(
    system: alloy.AgentSystem,
) -> None:
    scene = Scene(system, "done", "done, and more")
    scene.agent.steer("more")
    scene.gate.release()
    result = scene.result()
    assert (result.text, result.turns) == ("done, and more", 2)
    assert [message.text for message in scene.agent.messages()] == ["go", "done", "more", "done, and more"]


def test_steering_that_comes_too_late_for_a_run_that_a_tool_ends_is_the_next_request(
    system: alloy.AgentSystem,
) -> None:
    scene = Scene(system, tool_call("add", a=1, b=2), "and more", halt_on_tool="add")
    scene.agent.send_message("more", scene.results.put, request_id="more", when_busy="steer")
    scene.gate.release()
    found = [(one.request_id, one.status, one.text, one.turns) for one in (scene.result(), scene.result())]
    assert found == [("run", "completed", "3", 1), ("more", "completed", "and more", 1)]
    check_sendable(scene.agent.messages())


def test_an_answer_that_steering_has_come_after_is_not_the_output(system: alloy.AgentSystem) -> None:
    scene = Scene(system, '{"value": 1}', tool_call("add", a=1, b=2), output=int, max_turns=2)
    scene.agent.steer("count again")
    scene.gate.release()
    result = scene.result()
    assert (result.status, result.output, result.turns) == ("max_turns", None, 2)


def test_steering_never_raises_the_limit_of_turns_and_is_the_next_request_then(
    system: alloy.AgentSystem,
) -> None:
    scene = Scene(system, "done", "next", max_turns=1)
    scene.agent.send_message("more", scene.results.put, request_id="more", when_busy="steer")
    scene.gate.release()
    first, second = scene.result(), scene.result()
    assert (first.request_id, first.text, first.turns) == ("run", "done", 1)
    assert (second.request_id, second.text) == ("more", "next")


def test_steering_an_idle_agent_does_nothing_and_says_so(system: alloy.AgentSystem) -> None:
    agent = system.spawn("a", provider=ScriptedProvider(["hello"]))
    assert not agent.steer("left")
    assert agent.messages() == []
    assert agent.send_message("hi", when_busy="steer")
    asyncio.run(agent.drained())
    assert agent.messages()[-1].text == "hello"
    assert not asyncio.run(agent.asteer("left"))


def test_steering_survives_a_crash_of_the_run_it_has_joined(system: alloy.AgentSystem) -> None:
    scene = Scene(system, tool_call("add", a=1, b=2), held(gate := Gate(), "lost"), "3, nicely")
    scene.agent.send_message("nicely", scene.results.put, request_id="more", when_busy="steer")
    scene.gate.release()
    gate.arrived()
    scene.agent.crash()
    first, second = scene.result(), scene.result()
    assert {first.request_id, second.request_id} == {"run", "more"}
    assert first.text == second.text == "3, nicely"
    check_sendable(scene.agent.messages())


def test_an_interrupting_message_cancels_the_run_and_is_the_next_one(system: alloy.AgentSystem) -> None:
    scene = Scene(system, "never", "interrupted", "waited")
    scene.agent.send_message("waits", scene.results.put, request_id="waits")
    scene.agent.send_message("now!", scene.results.put, request_id="now", when_busy="interrupt")
    told = [scene.result() for _ in range(3)]
    assert [(one.request_id, one.status) for one in told] == [
        ("run", "cancelled"),
        ("now", "completed"),
        ("waits", "completed"),
    ]
    assert "interrupted by a newer message" in str(told[0].error)
    assert "interrupted by a newer message" in scene.agent.messages()[1].text
    check_sendable(scene.agent.messages())


def test_a_message_that_is_not_to_wait_is_refused_while_a_run_is_on(system: alloy.AgentSystem) -> None:
    """T76: busy."""
    scene = Scene(system, "fine", "fine too")
    with pytest.raises(alloy.BusyError):
        scene.agent.send_message("now or never", when_busy="reject")
    scene.gate.release()
    scene.result()
    scene.agent.send_message("now or never", scene.results.put, when_busy="reject")
    assert scene.result().text == "fine too"


def test_an_unknown_when_busy_is_refused_with_the_known_ones(system: alloy.AgentSystem) -> None:
    agent = system.spawn("a", provider=ScriptedProvider(["x"]))
    with pytest.raises(alloy.ConfigError, match="when_busy='later'.*queue, reject, steer, interrupt"):
        agent.send_message("hi", when_busy="later")


def test_drained_returns_when_every_request_has_its_result_and_its_callback_was_called(
    system: alloy.AgentSystem,
) -> None:
    scene = Scene(system, "1", "2", "3")
    told: list[str] = []
    for _ in range(2):
        scene.agent.send_message("more", lambda result: told.append(result.text))
    scene.gate.release()
    asyncio.run(asyncio.wait_for(scene.agent.drained(), WAIT))
    assert told == ["2", "3"]
    asyncio.run(asyncio.wait_for(scene.agent.drained(), WAIT))


def test_what_middleware_was_shown_does_not_change_when_steering_joins_after_it(
    system: alloy.AgentSystem,
) -> None:
    views: list[alloy.RunView] = []

    class Keeps(alloy.Middleware):
        def after_tool_execution(self, run: alloy.RunView, results: object) -> None:
            views.append(run)

    scene = Scene(system, tool_call("add", a=1, b=2), "3, as you said", middleware=[Keeps()])
    scene.agent.steer("say it nicely")
    scene.gate.release()
    assert "say it nicely" in scene.result().messages[2].text
    (view,) = views
    assert [block.type for block in view.messages[2].blocks] == ["tool_result"]
