"""OTP for LLM agents: supervised agents that stay responsive, fan out their tool calls and survive crashes.

    import alloy_actors as alloy

    agent = alloy.Agent.start(provider=alloy.OpenAICompat(model="...", api_url="..."))
    print(agent.chat("What does this project do?").text)

`run` and `stream` do without a lasting agent; an `AgentSystem` is a tree of agents for a service.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from alloy_actors.__about__ import __version__
from alloy_actors.actors.api import Agent
from alloy_actors.actors.default import shutdown
from alloy_actors.actors.health import Health
from alloy_actors.actors.oneshot import arun, astream, run, stream
from alloy_actors.actors.ref import AgentRef
from alloy_actors.actors.system import AgentSystem
from alloy_actors.approvals import Approval
from alloy_actors.compaction.settings import Compaction
from alloy_actors.content import (
    AudioBlock,
    ContentBlock,
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
    Usage,
    VideoBlock,
)
from alloy_actors.errors import (
    AgentDownError,
    AlloyError,
    AuthError,
    BudgetExceededError,
    BusyError,
    CancelledError,
    ConfigError,
    ConnectionFailedError,
    ContextOverflowError,
    CrashError,
    FencedError,
    HaltedError,
    InvalidRequestError,
    MalformedReplyError,
    OutputError,
    OverloadedError,
    ProviderError,
    ProviderTimeoutError,
    QueueFullError,
    QuotaError,
    RateLimitError,
    RunError,
    ServerError,
    StoreError,
    TimeoutError,  # noqa: A004  (also the builtin one: `except TimeoutError` catches it either way)
    ToolError,
    WouldDeadlock,
)
from alloy_actors.events import (
    ApprovalRequested,
    Compacted,
    Event,
    RunFinished,
    RunStarted,
    TextDelta,
    ThinkingDelta,
    ToolEnded,
    ToolStarted,
    TurnFinished,
    TurnRestarted,
    TurnStarted,
)
from alloy_actors.middleware import Block, Edit, Halt, Middleware, RequireApproval, RunView, SessionView
from alloy_actors.provider import Delta, ModelReply, ModelRequest, Provider
from alloy_actors.result import Result, ToolCallRecord
from alloy_actors.session import Session
from alloy_actors.tool_output import ToolReturn
from alloy_actors.tool_spill import Spill
from alloy_actors.tooldef import Tool, ToolContext, tool

if TYPE_CHECKING:
    from alloy_actors.providers.anthropic import Anthropic
    from alloy_actors.providers.gemini import Gemini
    from alloy_actors.providers.openai import OpenAI
    from alloy_actors.providers.openai_compat import OpenAICompat
    from alloy_actors.providers.xai import XAI

__all__ = [
    "XAI",
    "Agent",
    "AgentDownError",
    "AgentRef",
    "AgentSystem",
    "AlloyError",
    "Anthropic",
    "Approval",
    "ApprovalRequested",
    "AudioBlock",
    "AuthError",
    "Block",
    "BudgetExceededError",
    "BusyError",
    "CancelledError",
    "Compacted",
    "Compaction",
    "ConfigError",
    "ConnectionFailedError",
    "ContentBlock",
    "ContextOverflowError",
    "CrashError",
    "Delta",
    "DocumentBlock",
    "Edit",
    "Event",
    "FencedError",
    "Gemini",
    "Halt",
    "HaltedError",
    "Health",
    "ImageBlock",
    "InvalidRequestError",
    "MalformedReplyError",
    "Message",
    "Middleware",
    "ModelReply",
    "ModelRequest",
    "OpenAI",
    "OpenAICompat",
    "OutputError",
    "OverloadedError",
    "Provider",
    "ProviderError",
    "ProviderTimeoutError",
    "QueueFullError",
    "QuotaError",
    "RateLimitError",
    "RawBlock",
    "RedactedThinkingBlock",
    "RequireApproval",
    "Result",
    "RunError",
    "RunFinished",
    "RunStarted",
    "RunView",
    "ServerError",
    "ServerToolCall",
    "ServerToolResult",
    "Session",
    "SessionView",
    "Spill",
    "StoreError",
    "TextBlock",
    "TextDelta",
    "ThinkingBlock",
    "ThinkingDelta",
    "TimeoutError",
    "Tool",
    "ToolCall",
    "ToolCallRecord",
    "ToolContext",
    "ToolEnded",
    "ToolError",
    "ToolResult",
    "ToolReturn",
    "ToolStarted",
    "TurnFinished",
    "TurnRestarted",
    "TurnStarted",
    "Usage",
    "VideoBlock",
    "WouldDeadlock",
    "__version__",
    "arun",
    "astream",
    "run",
    "shutdown",
    "stream",
    "tool",
]

_PROVIDERS = {
    "XAI": "xai",
    "Anthropic": "anthropic",
    "Gemini": "gemini",
    "OpenAI": "openai",
    "OpenAICompat": "openai_compat",
}

if not TYPE_CHECKING:  # a checker is to know the names that there are, and no others

    def __getattr__(name: str) -> Any:
        """A provider, imported when it is first named: a process needs one of them, or none."""
        if name not in _PROVIDERS:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        found = globals()[name] = getattr(import_module(f"{__name__}.providers.{_PROVIDERS[name]}"), name)
        return found

    def __dir__() -> list[str]:
        return sorted({*globals(), *_PROVIDERS})
