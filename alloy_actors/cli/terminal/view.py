"""A run on a terminal: finished paragraphs as Markdown, below them what is still going on."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import termios
import time
from typing import TYPE_CHECKING

from rich.console import Group
from rich.markdown import Markdown
from rich.segment import Segment, Segments
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from alloy_actors.cli.output import printable
from alloy_actors.cli.terminal.blocks import split
from alloy_actors.cli.terminal.console import Moving, SharedConsole
from alloy_actors.cli.words import RESTARTED, call_text, ended_text
from alloy_actors.events import (
    RunFinished,
    RunStarted,
    TextDelta,
    ThinkingDelta,
    ToolEnded,
    ToolStarted,
    TurnFinished,
    TurnRestarted,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from rich.console import RenderableType

    from alloy_actors.events import Event

FRAMES = 10  # a second
THOUGHT_LINES = 3  # of the reasoning, while it arrives


class TerminalView:
    """Hears one run after the other, on an event loop that also draws what moves."""

    def __init__(self) -> None:
        self._console = SharedConsole()
        self._moving: Moving | None = None
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
            case TurnRestarted():
                self._text = self._thought = ""
                self.note(RESTARTED)
            case RunFinished():
                self.stop()
            case _:
                pass

    def stop(self) -> None:
        """Show the rest and end the moving part; harmless when there is none."""
        moving, self._moving = self._moving, None
        self._calls = ()
        self._flush()
        if moving is not None:
            moving.stop()

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
        """Keys typed while nobody reads are kept for the next prompt, not shown amid an answer; Ctrl-C stays a signal."""
        before = termios.tcgetattr(sys.stdin)
        during = [*before]
        during[0] &= ~termios.ICRNL
        during[3] &= ~(termios.ECHO | termios.ICANON)
        termios.tcsetattr(sys.stdin, termios.TCSANOW, during)
        try:
            yield
        finally:
            with contextlib.suppress(termios.error):  # the terminal is gone
                termios.tcsetattr(sys.stdin, termios.TCSANOW, before)

    def _begin(self) -> None:
        self._text = self._thought = ""
        self._moving = Moving(self._console, self._look, transient=True)
        self._refresh(self._moving)

    def _refresh(self, moving: Moving) -> None:
        if moving is self._moving:
            moving.refresh()
            asyncio.get_running_loop().call_later(1 / FRAMES, self._refresh, moving)

    def _look(self) -> RenderableType:
        """What may still change."""
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
        if not text.strip():
            return
        # Links are spelled out: where a link leads is not for the model to hide.
        lines = self._console.render_lines(Markdown(text, hyperlinks=False), pad=False)
        while lines and _is_blank(lines[0]):
            del lines[0]
        while lines and _is_blank(lines[-1]):
            del lines[-1]
        if lines:
            self._console.print(Segments([part for line in lines for part in (*line, Segment.line())]))
            self._console.print()

    def _print_tool(self, event: ToolEnded) -> None:
        self._flush()
        mark, style = ("ok", "green") if event.error is None else ("failed", "red")
        self._console.print(Text.assemble((f"{mark} ", style), (printable(ended_text(event)), "dim")))


def _is_blank(line: list[Segment]) -> bool:
    return not "".join(segment.text for segment in line).strip()
