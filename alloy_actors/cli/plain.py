"""What a run looks like on a pipe and on a dumb terminal: the answer on stdout, everything else on stderr."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alloy_actors.cli import output
from alloy_actors.cli.words import RESTARTED, call_text, ended_text
from alloy_actors.events import RunFinished, TextDelta, ToolEnded, ToolStarted, TurnRestarted

if TYPE_CHECKING:
    from alloy_actors.events import Event


class PlainView:
    """Hears one run after the other.

    Args:
        stream: Write the answer as it comes, with the text before tool calls; else the text of the result, at its end.
        quiet: Say nothing of tool calls.
    """

    def __init__(self, *, stream: bool, quiet: bool = False) -> None:
        self._stream = stream
        self._quiet = quiet
        self._open_line = False

    def hear(self, event: Event) -> None:
        """Show an event."""
        match event:
            case TextDelta():
                if self._stream:
                    self._write(event.text)
            case ToolStarted():
                self._close_line()
                if not self._quiet:
                    output.note(f"tool {call_text(event.name, event.input)} ...")
            case ToolEnded():
                if not self._quiet:
                    output.note(f"tool {ended_text(event)}")
            case TurnRestarted():
                self._close_line()
                output.note(RESTARTED)
            case RunFinished():
                if not self._stream:
                    self._write(event.result.text)
                self.stop()
            case _:
                pass

    def stop(self) -> None:
        """Nothing more comes of the run."""
        self._close_line()

    def note(self, text: str) -> None:
        """Say something that is no part of the answer."""
        output.note(text)

    def _write(self, text: str) -> None:
        if text:
            output.answer(text)
            self._open_line = not text.endswith("\n")

    def _close_line(self) -> None:
        if self._open_line:
            self._write("\n")
