"""A run on a terminal: finished paragraphs as Markdown, below them what is still going on."""

from __future__ import annotations

import contextlib
import sys
import termios
import time
from typing import TYPE_CHECKING

from rich.console import Console, Group
from rich.live import Live
from rich.markdown import Markdown
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from alloy_actors.cli.output import printable
from alloy_actors.cli.terminal.blocks import split
from alloy_actors.cli.words import call_text, ended_text
from alloy_actors.events import (
    RunFinished,
    RunStarted,
    TextDelta,
    ThinkingDelta,
    ToolEnded,
    ToolStarted,
    TurnFinished,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from rich.console import RenderableType

    from alloy_actors.events import Event

FRAMES = 10  # a second
THOUGHT_LINES = 3  # of the reasoning, while it arrives


class TerminalView:
    """Hears one run after the other. `hear` is called on one thread; a thread of rich's draws what it finds."""

    def __init__(self) -> None:
        self._console = Console(highlight=False, markup=False, emoji=False)
        self._live: Live | None = None
        self._text = ""  # of the paragraph that is arriving
        self._thought = ""
        self._calls: tuple[tuple[str, str, float], ...] = ()  # running ones: id, text, when it began
        self._spinner = Spinner("dots", style="dim")

    def hear(self, event: Event) -> None:
        """Show an event."""
        match event:
            case RunStarted():
                self._begin()
            case TextDelta():
                self._thought = ""
                complete, self._text = split(self._text + printable(event.text))
                self._print_markdown(complete)
            case ThinkingDelta():
                self._thought += printable(event.text)
            case ToolStarted():
                self._calls += ((event.id, call_text(event.name, event.input), time.monotonic()),)
            case ToolEnded():
                self._calls = tuple(call for call in self._calls if call[0] != event.id)
                self._print_tool(event)
            case TurnFinished():
                self._flush()
            case RunFinished():
                self.stop()
            case _:
                pass

    def stop(self) -> None:
        """Show the rest and end the moving part; harmless when there is none."""
        live, self._live = self._live, None
        self._calls = ()
        self._flush()
        if live is not None:
            live.stop()

    def note(self, text: str) -> None:
        """Say something that is no part of the answer; from any thread."""
        self._console.print(Text(printable(text), style="dim"))

    def complain(self, text: str) -> None:
        """Say what went wrong."""
        self._console.print(Text(printable(text), style="red"))

    def table(self, rows: Iterable[tuple[str, ...]]) -> None:
        """Show rows of facts, the first column in bold."""
        table = Table.grid(padding=(0, 2))
        for row in rows:
            first, *others = (Text(printable(cell)) for cell in row)
            first.stylize("bold")
            table.add_row(first, *others)
        self._console.print(table)

    @contextlib.contextmanager
    def quiet_keys(self) -> Iterator[None]:
        """Keys typed during a run are kept for the next prompt, not shown amid the answer."""
        before = termios.tcgetattr(sys.stdin)
        during = [*before]
        during[3] &= ~termios.ECHO
        termios.tcsetattr(sys.stdin, termios.TCSANOW, during)
        try:
            yield
        finally:
            termios.tcsetattr(sys.stdin, termios.TCSANOW, before)

    def _begin(self) -> None:
        self._text = self._thought = ""
        self._live = Live(
            get_renderable=self._moving, console=self._console, refresh_per_second=FRAMES, transient=True
        )
        self._live.start()

    def _moving(self) -> RenderableType:
        """What may still change; on rich's thread."""
        lines: list[RenderableType] = []
        height = max(3, self._console.height - 4)
        if self._text:
            lines.append(self._tail(self._text, height, ""))
        elif self._thought:
            lines.append(self._tail(self._thought, THOUGHT_LINES, "dim italic"))
        now = time.monotonic()
        lines += [Text(f"{text} {now - began:.1f} s ...", style="dim") for _, text, began in self._calls]
        if not lines:
            lines.append(self._spinner)
        return Group(*lines)

    def _tail(self, text: str, height: int, style: str) -> Text:
        lines = Text(text, style=style).wrap(self._console, max(10, self._console.width))
        return Text("\n").join(lines[-height:])

    def _flush(self) -> None:
        text, self._text, self._thought = self._text, "", ""
        self._print_markdown(text)

    def _print_markdown(self, text: str) -> None:
        if text.strip():
            # Links are spelled out: where a link leads is not for the model to hide.
            self._console.print(Markdown(text, hyperlinks=False))
            self._console.print()

    def _print_tool(self, event: ToolEnded) -> None:
        self._flush()
        mark, style = ("ok", "green") if event.error is None else ("failed", "red")
        self._console.print(Text.assemble((f"{mark} ", style), (printable(ended_text(event)), "dim")))
