"""The tools of a request: the run's with what the provider was told about them, then the provider's own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from alloy_actors.providers._anthropic_cache import is_deferred
from alloy_actors.providers._json import dumps

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from alloy_actors.providers._anthropic_cache import Marks
    from alloy_actors.providers._wire import WireFormat
    from alloy_actors.tooldef import Tool


class Toolset:
    """Encodes them.

    Args:
        options: Members of a tool's definition beside ours, by its name; `type` makes it one of the API's own client
            tools, whose definition the model knows.
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
        self._more = {name: dumps(item)[1:-1] for name, item in options.items() if "type" not in item}
        self._native = {
            name: dumps({"name": name, **item}) for name, item in options.items() if "type" in item
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
            pieces = [self._told(tool.name, piece) for tool, piece in zip(tools, pieces, strict=True)]
        if self._marks is not None:
            for at in range(len(pieces) - 1, -1, -1):
                if tools[at].name not in self._deferred:
                    pieces[at] = self._marks.tool(pieces[at])
                    break
        return pieces + self._fixed

    def _told(self, name: str, piece: bytes) -> bytes:
        if name in self._native:
            return self._native[name]
        more = self._more.get(name)
        return b"%s,%s}" % (piece[:-1], more) if more else piece
