"""A history on the wire of the Responses API can be read back from it."""

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from alloy_actors.content import Message, RawBlock, TextBlock, ThinkingBlock, ToolCall, ToolResult
from alloy_actors.normalise import normalise
from alloy_actors.providers._responses_request import ResponsesFormat
from alloy_actors.providers.openai import OpenAI
from alloy_actors.providers.xai import XAI
from tests.strategies import histories

HERE = "here"


def sent(history: list[Message], *, replays: bool, dialect=OpenAI._dialect) -> list[dict]:
    form = ResponsesFormat.of(HERE, dialect, replays)
    return json.loads(b"[" + b",".join(form.messages(history)) + b"]")


def said(history: list[Message], *, replays: bool) -> list[object]:
    """What has to be read back: texts, calls, results and the provider's own items, in their order."""
    found: list[object] = []
    for message in normalise(history, HERE):
        for block in message.blocks:
            raw = getattr(block, "raw", None)
            if message.role == "assistant" and replays and raw is not None:
                found.append(json.loads(raw))
            elif message.role == "assistant" and isinstance(block, TextBlock) and block.text:
                found.append(("text", block.text, block.phase))
            elif isinstance(block, ToolCall):
                found.append(("call", block.id, block.name, {} if block.invalid else block.input))
            elif isinstance(block, ToolResult):
                found.append(("result", block.tool_use_id))
    return found


def heard(items: list[dict]) -> list[object]:
    found: list[object] = []
    for item in items:
        if set(item) >= {"role", "content"} and item["role"] == "assistant":
            if not item["content"].endswith("cannot be shown it]"):
                found.append(("text", item["content"], item.get("phase")))
        elif item.get("type") == "function_call":
            found.append(("call", item["call_id"], item["name"], json.loads(item["arguments"])))
        elif item.get("type") == "function_call_output":
            found.append(("result", item["call_id"]))
        elif item.get("role") != "user":
            found.append(item)
    return found


@settings(deadline=None)
@given(histories(), st.booleans())
def test_a_history_can_be_read_back_from_the_wire(history: list[Message], replays: bool) -> None:
    assert heard(sent(history, replays=replays)) == said(history, replays=replays)


@settings(deadline=None)
@given(histories(), st.sampled_from([OpenAI._dialect, XAI._dialect]))
def test_every_call_is_answered_before_anything_else_is_said(history: list[Message], dialect) -> None:
    open_calls: list[str] = []
    for item in sent(history, replays=False, dialect=dialect):
        if item.get("type") == "function_call":
            open_calls.append(item["call_id"])
        elif item.get("type") == "function_call_output":
            assert item["call_id"] == open_calls.pop(0)
            assert isinstance(item["output"], str | list)
        elif item["role"] == "user":
            assert not open_calls
    assert not open_calls or history[-1].role == "assistant"


@given(histories(origins=("there",)))
def test_nothing_of_another_origin_goes_out(history: list[Message]) -> None:
    for item in sent(history, replays=True):
        assert item.get("type") in {None, "function_call", "function_call_output"}
        assert item.get("phase") is None


def test_the_strategy_has_what_is_replayed() -> None:
    from hypothesis import find

    def replayed(history: list[Message]) -> bool:
        return any(
            isinstance(block, ThinkingBlock | RawBlock) and block.raw
            for message in history
            if message.origin == HERE
            for block in message.blocks
        )

    assert find(histories(), replayed)
