"""When an agent has come to rest, and who waits for that."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    Function = Callable[[], object]


class Rest:
    """Guarded by its book's lock.

    Attributes:
        telling: How many results are being told at this moment.
    """

    __slots__ = ("_idle", "_settled", "telling")

    def __init__(self) -> None:
        self.telling = 0
        self._idle: tuple[Function, ...] = ()  # an idle agent keeps no empty lists
        self._settled: tuple[Function, ...] = ()

    def when_idle(self, function: Function) -> None:
        """For the moment when no run is on."""
        self._idle += (function,)

    def when_settled(self, function: Function) -> None:
        """For the moment when nothing is left to do."""
        self._settled += (function,)

    def due(self, *, running: bool, open_: bool) -> tuple[Function, ...]:
        """What is to be called now, and is no longer kept; nothing while somebody is being told."""
        if running or self.telling:
            return ()
        due, self._idle = self._idle, ()
        if not open_:
            due, self._settled = due + self._settled, ()
        return due
