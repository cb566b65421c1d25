import json

import pytest

from alloy_actors.content import TextBlock, ThinkingBlock, ToolCall
from alloy_actors.errors import MalformedReplyError
from alloy_actors.provider import Delta, ModelReply
from alloy_actors.providers._responses_output import Output
from alloy_actors.providers._responses_reply import ResponsesReply

CITE = {"type": "url_citation", "url": "https://example.org", "start_index": 0, "end_index": 3}


def text(*parts: str | dict, **more) -> dict:
    content = [{"type": "output_text", "text": part} if isinstance(part, str) else part for part in parts]
    return {"type": "message", "content": content, **more}


def blocks(*items: object) -> list:
    return Output(items, stored=False, reply_id="resp_1").blocks


def fold(*events: dict) -> tuple[ModelReply, list[Delta]]:
    reply, deltas = ResponsesReply(), []
    ended = [reply.feed(json.dumps(event).encode(), deltas) for event in events]
    assert ended == [False] * (len(events) - 1) + [True]
    return reply.finish(model="m", origin="o"), deltas


def said(kind: str, delta: object, **where: object) -> dict:
    return {"type": f"response.{kind}.delta", "delta": delta, **where}


def test_annotations_keep_pointing_at_what_they_came_with() -> None:
    cited = {"type": "output_text", "text": "Two", "annotations": [CITE]}
    assert blocks(text("One. ", cited, ". Three"), text(" and four")) == [
        TextBlock("One. "),
        TextBlock("Two. Three and four", (CITE,)),
    ]


def test_texts_of_two_phases_and_around_a_call_stay_apart() -> None:
    call = {"type": "function_call", "call_id": "call_1", "name": "now", "arguments": "{}"}
    found = blocks(text("a", phase="commentary"), text("b", phase="final_answer"), call, text("c"))
    assert found == [
        TextBlock("a", phase="commentary"),
        TextBlock("b", phase="final_answer"),
        ToolCall("call_1", "now", {}),
        TextBlock("c"),
    ]


def test_an_argument_of_200_kb_in_20_000_pieces_arrives_whole_though_its_end_is_not_sent() -> None:
    arguments = json.dumps({"text": "é" * 100_000}, ensure_ascii=False)
    size = -(-len(arguments) // 20_000)
    item = {"id": "fc_1", "type": "function_call", "call_id": "call_1", "name": "write", "arguments": ""}
    pieces = [arguments[at : at + size] for at in range(0, len(arguments), size)]
    reply, deltas = fold(
        {"type": "response.output_item.added", "output_index": 0, "item": item},
        *(said("function_call_arguments", piece, output_index=0, item_id="fc_1") for piece in pieces),
        {"type": "response.completed", "response": {"id": "resp_1"}},
    )
    assert reply.message.tool_calls == (ToolCall("call_1", "write", {"text": "é" * 100_000}),)
    assert deltas == []


def test_what_was_heard_of_a_later_block_is_not_told_again() -> None:
    whole = {"output": [text("first", phase="commentary"), text("second", phase="final_answer")]}
    _, deltas = fold(
        said("output_text", "first", output_index=0, content_index=0),
        said("output_text", "sec", output_index=1, content_index=0),
        {"type": "response.completed", "response": whole},
    )
    assert deltas == [Delta("text", "first"), Delta("text", "sec"), Delta("text", "ond")]


def test_a_whole_reply_is_told_in_the_order_of_its_blocks() -> None:
    thought = {"type": "reasoning", "summary": [{"type": "summary_text", "text": "hm"}]}
    _, deltas = fold({"output": [text("a", phase="commentary"), thought, text("b")]})
    assert deltas == [Delta("text", "a"), Delta("thinking", "hm"), Delta("text", "b")]


@pytest.mark.parametrize(
    "where",
    [
        {"output_index": [], "content_index": {}},
        {"output_index": "0", "item_id": 7},
        {"output_index": None, "item_id": None, "content_index": None},
        {},
    ],
)
def test_places_of_no_sense_do_no_harm(where: dict) -> None:
    reply, deltas = fold(
        said("output_text", "Hel", **where),
        said("output_text", "lo", **where),
        {"type": "response.output_item.added", **where, "item": None},
        {"type": "response.completed", "response": {"id": 7, "usage": [], "incomplete_details": "x"}},
    )
    assert reply.message.text == "Hello"
    assert deltas == [Delta("text", "Hel"), Delta("text", "lo")]
    assert reply.provider_state is None


def test_reasoning_and_text_without_any_place_are_kept_apart() -> None:
    reply, _ = fold(
        said("reasoning_text", "hm"),
        said("output_text", "Hello"),
        {"type": "response.completed", "response": {}},
    )
    assert reply.message.thinking == "hm"
    assert reply.message.text == "Hello"
    assert [type(block) for block in reply.message.blocks] == [ThinkingBlock, TextBlock]


@pytest.mark.parametrize("event", [{}, {"output": None}, {"type": None}, {"object": "response"}])
def test_what_is_no_response_is_refused(event: dict) -> None:
    with pytest.raises(MalformedReplyError, match="no output"):
        fold(event)
