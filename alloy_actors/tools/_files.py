"""Regular files at a `Place`: opened without following a link, replaced as a whole."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from typing import TYPE_CHECKING

from alloy_actors.errors import ToolError

if TYPE_CHECKING:
    from alloy_actors.tools._paths import Place

SNIFFED = 8_192
"""Bytes in which a NUL means that the file is no text."""

# The directory takes no new file, or the file cannot leave its place (one that is mounted by itself).
_STAYS = {errno.EACCES, errno.EPERM, errno.EBUSY, errno.EROFS}


def open_regular(place: Place, flags: int) -> int:
    """Open a file that exists; never waits, as a FIFO would make one wait.

    Raises:
        ToolError: It is a directory, a device, a FIFO, or has just become a link.
        OSError: As of `os.open`.
    """
    # Looked at first: opening a device may have an effect.
    _refuse_irregular(os.stat(place.name, dir_fd=place.directory, follow_symlinks=False), place.path)
    flags |= os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    file = os.open(place.name, flags, dir_fd=place.directory)
    try:
        _refuse_irregular(os.fstat(file), place.path)
    except BaseException:
        os.close(file)
        raise
    return file


def _refuse_irregular(status: os.stat_result, path: str) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise ToolError(f"{path} is a directory.")
    if stat.S_ISLNK(status.st_mode):
        raise ToolError(f"{path} became a symbolic link while it was being opened; try again.")
    if not stat.S_ISREG(status.st_mode):
        raise ToolError(f"{path} is not a regular file.")


def replace(place: Place, data: bytes) -> None:
    """Give a file, which may not exist, a new content.

    Nobody sees half of it, and a full disk leaves the old one: it is written beside and renamed. Where that would lose
    something (hard links, a foreign owner, extended attributes) or is not allowed, it is overwritten in place.

    Raises:
        ToolError: As of `open_regular`.
        OSError: It cannot be written.
    """
    try:
        file = open_regular(place, os.O_WRONLY)  # also asks whether we may
    except FileNotFoundError:
        _swap_in(place, data, None)
        return
    with open(file, "wb") as existing:  # noqa: PTH123  (it is open already)
        status = os.fstat(file)
        if _may_be_swapped(file, status):
            try:
                _swap_in(place, data, status)
                return
            except OSError as error:
                if error.errno not in _STAYS:
                    raise
        os.ftruncate(file, 0)
        existing.write(data)


def _may_be_swapped(file: int, status: os.stat_result) -> bool:
    if status.st_nlink > 1 or status.st_uid != os.geteuid():
        return False
    attributes = getattr(os, "listxattr", None)  # Linux
    try:
        return attributes is None or not attributes(file)
    except OSError:  # a file system without them
        return True


def _swap_in(place: Place, data: bytes, status: os.stat_result | None) -> None:
    """Write a new file and let it take the name; `status` is that of the file it replaces."""
    temporary = f".{os.urandom(8).hex()}.tmp"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    file = os.open(temporary, flags, 0o666 if status is None else 0o600, dir_fd=place.directory)
    try:
        with open(file, "wb") as new:  # noqa: PTH123  (it is open already)
            if status is not None:
                if os.fstat(file).st_gid != status.st_gid:
                    os.fchown(file, -1, status.st_gid)
                os.fchmod(file, stat.S_IMODE(status.st_mode))
            new.write(data)
        os.rename(temporary, place.name, src_dir_fd=place.directory, dst_dir_fd=place.directory)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary, dir_fd=place.directory)
        raise
