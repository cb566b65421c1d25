"""The tools of a request: the run's with what the provider was told about them, then the provider's own."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from alloy_actors.errors import ConfigError
from alloy_actors.providers._anthropic_cache import is_deferred
from alloy_actors.providers._anthropic_options import CODE_EXECUTION
from alloy_actors.providers._anthropic_schema import strict
from alloy_actors.providers._json import dumps, from_json
from alloy_actors.providers._tool_checks import refuse_at_the_top, strictly

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from alloy_actors.providers._anthropic_cache import Marks
    from alloy_actors.providers._wire import WireFormat
    from alloy_actors.tooldef import Tool

VENDOR = "Anthropic"
KEY = re.compile(r"[a-zA-Z0-9_.-]{1,64}", re.ASCII)
CUSTOM = "custom"
CALLERS = {"direct": "direct", "code_execution": CODE_EXECUTION}


def definition_of(tool: Tool) -> dict[str, Any]:
    """A tool as the API takes it.

    Raises:
        ConfigError: The API refuses its schema.
    """
    kind = tool.native_types.get("anthropic")
    wire: dict[str, Any] = _described(tool) if kind is None else {"type": kind, "name": tool.name}
    if tool.strict:
        wire["strict"] = True
    if tool.input_examples:
        wire["input_examples"] = list(tool.input_examples)
    if tool.defer_loading:
        wire["defer_loading"] = True
    if tool.allowed_callers is not None:
        wire["allowed_callers"] = [CALLERS[name] for name in tool.allowed_callers]
    return wire


def _described(tool: Tool) -> dict[str, Any]:
    refuse_at_the_top(tool, VENDOR, ("oneOf", "anyOf", "allOf"))
    for name in tool.input_schema.get("properties", {}):
        if not KEY.fullmatch(name):
            raise ConfigError(
                f"tool {tool.name!r}: Anthropic takes no parameter called {name!r}: use 1 to 64 letters, digits, '_', '.' and '-'"
            )
    with strictly(tool, VENDOR):
        schema = strict(tool.input_schema) if tool.strict else tool.input_schema
    return {"name": tool.name, "description": tool.description, "input_schema": schema}


class Toolset:
    """Encodes them.

    Args:
        options: Members of a tool's definition beside ours, by its name; `type` makes it one of the API's own client
            tools, whose definition the model knows, and "custom" one that it does not know.
        fixed: As they are on the wire.
        marks: None where nothing is cached.
    """

    __slots__ = ("_deferred", "_fixed", "_marks", "_more", "_native")

    def __init__(
        self,
        options: Mapping[str, Mapping[str, Any]],
        fixed: Sequence[Mapping[str, Any]],
        marks: Marks | None,
    ) -> None:
        self._more = {name: item for name, item in options.items() if item.get("type", CUSTOM) == CUSTOM}
        self._native = {
            name: dumps({"name": name, **item}) for name, item in options.items() if name not in self._more
        }
        self._deferred = frozenset(name for name, item in options.items() if is_deferred(item))
        self._fixed = [dumps(tool) for tool in fixed]
        self._marks = marks
        if marks is not None:
            last = max((at for at, tool in enumerate(fixed) if not is_deferred(tool)), default=None)
            if last is not None:
                self._fixed[last] = marks.tool(self._fixed[last])
                self._marks = None  # what stands before it is cached with it

    def encoded(self, wire: WireFormat, tools: Iterable[Tool]) -> list[bytes]:
        """All of them, in their order."""
        tools = tuple(tools)
        pieces = wire.tools(tools)
        if self._more or self._native:
            pieces = [self._told(tool, piece) for tool, piece in zip(tools, pieces, strict=True)]
        if self._marks is not None:
            for at in range(len(pieces) - 1, -1, -1):
                if not self._is_deferred(tools[at]):
                    pieces[at] = self._marks.tool(pieces[at])
                    break
        return pieces + self._fixed

    def _told(self, tool: Tool, piece: bytes) -> bytes:
        if tool.name in self._native:
            return self._native[tool.name]
        more = self._more.get(tool.name)
        if not more:
            return piece
        known = from_json(piece)
        if more.get("type") == CUSTOM:
            known = {**_described(tool), **known}
        return dumps({**known, **more})

    def _is_deferred(self, tool: Tool) -> bool:
        return tool.name in self._deferred or (tool.defer_loading and tool.name not in self._native)
