"""What tests say of a run: which tools it called, and what was heard of it."""

from __future__ import annotations

import threading
from dataclasses import fields
from typing import TYPE_CHECKING, Any, Final, TypeVar, get_args

from alloy_actors.errors import ConfigError
from alloy_actors.events import Event, EventBase, TextDelta
from alloy_actors.option_errors import brief
from alloy_actors.result import Result

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from alloy_actors.result import ToolCallRecord

_TYPES: Final = [
    str(item.default) for kind in get_args(Event) for item in fields(kind) if item.name == "type"
]

E = TypeVar("E", bound=EventBase)


def assert_tool_called(result: Result, name: str, /, **partial_input: Any) -> ToolCallRecord:
    """Check that the run called a tool, with an input that holds at least these values.

    Returns:
        The first such call, failed ones included: its `error` says so.

    Raises:
        AssertionError: It did not; the message lists the calls it made.
        ConfigError: `result` is no `Result`.
    """
    _check_result("assert_tool_called", result)
    for call in result.tool_calls:
        if _matches(call, name, partial_input):
            return call
    raise AssertionError(f"{_shown(name, partial_input)} was not called. {_calls_of(result)}")


def refute_tool_called(result: Result, name: str, /, **partial_input: Any) -> None:
    """Check that the run did not call a tool, or not with an input that holds these values.

    Raises:
        AssertionError: It did.
        ConfigError: `result` is no `Result`.
    """
    _check_result("refute_tool_called", result)
    for call in result.tool_calls:
        if _matches(call, name, partial_input):
            raise AssertionError(f"{_shown(name, partial_input)} was called. {_calls_of(result)}")


def assert_events(events: Iterable[Event], *expected: str | type[EventBase]) -> list[Event]:
    """Check that these events came in this order; others may have come before, between and after them.

    Args:
        events: Of a listener, or of an `EventLog`.
        expected: Types (`"tool_start"`) or classes (`ToolStarted`).

    Returns:
        The events found, one for each expected.

    Raises:
        AssertionError: One is missing; the message lists what came.
    """
    heard = list(events)
    rest = iter(heard)
    found: list[Event] = []
    for number, kind in enumerate(expected):
        _check(kind)
        event = next((event for event in rest if _is(event, kind)), None)
        if event is None:
            word = kind if isinstance(kind, str) else kind.__name__
            after = f" after {found[-1].type} (seq {found[-1].seq})" if found else ""
            came = ", ".join(event.type for event in heard) or "nothing"
            raise AssertionError(f"event {number + 1}, {word}, did not come{after}. What came: {came}")
        found.append(event)
    return found


class EventLog:
    """Keeps the events of one or more runs: `on_event=log`; from any thread.

    log = EventLog()
    agent.stream_chat("hello", print, on_event=log)
    assert log.text == "hello to you"
    """

    def __init__(self, events: Iterable[Event] = ()) -> None:
        self._lock = threading.Lock()
        self._events: list[Event] = list(events)

    def __call__(self, event: Event) -> None:
        """Keep one."""
        with self._lock:
            self._events.append(event)

    def __iter__(self) -> Iterator[Event]:
        return iter(self._copy())

    def __len__(self) -> int:
        return len(self._copy())

    @property
    def types(self) -> list[str]:
        """Of all events, in order."""
        return [event.type for event in self._copy()]

    @property
    def text(self) -> str:
        """What was said, of all turns."""
        return "".join(event.text for event in self.of(TextDelta))

    def of(self, kind: type[E]) -> list[E]:
        """The events of one class, in order."""
        return [event for event in self._copy() if isinstance(event, kind)]

    def _copy(self) -> list[Event]:
        with self._lock:
            return list(self._events)


def _check_result(where: str, result: object) -> None:
    if not isinstance(result, Result):
        raise ConfigError(f"{where}: result must be the Result of a run, got {brief(result)}")


def _check(kind: object) -> None:
    if isinstance(kind, str):
        if kind not in _TYPES:
            raise ConfigError(f"assert_events: there is no event {kind!r}: use one of {', '.join(_TYPES)}")
    elif not isinstance(kind, type):
        raise ConfigError(f"assert_events: expected a type or a class of events, got {kind!r}")


def _is(event: Event, kind: str | type[EventBase]) -> bool:
    return event.type == kind if isinstance(kind, str) else isinstance(event, kind)


_MISSING = object()


def _matches(call: ToolCallRecord, name: str, partial_input: dict[str, Any]) -> bool:
    return call.name == name and all(
        call.input.get(key, _MISSING) == value for key, value in partial_input.items()
    )


def _shown(name: str, values: dict[str, Any]) -> str:
    return f"{name}({', '.join(f'{key}={value!r}' for key, value in values.items())})"


def _calls_of(result: Result) -> str:
    calls = ", ".join(_shown(call.name, call.input) for call in result.tool_calls)
    return f"The run's calls: {calls or 'none'} (status {result.status!r}, text {result.text[:200]!r})"
