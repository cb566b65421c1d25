"""The line a person types: history, several lines, completion. The one place that knows prompt-toolkit."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from prompt_toolkit import PromptSession
from prompt_toolkit.application import get_app
from prompt_toolkit.completion import Completer, Completion, PathCompleter
from prompt_toolkit.document import Document
from prompt_toolkit.filters import Condition
from prompt_toolkit.formatted_text import FormattedText
from prompt_toolkit.history import FileHistory, InMemoryHistory
from prompt_toolkit.key_binding import KeyBindings

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from prompt_toolkit.completion import CompleteEvent
    from prompt_toolkit.history import History
    from prompt_toolkit.key_binding import KeyPressEvent


class Prompt:
    """Reads what a person types.

    Args:
        commands: Words that begin with "/", and what they do.
        values: What may follow a command, by command; "path" stands for a file.
        history: Where lines are kept; None keeps them in memory.
    """

    def __init__(
        self, commands: Mapping[str, str], values: Mapping[str, tuple[str, ...]], history: Path | None
    ) -> None:
        self._session: PromptSession[str] = PromptSession(
            history=_history(history),
            multiline=True,
            prompt_continuation="... ",
            key_bindings=_keys(),
            completer=_Commands(commands, values),
            complete_while_typing=Condition(lambda: get_app().current_buffer.text.startswith("/")),
            reserve_space_for_menu=4,
        )

    async def read(self, status: str) -> str:
        """Show `status` and wait for a line.

        Raises:
            EOFError: Ctrl-D on an empty line, or the terminal is gone.
            KeyboardInterrupt: Ctrl-C.
        """
        message = FormattedText([("ansibrightblack", f"{status} "), ("bold", "> ")])
        return await self._session.prompt_async(message)


class _Commands(Completer):
    def __init__(self, commands: Mapping[str, str], values: Mapping[str, tuple[str, ...]]) -> None:
        self._commands = commands
        self._values = values
        self._paths = PathCompleter(expanduser=True)

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:
        text = document.text_before_cursor
        if not text.startswith("/"):
            return
        command, space, rest = text.partition(" ")
        if not space:
            for name, help_ in self._commands.items():
                if name.startswith(command):
                    yield Completion(name, -len(command), display_meta=help_)
            return
        for value in self._values.get(command, ()):
            if value == "path":
                yield from self._paths.get_completions(Document(rest), complete_event)
            elif value.startswith(rest):
                yield Completion(value, -len(rest))


def _keys() -> KeyBindings:
    keys = KeyBindings()

    @keys.add("enter")
    def _enter(event: KeyPressEvent) -> None:
        buffer = event.current_buffer
        if buffer.document.text_before_cursor.endswith("\\"):
            buffer.delete_before_cursor()
            buffer.newline()
        else:
            buffer.validate_and_handle()

    @keys.add("escape", "enter")
    def _newline(event: KeyPressEvent) -> None:
        event.current_buffer.newline()

    return keys


def _history(path: Path | None) -> History:
    if path is None:
        return InMemoryHistory()
    # Made here, since what was typed is for its owner only.
    os.close(os.open(path, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600))
    return FileHistory(str(path))
