"""The arguments of a call belong to the conversation; a tool gets its own."""

from __future__ import annotations

from typing import Any

import alloy_actors as alloy
from alloy_actors.testing import ScriptedProvider, tool_call


def test_what_a_tool_does_to_its_arguments_leaves_the_conversation_alone() -> None:
    def spoil(d: Any) -> str:
        d["x"].append(1)
        d["y"] = 2
        return "done"

    given = alloy.Tool(
        name="spoil",
        description="",
        input_schema={"type": "object", "properties": {"d": {"type": "object"}}, "required": ["d"]},
        function=spoil,
    )
    made = alloy.tool(spoil, name="spoil_too")
    provider = ScriptedProvider(
        [[tool_call("spoil", d={"x": []}), tool_call("spoil_too", d={"x": []})], "end"]
    )
    result = alloy.run("go", provider=provider, tools=[given, made])
    assert [call.error for call in result.tool_calls] == [None, None]
    sent = provider.requests[-1].messages[1].tool_calls
    assert [call.input for call in sent] == [{"d": {"x": []}}, {"d": {"x": []}}]
