"""Gemini's GenerateContent."""

import re
from functools import partial

from alloy_actors.content import (
    DocumentBlock,
    ImageBlock,
    RawBlock,
    ServerToolCall,
    ServerToolResult,
    TextBlock,
    ThinkingBlock,
    ToolCall,
    ToolResult,
    user,
)
from alloy_actors.provider import ModelReply, ModelRequest
from alloy_actors.providers.gemini import Gemini
from tests.contract.shapes import SCHEMA, add, now, said
from tests.contract.wire import Api

CODE = '{"executableCode":{"language":"PYTHON","code":"print(3)"}}'
OUTPUT = '{"codeExecutionResult":{"outcome":"OUTCOME_OK","output":"3\\n"}}'
METADATA = '{"text":"hello","partMetadata":{"a":1}}'
TUNED = '{"fileData":{"fileUri":"https://example.org/a.mp4"},"videoMetadata":{"fps":1}}'


def beside(reply: ModelReply) -> list[int]:
    """The SDK counts the thoughts, and what the API's own tools put into the prompt, elsewhere."""
    raw = reply.metadata["usage"]
    return [raw.get("toolUsePromptTokenCount", 0), raw.get("thoughtsTokenCount", 0)]


def own(origin: str) -> dict[str, ModelRequest]:
    calls = (
        ToolCall("gemini_call_r1_1", "add", {"a": 1, "b": 2}, signature="c2ln"),
        ToolCall("gemini_call_r1_2", "add", {"a": 3, "b": 4}),
    )
    results = (ToolResult("gemini_call_r1_1", '{"sum": 3}'), ToolResult("gemini_call_r1_2", "7"))
    return {
        "signatures_in_their_places": ModelRequest(
            (
                user("hi"),
                said(origin, ThinkingBlock("hm"), TextBlock("I add.", signature="YQ=="), *calls),
                user(*results),
                said(origin, TextBlock("3 and 7"), TextBlock("", signature="Yg==")),
                user("and?"),
            )
        ),
        "results_of_calls_in_json": ModelRequest(
            (
                user("hi"),
                said(origin, *(ToolCall(f"call_{at}", "add", {}) for at in range(6))),
                user(
                    ToolResult("call_0", '{"error": "is a word of theirs"}'),
                    ToolResult("call_1", "[1, 2]"),
                    ToolResult("call_2", '{"id": 1234567890123456789}'),
                    ToolResult("call_3", "{no json"),
                    ToolResult("call_4", '{"far": 1e999}'),
                    ToolResult("call_5", '{"why": "no"}', is_error=True),
                ),
            )
        ),
        "code_execution": ModelRequest(
            (
                user("hi"),
                said(
                    origin,
                    ServerToolCall("code_0", "code_execution", {"code": "print(3)"}, CODE),
                    ServerToolResult("code_0", "3\n", raw=OUTPUT),
                    TextBlock("hello", raw=METADATA),
                    RawBlock('{"new": {}}'),
                ),
                user("and?"),
            )
        ),
        "made_image": ModelRequest(
            (
                user("a cat"),
                said(origin, ImageBlock("image/png", "aW1hZ2U=", signature="cw==")),
                user("bigger"),
            )
        ),
        "image_of_another_model": ModelRequest(
            (user("a cat"), said("another", ImageBlock("image/gif", "aW1hZ2U=", raw="{}")), user("bigger"))
        ),
        "image_in_a_result_of_no_use": ModelRequest(
            (
                user("hi"),
                said(origin, ToolCall("call_1", "add", {"a": 1, "b": 2})),
                user(ToolResult("call_1", (ImageBlock("image/tiff", "aW1hZ2U="),))),
            )
        ),
        "stored_files": ModelRequest(
            (user(ImageBlock("", uri="file-1"), DocumentBlock("application/pdf", uri="files/abc")),)
        ),
        "raw_part": ModelRequest((user(RawBlock(TUNED), "What happens?"),)),
        "all_options": ModelRequest(
            (user("hi"),), (add, now), system_prompt="Be brief.", output_schema=SCHEMA
        ),
        "tools_of_google": ModelRequest((user("hi"),)),
        "tool_config_without_tools": ModelRequest((user("hi"),)),
        "form_of_their_own": ModelRequest((user("hi"),), output_schema=SCHEMA),
    }


API = Api(
    name="gemini",
    make=partial(Gemini, "m", "google-key", "http://server"),
    stops={"FinishReason.STOP": {"end_turn", "tool_use"}, "FinishReason.MAX_TOKENS": {"max_tokens"}},
    fixtures=14,
    beside=beside,
    made_up=re.compile(r"gemini_call_[0-9a-f]{32}_\d+"),
    known={
        "mirascope-3600": "MAX_TOKENS before a word: the answer's tokens are not in the usage, we count 0",
        **{
            f"llm-gemini-{number}": "a stream without alt=sse, which is a list"
            for number in range(4239, 4254)
        },
    },
    own=own,
    options={
        "all_options": {
            "max_tokens": 100,
            "thinking": "low",
            "generation_config": {"temperature": 0},
            "safety_settings": {"HARM_CATEGORY_HARASSMENT": "BLOCK_NONE"},
            "tool_config": {"functionCallingConfig": {"mode": "ANY"}},
            "google_search": True,
            "code_execution": True,
            "url_context": {},
            "server_tools": [{"googleMaps": {"enableWidget": True}}],
            "extra_body": {
                "cachedContent": "cachedContents/1",
                "generationConfig": {"topK": 1},
                "tools": [{"fileSearch": {}}],
            },
        },
        "tools_of_google": {
            "google_search": {"timeRangeFilter": {}},
            "tool_config": {"includeServerSideToolInvocations": True},
        },
        "tool_config_without_tools": {"tool_config": {"functionCallingConfig": {"mode": "ANY"}}},
        "form_of_their_own": {"generation_config": {"responseMimeType": "text/x.enum"}},
    },
)
