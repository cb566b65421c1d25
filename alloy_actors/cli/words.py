"""How the command says things: calls, tokens, money, ends of runs. Short, and the same on every screen."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from alloy_actors.cli.output import one_line

if TYPE_CHECKING:
    from collections.abc import Mapping

    from alloy_actors.content import Usage
    from alloy_actors.events import ToolEnded
    from alloy_actors.result import Result

RESTARTED = "the agent crashed and came back; it asks the model again"
SHOWN = 100  # characters of a call's arguments, and of an error


def call_text(name: str, arguments: Mapping[str, object]) -> str:
    """A tool call as one would write it: `read(file_path="a.txt")`."""
    inner = ", ".join(
        f"{key}={json.dumps(value, ensure_ascii=False, default=str)}" for key, value in arguments.items()
    )
    return f"{name}({short(inner)})"


def ended_text(event: ToolEnded) -> str:
    """What became of a tool call."""
    said = f"{call_text(event.name, event.input)} {event.duration:.2f} s"
    return f"{said}: {short(last_line(event.error))}" if event.error is not None else said


def usage_text(usage: Usage) -> str:
    """Tokens by kind."""
    parts = [f"{usage.input_tokens} in", f"{usage.output_tokens} out"]
    if usage.cache_read_input_tokens:
        parts.append(f"{usage.cache_read_input_tokens} from the cache")
    if usage.cache_creation_input_tokens:
        parts.append(f"{usage.cache_creation_input_tokens} into the cache")
    return f"{usage.total_tokens} tokens ({', '.join(parts)})"


def money_text(cents: float) -> str:
    """An amount: `0.012 ct`, `3.4 ct`, `$1.25`."""
    return f"${cents / 100:.2f}" if cents >= 100 else f"{cents:.2g} ct"


def end_text(result: Result, max_turns: int) -> str | None:
    """Why a run ended, where that has to be said; None for one that is complete."""
    match result.status:
        case "completed":
            if result.stop_reason == "max_tokens":
                return "the answer is cut off: it reached the model's output limit"
            return None
        case "max_turns":
            turns = "1 turn" if max_turns == 1 else f"{max_turns} turns"
            return f"stopped after {turns}: --max-turns allows more"
        case "budget_exceeded":
            return f"stopped: {result.error}"
        case "cancelled":
            return "cancelled"
        case _:
            return f"{type(result.error).__name__}: {result.error}" if result.error else result.status


def short(text: str, limit: int = SHOWN) -> str:
    """The text in one line, cut after `limit` characters."""
    line = one_line(text)
    return line if len(line) <= limit else f"{line[:limit]}..."


def last_line(text: str) -> str:
    """Of a traceback the line that says what was wrong."""
    return text.strip().rpartition("\n")[2]
