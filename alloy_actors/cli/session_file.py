"""Sessions in JSON files: read with one clear line for what is wrong, written as a whole or not at all."""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
from pathlib import Path

from alloy_actors.errors import ConfigError
from alloy_actors.session import Session


def load(path: Path) -> Session:
    """Read a session.

    Raises:
        ConfigError: There is none, it cannot be read, or it is none of ours, damaged, or of a newer version.
    """
    try:
        status = path.stat()
        data = path.read_bytes() if stat.S_ISREG(status.st_mode) else None
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
    if data is None:
        raise ConfigError(f"{path}: this is no file")
    try:
        return Session.from_json(data)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None


def load_if_there(path: Path) -> Session | None:
    """Read a session that may not have been saved yet, and see that it could be.

    Raises:
        ConfigError: As of `load`, or nothing can be written there: better now than after the run.
    """
    session = load(path) if _is_there(path) else None
    try:
        os.unlink(_beside(path, b""))  # noqa: PTH108  (a name, as tempfile gives it)
    except OSError as error:
        raise ConfigError(f"{path}: it cannot be written there: {error.strerror}") from error
    return session


def save(path: Path, session: Session) -> None:
    """Write a session: whoever reads sees the old one or the new one, also after a crash or with a full disk.

    Raises:
        ConfigError: It cannot be written, or what is there is no session: that is left alone.
    """
    if _is_there(path):
        load(path)
    temporary = None
    try:
        temporary = _beside(path, session.to_json())
        os.replace(temporary, _real(path))  # noqa: PTH105  (likewise)
    except OSError as error:
        if temporary is not None:
            with contextlib.suppress(OSError):
                os.unlink(temporary)  # noqa: PTH108  (a string already)
        raise ConfigError(f"{path}: it cannot be written: {error.strerror}") from error


def _is_there(path: Path) -> bool:
    return os.path.exists(path)  # noqa: PTH110  (Path's own raises where a folder may not be looked into)


def _beside(path: Path, data: bytes) -> str:
    """A new file in the same folder, on the disk, for its owner only: a conversation is private."""
    real = _real(path)
    file, name = tempfile.mkstemp(prefix=f".{real.name}.", dir=real.parent)
    try:
        with os.fdopen(file, "wb") as new:
            new.write(data)
            new.flush()
            os.fsync(new.fileno())
    except BaseException:
        os.unlink(name)  # noqa: PTH108  (a string already)
        raise
    return name


def _real(path: Path) -> Path:
    """Where a link leads: the link stays one."""
    return Path(os.path.realpath(path))
