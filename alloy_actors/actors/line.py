"""The line of what an agent is to do: who stands where, and who is next."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from alloy_actors.actors.request import Control, Request

if TYPE_CHECKING:
    from collections.abc import Iterable


_LAST = 2


class Line:
    """Requests and controls in their order; guarded by its book's lock.

    Interrupting requests stand before steering ones and these before the others, each behind those of its kind.
    """

    __slots__ = ("_items",)

    def __init__(self) -> None:
        self._items: list[Request | Control] = []

    def __bool__(self) -> bool:
        return bool(self._items)

    def __contains__(self, item: Request | Control) -> bool:
        return item in self._items

    def add(self, item: Request | Control) -> None:
        """Put it where it belongs."""
        place = _place(item)
        if place == _LAST:
            self._items.append(item)
            return
        ahead = itertools.takewhile(lambda other: _place(other) <= place, self._items)
        self._items.insert(sum(1 for _ in ahead), item)

    def put_back(self, requests: Iterable[Request]) -> None:
        """Steering ones that were taken, and are to be taken again before others of their kind."""
        position = sum(1 for item in self._items if _place(item) == 0)
        self._items[position:position] = requests

    def interrupts(self) -> bool:
        """Whether the next one is to take the place of whatever runs."""
        return bool(self._items) and _place(self._items[0]) == 0

    def take(self, *, only_awaited: bool) -> Request | Control | None:
        """The next; with `only_awaited` the next that a run waits for."""
        for position, item in enumerate(self._items):
            if not only_awaited or (isinstance(item, Request) and item.chain):
                del self._items[position]
                return item
        return None

    def take_steering(self) -> list[Request]:
        """All that steer, in order."""
        steering = [item for item in self._items if isinstance(item, Request) and item.when_busy == "steer"]
        for request in steering:
            self._items.remove(request)
        return steering

    def remove(self, request: Request) -> None:
        """Take one out, wherever it stands."""
        self._items.remove(request)

    def clear(self) -> list[Request]:
        """Empty the line; the requests that stood in it."""
        items, self._items = self._items, []
        return [item for item in items if isinstance(item, Request)]


def _place(item: Request | Control) -> int:
    """Which kind of item comes first."""
    if isinstance(item, Control):
        return _LAST
    return {"interrupt": 0, "steer": 1}.get(item.when_busy, _LAST)
