"""Chat Completions."""

import re
from functools import partial

from alloy_actors.providers.openai_compat import OpenAICompat
from tests.contract.wire import Api

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
)
