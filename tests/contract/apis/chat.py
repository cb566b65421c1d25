"""Chat Completions. Null ids, reasoning echoed, signatures and stream_options are among its exchanges and requests."""

import re
from functools import partial

from alloy_actors.content import ImageBlock, RawBlock, TextBlock, ThinkingBlock, ToolCall, ToolResult, user
from alloy_actors.provider import ModelRequest
from alloy_actors.providers.openai_compat import OpenAICompat
from tests.contract.shapes import ELSEWHERE, IMAGE, add, said
from tests.contract.wire import Api

DETAILS = '[{"type":"reasoning.text","text":"hm","signature":"sig==","index":0}]'
MORE_DETAILS = '[{"type":"reasoning.encrypted","data":"b3BhcXVl","index":1}]'
REFERENCE = '{"type":"reference","reference_ids":[1]}'
MARKED = '{"type":"text","text":"hi","cache_control":{"type":"ephemeral"}}'
UNTYPED = '{"x_new":1}'


def own(origin: str) -> dict[str, ModelRequest]:
    """What only this API has to say."""
    signed = ToolCall("call_1", "add", {"a": 1, "b": 2}, signature="sig==")
    return {
        "reasoning_details": ModelRequest(
            (
                user("hi"),
                said(origin, ThinkingBlock("hm", raw=DETAILS), ThinkingBlock("", raw=MORE_DETAILS), signed),
                user(ToolResult("call_1", "3")),
            ),
            (add,),
        ),
        "reasoning_details_from_elsewhere": ModelRequest(
            (
                user("hi"),
                said(
                    ELSEWHERE, ThinkingBlock("hm", raw=DETAILS), ThinkingBlock("", raw=MORE_DETAILS), signed
                ),
                user(ToolResult("call_1", "3")),
            ),
            (add,),
        ),
        "raw_blocks": ModelRequest(
            (
                user(RawBlock(MARKED)),
                said(origin, TextBlock("As they say"), RawBlock(REFERENCE)),
                user(RawBlock(UNTYPED)),
            )
        ),
        "pictures_of_the_model": ModelRequest(
            (
                user("hi"),
                said(origin, TextBlock("Here."), IMAGE, ImageBlock("", uri="https://example.org/a.png")),
                user("and?"),
            )
        ),
    }


API = Api(
    name="chat",
    make=partial(OpenAICompat, "m", api_url="http://server"),
    stops={
        "stop": {"end_turn", "tool_use"},  # several servers say `stop` beside tool calls
        "tool_calls": {"tool_use", "end_turn"},
        "function_call": {"tool_use"},
        "length": {"max_tokens"},
        "content_filter": {"refusal"},
    },
    fixtures=40,
    made_up=re.compile(r"call_[0-9a-f]{32}_\d+"),
    own=own,
)
