"""A request that the provider finds too long, what becomes of it, and what telemetry and money say of compaction."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

import alloy_actors as alloy
from alloy_actors import telemetry
from alloy_actors.compaction.parts import SUMMARY
from alloy_actors.content import Message, Usage
from alloy_actors.errors import ContextOverflowError, ServerError
from alloy_actors.testing import cut, error, reply, tool_call
from tests.checks import check_sendable
from tests.world.one_run import Scene
from tests.world.talks import answers, chat, check_fold, look, rounds, settings

if TYPE_CHECKING:
    from collections.abc import Sequence


@pytest.fixture(params=[False, True], ids=["plain", "streamed"])
def listen(request: pytest.FixtureRequest) -> bool:
    return request.param


TOO_LONG = error(ContextOverflowError, "prompt is too long")


class Watcher(alloy.Middleware):
    def __init__(self, **decisions: Any) -> None:
        self.seen: list[tuple[str, int]] = []
        self.decisions = decisions

    def on_context_overflow(self, run: alloy.RunView, error: ContextOverflowError) -> Any:
        self.seen.append((str(error), len(run.messages)))
        return self.decisions.get("overflow")

    async def after_compaction(self, run: alloy.RunView, messages: Sequence[Message]) -> Any:
        assert run.messages == messages
        self.seen.append(("compacted", len(messages)))
        return self.decisions.get("compacted")


def test_an_overflow_is_recovered_from_once_in_a_turn(listen: bool) -> None:
    """T29, T66: whatever was believed of the window, a summary is made and the turn asked again."""
    history, watcher = chat(4), Watcher()
    scene = Scene(
        answers(TOO_LONG, "so far", "hi"),
        listen=listen,
        history=history,
        middleware=[watcher],
        max_tokens=100_000,
    )
    result = scene.play()
    assert (result.status, result.text, result.turns) == ("completed", "hi", 1)
    assert result.metadata["run"] == {"prompt_too_long_recovery": True}
    assert watcher.seen == [("prompt is too long", 9), ("compacted", 3)]
    assert scene.provider.requests[2].messages[1].text == f"{SUMMARY}\n\nso far"
    check_sendable(result.messages)
    check_fold(scene, history)
    if listen:
        assert scene.types() == [
            "run_started",
            "turn_started",
            "compacted",
            "text_delta",
            "turn_finished",
            "run_finished",
        ]


def test_an_overflow_is_recovered_from_in_each_turn(listen: bool) -> None:
    """T29."""
    script = answers(TOO_LONG, "so far", tool_call("look"), TOO_LONG, "and more", "hi")
    scene = Scene(script, listen=listen, history=chat(4), tools=[look])
    result = scene.play()
    assert (result.text, result.turns) == ("hi", 2)
    check_sendable(result.messages)
    check_fold(scene, chat(4))


def test_a_second_overflow_in_the_same_turn_is_the_error(listen: bool) -> None:
    """T29."""
    scene = Scene(answers(TOO_LONG, "so far", TOO_LONG), listen=listen, history=chat(4))
    result = scene.play()
    assert result.status == "error"
    assert result.error is TOO_LONG
    assert result.metadata["run"] == {"prompt_too_long_recovery": True}
    check_sendable(result.messages)


def test_an_overflow_of_what_cannot_be_made_shorter_is_the_error(listen: bool) -> None:
    """T29: nothing is asked twice in the same words."""
    scene = Scene(answers(TOO_LONG), listen=listen)
    result = scene.play()
    assert (result.status, result.error) == ("error", TOO_LONG)
    assert "run" not in result.metadata
    assert len(scene.provider.requests) == 1


def test_an_overflow_without_compaction_is_the_error_and_the_hook_is_asked_all_the_same(listen: bool) -> None:
    watcher = Watcher()
    scene = Scene(answers(TOO_LONG), listen=listen, history=chat(4), compaction=False, middleware=[watcher])
    assert scene.play().error is TOO_LONG
    assert watcher.seen == [("prompt is too long", 9)]


def test_an_overflow_after_the_first_word_is_the_error() -> None:
    """Somebody has heard it: to ask again would say it twice."""
    scene = Scene(answers(cut("so I th", TOO_LONG), "so far", "hi"), listen=True, history=chat(4))
    result = scene.play()
    assert result.error is TOO_LONG
    assert len(scene.provider.requests) == 1


@pytest.mark.parametrize("where", ["overflow", "compacted"])
def test_a_middleware_may_halt_it(listen: bool, where: str) -> None:
    watcher = Watcher(**{where: alloy.Halt("enough")})
    scene = Scene(answers(TOO_LONG, "so far"), listen=listen, history=chat(4), middleware=[watcher])
    result = scene.play()
    assert result.status == "halted"
    assert len(scene.provider.requests) == (1 if where == "overflow" else 2)
    check_sendable(result.messages)
    check_fold(scene, chat(4))


def test_after_compaction_is_asked_before_a_request_too(listen: bool) -> None:
    watcher = Watcher(compacted=alloy.Halt("enough"))
    scene = Scene(answers("so far"), listen=listen, history=chat(6), middleware=[watcher], **settings())
    result = scene.play()
    assert (result.status, str(result.error)) == ("halted", "Halted by middleware: enough")
    check_sendable(result.messages)


@pytest.mark.parametrize(
    ("script", "history"),
    [
        (["so far", "hi"], chat(6)),
        ([error(ServerError), "so far", tool_call("look"), "hi"], chat(6)),
        (["", "hi"], chat(9)),
        ([tool_call("look"), "hi"], rounds(9)),
        ([TOO_LONG, "so far", "hi"], chat(4)),
        ([TOO_LONG, "so far", TOO_LONG], chat(4)),
    ],
)
def test_a_result_is_the_same_whether_somebody_listens_or_not(
    script: list[Any], history: list[Message]
) -> None:
    plain, streamed = (
        Scene(answers(*script), listen=listen, history=history, tools=[look], **settings()).play()
        for listen in (False, True)
    )
    assert replace(plain, tool_calls=()) == replace(streamed, tool_calls=())  # they take their time
    assert [call.id for call in plain.tool_calls] == [call.id for call in streamed.tool_calls]


def test_telemetry_is_told_what_was_done(listen: bool) -> None:
    """T60, T66: the counts of clearing, and whether an overflow was tried again."""
    told: list[tuple[str, dict[str, Any], dict[str, Any]]] = []

    def note(name: str, measured: Any, facts: Any) -> None:
        told.append((name, dict(measured), dict(facts)))

    names = ("alloy.compaction.*", "alloy.turn.prompt_too_long_recovery", "alloy.provider.request")
    with telemetry.attach(note, *names):
        Scene(answers("hi"), listen=listen, history=rounds(9), **settings()).play()
    (cleared, done, _request) = told
    assert cleared == (
        "alloy.compaction.cleared",
        {"results_cleared": 6, "bytes_cleared": 2_400},
        {"turn": 1, "request_id": "r"},
    )
    assert done[0] == "alloy.compaction.done"
    assert {"messages_before": 21, "messages_after": 21}.items() <= done[1].items()
    assert done[2] == {"turn": 1, "request_id": "r", "how": "cleared"}

    told.clear()
    with telemetry.attach(note, *names):
        Scene(answers(TOO_LONG, "so far", "hi"), listen=listen, history=chat(4)).play()
    assert [name for name, _, _ in told] == [
        "alloy.provider.request",
        "alloy.provider.request",
        "alloy.compaction.done",
        "alloy.turn.prompt_too_long_recovery",
        "alloy.provider.request",
    ]
    assert told[3][2] == {"turn": 1, "request_id": "r", "retry": True}

    told.clear()
    with telemetry.attach(note, *names):
        Scene(answers(TOO_LONG), listen=listen).play()
    assert told[-1] == (
        "alloy.turn.prompt_too_long_recovery",
        {},
        {"turn": 1, "request_id": "r", "retry": False},
    )


def test_a_summary_that_the_budget_does_not_allow_ends_the_run(listen: bool) -> None:
    """Money: nothing is sent, and what there is stays."""
    scene = Scene(
        answers("never"),
        listen=listen,
        history=chat(6),
        max_budget_cents=0.0001,
        model_metadata_overrides={"scripted": {"dollars_per_million": {"input": 3, "output": 15}}},
        compaction={"reserve_tokens": 100, "keep_recent_tokens": 200},
        max_tokens=1_000,
    )
    result = scene.play()
    assert result.status == "budget_exceeded"
    assert scene.provider.requests == ()
    check_sendable(result.messages)


def test_the_cents_of_a_summary_are_those_of_the_run(listen: bool) -> None:
    """T64."""
    usage = Usage(1_000, 100)
    scene = Scene(
        answers(reply("so far", usage=usage), reply("hi", usage=usage)),
        listen=listen,
        history=chat(6),
        model_metadata_overrides={"scripted": {"dollars_per_million": {"input": 3, "output": 15}}},
        **settings(),
    )
    assert scene.play().cost_cents == pytest.approx(2 * (0.3 + 0.15))
