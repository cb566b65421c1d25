"""Records on disk: what is written, and what is refused when it is read."""

from __future__ import annotations

import json
from dataclasses import MISSING, fields
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alloy_actors import journal as log
from alloy_actors.content import (
    AudioBlock,
    ContentBlock,
    DocumentBlock,
    ImageBlock,
    Message,
    ProviderState,
    RawBlock,
    RedactedThinkingBlock,
    ServerToolCall,
    ServerToolResult,
    TextBlock,
    ThinkingBlock,
    ToolCall,
    ToolResult,
    Usage,
    VideoBlock,
    user,
)
from alloy_actors.store._codec import KINDS, NewerRecordError, decode, encode

RESULT = ToolResult("call-1", "no such file", is_error=True)
ARGUMENTS = {"path": "a", "deep": [1, 2.5, None, True, {"x": "é"}]}
BLOCKS = (
    TextBlock("hello", ({"url": "https://example.org", "at": 3},), "signed", "commentary", '{"a":1}'),
    ThinkingBlock("hm", "signed", '{"a":1}'),
    RedactedThinkingBlock("opaque", '{"a":1}'),
    ToolCall("call-1", "read", ARGUMENTS, "{broken", "signed", {"type": "direct"}, '{"a":1}'),
    RESULT,
    ServerToolCall("srv-1", "web_search", ARGUMENTS, '{"a":1}'),
    ServerToolResult("srv-1", "found", is_error=True, raw='{"a":1}'),
    ImageBlock("image/png", data="aGk=", title="a cat", signature="signed", raw='{"a":1}'),
    AudioBlock("audio/wav", data="aGk=", title="a cat", signature="signed", raw='{"a":1}'),
    VideoBlock("video/mp4", data="aGk=", title="a cat", signature="signed", raw='{"a":1}'),
    DocumentBlock("application/pdf", data="aGk=", title="a cat", signature="signed", raw='{"a":1}'),
    RawBlock('{"a":1}'),
)
WITH_A_URI = (
    ImageBlock("", uri="https://example.org/cat.png"),
    ToolResult("call-1", (TextBlock("a cat"), ImageBlock("image/png", "aGk="))),
    ToolResult(
        "call-1",
        (VideoBlock("video/mp4", uri="https://example.org/a"), DocumentBlock("application/pdf", "aGk=")),
    ),
)
MESSAGE = Message("assistant", (*BLOCKS, *WITH_A_URI), model="m-1", origin="o-1")
SAMPLES = (
    log.Seeded((user("a"), MESSAGE), Usage(1, 2, 3, 4), ProviderState("o-1", {"container": "c-1"}), 1.25),
    log.Accepted("r", MESSAGE, "steer"),
    log.RunBegan("r", MESSAGE),
    log.RunResumed("r", 2),
    log.RunSuspended("r"),
    log.Steered("r", "s", MESSAGE),
    log.Reminded("r", "until_tool", MESSAGE),
    log.RequestSent("r", 3, "m-1"),
    log.Replied("r", MESSAGE, "tool_use", Usage(1, 2, 3, 4), {"container": "c-1"}, 0.25),
    log.ApprovalAsked("r", "call-1", "it deletes"),
    log.ApprovalDecided("r", "call-1", True, "seen", {"path": "tmp/a"}),
    log.ToolCallStarted("r", "call-1"),
    log.ToolCallEnded("r", RESULT, 0.25, "traceback", {"rows": [1, 2]}),
    log.Closed("r", (RESULT, ToolResult("call-2", "")), MESSAGE),
    log.RunEnded("r", "error", 1.5, "CrashError", "a bug", "as far as it got"),
    log.Withdrawn("r", 1.5, "AgentDownError", "it is parked"),
    log.WasReset(),
    log.ModelChanged("m-2"),
    log.Charged("r", Usage(1, 2, 3, 4), 0.25),
    log.WasCompacted("r", ((0, 1), MESSAGE, (4, 7)), 120, 2, 130),
)


def read(data: bytes) -> list[log.Record]:
    return decode(data, {})


def test_every_kind_of_record_has_a_form_on_disk() -> None:
    assert {kind.cls for kind in KINDS} == set(get_args(log.Record)) == {type(record) for record in SAMPLES}
    assert {type(block) for block in BLOCKS} == set(get_args(ContentBlock))


@pytest.mark.parametrize("value", [*SAMPLES, *BLOCKS, MESSAGE], ids=lambda value: type(value).__name__)
def test_the_samples_leave_no_field_at_its_default(value: object) -> None:
    """So that a field that was added to a record is in the round trip below."""
    for field in fields(value):
        if field.init and field.name not in ("type", "uri"):  # a file is there, or it is elsewhere
            assert field.default is MISSING or getattr(value, field.name) != field.default, field.name


@pytest.mark.parametrize("record", SAMPLES, ids=lambda record: type(record).__name__)
def test_a_record_comes_back_as_it_was(record: log.Record) -> None:
    (back,) = read(encode([record]))
    assert back == record
    message = getattr(back, "message", None)
    if message is not None:  # what takes no part in comparisons
        assert (message.model, message.origin) == ("m-1", "o-1")


def test_what_was_written_before_there_were_more_fields_is_read() -> None:
    old = b"""[["seeded",[["m","user",[["image","image/png","aGk="]]],["m","assistant",[["text","hi",[{"at":3}]],
        ["thinking","hm","signed"],["tool_use","c","t",{"a":1},"{"]],"m-1","o-1"],
        ["m","user",[["tool_result","c","x",true]]]],["u",1]],["replied","r",["m","assistant","hi"],"end_turn",["u",7]]]"""
    assert read(old) == [
        log.Seeded(
            (
                user(ImageBlock("image/png", "aGk=")),
                Message(
                    "assistant",
                    (
                        TextBlock("hi", ({"at": 3},)),
                        ThinkingBlock("hm", "signed"),
                        ToolCall("c", "t", {"a": 1}, "{"),
                    ),
                ),
                user(ToolResult("c", "x", is_error=True)),
            ),
            Usage(1),
        ),
        log.Replied("r", Message("assistant", "hi"), "end_turn", Usage(7)),
    ]


def test_defaults_are_not_written() -> None:
    data = encode([log.Replied("r", user("hi"), "end_turn", Usage(7)), log.Closed("r")])
    assert json.loads(data) == [["replied", "r", ["m", "user", "hi"], "end_turn", ["u", 7]], ["closed", "r"]]
    assert read(data) == [log.Replied("r", user("hi"), "end_turn", Usage(7)), log.Closed("r")]


def test_the_message_of_a_request_is_written_once() -> None:
    message = user("a long message")
    data = encode([log.RunBegan("r", message)], {"r": message})
    assert b"long" not in data
    assert decode(data, {"r": message}) == [log.RunBegan("r", message)]


def test_a_run_that_began_with_another_message_keeps_its_own() -> None:
    data = encode([log.RunBegan("r", user("edited"))], {"r": user("as accepted")})
    assert read(data) == [log.RunBegan("r", user("edited"))]


def test_a_message_that_is_accepted_and_begun_in_one_batch_is_written_once() -> None:
    said = user("hello there")
    batch = [log.Accepted("r", said), log.RunBegan("r", said), log.RequestSent("r", 1, "m")]
    data = encode(batch)
    assert data.count(b"hello there") == 1
    assert read(data) == batch


def test_accepted_messages_are_known_to_what_follows() -> None:
    accepted: dict[str, Message] = {}
    decode(encode([log.Accepted("r", user("hi"))]), accepted)
    assert accepted == {"r": user("hi")}


# Escapes, line ends, a character beyond the 16-bit ones, and half a surrogate pair, as
# Python makes of a byte in a file name that is no UTF-8.
any_text = st.text('ab"\\/\n\r\t\0é\u2028\U0001f600\udcff', max_size=12)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | any_text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(any_text, inner, max_size=3),
    max_leaves=6,
)


@settings(deadline=None)  # a busy machine is no failure
@given(any_text, st.dictionaries(any_text, json_values, max_size=3))
def test_any_text_and_any_json_comes_back(text: str, arguments: dict[str, object]) -> None:
    records = [
        log.Replied("r", Message("assistant", (ToolCall("c", "t", arguments),)), "tool_use", Usage()),
        log.ToolCallEnded("r", ToolResult("c", text)),
    ]
    data = encode(records)
    assert b"\n" not in data
    assert read(data) == records


@pytest.mark.parametrize("value", [float("inf"), 10**40, "\ud800", {"a": "\udcff"}])
def test_what_plain_json_lacks_comes_back(value: object) -> None:
    record = log.Replied("r", Message("assistant", (ToolCall("c", "t", {"x": value}),)), "tool_use", Usage())
    assert read(encode([record])) == [record]


def test_arguments_nested_as_deep_as_providers_take_them_come_back() -> None:
    deep: object = 1
    for _ in range(199):
        deep = [deep]
    record = log.Replied("r", Message("assistant", (ToolCall("c", "t", {"x": deep}),)), "tool_use", Usage())
    assert read(encode([record])) == [record]


def test_what_is_no_json_is_refused_when_it_is_written() -> None:
    call = ToolCall("c", "t", {"x": object()})
    with pytest.raises(TypeError):
        encode([log.Replied("r", Message("assistant", (call,)), "tool_use", Usage())])


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b'[["dreamt","r"]]', "'dreamt'"),
        (b'[["withdrawn","r",1.5,"why","","more"]]', "'withdrawn' with 5 fields"),
        (b'[["accepted","r",["m","user",[["hologram","x"]]]]]', "'hologram'"),
    ],
)
def test_what_a_newer_version_wrote_is_refused_as_such(data: bytes, what: str) -> None:
    with pytest.raises(NewerRecordError, match=what):
        read(data)


@pytest.mark.parametrize(
    "data",
    [b"", b"[[", b"[[]]", b'[["accepted"]]', b'[["began","r"]]', b'[["accepted","r",["m","robot",""]]]'],
)
def test_damaged_data_raises(data: bytes) -> None:
    with pytest.raises(Exception):  # noqa: B017, PT011  (any: the reader wraps it)
        read(data)
