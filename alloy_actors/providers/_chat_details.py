"""`reasoning_details`: the reasoning of a message as OpenRouter passes it on, signed or encrypted by whoever made it.

It is kept as it came, because it has to come back in the same order and unchanged; only what a stream cut into pieces
is put together again.

Source: OpenRouter's guide on reasoning tokens, the array `reasoning_details` and preserving reasoning blocks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from alloy_actors.providers._json import dumps

if TYPE_CHECKING:
    from collections.abc import Sequence

# The member that comes in pieces; what is encrypted comes whole.
IN_PIECES = {"reasoning.text": "text", "reasoning.summary": "summary"}


class ReasoningDetails:
    """Collects the details of one message, from one chunk or many."""

    __slots__ = ("_items", "_pieces")

    def __init__(self) -> None:
        self._items: list[dict[str, Any]] = []
        self._pieces: list[list[str]] = []  # of each item

    def add(self, given: Sequence[Any]) -> str:
        """Take those of one chunk and return the text in them that people may read."""
        known = len(self._items)  # two of one chunk are never pieces of each other
        said: list[str] = []
        for piece in given:
            if not isinstance(piece, dict):
                continue
            member = IN_PIECES.get(str(piece.get("type")), "")
            place = self._place(piece, known) if member else None
            if place is None:
                place = len(self._items)
                self._items.append({})
                self._pieces.append([])
            text = piece.get(member)
            if isinstance(text, str):
                self._pieces[place].append(text)
                said.append(text)
            item = self._items[place]
            item.update(
                (name, value) for name, value in piece.items() if value is not None or name not in item
            )
        return "".join(said)

    def raw(self) -> str | None:
        """The array as JSON; None where there were none."""
        if not self._items:
            return None
        for item, pieces in zip(self._items, self._pieces, strict=True):
            if pieces:
                item[IN_PIECES[item["type"]]] = "".join(pieces)
        return dumps(self._items).decode()

    def _place(self, piece: dict[str, Any], known: int) -> int | None:
        """Of which known item this is a further piece: the one of its index; without one, the last."""
        kind, index = piece["type"], piece.get("index")
        for place in reversed(range(known)):
            item = self._items[place]
            if item.get("type") == kind and item.get("index") == index:
                return place if index is not None or place == len(self._items) - 1 else None
        return None
