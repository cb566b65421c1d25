"""The screen of `alloy chat` on a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alloy_actors.cli.folders import state_folder
from alloy_actors.cli.output import abandon_stdout
from alloy_actors.cli.terminal.prompt import Prompt
from alloy_actors.cli.terminal.view import TerminalView

if TYPE_CHECKING:
    from collections.abc import Mapping


class TerminalScreen(TerminalView):
    """See `chat.Screen`."""

    interactive = True

    def __init__(self, commands: Mapping[str, str], values: Mapping[str, tuple[str, ...]]) -> None:
        super().__init__()
        try:
            folder = state_folder()
            folder.mkdir(parents=True, exist_ok=True)
            self._prompt = Prompt(commands, values, folder / "history")
        except OSError as error:
            self.note(f"what you type is not kept for next time: {error}")
            self._prompt = Prompt(commands, values, None)

    async def read(self, status: str) -> str:
        try:
            return await self._prompt.read(status)
        except OSError as error:  # the terminal is gone
            abandon_stdout()
            raise EOFError from error
