"""Encoding: once, byte-stable, with marks; what the API would refuse is refused here. Shapes are in tests/data/requests."""

import json
from base64 import b64encode

import pytest
from hypothesis import given, settings
from pydantic import BaseModel, Field

from alloy_actors import errors
from alloy_actors.content import (
    DocumentBlock,
    ImageBlock,
    Message,
    ServerToolCall,
    TextBlock,
    ToolCall,
    ToolResult,
    assistant,
    user,
)
from alloy_actors.provider import ModelRequest
from alloy_actors.providers._anthropic_files import MAX_IMAGE
from alloy_actors.providers._anthropic_request import MessagesFormat
from alloy_actors.providers._anthropic_schema import strict
from alloy_actors.providers.anthropic import Anthropic
from tests.strategies import histories

HERE = MessagesFormat.of("aaaaaaaaaaaaaaaa", False)
CACHED = Anthropic("m", "sk-ant-key", cache=True)
ROUND = (
    user("hi"),
    assistant("Let me see.", ToolCall("c", "now", {})),
    user(ToolResult("c", "12:00")),
    assistant("Noon."),
    user("thanks"),
)


def body(*messages: Message, provider: Anthropic = CACHED) -> dict:
    return json.loads(provider._request(ModelRequest(messages, system_prompt="Be brief."), b"{"))


def unmarked(value: object) -> object:
    """Without marks, and with strings as the blocks that they are short for."""
    if isinstance(value, list):
        return [unmarked(item) for item in value]
    if not isinstance(value, dict):
        return value
    found = {name: unmarked(item) for name, item in value.items() if name != "cache_control"}
    if isinstance(found.get("content"), str) and "role" in found:
        found["content"] = [{"type": "text", "text": found["content"]}]
    return found


def marked(sent: dict) -> list[int]:
    return [at for at, message in enumerate(sent["messages"]) if "cache_control" in json.dumps(message)]


def test_a_mark_encodes_no_message_a_second_time(monkeypatch) -> None:
    encoded: list[Message] = []
    encode = MessagesFormat._encode
    monkeypatch.setattr(
        MessagesFormat,
        "_encode",
        lambda self, message, asked: encoded.append(message) or encode(self, message, asked),
    )
    history = tuple(Message(message.role, message.content) for message in ROUND)
    for end in (1, 3, 5):
        body(*history[:end])
    assert encoded == list(history)


def test_a_growing_conversation_keeps_the_prefix_that_is_cached() -> None:
    """What stood before a mark is, marks aside, the same in each later request."""
    first = CACHED._request(ModelRequest(ROUND[:3], system_prompt="Be brief."), b"{")
    again = CACHED._request(ModelRequest(ROUND[:3], system_prompt="Be brief."), b"{")
    longer = body(*ROUND)
    assert first == again
    assert marked(json.loads(first)) == [2]
    assert marked(longer) == [4]
    assert unmarked(longer["messages"])[:3] == unmarked(json.loads(first)["messages"])


@settings(max_examples=100, deadline=None)
@given(history=histories())
def test_any_history_with_marks_is_the_history_without(history: list[Message]) -> None:
    """Round trip of T80: a mark changes nothing but itself, whatever the last message is."""
    history[-1] = Message("user", (*history[-1].blocks, TextBlock("go on")))
    plain = Anthropic("m", "sk-ant-key")
    with_marks, without = body(*history), body(*history, provider=plain)
    assert unmarked(with_marks["messages"]) == unmarked(without["messages"])
    assert len(marked(with_marks)) <= 2
    assert "cache_control" in with_marks["messages"][-1]["content"][-1]


@pytest.mark.parametrize(("calls", "positions"), [(9, [2]), (10, [0, 2]), (30, [0, 2])])
def test_a_turn_longer_than_the_api_looks_back_marks_where_the_last_request_ended(
    calls: int, positions: list[int]
) -> None:
    asked = tuple(ToolCall(f"c{at}", "now", {}) for at in range(calls))
    answers = user(*(ToolResult(call.id, "12:00") for call in asked))
    assert marked(body(user("hi"), Message("assistant", asked), answers)) == positions


def test_a_paused_answer_is_marked_at_its_own_end() -> None:
    paused = Message("assistant", (TextBlock("Searching."), ServerToolCall("s", "web_search", {})))
    sent = body(user("hi"), paused)
    assert sent["messages"][1]["content"][-1] == {
        "type": "server_tool_use",
        "id": "s",
        "name": "web_search",
        "input": {},
        "cache_control": {"type": "ephemeral"},
    }


def test_text_that_speaks_of_marks_is_no_mark() -> None:
    sent = body(user('What is "cache_control"?'))
    assert sent["messages"][0]["content"][0]["text"] == 'What is "cache_control"?'
    assert marked(sent) == [0]


def test_providers_of_one_origin_share_what_is_encoded_whether_they_cache_or_not() -> None:
    assert CACHED._format is Anthropic("other", "sk-ant-key")._format
    assert CACHED._format is not Anthropic("m", "sk-ant-key", citations=True)._format
    assert CACHED._format is not Anthropic("m", "sk-ant-other")._format


@pytest.mark.parametrize(
    ("block", "says"),
    [
        (ImageBlock("image/tiff", "aGk="), "ImageBlock: mime_type 'image/tiff'.*image/jpeg, image/png"),
        (ImageBlock("image/png", "A" * (MAX_IMAGE + 1)), "ImageBlock: data has 10,485,761 characters"),
        (
            DocumentBlock("application/msword", b64encode(b"\xd0\xcf\x11\xe0").decode()),
            "DocumentBlock: 'application/msword'",
        ),
        (DocumentBlock("text/plain", "no base64!"), "DocumentBlock: 'text/plain'"),
    ],
)
def test_a_file_that_the_api_refuses_is_refused_before_anything_is_sent(block, says: str) -> None:
    with pytest.raises(errors.InvalidRequestError, match=says):
        HERE.messages([user("What is this?", block)])
    # A tool made it: that is no mistake of the caller's, and the run goes on.
    (piece,) = HERE.messages([user(ToolResult("c", (block,)))])
    assert b"was attached here, but this model cannot be shown it" in piece


def test_an_image_at_the_limit_is_sent() -> None:
    assert HERE.messages([user(ImageBlock("image/png", "A" * MAX_IMAGE))])


class Author(BaseModel):
    """Who wrote it."""

    name: str = Field(min_length=1, description="In full.")
    born: int | None = Field(None, ge=0)


class Book(BaseModel):
    title: str
    authors: list[Author] = Field(min_length=1, max_length=3)
    kind: str = Field(pattern="^[a-z]+$")
    when: str = Field(json_schema_extra={"format": "date"})


def test_a_schema_keeps_its_shape_and_tells_the_model_the_rest() -> None:
    sent = strict(Book.model_json_schema())
    assert sent["additionalProperties"] is False
    assert sent["required"] == ["title", "authors", "kind", "when"]
    assert sent["properties"]["authors"] == {
        "type": "array",
        "title": "Authors",
        "items": {"$ref": "#/$defs/Author"},
        "minItems": 1,
        "description": "(maxItems: 3)",
    }
    assert sent["properties"]["kind"]["description"] == "(pattern: ^[a-z]+$)"
    assert sent["properties"]["when"] == {"type": "string", "title": "When", "format": "date"}
    author = sent["$defs"]["Author"]
    assert author["description"] == "Who wrote it."
    assert author["properties"]["name"]["description"] == "In full.\n(minLength: 1)"
    assert author["properties"]["born"]["anyOf"] == [
        {"type": "integer", "description": "(minimum: 0)"},
        {"type": "null"},
    ]


def test_variants_that_exclude_one_another_are_any_of_them() -> None:
    schema = {"oneOf": [{"type": "string"}, {"const": 7}], "discriminator": {"propertyName": "kind"}}
    assert strict(schema) == {"anyOf": [{"type": "string"}, {"const": 7}]}


@pytest.mark.parametrize(
    ("schema", "says"),
    [
        ({}, r"\$: there is no type"),
        ({"type": "object"}, r"\$: an object must name its properties"),
        (
            {
                "type": "object",
                "properties": {"scores": {"type": "object", "additionalProperties": {"type": "integer"}}},
            },
            r"\$\.scores: an object must name its properties",
        ),
        (
            {"type": "array", "items": {"type": "array", "prefixItems": []}},
            r"\$\[\]: 'prefixItems' is not supported",
        ),
        ({"type": "array", "items": True}, r"\$\[\]: True says nothing"),
        ({"anyOf": [{"type": "string"}, {"not": {}}]}, r"\$\.anyOf\[1\]: 'not' is not supported"),
        ({"$ref": "https://example.org/s.json"}, "points outside"),
        (
            {
                "$ref": "#/$defs/Node",
                "$defs": {
                    "Node": {"type": "object", "properties": {"next": {"$ref": "#/$defs/Leaf"}}},
                    "Leaf": {"anyOf": [{"$ref": "#/$defs/Node"}, {"type": "null"}]},
                },
            },
            r"\$\.\$defs\.Node: it holds itself",
        ),
    ],
)
def test_a_schema_that_cannot_be_enforced_is_refused_before_anything_is_sent(schema: dict, says: str) -> None:
    with pytest.raises(errors.InvalidRequestError, match=says):
        CACHED._request(ModelRequest((user("hi"),), output_schema=schema), b"{")
