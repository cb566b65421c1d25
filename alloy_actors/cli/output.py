"""Standard output and standard error as a command line meets them: closed, full, a pipe without reader, an old locale.

Answers go to stdout, everything else to stderr.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

# What a terminal would obey: C0 but tab and newline, DEL, C1. A model's text must not move the cursor or set the title.
_OBEYED = dict.fromkeys([*range(9), *range(11, 32), *range(127, 160)])


class OutputError(OSError):
    """Stdout takes nothing more, for example because the disk is full."""


class _Nowhere(io.TextIOBase):
    def write(self, text: str) -> int:
        return len(text)


def prepare() -> None:
    """Make stdout and stderr usable: a closed one swallows, a character that the locale lacks becomes "?"."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, _Nowhere())
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def answer(text: str) -> None:
    """Write to stdout, at once.

    Raises:
        BrokenPipeError: Nobody reads it.
        OutputError: It cannot be written.
    """
    with writing():
        sys.stdout.write(printable(text) if sys.stdout.isatty() else text)
        sys.stdout.flush()


@contextlib.contextmanager
def writing() -> Iterator[None]:
    """Around what writes to stdout by itself: its failures become those of `answer`."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OutputError(error.errno, error.strerror) from error


def note(line: str) -> None:
    """Write one line to stderr; where that is not possible there is nobody to tell."""
    try:
        sys.stderr.write(f"{printable(one_line(line))}\n")
        sys.stderr.flush()
    except OSError:
        _abandon(sys.stderr)


def complain(line: str, command: str = "alloy") -> None:
    """Say what went wrong, in one line."""
    note(f"{command}: {line}")


def one_line(text: str) -> str:
    """The text with every run of white space as one blank."""
    return " ".join(text.split())


def printable(text: str) -> str:
    """The text without characters that a terminal obeys."""
    return text.translate(_OBEYED)


def abandon_stdout() -> None:
    """Nothing more is written: what is buffered must not fail again when the interpreter ends."""
    _abandon(sys.stdout)


def _abandon(stream: IO[str]) -> None:
    with contextlib.suppress(OSError):  # it has no descriptor
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
