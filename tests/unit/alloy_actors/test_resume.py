"""A run that is taken up again at any point of its log comes to the same end, and does nothing twice."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from alloy_actors import events
from alloy_actors import journal as log
from alloy_actors.actors.restoring import fold
from alloy_actors.config import RunConfig, make_config
from alloy_actors.content import user
from alloy_actors.conversation import Conversation
from alloy_actors.provider import ModelReply, ModelRequest
from alloy_actors.result import Result
from alloy_actors.run_spec import RunSpec
from alloy_actors.store.memory import MemoryStore
from alloy_actors.testing import ScriptedProvider, reply, tool_call, tool_calls
from alloy_actors.tool_runner import ToolRunner
from alloy_actors.tooldef import tool
from alloy_actors.turn import Run
from tests.checks import check_sendable
from tests.world.one_run import NoWorkers


class ByTurn:
    """Answers by how many replies the history holds, so that a turn may be asked again."""

    model = "by-turn"

    def __init__(self, *answers: Any) -> None:
        self._answers = [ScriptedProvider([answer], model=self.model) for answer in answers]
        self.asked: list[int] = []

    async def complete(self, request: ModelRequest, on_deltas: Any = None) -> ModelReply:
        turn = sum(message.role == "assistant" for message in request.messages)
        self.asked.append(turn)
        if request.messages[-1].role == "user":  # a paused turn goes on after the assistant's own words
            check_sendable([*request.messages, reply("then").message])
        step = self._answers[turn]._steps[0]
        return await ScriptedProvider([step], model=self.model).complete(request, on_deltas)


def calls() -> Any:
    made = tool_calls(tool_call("once", n=1), tool_call("again", n=2), tool_call("alone", n=3))
    named = [
        type(call)(f"c{number}", call.name, call.input) for number, call in enumerate(made.message.blocks)
    ]
    return reply(*named)


SCRIPTS = {
    "text": ("done",),
    "tools": (calls(), "done"),
    "tools twice": (calls(), reply(type(tool_call("x"))("d1", "once", {"n": 4})), "done"),
    "pause": (reply("one moment", stop_reason="pause_turn"), "done"),
    "limit of output": (reply(type(tool_call("x"))("c1", "once", {"n": 1}), stop_reason="max_tokens"),),
    "refusal": (reply("no", stop_reason="refusal"),),
}

AGAIN = reply(type(tool_call("x"))("c1", "again", {"n": 2}))
OPTIONS: dict[str, dict[str, Any]] = {}


def submit(number: int, **answer: Any) -> Any:
    return reply(type(tool_call("x"))(f"s{number}", "submit_result", answer))


def also(name: str, *script: Any, **options: Any) -> None:
    SCRIPTS[name], OPTIONS[name] = script, options


also("until a tool", "done?", AGAIN, "done", until_tool="again")
also("until a tool, at the limit", "done?", "done?", until_tool="again", max_turns=2)
also("halt on a tool", calls(), halt_on_tool="again")
also("final answer", AGAIN, "about 2", final_answer=True, max_turns=1)
also(
    "final answer with a call", AGAIN, reply("well", *calls().message.blocks), final_answer=True, max_turns=1
)
also("output", AGAIN, submit(1, value="x"), "two", submit(2, value=2), output=int, output_retries=2)
also("output in words", '{"value": "x"}', '{"value": 2}', output=int)
also("no output", '{"value": "x"}', submit(1, value="x"), output=int)
also("final output", AGAIN, submit(1, value=2), output=int, final_answer=True, max_turns=1)


class Scene:
    """A run on a store that holds some records already."""

    def __init__(self, script: Sequence[Any], before: Sequence[log.Record] = (), **options: Any) -> None:
        self.ran: list[int] = []

        @tool
        async def once(n: int) -> str:
            """Not to be repeated."""
            self.ran.append(n)
            return f"once {n}"

        @tool(idempotent=True)
        async def again(n: int) -> str:
            """May be repeated."""
            self.ran.append(n)
            return f"again {n}"

        @tool(concurrent=False)
        async def alone(n: int) -> str:
            """Alone."""
            self.ran.append(n)
            return f"alone {n}"

        self.provider = ByTurn(*script)
        self.store = MemoryStore()
        self.events: list[events.Event] = []
        token = self.store.take_token("a")
        self.store.append("a", token, before, lambda error: None)
        conversation, _ = fold(before, 60)
        config = make_config(
            RunConfig,
            {"provider": self.provider, "tools": [once, again, alone], **options},
            where="test",
        )
        spec = RunSpec("r", "agent", user("hello"), config, self.provider, self.events.extend)
        self.run = Run(spec, conversation, log.Journal("a", token, self.store), ToolRunner(NoWorkers()))

    def play(self) -> Result:
        return asyncio.run(self.run.execute())

    @property
    def records(self) -> list[log.Record]:
        return list(self.store.load("a"))


def essence(result: Result) -> tuple[object, ...]:
    error = (type(result.error), str(result.error)) if result.error is not None else None
    return (result.status, result.text, result.turns, result.stop_reason, result.usage, result.output, error)


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_run_taken_up_at_any_record_comes_to_the_same_end_and_repeats_no_effect(name: str) -> None:
    options = OPTIONS.get(name, {})
    whole = Scene(SCRIPTS[name], **options)
    expected = whole.play()
    records = whole.records
    assert isinstance(records[-1], log.RunEnded)
    for cut in range(1, len(records)):
        before = records[:cut]
        if isinstance(before[-1], log.Closed):
            continue  # written together with the end of the run
        scene = Scene(SCRIPTS[name], before, **options)
        result = scene.play()
        assert essence(result) == essence(expected), before[-1]
        if name != "pause":
            check_sendable(result.messages)
        ended = [one.result.tool_use_id for one in before if isinstance(one, log.ToolCallEnded)]
        started = [one.call_id for one in before if isinstance(one, log.ToolCallStarted)]
        doubtful = [call for call in started if call not in ended]
        assert not {1, 3, 4} & {_number(call) for call in started} & set(scene.ran), before[-1]
        answers = {
            block.tool_use_id: block.content
            for message in result.messages
            for block in message.blocks
            if block.type == "tool_result"
        }
        for call in doubtful:
            assert ("outcome of this call is unknown" in answers[call]) == (
                call[0] != "s" and call != "c1"
            ), before[-1]
        assert len(result.tool_calls) == len(expected.tool_calls)
        replied = sum(isinstance(one, log.Replied) for one in before)
        assert scene.provider.asked == list(range(replied, expected.turns)), before[-1]
        resumed = [one for one in scene.records if isinstance(one, log.RunResumed)]
        assert [one.attempt for one in resumed] == [2]
        conversation = Conversation()
        conversation.replay(scene.records)
        assert list(conversation.messages) == list(result.messages)


def _number(call_id: str) -> int:
    return {"c0": 1, "c1": 2, "c2": 3, "d1": 4}.get(call_id, 1)


def test_only_a_turn_that_is_asked_again_is_said_to_be_restarted() -> None:
    whole = Scene(SCRIPTS["tools"])
    whole.play()
    records = whole.records
    sent = max(position for position, one in enumerate(records) if isinstance(one, log.RequestSent))
    asked_again = Scene(SCRIPTS["tools"], records[: sent + 1])
    asked_again.play()
    (restarted,) = (event for event in asked_again.events if isinstance(event, events.TurnRestarted))
    assert (restarted.turn, restarted.attempt) == (2, 2)
    in_tools = Scene(SCRIPTS["tools"], records[:sent])
    in_tools.play()
    assert not any(isinstance(event, events.TurnRestarted) for event in in_tools.events)
    starts = [event.id for event in in_tools.events if event.type == "tool_start"]
    ends = [event.id for event in in_tools.events if event.type == "tool_end"]
    assert sorted(starts) == sorted(ends)


def test_the_limit_of_turns_counts_those_before_the_crash() -> None:
    whole = Scene(SCRIPTS["tools twice"], max_turns=2)
    expected = whole.play()
    assert expected.status == "max_turns"
    sent = max(position for position, one in enumerate(whole.records) if isinstance(one, log.RequestSent))
    scene = Scene(SCRIPTS["tools twice"], whole.records[: sent + 1], max_turns=2)
    assert scene.play().status == "max_turns"
    assert scene.provider.asked == [1]


def test_a_steering_message_that_had_joined_is_answered_after_a_crash() -> None:
    whole = Scene(("done", "that too"))
    whole.play()
    sent = [one for one in whole.records if not isinstance(one, log.RunEnded)]
    scene = Scene(("done", "that too"), [*sent, log.Steered("r", "s", user("and that?"))])
    result = scene.play()
    assert (result.status, result.text, result.turns) == ("completed", "that too", 2)
    assert [message.text for message in result.messages] == ["hello", "done", "and that?", "that too"]
