"""The screen of `alloy chat` on a pipe or a dumb terminal: lines in, lines out."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from alloy_actors.cli import output
from alloy_actors.cli.plain import PlainView

if TYPE_CHECKING:
    from collections.abc import Iterable
    from contextlib import AbstractContextManager

STDIN = 0


class PlainScreen(PlainView):
    """See `chat.Screen`."""

    def __init__(self, *, quiet: bool) -> None:
        super().__init__(stream=True, quiet=quiet)
        self.interactive = sys.stdin is not None and sys.stdin.isatty()
        self._keys = _CtrlC()
        self._arrived = b""
        self._ended = sys.stdin is None

    async def read(self, status: str) -> str:
        """A line, and those after it where it ends in a backslash.

        Raises:
            EOFError: There are no more.
            KeyboardInterrupt: Ctrl-C on a terminal.
        """
        # Who sees the prompt may press Ctrl-C at once: it has to be heard from before the prompt is written.
        with self._keys if self.interactive else nullcontext():
            if self.interactive:
                sys.stderr.write(f"{status} > ")
                sys.stderr.flush()
            lines = [await self._line()]
            while lines[-1].endswith("\\") and not self._ended:
                lines[-1] = lines[-1][:-1]
                lines.append(await self._line())
            return "\n".join(lines)

    def complain(self, text: str) -> None:
        """Say what went wrong."""
        output.complain(text, "alloy chat")

    def table(self, rows: Iterable[tuple[str, ...]]) -> None:
        """Show rows of facts."""
        for row in rows:
            output.note("  ".join(row))

    def quiet_keys(self) -> AbstractContextManager[None]:
        """What is typed meanwhile is read later."""
        return nullcontext()

    async def _line(self) -> str:
        while b"\n" not in self._arrived and not self._ended:
            piece = await self._piece()
            self._arrived += piece
            self._ended = not piece
        line, newline, self._arrived = self._arrived.partition(b"\n")
        if not line and not newline:
            raise EOFError
        return line.decode("utf-8", "replace").removesuffix("\r")

    async def _piece(self) -> bytes:
        """Some bytes of stdin, none at its end; the loop goes on meanwhile, for signals."""
        loop = asyncio.get_running_loop()
        there: asyncio.Future[None] = loop.create_future()
        try:
            loop.add_reader(STDIN, _set, there)
        except PermissionError:  # a file, or /dev/null: there at once
            return os.read(STDIN, 65536)
        try:
            await self._keys.or_until(there)
        finally:
            loop.remove_reader(STDIN)
        return os.read(STDIN, 65536)


class _CtrlC:
    """While entered, Ctrl-C ends `or_until` with KeyboardInterrupt instead of ending the program."""

    def __init__(self) -> None:
        self._pressed = False
        self._waiting: asyncio.Future[None] | None = None
        self._previous: Any = None

    def __enter__(self) -> None:
        loop = asyncio.get_running_loop()
        self._pressed = False
        self._previous = signal.signal(
            signal.SIGINT, lambda _number, _frame: loop.call_soon_threadsafe(self._press)
        )

    def __exit__(self, *_: object) -> None:
        signal.signal(signal.SIGINT, self._previous)

    async def or_until(self, there: asyncio.Future[None]) -> None:
        """Return when `there` is done.

        Raises:
            KeyboardInterrupt: Ctrl-C was pressed since the beginning.
        """
        self._waiting = there
        if self._pressed:
            raise KeyboardInterrupt
        await there

    def _press(self) -> None:
        self._pressed = True
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(KeyboardInterrupt())


def _set(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
