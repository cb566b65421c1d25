"""Compaction in a run: when, what it does first, and what it costs. Streamed and not."""

from __future__ import annotations

from typing import Any

import pytest
from structlog.testing import capture_logs

import alloy_actors as alloy
from alloy_actors.compaction.parts import BRIDGE, SUMMARY
from alloy_actors.content import Message, TextBlock, ThinkingBlock, Usage, assistant, user
from alloy_actors.errors import InvalidRequestError, ServerError
from alloy_actors.journal import Charged, RequestSent, WasCompacted
from alloy_actors.testing import error, reply, tool_call
from alloy_actors.tooldef import tool
from tests.checks import check_sendable
from tests.world.one_run import Scene
from tests.world.talks import HUNDRED, TEN, answers, chat, check_fold, compactions, look, rounds, settings


@pytest.fixture(params=[False, True], ids=["plain", "streamed"])
def listen(request: pytest.FixtureRequest) -> bool:
    return request.param


def test_what_fits_is_left_alone(listen: bool) -> None:
    """T57."""
    history = chat(4)
    scene = Scene(answers("hi"), listen=listen, history=history, **settings())
    result = scene.play()
    assert result.ok
    assert list(result.messages[:8]) == history
    assert all(now is was for now, was in zip(result.messages, history, strict=False))
    assert compactions(scene) == []
    assert "compacted" not in scene.types()


def test_a_summary_stands_second_and_the_first_message_and_the_recent_ones_stay(listen: bool) -> None:
    """T58, T62."""
    history = chat(6)
    scene = Scene(answers("so far", "hi"), listen=listen, history=history, **settings(), tools=[look])
    result = scene.play()
    aside, turn = scene.provider.requests
    assert aside.tools == ()
    assert aside.provider_state == {}
    assert len(aside.messages) == 1
    assert turn.messages[0] is history[0]
    assert turn.messages[1] == assistant(f"{SUMMARY}\n\nso far")
    assert turn.messages[2:] == (*history[10:], user("hello"))
    assert turn.tools
    assert result.messages == [*turn.messages, Message("assistant", (TextBlock("hi"),))]
    check_sendable(result.messages)
    check_fold(scene, history)
    if listen:
        (event,) = [one for one in scene.events if isinstance(one, alloy.Compacted)]
        assert (event.how, event.turn, event.messages_before, event.messages_after) == (
            "summarised",
            1,
            13,
            5,
        )
        assert event.tokens_before > 900 > event.tokens_after
        assert scene.types() == [
            "run_started",
            "compacted",
            "turn_started",
            "text_delta",
            "turn_finished",
            "run_finished",
        ]


def test_prompts_of_the_users_own_are_asked(listen: bool) -> None:
    """T59."""
    own = settings(summary_system_prompt="You condense.", summary_prompt="Condense it.")
    scene = Scene(answers("so far", "hi"), listen=listen, history=chat(6), **own)
    scene.play()
    aside = scene.provider.requests[0]
    assert aside.system_prompt == "You condense."
    assert aside.messages[0].text.startswith(f"<conversation>\n[Assistant]\n{TEN}")
    assert aside.messages[0].text.endswith("</conversation>\n\nCondense it.")


def test_a_second_summary_is_given_the_first_and_takes_its_place(listen: bool) -> None:
    """T62."""
    history = [user("task"), assistant(f"{SUMMARY}\n\nearlier"), *chat(6)]
    scene = Scene(answers("all of it", "hi"), listen=listen, history=history, **settings())
    result = scene.play()
    aside, turn = scene.provider.requests
    assert aside.messages[0].text.startswith(
        "<previous-summary>\nearlier\n</previous-summary>\n\n<conversation>"
    )
    assert [message.text for message in turn.messages[:2]] == ["task", f"{SUMMARY}\n\nall of it"]
    assert sum(SUMMARY in message.text for message in result.messages) == 1
    check_sendable(result.messages)
    check_fold(scene, history)


def test_clearing_old_results_alone_asks_nobody(listen: bool) -> None:
    """T60: the newest three stay; the next turn breaks nothing of the prefix again."""
    history = rounds(9)
    scene = Scene(
        answers(tool_call("look"), "hi"), listen=listen, history=history, **settings(), tools=[look]
    )
    result = scene.play()
    assert len(scene.provider.requests) == 2
    first, second = scene.provider.requests
    contents = [
        block.content for message in first.messages for block in message.blocks if block.type == "tool_result"
    ]
    assert contents == ["[tool result cleared: 400 bytes]"] * 6 + [HUNDRED] * 3
    assert all(a is b for a, b in zip(first.messages, second.messages, strict=False))
    assert all(first.messages[at] is history[at] for at in range(1, len(history), 2))
    assert len(compactions(scene)) == 1
    assert len([part for part in compactions(scene)[0].parts if isinstance(part, Message)]) == 6
    check_sendable(result.messages)
    check_fold(scene, history)
    if listen:
        (event,) = [one for one in scene.events if isinstance(one, alloy.Compacted)]
        assert (event.how, event.results_cleared) == ("cleared", 6)


def test_clearing_works_within_the_run_of_a_single_prompt(listen: bool) -> None:
    """T60: the loop is all there is; a cut falls before an answer."""
    script = [*[tool_call("look", n=n) for n in range(12)], "done"]
    scene = Scene(answers(*script), listen=listen, **settings(), tools=[look])
    result = scene.play()
    assert result.text == "done"
    assert compactions(scene)
    assert len(scene.provider.requests) == 13
    check_sendable(result.messages)
    check_fold(scene, ())


def test_clearing_that_makes_no_room_gives_way_to_a_summary_of_what_was_there(listen: bool) -> None:
    """T60: it falls through; the model that summarises still sees the results."""
    history = [*chat(4), *rounds(3)]
    scene = Scene(
        answers("so far", "hi"), listen=listen, history=history, **settings(keep_recent_tool_results=1)
    )
    scene.play()
    assert f"[Tool result]\n{HUNDRED}" in scene.provider.requests[0].messages[0].text
    assert SUMMARY in scene.provider.requests[1].messages[1].text


def test_clearing_can_be_off(listen: bool) -> None:
    """T60."""
    off = settings(clear_tool_results=False)
    scene = Scene(answers("so far", "hi"), listen=listen, history=rounds(9), **off)
    scene.play()
    assert SUMMARY in scene.provider.requests[1].messages[1].text


def test_compaction_can_be_off(listen: bool) -> None:
    """T18."""
    history = chat(9)
    scene = Scene(answers("hi"), listen=listen, history=history, max_tokens=1_000, compaction=False)
    assert list(scene.play().messages[:18]) == history


def test_signed_thinking_goes_and_what_its_provider_insists_on_stays(listen: bool) -> None:
    """T61."""
    signed = ThinkingBlock("hm", "signed")
    for keeps in (False, True):
        provider = answers("hi")
        provider.keeps_thinking = keeps  # type: ignore[attr-defined]
        loop = rounds(9)
        for at in (1, 17):
            loop[at] = Message("assistant", (signed, *loop[at].blocks))
        scene = Scene(
            provider, listen=listen, history=loop[:-1], **settings()
        )  # "hello" joins the last results
        result = scene.play()
        thought = [signed in message.blocks for message in result.messages if message.role == "assistant"]
        assert thought[0] is keeps
        check_sendable(result.messages)


@pytest.mark.parametrize(
    "failure", [error(ServerError), error(InvalidRequestError), "", reply("no", stop_reason="refusal")]
)
def test_without_a_summary_what_is_old_is_cut_down_and_a_warning_says_so(listen: bool, failure: Any) -> None:
    """T63."""
    history = chat(9)
    scene = Scene(answers(failure, "hi"), listen=listen, history=history, max_retries=0, **settings())
    with capture_logs() as logs:
        result = scene.play()
    assert "summary_failed" in [line["event"] for line in logs if line["log_level"] == "warning"]
    assert result.text == "hi"
    turn = scene.provider.requests[-1]
    assert [len(message.text) for message in turn.messages[1:9:2]] == [203] * 4
    assert [message.text for message in turn.messages[0:18:2]] == [HUNDRED] * 9
    check_sendable(result.messages)
    check_fold(scene, history)
    if listen:
        assert [one.how for one in scene.events if isinstance(one, alloy.Compacted)] == ["truncated"]


def test_without_a_summary_the_history_may_be_left_as_it_is(listen: bool) -> None:
    history = chat(9)
    script = answers(error(InvalidRequestError), "hi")
    scene = Scene(script, listen=listen, history=history, **settings(fallback="none"))
    with capture_logs() as logs:
        result = scene.play()
    assert "compaction_changed_nothing" in [line["event"] for line in logs]
    assert list(result.messages[:18]) == history
    assert compactions(scene) == []


def test_a_summary_is_retried_counted_and_no_turn(listen: bool) -> None:
    """T64."""
    usage = Usage(100, 20)
    script = [error(ServerError), reply("so far", usage=usage), reply("hi", usage=Usage(7, 3))]
    scene = Scene(answers(*script), listen=listen, history=chat(6), **settings())
    result = scene.play()
    assert (result.turns, result.usage) == (1, Usage(107, 23))
    records = scene.store.load("agent")
    assert [
        type(record) for record in records if isinstance(record, Charged | WasCompacted | RequestSent)
    ] == [
        Charged,
        WasCompacted,
        RequestSent,
    ]
    check_fold(scene, chat(6))


def test_an_unusable_summary_is_paid_as_well(listen: bool) -> None:
    """T64."""
    script = [reply("", usage=Usage(100, 20)), reply("hi", usage=Usage(7, 3))]
    scene = Scene(answers(*script), listen=listen, history=chat(9), **settings())
    assert scene.play().usage == Usage(107, 23)


def test_a_summary_has_the_deadline_of_the_run(listen: bool) -> None:
    """T64."""
    scene = Scene(answers("so far", "hi"), listen=listen, history=chat(6), timeout=30.0, **settings())
    scene.play()
    first, second = scene.provider.requests
    assert first.deadline is second.deadline


def test_the_estimate_counts_the_prompt_and_the_tools(listen: bool) -> None:
    """T65: they fill the budget although the messages would not. (The rest of T65 is in test_estimate.py.)"""
    history = chat(3)
    for more in ({"system_prompt": "x" * 2_000}, {"tools": [wide]}):
        scene = Scene(answers("so far", "hi"), listen=listen, history=history, **settings(), **more)
        scene.play()
        assert len(compactions(scene)) == 1


@tool(description="x" * 2_000)
async def wide() -> str:
    """Takes room."""
    return ""


def test_the_providers_count_goes_before_the_estimate(listen: bool) -> None:
    """Tokens are the model's own: 20 words of it may be 40 for another tokeniser."""
    counted = reply("hi", usage=Usage(1_500, 10))  # by estimate it was 600
    scene = Scene(answers(counted, "so far", "again"), listen=listen, history=chat(3), **settings())
    scene.play()
    conversation = scene.run.conversation
    assert conversation.prompt_tokens(0) == 1_510
    assert 2.4 < conversation.calibration(0) < 2.6


def test_pieces_of_the_history_are_measured_in_the_models_own_tokens(listen: bool) -> None:
    """What is recent is 200 of the model's tokens, which the provider's count says are 50 by estimate."""
    history = [*chat(3, TEN * 5), user(TEN * 5), assistant(TEN * 5)]
    script = [reply(tool_call("look"), usage=Usage(1_600, 5)), "so far", "hi"]
    scene = Scene(
        answers(*script), listen=listen, history=history, tools=[look], **settings(clear_tool_results=False)
    )
    scene.play()
    (done,) = compactions(scene)
    assert done.parts[0] == (0, 1)
    assert done.parts[-1][0] == 9  # type: ignore[index]  # only the call and its result
    assert scene.provider.requests[2].messages[2].text == BRIDGE
    assert scene.run.conversation.calibration(0) > 3


def test_what_is_over_and_cannot_be_helped_is_not_tried_in_every_turn(listen: bool) -> None:
    """A first message that fills the window: a summary is asked for once, and again only when there is something new."""
    history = [user("x" * 3_600), assistant(HUNDRED), user(HUNDRED), assistant(HUNDRED)]
    short = [tool_call("short", n=n) for n in range(4)]
    scene = Scene(
        answers("so far", *short, "hi"),
        listen=listen,
        history=history,
        tools=[short_tool],
        **settings(keep_recent_tokens=100),
    )
    result = scene.play()
    assert result.text == "hi"
    assert len(scene.provider.requests) == 6
    assert len([one for one in scene.provider.requests if not one.tools]) == 1


@tool(name="short")
async def short_tool(n: int) -> str:
    """Say little."""
    return "ok"


def test_a_paused_answer_is_not_compacted_away(listen: bool) -> None:
    script = answers("so far", reply(HUNDRED * 9, stop_reason="pause_turn"), "hi")
    scene = Scene(script, listen=listen, history=chat(6), **settings())
    result = scene.play()
    assert result.text == "hi"
    assert len(compactions(scene)) == 1


@pytest.mark.parametrize("is_async", [False, True])
def test_the_callback_gets_what_is_about_to_go_and_only_then(listen: bool, is_async: bool) -> None:
    """T67."""
    given: list[tuple[tuple[Message, ...], alloy.RunView]] = []

    def keep(messages: tuple[Message, ...], run: alloy.RunView) -> None:
        given.append((messages, run))

    async def keep_async(messages: tuple[Message, ...], run: alloy.RunView) -> None:
        given.append((messages, run))

    callback = keep_async if is_async else keep
    Scene(answers("hi"), listen=listen, history=chat(3), on_compaction=callback, **settings()).play()
    assert given == []
    history = chat(6)
    Scene(
        answers("so far", "hi"), listen=listen, history=history, on_compaction=callback, **settings()
    ).play()
    ((messages, run),) = given
    assert messages == tuple(history[1:10])
    assert (run.request_id, len(run.messages)) == ("r", 13)


@pytest.mark.parametrize("bug", [RuntimeError("full"), SystemExit(1)])
def test_a_callback_that_fails_is_logged_and_changes_nothing(listen: bool, bug: BaseException) -> None:
    """T67."""

    def keep(_messages: object, _run: object) -> None:
        raise bug

    scene = Scene(answers("so far", "hi"), listen=listen, history=chat(6), on_compaction=keep, **settings())
    with capture_logs() as logs:
        result = scene.play()
    assert result.text == "hi"
    assert [line["event"] for line in logs if line["log_level"] == "error"] == ["on_compaction_failed"]
    assert SUMMARY in result.messages[1].text
