"""For tests of what is built on agents: a model by script, real exchanges played back, time that does not pass, and asserts.

    provider = ScriptedProvider(["hello", tool_call("add", a=1, b=2), "3"])
    result = alloy.run("...", provider=provider, tools=[add])
    assert_tool_called(result, "add", a=1)

No plugin is needed: plain functions and `with` blocks, for pytest or anything else.
"""

from alloy_actors.testing.asserting import EventLog, assert_events, assert_tool_called, refute_tool_called
from alloy_actors.testing.clock import FakeClock
from alloy_actors.testing.gate import Gate
from alloy_actors.testing.recording import Recording
from alloy_actors.testing.scripted import (
    USAGE,
    Cut,
    Delayed,
    Hang,
    Held,
    Paced,
    ScriptedProvider,
    cut,
    delayed,
    error,
    hang,
    held,
    paced,
    reply,
    text,
    thinking,
    tool_call,
    tool_calls,
)

__all__ = [
    "USAGE",
    "Cut",
    "Delayed",
    "EventLog",
    "FakeClock",
    "Gate",
    "Hang",
    "Held",
    "Paced",
    "Recording",
    "ScriptedProvider",
    "assert_events",
    "assert_tool_called",
    "cut",
    "delayed",
    "error",
    "hang",
    "held",
    "paced",
    "refute_tool_called",
    "reply",
    "text",
    "thinking",
    "tool_call",
    "tool_calls",
]
