"""Prompt caching: marks put onto encoded pieces, so that no message is encoded a second time for them.

The API caches a prompt (tools, system, messages, in this order) up to each mark, and reads the longest prefix that it
finds by looking back from one over a few blocks. A mark is no part of what is compared, so it may move on with the
conversation: the last tool, the system prompt and the end of the messages carry one. A turn that adds more blocks than
the API looks back over (many tool calls side by side) would not find what the request before has cached, so there the
end of that request is marked as well.

Source: Anthropic documentation, Prompt caching.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from alloy_actors.errors import ConfigError
from alloy_actors.providers._json import dumps

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from alloy_actors.content import Message

MAX_MARKS = 4  # of one request
LOOK_BACK = 20  # blocks, the marked one among them
FIELD = "cache_control"
_FIELD = b'"%s"' % FIELD.encode()
_CONTENT = b'"content":'
_ANSWER = b'{"role":"assistant"'


class Marks:
    """What `cache=` asks for.

    Args:
        ttl: "5m" or "1h".
        system: Whether the system prompt is ours to mark.
        theirs: Marks that stand in the caller's own tools and body.

    Raises:
        ConfigError: There are too many of those.
    """

    __slots__ = ("_mark", "_spare", "system")

    def __init__(self, ttl: str, *, system: bool, theirs: int) -> None:
        control = {"type": "ephemeral"} if ttl == "5m" else {"type": "ephemeral", "ttl": ttl}
        self._mark = b"%s:%s" % (_FIELD, dumps(control))
        self.system = system
        ours = 2 + system  # the last tool, the end
        self._spare = MAX_MARKS - ours - theirs
        if self._spare < 0:
            raise ConfigError(
                f"cache: your tools and extra_body hold {theirs} marks ({FIELD}) and cache adds {ours}, but a request "
                f"may have {MAX_MARKS}; leave cache out, or take some of yours away"
            )

    def prompt(self, text: str) -> bytes:
        """The system prompt."""
        return b'[{"type":"text","text":%s,%s}]' % (dumps(text), self._mark)

    def tool(self, piece: bytes) -> bytes:
        """An encoded tool."""
        return piece if _FIELD in piece else b"%s,%s}" % (piece[:-1], self._mark)

    def ends(self, pieces: list[bytes], messages: Sequence[Message]) -> None:
        """Mark where the conversation ends, and where it ended before, in its encoded messages."""
        if not pieces:
            return
        if self._spare and _new_blocks(messages) >= LOOK_BACK:
            before = _end_before(pieces)
            if before is not None:
                pieces[before] = self._message(pieces[before])
        pieces[-1] = self._message(pieces[-1])

    def _message(self, piece: bytes) -> bytes:
        """A message, its last block marked; a string becomes the block that it is short for."""
        if _FIELD in piece:  # the caller has marked it
            return piece
        start, field, content = piece.partition(_CONTENT)
        if content.startswith(b'"'):
            return b'%s%s[{"type":"text","text":%s,%s}]}' % (start, field, content[:-1], self._mark)
        return b"%s,%s}]}" % (piece.removesuffix(b"}]}"), self._mark)


def marks_in(value: Any) -> int:
    """How many marks the caller has set in this JSON value."""
    if isinstance(value, dict):
        return sum(1 if name == FIELD else marks_in(item) for name, item in value.items())
    return sum(map(marks_in, value)) if isinstance(value, list | tuple) else 0


def is_deferred(tool: Mapping[str, Any]) -> bool:
    """Whether the API loads the tool later: such a one cannot be marked."""
    return bool(tool.get("defer_loading"))


def _new_blocks(messages: Sequence[Message]) -> int:
    """Blocks since the end of the request before: the model's last answer, and what followed it."""
    count = 0
    for message in reversed(messages):
        count += 1 if isinstance(message.content, str) else len(message.content)
        if message.role == "assistant":
            return count
    return 0


def _end_before(pieces: list[bytes]) -> int | None:
    """The message that ended the request before."""
    for index in range(len(pieces) - 1, 0, -1):
        if pieces[index].startswith(_ANSWER):
            return index - 1
    return None
