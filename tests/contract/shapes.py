"""One request for each neutral shape: what every provider has to be able to say on its wire."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, Field

from alloy_actors.content import (
    AudioBlock,
    DocumentBlock,
    ImageBlock,
    Message,
    RawBlock,
    RedactedThinkingBlock,
    ServerToolCall,
    ServerToolResult,
    TextBlock,
    ThinkingBlock,
    ToolCall,
    ToolResult,
    VideoBlock,
    assistant,
    user,
)
from alloy_actors.output import Output
from alloy_actors.provider import ModelRequest
from alloy_actors.tooldef import tool
from alloy_actors.tools import InMemoryFiles, memory

ELSEWHERE = "another-origin"
IMAGE = ImageBlock("image/png", "aW1hZ2U=")
NOTES = memory(InMemoryFiles())
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}


class Place(BaseModel):
    """Where somebody is."""

    city: str = Field(description="Its usual name.")
    at: tuple[float, float] | None = None


@tool
async def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


@tool
async def now() -> str:
    """The time."""
    return "12:00"


@tool(
    strict=True,
    input_examples=[{"city": "Paris"}],
    defer_loading=True,
    allowed_callers=["direct", "code_execution"],
)
async def weather(city: str, days: Annotated[int, Field(ge=1)] = 1) -> str:
    """The weather."""
    return f"{city}: sun for {days}"


def said(origin: str | None, *blocks) -> Message:
    return Message("assistant", blocks, model="m" if origin else None, origin=origin)


def shapes(origin: str) -> dict[str, ModelRequest]:
    """By name; `origin` is the provider's own."""
    calls = (ToolCall("call_1", "add", {"a": 1, "b": 2}), ToolCall("call_2", "now", {}))
    results = (ToolResult("call_1", "3"), ToolResult("call_2", "no clock here", is_error=True))
    return {
        "text": ModelRequest((user("hi"),)),
        "unicode": ModelRequest((user('naïve "quotes" \\ 😀\n\x7f'),)),
        "system_prompt": ModelRequest((user("hi"),), system_prompt="Be brief."),
        "conversation": ModelRequest((user("hi"), assistant("hello"), user("and?"))),
        "tools": ModelRequest((user("hi"),), (add, now)),
        "tool_with_options": ModelRequest((user("hi"),), (weather, now)),
        "memory_tool": ModelRequest((user("hi"),), (NOTES,)),
        "tool_round": ModelRequest(
            (user("hi"), said(origin, TextBlock("Let me see."), *calls), user(*results)), (add, now)
        ),
        "tool_round_by_hand": ModelRequest((user("hi"), said(None, calls[0]), user(results[0]))),
        "text_beside_results": ModelRequest((user("hi"), said(origin, *calls), user(*results, "Hurry up."))),
        "image_in_a_result": ModelRequest(
            (user("hi"), said(origin, calls[0]), user(ToolResult("call_1", (TextBlock("a plot"), IMAGE)))),
        ),
        "files_in_a_result": ModelRequest(
            (
                user("hi"),
                said(origin, calls[0]),
                user(
                    ToolResult(
                        "call_1",
                        (
                            TextBlock("what I found"),
                            DocumentBlock("application/pdf", "cGRm", title="paper.pdf"),
                            VideoBlock("video/mp4", uri="https://example.org/a.mp4"),
                            TextBlock("and no more"),
                        ),
                    )
                ),
            ),
        ),
        "invalid_arguments": ModelRequest(
            (
                user("hi"),
                said(origin, ToolCall("call_1", "add", {}, invalid='{"a":')),
                user(ToolResult("call_1", "no JSON object", is_error=True)),
            )
        ),
        "images": ModelRequest(
            (user("What is this?", IMAGE, ImageBlock("", uri="https://example.org/a.png")),)
        ),
        "documents": ModelRequest(
            (
                user(
                    DocumentBlock("application/pdf", "cGRm", title="paper.pdf"),
                    DocumentBlock("application/pdf", uri="https://example.org/a.pdf"),
                    "Sum it up.",
                ),
            )
        ),
        "sound_and_video": ModelRequest(
            (user(AudioBlock("audio/wav", "d2F2"), VideoBlock("video/mp4", "bXA0")),)
        ),
        "thinking": ModelRequest(
            (user("hi"), said(origin, ThinkingBlock("hm", "sig=="), TextBlock("hello")), user("and?"))
        ),
        "thinking_before_tools": ModelRequest(
            (user("hi"), said(origin, ThinkingBlock("hm", "sig=="), *calls), user(*results))
        ),
        "unsigned_thinking": ModelRequest(
            (user("hi"), said(origin, ThinkingBlock("hm"), TextBlock("hello")), user("?"))
        ),
        "from_another_origin": ModelRequest(
            (
                user("hi"),
                said(
                    ELSEWHERE,
                    ThinkingBlock("hm", "sig==", '{"type":"reasoning"}'),
                    ThinkingBlock(" ", "sig=="),
                    RedactedThinkingBlock("opaque"),
                    TextBlock(
                        "Let me see.",
                        ({"url": "https://example.org"},),
                        "sig==",
                        "commentary",
                        '{"type":"t"}',
                    ),
                    ServerToolCall("srv_1", "web_search", {"query": "x"}),
                    ServerToolResult("srv_1", raw='{"type":"web_search_tool_result"}'),
                    RawBlock('{"type":"other"}'),
                    ToolCall(
                        "functions.add:0", "add", {"a": 1, "b": 2}, signature="sig==", raw='{"type":"call"}'
                    ),
                ),
                user(ToolResult("functions.add:0", "3")),
                said(ELSEWHERE, RedactedThinkingBlock("opaque")),
                user("and?"),
            )
        ),
        "no_more_calls": ModelRequest(
            (user("hi"), said(origin, *calls), user(*results)), (add, now), tool_choice="none"
        ),
        "no_calls_and_no_tools": ModelRequest((user("hi"),), tool_choice="none"),
        "output_schema_beside_tools": ModelRequest((user("Where?"),), (add,), output_schema=SCHEMA),
        "output_by_a_tool": ModelRequest((user("Where?"),), (add, Output(list[Place]).tool)),
        "output_schema": ModelRequest((user("Where?"),), output_schema=SCHEMA),
    }
