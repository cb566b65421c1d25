"""Content survives being written down, and being shown to another provider."""

import re

from hypothesis import given, settings
from hypothesis import strategies as st

from alloy_actors import journal as log
from alloy_actors.content import Message, TextBlock, ThinkingBlock, ToolCall, ToolResult, Usage
from alloy_actors.normalise import normalise
from alloy_actors.providers._chat_request import ChatFormat
from alloy_actors.session import Session
from alloy_actors.store._codec import decode, encode
from tests.strategies import histories

HERE = "here"


def whole(message: Message) -> tuple:
    """Also what takes no part in comparisons."""
    return message, message.model, message.origin


@settings(deadline=None)
@given(histories())
def test_a_session_comes_back_from_json_as_it_was(history: list[Message]) -> None:
    session = Session(id="a", messages=tuple(history))
    back = Session.from_json(session.to_json())
    assert list(map(whole, back.messages)) == list(map(whole, history))
    assert back.to_json() == session.to_json()


@settings(deadline=None)
@given(histories())
def test_a_journal_comes_back_as_it_was(history: list[Message]) -> None:
    (seeded,) = decode(encode([log.Seeded(tuple(history), Usage())]), {})
    assert isinstance(seeded, log.Seeded)
    assert list(map(whole, seeded.messages)) == list(map(whole, history))


@given(histories())
def test_a_foreign_message_is_left_with_nothing_of_its_origin(history: list[Message]) -> None:
    for message in normalise(history, HERE):
        if message.origin in (HERE, None) or isinstance(message.content, str):
            continue
        assert message.content
        for block in message.blocks:
            assert block.type in ("text", "tool_use", "image", "audio", "video", "document")
            assert getattr(block, "signature", None) is None
            assert getattr(block, "raw", None) is None
            if isinstance(block, TextBlock):
                assert block == TextBlock(block.text)
                assert block.text.strip()
            if isinstance(block, ToolCall):
                assert re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", block.id)


@given(histories())
def test_calls_stay_paired_with_their_results(history: list[Message]) -> None:
    seen = list(normalise(history, HERE))
    for place, message in enumerate(seen):
        if calls := message.tool_calls:
            answers = [block.tool_use_id for block in seen[place + 1].blocks if isinstance(block, ToolResult)]
            assert answers == [call.id for call in calls]
            assert len(set(answers)) == len(answers)
    made = [call.name for message in history for call in message.tool_calls]
    assert [call.name for message in seen for call in message.tool_calls] == made


@given(histories())
def test_nothing_that_can_be_read_is_lost(history: list[Message]) -> None:
    def readable(messages) -> str:
        blocks = (block for message in messages for block in message.blocks)
        return "".join(
            block.thinking if isinstance(block, ThinkingBlock) else block.text
            for block in blocks
            if isinstance(block, TextBlock | ThinkingBlock)
        )

    assert "".join(readable(normalise(history, HERE)).split()) == "".join(readable(history).split())


@given(histories(origins=(HERE, None)))
def test_a_history_of_this_origin_is_left_alone(history: list[Message]) -> None:
    seen = normalise(history, HERE)
    assert all(now is before for now, before in zip(seen, history, strict=True))


@given(histories())
def test_normalising_twice_is_normalising_once(history: list[Message]) -> None:
    once = normalise(history, HERE)
    assert list(map(whole, normalise(once, HERE))) == list(map(whole, once))


@settings(deadline=None)
@given(histories(), st.data())
def test_the_same_history_is_the_same_bytes_whatever_was_encoded_before(
    history: list[Message], data: st.DataObject
) -> None:
    formats = [ChatFormat.of(origin) for origin in (HERE, "there", "nowhere")]
    fresh = [Message(item.role, item.content, item.model, item.origin) for item in history]
    # The caches of `history` have seen other formats and shorter histories.
    for wire in data.draw(st.lists(st.sampled_from(formats), max_size=4)):
        wire.messages(history[: data.draw(st.integers(0, len(history)))])
    chosen = data.draw(st.sampled_from(formats))
    first = chosen.messages(history)
    assert first == chosen.messages(fresh)
    assert all(now is before for now, before in zip(chosen.messages(history), first, strict=True))


def test_results_are_encoded_for_the_calls_they_answer() -> None:
    """One message in two histories: its form depends on who made the calls."""
    results = Message("user", (ToolResult("a.b", "x"),))
    call = ToolCall("a.b", "t", {})
    at_home, foreign = (Message("assistant", (call,), origin=origin) for origin in (HERE, "there"))
    wire = ChatFormat.of(HERE)
    for asked, sent in ((at_home, b'"a.b"'), (foreign, b'"a_b_'), (at_home, b'"a.b"')):
        assert sent in wire.messages([asked, results])[1]
