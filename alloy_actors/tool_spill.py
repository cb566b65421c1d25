"""Large results of a tool kept in a file, so that the model reads the beginning, the end and where the rest is."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from alloy_actors.blocks import TextBlock
from alloy_actors.errors import ConfigError
from alloy_actors.logs import log

if TYPE_CHECKING:
    from alloy_actors.tool_output import Content

_NOTE = 200
"""Characters for the line between head and tail, its path not counted."""


@dataclass(frozen=True, slots=True)
class Spill:
    """Keep results of more than `over` characters in files of `directory`.

    Nobody here deletes them: their names stay in the conversation, which may be read again after months. That is up to
    whoever gave the directory.

    Args:
        directory: Made when it is missing; a relative one starts at the run's working directory. A tool that is to read
            the files (`alloy_actors.tools.read`) must be allowed to go there.
        over: Characters; a result up to that many stays as it is.
        head: Characters of its beginning that the model gets.
        tail: Characters of its end.

    Raises:
        ConfigError: One does not fit; head and tail must be less than `over` by 200, or the preview saves nothing.
    """

    directory: str | os.PathLike[str]
    over: int = 10_000
    head: int = 2_000
    tail: int = 1_000

    def __post_init__(self) -> None:
        directory: object = self.directory
        path = os.fspath(directory) if isinstance(directory, str | os.PathLike) else None
        if not isinstance(path, str) or not path or "\0" in path:
            raise ConfigError(f"Spill: directory={self.directory!r} must be the path of a directory")
        for name in ("over", "head", "tail"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < (name == "over"):
                raise ConfigError(f"Spill: {name}={value!r} must be a whole number of characters")
        if self.head + self.tail + _NOTE > self.over:
            raise ConfigError(
                f"Spill: head={self.head} and tail={self.tail} must be less than over={self.over} by {_NOTE}, or the preview "
                "saves nothing"
            )


def spills(spill: Spill | None, content: Content) -> bool:
    """Whether this result is to be kept in a file."""
    return spill is not None and len(_text(content)) > spill.over


def spilled(spill: Spill, tool: str, content: Content, working_directory: str) -> Content:
    """The content with its text kept in a file and a preview in its place; it blocks.

    Where the file cannot be written the preview says so, and so does the log: the tool has done its work, and an error
    would make the model do it again.
    """
    directory = Path(working_directory).expanduser() / Path(spill.directory).expanduser()
    # Nothing of the name comes from the model: not the call's id, nor any argument.
    path = directory.absolute() / f"{tool}-{os.urandom(8).hex()}.txt"
    try:
        _write(path, _text(content))
    except OSError as error:
        return unsaved(spill, tool, content, f"{error.strerror or error} ({path})")
    return _preview(spill, content, f"all of it is in {path}")


def unsaved(spill: Spill, tool: str, content: Content, why: str) -> Content:
    """The preview alone."""
    log.error("spill_failed", tool=tool, error=why)
    return _preview(spill, content, f"the rest could not be saved: {why}")


def _preview(spill: Spill, content: Content, note: str) -> Content:
    text = _text(content)
    left = len(text) - spill.head - spill.tail
    tail = text[len(text) - spill.tail :]
    shown = f"{text[: spill.head]}\n[... {left} of {len(text)} characters left out; {note} ...]\n{tail}"
    if isinstance(content, str):
        return shown
    return (TextBlock(shown), *(part for part in content if not isinstance(part, TextBlock)))


def _write(path: Path, text: str) -> None:
    """For its owner alone: a result may hold anything."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(path, flags, 0o600), "w", encoding="utf-8", newline="") as file:
        try:
            file.write(text)
            file.flush()
        except BaseException:
            path.unlink(missing_ok=True)
            raise


def _text(content: Content) -> str:
    if isinstance(content, str):
        return content
    return "\n".join(part.text for part in content if isinstance(part, TextBlock))
