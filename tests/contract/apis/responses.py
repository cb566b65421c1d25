"""OpenAI's Responses API."""

import json
from functools import partial

from alloy_actors.content import (
    ImageBlock,
    Message,
    RawBlock,
    ServerToolCall,
    TextBlock,
    ThinkingBlock,
    ToolCall,
    ToolResult,
    user,
)
from alloy_actors.provider import ModelRequest
from alloy_actors.providers.openai import OpenAI
from tests.contract.shapes import SCHEMA, add, now, said
from tests.contract.wire import Api

REASONING = '{"id":"rs_1","type":"reasoning","summary":[],"encrypted_content":"gAAAAAB"}'
SEARCH = '{"id":"ws_1","type":"web_search_call","status":"completed","action":{"type":"search","query":"x"}}'
PICTURE = '{"id":"ig_1","type":"image_generation_call","status":"completed","result":"aW1hZ2U="}'
PROGRAM = '{"id":"cm_1","type":"program","call_id":"call_p","code":"x","fingerprint":"gAAAAAB"}'
SPACED = (
    '{"id":"fc_1","type":"function_call","call_id":"call_1","name":"add","arguments":"{}","namespace":"n"}'
)

CACHED = '{"type":"input_text","text":"A book.","prompt_cache_breakpoint":{"mode":"explicit"}}'


def thinking(message: Message) -> int:
    """Without the empty lines that we put between the parts of a summary."""
    found = 0
    for block in message.blocks:
        if isinstance(block, ThinkingBlock):
            parts = json.loads(block.raw or "{}").get("summary", [])
            found += len(block.thinking) - 2 * max(len(parts) - 1, 0)
    return found


def own(origin: str) -> dict[str, ModelRequest]:
    program = {"type": "program", "caller_id": "call_p"}
    history = (
        user("hi"),
        said(
            origin,
            ThinkingBlock("I add.", raw=REASONING),
            TextBlock("I look.", phase="commentary"),
            ServerToolCall("ws_1", "web_search", {"query": "x"}, SEARCH),
            ThinkingBlock("not encrypted"),
            ToolCall("call_1", "add", {"a": 1, "b": 2}),
        ),
        user(ToolResult("call_1", "3")),
    )
    return {
        "own_items_before_their_calls": ModelRequest(history),
        "stored": ModelRequest(history),
        "previous_response": ModelRequest((user("and?"),)),
        "program": ModelRequest(
            (
                user("hi"),
                said(origin, RawBlock(PROGRAM), ToolCall("call_1", "add", {"a": 1, "b": 2}, caller=program)),
                user(ToolResult("call_1", "3")),
            )
        ),
        "namespace": ModelRequest(
            (
                user("hi"),
                said(origin, ToolCall("call_1", "add", {}, raw=SPACED)),
                user(ToolResult("call_1", "3")),
            )
        ),
        "made_image": ModelRequest(
            (user("a cat"), said(origin, ImageBlock("image/png", "aW1hZ2U=", raw=PICTURE)), user("bigger"))
        ),
        "image_of_the_model_elsewhere": ModelRequest(
            (user("a cat"), said("another", ImageBlock("image/png", "aW1hZ2U=", raw="{}")), user("bigger"))
        ),
        "stored_files": ModelRequest((user(ImageBlock("", uri="file-1"), "Whose is it?"),)),
        "failed_with_an_image": ModelRequest(
            (
                user("hi"),
                said(origin, ToolCall("call_1", "add", {"a": 1, "b": 2})),
                user(ToolResult("call_1", (ImageBlock("image/png", "aW1hZ2U="),), is_error=True)),
            )
        ),
        "image_in_a_result_of_no_use": ModelRequest(
            (
                user("hi"),
                said(origin, ToolCall("call_1", "add", {"a": 1, "b": 2})),
                user(ToolResult("call_1", (ImageBlock("image/tiff", "aW1hZ2U="),))),
            )
        ),
        "raw_part": ModelRequest((user(RawBlock(CACHED), "Sum it up."),)),
        "all_options": ModelRequest((user("hi"),), (add, now), output_schema=SCHEMA),
        "options_of_tools_without_tools": ModelRequest((user("hi"),)),
    }


API = Api(
    name="responses",
    make=partial(OpenAI, "m", "sk-key", "http://server"),
    stops={"completed": {"end_turn", "tool_use"}, "incomplete": {"max_tokens", "refusal"}},
    fixtures=89,
    thinking=thinking,
    own=own,
    options={
        "stored": {"store": True},
        "previous_response": {"previous_response_id": "resp_0"},
        "all_options": {
            "max_tokens": 100,
            "temperature": 0,
            "reasoning": {"effort": "low", "summary": "auto"},
            "include": ["web_search_call.action.sources"],
            "tool_choice": "required",
            "parallel_tool_calls": False,
            "web_search": {"search_context_size": "low"},
            "built_in_tools": [{"type": "code_interpreter", "container": {"type": "auto"}}],
            "extra_body": {
                "text": {"verbosity": "low"},
                "tools": [{"type": "image_generation"}],
                "service_tier": "flex",
            },
        },
        "options_of_tools_without_tools": {"tool_choice": "none", "parallel_tool_calls": True},
    },
)
