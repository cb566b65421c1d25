"""The output items of a response as content blocks.

Source: OpenAI API reference, Responses, output; xAI docs, Tools.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from alloy_actors.blocks import (
    ImageBlock,
    RawBlock,
    ServerToolCall,
    TextBlock,
    ThinkingBlock,
    ToolCall,
)
from alloy_actors.providers._json import dumps, mend, object_from

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from alloy_actors.content import ContentBlock

CLIENTS_CALLS = {
    "apply_patch_call",
    "computer_call",
    "custom_tool_call",
    "local_shell_call",
    "shell_call",
    "tool_search_call",
}
"""Calls that somebody here may have to answer; all others whose type ends in `_call` are the server's."""
PARAGRAPH = "\n\n"
"""Between the parts of one summary."""


class Output:
    """What the items of one response come to.

    Args:
        items: As they came; what is no object is left out.
        stored: Whether the server keeps them: then they may go back without being complete in themselves.
        reply_id: For the ids of calls that have none.

    Attributes:
        blocks: In the order of the items.
        refused: The model has declined.
    """

    __slots__ = ("_ids", "_reply_id", "_stored", "blocks", "refused")

    def __init__(self, items: Iterable[Any], *, stored: bool, reply_id: str) -> None:
        self.refused = False
        self._stored = stored
        self._reply_id = reply_id
        self._ids: set[str] = set()
        self.blocks: list[ContentBlock] = []
        for item in items:
            if isinstance(item, dict):
                for block in self._blocks(item):
                    self._add(block)

    @property
    def calls(self) -> bool:
        """Whether the model waits for a tool of ours."""
        return bool(self._ids)

    def _add(self, block: ContentBlock) -> None:
        """Append a block; text that goes on is one block, unless that moves what its annotations point at."""
        last = self.blocks[-1] if self.blocks else None
        if (
            isinstance(last, TextBlock)
            and isinstance(block, TextBlock)
            and block.phase == last.phase
            and block.annotations is None
        ):
            self.blocks[-1] = replace(last, text=last.text + block.text)
        else:
            self.blocks.append(block)

    def _blocks(self, item: dict[str, Any]) -> Iterator[ContentBlock]:
        kind = item.get("type") or ("message" if "content" in item else None)
        if kind == "message":
            yield from self._message(item)
        elif kind == "reasoning":
            yield from self._reasoning(item)
        elif kind == "function_call":
            yield self._call(item)
        elif kind == "image_generation_call" and isinstance(item.get("result"), str) and item["result"]:
            form = item.get("output_format")
            yield ImageBlock(f"image/{form}" if form else "image/png", data=item["result"], raw=_raw(item))
        elif isinstance(kind, str) and kind.endswith("_call") and kind not in CLIENTS_CALLS:
            name = _string(item.get("name")) or kind.removesuffix("_call")
            yield ServerToolCall(_string(item.get("id")), name, _arguments(item), _raw(item))
        elif kind is not None:
            yield RawBlock(_raw(item))

    def _message(self, item: dict[str, Any]) -> Iterator[ContentBlock]:
        parts = item.get("content")
        phase = item.get("phase")
        for part in [{"text": parts}] if isinstance(parts, str) else _objects(parts):
            text = part.get("text")
            if isinstance(refusal := part.get("refusal"), str):
                self.refused = True
                text = refusal
            if isinstance(text, str) and text:
                annotations = tuple(_objects(part.get("annotations"))) or None
                yield TextBlock(mend(text), annotations, phase=phase if isinstance(phase, str) else None)

    def _reasoning(self, item: dict[str, Any]) -> Iterator[ContentBlock]:
        parts = [*_objects(item.get("summary")), *_objects(item.get("content"))]
        thinking = PARAGRAPH.join(text for part in parts if (text := _string(part.get("text"))))
        # Neither kept there, nor encrypted, nor open: a server that gets this back looks for its id in vain.
        lost = not (self._stored or item.get("encrypted_content") or item.get("content"))
        if thinking or not lost:
            yield ThinkingBlock(mend(thinking), raw=None if lost else _raw(item))

    def _call(self, item: dict[str, Any]) -> ToolCall:
        name = _string(item.get("name"))
        caller = item.get("caller")
        caller = caller if isinstance(caller, dict) and caller.get("type") != "direct" else None
        given = item.get("arguments")
        raw = given if isinstance(given, str) else dumps(given).decode() if given else ""
        arguments = object_from(raw)
        return ToolCall(
            self._id(_string(item.get("call_id")) or _string(item.get("id"))),
            name,
            {} if arguments is None else arguments,
            invalid=mend(raw) if arguments is None else None,
            caller=caller,
            # A namespace has no field, and the call is not understood without it.
            raw=_raw(item) if item.get("namespace") else None,
        )

    def _id(self, given: str) -> str:
        """The id, unique in the reply; made up where the server gave none."""
        position = len(self._ids)
        name = given or f"call_{self._reply_id or uuid4().hex}_{position}"
        if name in self._ids:
            name = f"{name}_{position}"
        self._ids.add(name)
        return name


def _arguments(item: dict[str, Any]) -> dict[str, Any]:
    """What the server called its tool with; each kind of call says it under another name."""
    action, arguments = item.get("action"), item.get("arguments")
    if isinstance(action, dict):
        return action
    if isinstance(arguments, str):
        return object_from(arguments) or {}
    return {name: item[name] for name in ("code", "queries", "prompt") if item.get(name)}


def _raw(item: dict[str, Any]) -> str:
    return dumps(item).decode()


def _string(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _objects(value: Any) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
