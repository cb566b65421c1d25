"""Results and events as JSON, for `--json`: one object, or with `--stream` one a line."""

from __future__ import annotations

import json
from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any

from alloy_actors.content import Usage
from alloy_actors.events import RunFinished

if TYPE_CHECKING:
    from alloy_actors.events import Event
    from alloy_actors.result import Result


def result_json(result: Result, model: str) -> str:
    """One line."""
    error = result.error
    return _line(
        {
            "type": "result",
            "status": result.status,
            "text": result.text,
            "thinking": result.thinking,
            "model": model,
            "stop_reason": result.stop_reason,
            "turns": result.turns,
            "usage": asdict(result.usage),
            "cost_cents": result.cost_cents,
            "tool_calls": [
                {"name": call.name, "input": call.input, "duration": call.duration, "error": call.error}
                for call in result.tool_calls
            ],
            "error": None if error is None else {"type": type(error).__name__, "message": str(error)},
            "request_id": result.request_id,
        }
    )


def event_json(event: Event) -> str | None:
    """One line; None for the end of the run, which `result_json` says."""
    if isinstance(event, RunFinished):
        return None
    return _line({item.name: _plain(getattr(event, item.name)) for item in fields(event)})


def _plain(value: Any) -> Any:
    return asdict(value) if isinstance(value, Usage) else value


def _line(document: dict[str, Any]) -> str:
    return json.dumps(document, ensure_ascii=False, default=str) + "\n"
