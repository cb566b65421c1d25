"""A rich console on which lines and a moving part below them can be drawn from several threads."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.live import Live

from alloy_actors.cli.output import abandon_stdout

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import RenderableType


class SharedConsole(Console):
    """Rich locks single steps of printing over a `Live`: two threads that erase the same lines would lose some.

    A terminal that is gone is not written to any more. That is no failure: SIGHUP says so to whoever has to end.
    """

    def __init__(self) -> None:
        super().__init__(highlight=False, markup=False, emoji=False)
        self._drawing = threading.RLock()

    def print(self, *objects: Any, **options: Any) -> None:
        self.draw(lambda: super(SharedConsole, self).print(*objects, **options))

    def draw(self, step: Callable[[], object]) -> None:
        """Do something that draws, while no other thread does."""
        with self._drawing:
            try:
                step()
            except OSError:
                abandon_stdout()


class Moving:
    """What may still change, below the lines; drawn anew by `refresh`, gone or left standing after `stop`."""

    def __init__(
        self, console: SharedConsole, look: Callable[[], RenderableType], *, transient: bool
    ) -> None:
        self._console = console
        self._live = Live(get_renderable=look, console=console, auto_refresh=False, transient=transient)
        console.draw(self._live.start)

    def refresh(self) -> None:
        """Draw it as it is now."""
        self._console.draw(self._live.refresh)

    def stop(self) -> None:
        """Draw it for the last time."""
        self._console.draw(self._live.stop)
