"""The fold; the dialects are exchanges in tests/data/anthropic, here is what holds for all of them."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alloy_actors import errors
from alloy_actors.content import Message, ThinkingBlock, ToolCall, Usage, user
from alloy_actors.provider import Delta, ModelReply
from alloy_actors.providers._anthropic_reply import MessagesReply
from alloy_actors.providers._anthropic_request import MessagesFormat
from tests.strategies import json_objects, json_values

HERE = MessagesFormat.of("aaaaaaaaaaaaaaaa", False)
START = {"type": "message_start", "message": {"id": "msg_1", "content": [], "usage": {"input_tokens": 9}}}
END = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 3}}
STOP = {"type": "message_stop"}


def begin(index: int, block: dict) -> dict:
    return {"type": "content_block_start", "index": index, "content_block": block}


def piece(index: int, kind: str, **value: object) -> dict:
    return {"type": "content_block_delta", "index": index, "delta": {"type": kind, **value}}


def folded(*events: dict) -> tuple[ModelReply, list[Delta]]:
    fold, heard = MessagesReply(), []
    for event in events:
        if fold.feed(json.dumps(event).encode(), heard):
            break
    return fold.finish(model="m", origin=HERE.origin), heard


def whole(*content: Any, **members: object) -> ModelReply:
    fold = MessagesReply()
    fold.whole(json.dumps({"id": "msg_1", "content": list(content), **members}).encode(), [])
    return fold.finish(model="m", origin=HERE.origin)


def sent_back(message: Message) -> list[dict]:
    """The content of an assistant message in the next request."""
    pieces = HERE.messages([user("hi"), message, user("and?")])
    return json.loads(pieces[1])["content"] if len(pieces) == 3 else []


def test_thinking_comes_in_pieces_its_signature_after_it_and_both_go_back() -> None:
    """T80: signature delta, thinking round trip."""
    reply, heard = folded(
        START,
        begin(0, {"type": "thinking", "thinking": "", "signature": ""}),
        piece(0, "thinking_delta", thinking="h"),
        piece(0, "thinking_delta", thinking="m"),
        piece(0, "signature_delta", signature="sig=="),
        begin(1, {"type": "text", "text": ""}),
        piece(1, "text_delta", text="Hello"),
        END,
    )
    assert reply.message.blocks[0] == ThinkingBlock("hm", "sig==")
    assert heard == [Delta("thinking", "h"), Delta("thinking", "m"), Delta("text", "Hello")]
    assert sent_back(reply.message) == [
        {"type": "thinking", "thinking": "hm", "signature": "sig=="},
        {"type": "text", "text": "Hello"},
    ]


def test_usage_is_cumulative_so_the_last_count_is_the_count() -> None:
    """T79, T80."""
    more = {"type": "message_delta", "delta": {}, "usage": {"input_tokens": 900, "output_tokens": 30}}
    reply, _ = folded(START, more, {**END, "usage": {"output_tokens": 33, "cache_read_input_tokens": 5}})
    assert reply.usage == Usage(900, 33, 5, 0)
    assert folded({"type": "message_start", "message": {}}, {**END, "usage": None})[0].usage == Usage(
        0, 0, 0, 0
    )


@pytest.mark.parametrize("name", ["input_tokens", "output_tokens"])
def test_a_count_that_is_no_number_is_none(name: str) -> None:
    assert whole(usage={name: "many"}).usage == Usage()
    assert whole(usage={name: -1}).usage == Usage()


def test_arguments_in_very_many_pieces_are_joined_once() -> None:
    text = "x" * 200_000
    arguments = json.dumps({"text": text})
    events = [
        piece(0, "input_json_delta", partial_json=arguments[at : at + 10])
        for at in range(0, len(arguments), 10)
    ]
    start = begin(0, {"type": "tool_use", "id": "toolu_1", "name": "write", "input": {}})
    reply, heard = folded(START, start, *events, {**END, "delta": {"stop_reason": "tool_use"}})
    assert reply.message.tool_calls == (ToolCall("toolu_1", "write", {"text": text}),)
    assert heard == []


@pytest.mark.parametrize(
    ("event", "kind"),
    [
        ({"type": "error", "error": {"type": "overloaded_error", "message": "busy"}}, errors.OverloadedError),
        ({"type": "error", "error": {"type": "rate_limit_error", "message": "busy"}}, errors.RateLimitError),
        ({"type": "error", "error": {"type": "api_error", "message": "busy"}}, errors.ServerError),
        ({"type": "error", "error": "busy"}, errors.ProviderError),
        ({"type": "error", "message": "busy"}, errors.ProviderError),
        ({"error": {"type": "authentication_error", "message": "busy"}}, errors.AuthError),
    ],
)
def test_an_error_in_a_reply_is_one_wherever_it_stands(event: dict, kind: type) -> None:
    """T79: streaming error bodies."""
    for earlier in ((), (START, begin(0, {"type": "text", "text": "Hel"}))):
        with pytest.raises(kind, match="busy"):
            folded(*earlier, event)
    with pytest.raises(kind, match="busy"):
        MessagesReply().whole(json.dumps(event).encode(), [])


def test_a_stream_is_not_complete_before_its_stop_reason() -> None:
    """T85; where the stream ends, the exchange asks the fold."""
    fold = MessagesReply()
    for event in (
        START,
        begin(0, {"type": "text", "text": "Hel"}),
        {"type": "content_block_stop", "index": 0},
        STOP,
    ):
        assert not fold.feed(json.dumps(event).encode(), [])
        assert not fold.complete
    assert not fold.feed(json.dumps(END).encode(), [])
    assert fold.complete
    assert fold.feed(json.dumps(STOP).encode(), [])


def test_a_call_of_the_providers_own_tool_is_none_of_ours() -> None:
    """T80: server tool not answered."""
    reply = whole(
        {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}}, stop_reason="end_turn"
    )
    assert reply.message.tool_calls == ()
    assert reply.stop_reason == "end_turn"


texts = st.text("ab é\n😀", min_size=1, max_size=6).filter(str.strip)
names = st.sampled_from(["add", "web_search"])
extra = st.just({}) | st.dictionaries(
    st.sampled_from(["mood", "depth"]), json_values.filter(lambda item: item is not None), max_size=1
)
citations = st.lists(json_objects, min_size=1, max_size=2)
caller = st.just({}) | st.just({"caller": {"type": "direct"}})
members = {
    "text": st.fixed_dictionaries({"text": texts}, optional={"citations": citations}),
    "thinking": st.fixed_dictionaries({"thinking": texts | st.just(""), "signature": texts}),
    "redacted_thinking": st.fixed_dictionaries({"data": texts}),
    "server_tool_use": st.fixed_dictionaries({"id": texts, "name": names, "input": json_objects}),
    "mcp_tool_use": st.fixed_dictionaries(
        {"id": texts, "name": names, "server_name": texts, "input": json_objects}
    ),
    "web_search_tool_result": st.fixed_dictionaries({"tool_use_id": texts, "content": json_values}),
    "mcp_tool_result": st.fixed_dictionaries(
        {"tool_use_id": texts, "content": json_values, "is_error": st.booleans()}
    ),
    "compaction": st.fixed_dictionaries({"content": texts}),
    "a kind of the future": json_objects,
}
blocks = st.one_of(
    [
        st.tuples(values, extra, caller).map(
            lambda parts, kind=kind: {**parts[0], **parts[1], **parts[2], "type": kind}
        )
        for kind, values in members.items()
    ]
)


@settings(max_examples=200, deadline=None)
@given(content=st.lists(blocks, max_size=4), calls=st.integers(0, 2), given=json_objects)
def test_what_came_goes_back_as_it_came(content: list[dict], calls: int, given: dict) -> None:
    """T90, and round trips: reply -> history -> request, block by block, whatever stands in them."""
    content = [*content, {"type": "text", "text": "So."}]
    content += [
        {"type": "tool_use", "id": f"toolu_{at}", "name": "add", "input": given} for at in range(calls)
    ]
    reply = whole(*content)
    assert sent_back(reply.message) == content
    assert len(reply.message.tool_calls) == calls
