"""A session comes back from JSON as it was, or says in one line why it does not."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from alloy_actors.content import (
    AudioBlock,
    DocumentBlock,
    ImageBlock,
    Message,
    TextBlock,
    ThinkingBlock,
    ToolCall,
    ToolResult,
    Usage,
    VideoBlock,
    assistant,
    user,
)
from alloy_actors.errors import ConfigError
from alloy_actors.session import FORMAT, Session

SESSION = Session(
    id="a1",
    messages=(
        user("What is the weather in Paris? ☔"),
        Message(
            "assistant",
            [
                ThinkingBlock("hm", signature="s"),
                TextBlock("I'll look."),
                ToolCall("c1", "weather", {"city": "Paris"}),
                ToolCall("c2", "weather", {}, invalid="{"),
            ],
            model="m",
            origin="o",
        ),
        Message("user", [ToolResult("c1", "rain"), ToolResult("c2", "no", is_error=True)]),
        assistant("Rain."),
        Message("user", [TextBlock("And this?"), ImageBlock("image/png", "aGk=")]),
    ),
    usage=Usage(1, 2, 3, 4),
    metadata={"name": "guide", "nested": {"list": [1, None, True]}},
)


def test_files_in_a_tools_result_come_back_as_they_were() -> None:
    parts = (
        TextBlock("what I found"),
        ImageBlock("image/png", "aGk="),
        VideoBlock("video/mp4", uri="https://example.org/a.mp4"),
        AudioBlock("audio/wav", "aGk="),
        DocumentBlock("application/pdf", "aGk=", title="paper.pdf"),
    )
    session = Session(id="s", messages=(Message("user", [ToolResult("c1", parts)]),))
    assert Session.from_json(session.to_json()) == session


def test_a_session_comes_back_as_it_was() -> None:
    again = Session.from_json(SESSION.to_json())
    assert again == SESSION
    assert [message.model for message in again.messages] == [None, "m", None, None, None]
    assert Session.from_json(SESSION.to_json().decode()) == SESSION


def test_t95_a_new_session_is_empty_and_from_now_by_utc() -> None:
    before = datetime.now(UTC)
    session = Session(id="a1")
    assert (session.messages, session.usage, session.metadata) == ((), Usage(), {})
    assert before <= session.created_at <= session.updated_at <= datetime.now(UTC)
    assert Session.from_json(session.to_json()) == session


@pytest.mark.parametrize("length", [0, 1, 10, 100, -20, -1])
def test_a_truncated_session_is_refused(length: int) -> None:
    with pytest.raises(ConfigError, match="no session of alloy-actors: the document: ") as caught:
        Session.from_json(SESSION.to_json()[:length])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("foreign", ["[]", "3", '{"messages": []}', '{"model": "gpt", "messages": "hello"}'])
def test_a_foreign_document_is_refused(foreign: str) -> None:
    with pytest.raises(ConfigError, match="no session of alloy-actors"):
        Session.from_json(foreign)


def changed(**fields: object) -> str:
    return json.dumps({**json.loads(SESSION.to_json()), **fields})


@pytest.mark.parametrize(
    "message",
    [
        {"role": "system", "content": "x"},
        {"role": "user", "content": [{"type": "hologram"}]},
        {"role": "user", "content": [{"type": "text"}]},
        {"role": "user", "content": "x", "extra": 1},
    ],
)
def test_a_message_that_is_none_is_named(message: object) -> None:
    with pytest.raises(ConfigError, match=r"no session of alloy-actors: messages\.0\."):
        Session.from_json(changed(messages=[message]))


def test_a_session_of_a_newer_version_is_refused_as_such_whatever_else_it_changed() -> None:
    for newer in (changed(format=FORMAT + 1), changed(format=FORMAT + 1, messages={"packed": True})):
        with pytest.raises(ConfigError, match=f"format {FORMAT + 1} is newer .* upgrade"):
            Session.from_json(newer)
