"""Results and events as JSON, for `--json`: one object, or with `--stream` one a line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alloy_actors.plain_json import plain_json
from alloy_actors.result import summary

if TYPE_CHECKING:
    from alloy_actors.events import Event
    from alloy_actors.result import Result


def result_json(result: Result, model: str) -> str:
    """One line."""
    facts = {"type": "result", **summary(result), "model": model, "request_id": result.request_id}
    return plain_json(facts).decode() + "\n"


def event_json(event: Event) -> str:
    """One line; that of the end of the run says its result as well."""
    return event.to_json().decode() + "\n"
