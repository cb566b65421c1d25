"""What the wire formats share when they encode: each message and tool once, and bodies of joined pieces.

Encoding is deterministic, so that a provider's prompt cache sees the same bytes again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

from alloy_actors.normalise import normalised
from alloy_actors.providers._json import dumps

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Sequence
    from typing import Self

    from alloy_actors.blocks import MediaBlock, ToolCall
    from alloy_actors.content import Message
    from alloy_actors.tooldef import Tool


class WireFormat:
    """How messages look on one wire, to one origin; subclasses say it in `items` and `tool`.

    The object is the key of the messages' caches, so get it from `of`: the same one for all providers with the same
    origin and options, and set_model keeps what is encoded.

    Args:
        origin: Whose messages may go back with what only their origin understands.
    """

    __slots__ = ("__weakref__", "origin")

    def __init__(self, origin: str) -> None:
        self.origin = origin

    @classmethod
    def of(cls, origin: str, *options: Hashable) -> Self:
        """The one format for this origin and these options (further arguments of the constructor)."""
        key = (cls, origin, options)
        found = _formats.setdefault(key, cls(origin, *options))
        assert isinstance(found, cls)
        return found

    def items(self, message: Message, answers: Sequence[ToolCall]) -> Iterable[dict[str, Any]]:
        """The wire's items for one message of ours.

        Args:
            message: Normalised: of this origin, or with nothing in it that only another one understands.
            answers: The calls that the tool results of a user message answer, in the ids used there.
        """
        raise NotImplementedError

    def tool(self, definition: Tool) -> dict[str, Any]:
        """A tool's definition; the same for every object of this class."""
        raise NotImplementedError

    def messages(self, messages: Iterable[Message]) -> list[bytes]:
        """The history, encoded: the items of each message joined by commas; messages without any are left out."""
        pieces: list[bytes] = []
        answers: Message | None = None
        for message in messages:
            if message.role == "assistant":
                answers, asked = message, None
            else:
                asked = None if type(message.content) is str else answers
            piece = message.cached_wire(self, asked)
            if piece is None:
                piece = self._encode(message, asked)
            if piece:
                pieces.append(piece)
        return pieces

    def tools(self, definitions: Iterable[Tool], more: bytes = b"") -> list[bytes]:
        """The tools, encoded, and `more` (tools as they are on the wire, joined by commas) after them."""
        cls = type(self)
        pieces = [
            definition.cached_wire(cls) or definition.cache_wire(cls, dumps(self.tool(definition)))
            for definition in definitions
        ]
        return [*pieces, more] if more else pieces

    def _encode(self, message: Message, asked: Message | None) -> bytes:
        seen = normalised(message, self.origin, asked)
        if seen is None:
            return message.cache_wire(self, b"", asked)
        source = None if asked is None else normalised(asked, self.origin)
        items = self.items(seen, source.tool_calls if source is not None else ())
        return message.cache_wire(self, b",".join(map(dumps, items)), asked)


_formats: WeakValueDictionary[tuple[type, str, tuple[Hashable, ...]], WireFormat] = WeakValueDictionary()


def opened(fixed: dict[str, Any]) -> bytes:
    """The beginning of a body that is the same for every request: an object that is still open at its end."""
    return dumps(fixed)[:-1] + (b"," if fixed else b"")


def closed(start: bytes, **members: bytes | None) -> bytes:
    """A body: what `opened` gave, and further members, already encoded; None leaves one out."""
    parts = [b'"%s":%s' % (name.encode(), value) for name, value in members.items() if value is not None]
    return b"".join((start if parts else start.removesuffix(b","), b",".join(parts), b"}"))


def array(pieces: Iterable[bytes]) -> bytes:
    """A JSON array of encoded pieces."""
    return b"[" + b",".join(pieces) + b"]"


def notice(block: MediaBlock) -> str:
    """What the model reads in place of a file that its wire has no place for."""
    name = block.title or block.uri
    named = f" {name}" if name else ""
    kind = f" ({block.mime_type})" if block.mime_type else ""
    return f"[{block.type}{named}{kind} was attached here, but this model cannot be shown it]"
