"""A person at a terminal: a real pseudo-terminal, keys typed, the screen read. Nothing sleeps; each wait is for the screen."""

from __future__ import annotations

import errno
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Self

import pyte

WAIT = 30.0
ROWS, COLUMNS = 30, 100

ENTER, ESCAPE, TAB, UP = "\r", "\x1b", "\t", "\x1b[A"
CTRL_C, CTRL_D = "\x03", "\x04"

# The child makes the terminal its own, so that Ctrl-C reaches it as a signal, and becomes the command.
BECOME = "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.argv[1], sys.argv[1:])"
ALLOY = (sys.executable, "-W", "error", "-m", "alloy_actors")


class _Screen(pyte.HistoryScreen):
    """Answers what programs ask a terminal."""

    def __init__(self, reply: Callable[[bytes], object]) -> None:
        super().__init__(COLUMNS, ROWS, history=5000, ratio=0.5)
        self._reply = reply

    def write_process_input(self, data: str) -> None:
        self._reply(data.encode())


class Terminal:
    """A command in a terminal of its own; a context manager that ends it."""

    def __init__(self, *command: str, env: dict[str, str], cwd: Path) -> None:
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        self._screen = _Screen(self._write)
        self._stream = pyte.ByteStream(self._screen)
        self._changed = threading.Condition()
        self._ended = False
        self._frames = [""]  # the text of the screen after each piece of output, since the last match
        self.said = b""  # everything that was written, in raw
        self.process = subprocess.Popen(
            [sys.executable, "-c", BECOME, *command],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            env=env,
            cwd=cwd,
        )
        os.close(slave)
        self._told, self._closing = os.pipe()
        self._reader = threading.Thread(target=self._read, name="terminal", daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.hang_up()

    def hang_up(self) -> None:
        """Close the window: the command's terminal is gone, and it gets SIGHUP."""
        if self._master >= 0:
            os.close(
                self._closing
            )  # the reader lets go first: the window stays open while somebody reads from it
            self._reader.join(WAIT)
            os.close(self._master)
            self._master = -1

    def type(self, keys: str) -> None:
        """Press keys."""
        self._write(keys.encode())

    def wait_for(self, pattern: str) -> str:
        """Wait until the screen, with what has scrolled away, shows a match; return it all."""
        return self.wait_until(lambda text: re.search(pattern, text, re.MULTILINE) is not None, pattern)

    def wait_until(self, shows: Callable[[str], bool], what: str) -> str:
        """Wait until the text of the screen is as wanted, or was at a moment since the last one waited for."""
        found: list[int] = []

        def look() -> bool:
            found[:] = [number for number, frame in enumerate(self._frames) if shows(frame)][:1]
            return bool(found) or self._ended

        with self._changed:
            seen = self._changed.wait_for(look, WAIT)
            assert seen, f"waited {WAIT} s for {what!r}; the screen shows:\n{self._frames[-1]}"
            assert found, f"the command ended without {what!r}; the screen shows:\n{self._frames[-1]}"
            text = self._frames[found[0]]
            del self._frames[: found[0]]
        return text

    def wait_exit(self) -> int:
        """Wait for the end of the command and of what it wrote; return its exit code."""
        code = self.process.wait(WAIT)
        self._reader.join(WAIT)
        return code

    def text(self) -> str:
        """What the screen shows now, with what has scrolled away above it."""
        with self._changed:
            return self._frames[-1]

    def signal(self, signum: signal.Signals) -> None:
        """Send a signal to the command."""
        self.process.send_signal(signum)

    def echoes(self) -> bool:
        """Whether the terminal itself shows what is typed."""
        return bool(termios.tcgetattr(self._master)[3] & termios.ECHO)

    def _text(self) -> str:
        above = ["".join(line[x].data for x in range(COLUMNS)) for line in self._screen.history.top]
        return "\n".join(line.rstrip() for line in [*above, *self._screen.display])

    def _write(self, data: bytes) -> None:
        os.write(self._master, data)

    def _read(self) -> None:
        while True:
            ready, _, _ = select.select([self._master, self._told], [], [])
            try:
                data = os.read(self._master, 65536) if self._master in ready else b""
            except OSError as error:
                assert error.errno == errno.EIO  # noqa: PT017  (the other side is closed)
                data = b""
            with self._changed:
                self.said += data
                self._stream.feed(data)
                self._frames.append(self._text())
                self._ended = not data
                self._changed.notify_all()
            if not data:
                os.close(self._told)
                return
