"""A run that compacts, taken up again at any point of its log: the same end and the same messages."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

import alloy_actors as alloy
from alloy_actors import journal as log
from alloy_actors.actors.restoring import fold
from alloy_actors.compaction.parts import SUMMARY
from alloy_actors.compaction.prompts import SUMMARY_SYSTEM_PROMPT
from alloy_actors.config import RunConfig, make_config
from alloy_actors.content import NO_USAGE, Message, ToolCall, ToolResult, assistant, user
from alloy_actors.errors import ContextOverflowError
from alloy_actors.run_spec import RunSpec
from alloy_actors.store._codec import decode, encode
from alloy_actors.store.memory import MemoryStore
from alloy_actors.testing import ScriptedProvider, reply
from alloy_actors.tool_runner import ToolRunner
from alloy_actors.tooldef import tool
from alloy_actors.turn import Run
from tests.checks import check_sendable
from tests.world.one_run import NoWorkers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from alloy_actors.provider import ModelRequest

LOOKS = 14
EARLIER = tuple(
    message
    for number in range(3)
    for message in (user(f"question {number}"), assistant(f"answer {number}" * 20))
)


def model(window: int) -> Any:
    """A model with a real window, which it does not tell; what it says follows from the request alone."""

    def answer(request: ModelRequest) -> Any:
        tokens = sum(message.estimated_tokens for message in request.messages)
        if request.system_prompt == SUMMARY_SYSTEM_PROMPT:
            return reply(f"notes on {len(request.messages[0].text)} letters", usage=NO_USAGE)
        if tokens > window:
            return ContextOverflowError(f"{tokens} tokens are too many")
        check_sendable([*request.messages, assistant("then")])
        last = request.messages[-1].blocks[-1]
        seen = int(last.text.split()[0]) if isinstance(last, ToolResult) else 0
        if seen == LOOKS:
            return reply("done", usage=NO_USAGE)
        return reply(ToolCall(f"c{seen + 1}", "look", {"n": seen + 1}), usage=NO_USAGE)

    return answer


class Scene:
    """A run on a store that holds some records already."""

    def __init__(self, window: int, before: Sequence[log.Record] = (), **options: Any) -> None:
        @tool(idempotent=True)
        async def look(n: int) -> str:
            """Look at one thing."""
            return f"{n} {'x' * 396}"

        self.provider = ScriptedProvider(model(window))
        self.store = MemoryStore()
        token = self.store.take_token("a")
        self.store.append("a", token, before, lambda _error: None)
        conversation, _ = fold(before, 60)
        given = {"provider": self.provider, "tools": [look], **options}
        config = make_config(RunConfig, given, where="test")
        spec = RunSpec("r", "agent", user("hello"), config, self.provider)
        self.run = Run(spec, conversation, log.Journal("a", token, self.store), ToolRunner(NoWorkers()))

    def play(self) -> alloy.Result:
        return asyncio.run(self.run.execute())

    @property
    def records(self) -> list[log.Record]:
        return list(self.store.load("a"))


CASES: dict[str, tuple[int, dict[str, Any]]] = {
    "cleared": (10_000, {"max_tokens": 800, "compaction": {"reserve_tokens": 50, "keep_recent_tokens": 110}}),
    "summarised": (10_000, {"max_tokens": 700, "compaction": {"clear_tool_results": False}}),
    "overflow": (600, {}),
}


@pytest.mark.parametrize("case", CASES)
def test_a_run_that_compacts_comes_to_the_same_end_wherever_it_is_taken_up(case: str) -> None:
    """T29: recovery from an overflow survives as well, in the messages and in the result."""
    window, options = CASES[case]
    whole = Scene(window, [log.Seeded(EARLIER)], **options)
    expected = whole.play()
    assert (expected.status, expected.text) == ("completed", "done")
    records = whole.records
    done = [at for at, record in enumerate(records) if isinstance(record, log.WasCompacted)]
    assert len(done) >= 2
    assert ("run" in expected.metadata) == (case == "overflow")
    for cut in range(2, len(records)):
        before = [record for record in records[:cut] for record in decode(encode([record]), {})]
        scene = Scene(window, before, **options)
        result = scene.play()
        assert (result.status, result.text, result.turns) == ("completed", "done", expected.turns), before[-1]
        check_sendable(result.messages)
        assert ("run" in result.metadata) == (case == "overflow")
        assert result.messages == expected.messages, before[-1]
        assert [call.id for call in result.tool_calls] == [f"c{n}" for n in range(1, LOOKS + 1)]


def test_a_second_overflow_in_a_turn_is_the_error_after_a_crash_as_well() -> None:
    """T29."""
    records = [
        log.Seeded(EARLIER),
        log.RunBegan("r", user("hello")),
        log.RequestSent("r", 1, "scripted"),
        log.WasCompacted("r", ((0, 1), assistant(f"{SUMMARY}\n\nnotes"), (6, 7)), 30, 2, 160),
        log.RequestSent("r", 1, "scripted"),
    ]
    scene = Scene(0, records)
    result = scene.play()
    assert isinstance(result.error, ContextOverflowError)
    assert len(scene.provider.requests) == 1
    assert result.metadata["run"] == {"prompt_too_long_recovery": True}
    check_sendable(result.messages)


@pytest.mark.parametrize(
    ("keep", "beginning"),
    [(1, ["question 0", f"{SUMMARY}\n\nnotes"]), (60, ["question 0", f"{SUMMARY}\n\nnotes", "question 2"])],
)
def test_what_there_was_before_the_run_is_still_known_where_it_is_taken_up(
    keep: int, beginning: list[str]
) -> None:
    """What an agent shows as its messages while such a run is on."""
    limits = {"max_tokens": 300, "compaction": {"keep_recent_tokens": keep, "reserve_tokens": 160}}

    def answer(request: ModelRequest) -> Any:
        return reply("notes" if request.system_prompt == SUMMARY_SYSTEM_PROMPT else "done", usage=NO_USAGE)

    scene = Scene(0, [log.Seeded(EARLIER)], **limits)
    scene.provider._answer = answer
    scene.play()
    records = scene.records
    (at,) = [at for at, record in enumerate(records) if isinstance(record, log.WasCompacted)]
    conversation, _ = fold(records[: at + 1], 60)
    assert conversation.run is not None
    before = conversation.messages[: conversation.run.before]
    assert [message.text for message in before[:3]] == beginning
    check_sendable([*before, *([] if len(before) % 2 == 0 else [assistant("")])])
    assert Message("user", "hello") in conversation.messages
