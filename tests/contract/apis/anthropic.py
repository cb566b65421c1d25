"""Anthropic's Messages API."""

import re
from functools import partial

from alloy_actors.content import (
    AudioBlock,
    DocumentBlock,
    ImageBlock,
    RawBlock,
    RedactedThinkingBlock,
    ServerToolCall,
    ServerToolResult,
    TextBlock,
    ThinkingBlock,
    ToolCall,
    ToolResult,
    assistant,
    user,
)
from alloy_actors.provider import ModelRequest
from alloy_actors.providers.anthropic import Anthropic
from alloy_actors.tooldef import tool
from tests.contract.shapes import IMAGE, SCHEMA, add, now, said, shapes
from tests.contract.wire import Api

SEARCH = {"type": "web_search_20250305", "name": "web_search", "max_uses": 3}
FOUND = (
    '{"type":"web_search_tool_result","tool_use_id":"srvtoolu_1","content":[{"type":"web_search_result",'
    '"title":"OTP","url":"https://example.org","encrypted_content":"Eo8BCioI","page_age":null}]}'
)
CITATION = {
    "type": "web_search_result_location",
    "url": "https://example.org",
    "title": "OTP",
    "encrypted_index": "EpMB",
    "cited_text": "Let it crash.",
}
SEARCHED = (
    ServerToolCall("srvtoolu_1", "web_search", {"query": "otp"}),
    ServerToolResult("srvtoolu_1", "OTP\nhttps://example.org", raw=FOUND),
    TextBlock("They say"),
    TextBlock("let it crash", (CITATION,)),
    TextBlock("\n\n"),
)
LONG_AGO = {"container_id": "container_1", "container_expires_at": "2025-10-14T10:28:40.590791Z"}
FAR_AHEAD = {"container_id": "container_1", "container_expires_at": "2999-10-14T10:28:40.590791Z"}


def own(origin: str) -> dict[str, ModelRequest]:
    """What only this API has to say, or says in its own way; also under options, see below."""
    common = shapes(origin)
    call = ToolCall("toolu_1", "add", {"a": 1, "b": 2})
    many = tuple(ToolCall(f"toolu_{at}", "now", {}) for at in range(10))
    answers = tuple(ToolResult(made.id, "12:00") for made in many)
    round_of_many = ModelRequest((user("hi"), said(origin, *many), user(*answers)), (add, now), "Be brief.")
    return {
        "blank_text": ModelRequest(
            (
                user("hi"),
                said(origin, TextBlock(""), TextBlock(" \n")),
                user(""),
                said(origin, TextBlock(" "), TextBlock("so"), TextBlock("")),
                user(TextBlock(""), "go on"),
            )
        ),
        "results_come_first": ModelRequest(
            (user("hi"), said(origin, call), user("Hurry up.", IMAGE, ToolResult("toolu_1", "3")))
        ),
        "silent_results": ModelRequest(
            (
                user("hi"),
                said(origin, *many[:3]),
                user(
                    ToolResult("toolu_0", ""),
                    ToolResult("toolu_1", " ", is_error=True),
                    ToolResult("toolu_2", (TextBlock(""),), is_error=True),
                ),
            )
        ),
        "thinking_between_tools": ModelRequest(
            (
                user("hi"),
                said(
                    origin,
                    ThinkingBlock("first", "sig1"),
                    call,
                    RedactedThinkingBlock("opaque"),
                    ThinkingBlock("", "omitted"),
                    many[0],
                ),
                user(ToolResult("toolu_1", "3"), ToolResult("toolu_0", "12:00")),
            )
        ),
        "thinking_at_the_end": ModelRequest(
            (
                user("hi"),
                said(origin, TextBlock("So"), ThinkingBlock("hm", "sig=="), RedactedThinkingBlock("opaque")),
                user("and?"),
                said(origin, ThinkingBlock("hm", "sig==")),
                user("so?"),
            )
        ),
        "searched": ModelRequest((user("hi"), said(origin, *SEARCHED), user("and?"))),
        "paused": ModelRequest((user("hi"), said(origin, *SEARCHED[:1]))),
        "paused_and_left": ModelRequest(
            (
                user("hi"),
                said(origin, TextBlock("Searching."), *SEARCHED[:1]),
                user("no, wait"),
                said(origin, *SEARCHED[:1]),
                user("and?"),
            )
        ),
        "called_while_searching": ModelRequest(
            (user("hi"), said(origin, call, *SEARCHED[:1]), user(ToolResult("toolu_1", "3")))
        ),
        "called_by_code": ModelRequest(
            (
                user("hi"),
                said(
                    origin,
                    ToolCall(
                        "toolu_1",
                        "add",
                        {"a": 1, "b": 2},
                        caller={"type": "code_execution_20260120", "tool_id": "srvtoolu_1"},
                    ),
                ),
                user(ToolResult("toolu_1", "3")),
            )
        ),
        "raw_blocks": ModelRequest(
            (
                user(RawBlock('{"type":"container_upload","file_id":"file_1"}'), "Look."),
                said(origin, RawBlock('{"type":"compaction","content":"So far: ..."}'), TextBlock("hello")),
                user("and?"),
            )
        ),
        "files_by_id": ModelRequest(
            (
                user(
                    ImageBlock("", uri="file_1"),
                    DocumentBlock("", uri="file_2", title="a.pdf"),
                    ImageBlock("image/png", uri="gs://bucket/a.png"),
                ),
            )
        ),
        "text_document": ModelRequest((user(DocumentBlock("text/markdown", "IyBIaQ==", title="hi.md")),)),
        "image_of_the_model": ModelRequest(
            (user("Draw."), assistant("Here:", IMAGE, AudioBlock("audio/wav", "d2F2")), user("and?"))
        ),
        "image_jpg": ModelRequest((user(ImageBlock("image/jpg", "aW1hZ2U=")),)),
        "cached": ModelRequest(common["tool_round"].messages, (add, now), "Be brief."),
        "cached_string": ModelRequest((user("hi"), assistant("hello"), user("and?"))),
        "cached_for_an_hour": ModelRequest((user(IMAGE, "hi"),), (add,), "Be brief."),
        "cached_round_of_many": round_of_many,
        "cached_own_tools": ModelRequest((user("hi"),), (add,)),
        "cached_deferred": ModelRequest((user("hi"),), (add, now)),
        "cached_own_marks": ModelRequest(
            (user(RawBlock('{"type":"text","text":"hi","cache_control":{"type":"ephemeral","ttl":"1h"}}')),)
        ),
        "cached_own_system": ModelRequest(round_of_many.messages, (), "Be brief."),
        "thinking_adaptive": common["text"],
        "thinking_budget": common["text"],
        "thinking_disabled": common["text"],
        "thinking_mapping": common["text"],
        "effort": common["text"],
        "effort_and_schema": ModelRequest((user("Where?"),), output_schema=SCHEMA),
        "server_tools": ModelRequest((user("hi"),), (add,)),
        "code_execution": common["text"],
        "container": ModelRequest((user("hi"),), provider_state=FAR_AHEAD),
        "container_dead": ModelRequest((user("hi"),), provider_state=LONG_AGO),
        "container_undated": ModelRequest((user("hi"),), provider_state={"container_id": "container_1"}),
        "container_with_skills": ModelRequest((user("hi"),), provider_state=FAR_AHEAD),
        "container_of_mine": ModelRequest((user("hi"),), provider_state=FAR_AHEAD),
        "skills": common["text"],
        "cited_documents": common["documents"],
        "tool_options": ModelRequest((user("hi"),), (add, now)),
        "native_tool": ModelRequest((user("hi"),), (add, memory)),
    }


@tool
async def memory(command: str, path: str) -> str:
    """Memory."""
    return f"{command} {path}"


SKILLS = {"skills": [{"type": "anthropic", "skill_id": "pptx"}]}
BLOCK = [{"type": "text", "text": "Mine.", "cache_control": {"type": "ephemeral"}}]
OPTIONS = {
    "cached": {"cache": True},
    "cached_string": {"cache": True},
    "cached_for_an_hour": {"cache": "1h"},
    "cached_round_of_many": {"cache": "5m"},
    "cached_own_tools": {"cache": True, "server_tools": [SEARCH, {**SEARCH, "defer_loading": True}]},
    "cached_deferred": {"cache": True, "tool_options": {"now": {"defer_loading": True}}},
    "cached_own_marks": {"cache": True},
    "cached_own_system": {"cache": True, "extra_body": {"system": BLOCK}},
    "thinking_adaptive": {"thinking": True},
    "thinking_budget": {"thinking": 4096},
    "thinking_disabled": {"thinking": False},
    "thinking_mapping": {"thinking": {"type": "adaptive", "display": "summarized"}},
    "effort": {"effort": "low"},
    "effort_and_schema": {"effort": "high"},
    "server_tools": {
        "server_tools": [SEARCH],
        "code_execution": "code_execution_20250825",
        "extra_body": {"tools": [{"type": "bash_20250124", "name": "bash"}], "tool_choice": {"type": "any"}},
    },
    "code_execution": {"code_execution": True},
    "container_with_skills": {"extra_body": {"container": SKILLS}},
    "container_of_mine": {"extra_body": {"container": "container_2"}},
    "skills": {"extra_body": {"container": SKILLS}},
    "cited_documents": {"citations": True},
    "tool_options": {"tool_options": {"add": {"strict": True, "input_examples": [{"a": 1, "b": 2}]}}},
    "native_tool": {"tool_options": {"memory": {"type": "memory_20250818"}}},
}

API = Api(
    name="anthropic",
    make=partial(Anthropic, "m", "sk-ant-key", "http://server"),
    stops={
        "end_turn": {"end_turn"},
        "stop_sequence": {"end_turn"},
        "tool_use": {"tool_use"},
        "max_tokens": {"max_tokens"},
        "refusal": {"refusal"},
        "pause_turn": {"pause_turn"},
    },
    usage=lambda usage: [
        usage.input_tokens,
        usage.output_tokens,
    ],  # the SDK's input has no cache in it either
    fixtures=61,
    made_up=re.compile(r"toolu_[0-9a-f]{32}_\d+"),
    own=own,
    options=OPTIONS,
)
