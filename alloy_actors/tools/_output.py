"""Bytes of unknown origin and length, as text of a known length."""

from __future__ import annotations

HEAD = 8_000
"""Bytes kept from the start of an output."""

TAIL = 20_000
"""Bytes kept from its end."""


class Capture:
    """Keeps the first `head` and the last `tail` bytes of what is added; its memory does not grow with the rest."""

    __slots__ = ("_head", "_head_limit", "_size", "_tail", "_tail_limit")

    def __init__(self, head: int = HEAD, tail: int = TAIL) -> None:
        self._head_limit = head
        self._tail_limit = tail
        self._head = bytearray()
        self._tail = bytearray()
        self._size = 0

    def add(self, data: bytes) -> None:
        """The output goes on."""
        self._size += len(data)
        room = self._head_limit - len(self._head)
        if room > 0:
            self._head += data[:room]
            data = data[room:]
        if len(data) >= self._tail_limit:
            self._tail[:] = data[len(data) - self._tail_limit :]
            return
        self._tail += data
        if len(self._tail) > 3 * self._tail_limit:  # now and then, so that a byte at a time stays cheap
            del self._tail[: -self._tail_limit]

    def text(self) -> str:
        """What was kept, with a line where something is missing. What is no UTF-8 is replaced."""
        tail = self._tail[-self._tail_limit :]
        if self._size == len(self._head) + len(tail):
            return (self._head + tail).decode(errors="replace")
        start, end = whole_end(bytes(self._head)), whole_start(bytes(tail))
        omitted = self._size - len(start) - len(end)
        marker = f"\n[... {omitted} bytes omitted ...]\n"
        return start.decode(errors="replace") + marker + end.decode(errors="replace")


def whole_end(data: bytes) -> bytes:
    """Data without the started character that it was cut in, if it ends in one."""
    for back in range(1, min(4, len(data) + 1)):
        byte = data[-back]
        if 0xC2 <= byte <= 0xF4:  # the first byte of a character of 2, 3 or 4
            length = 2 if byte < 0xE0 else 3 if byte < 0xF0 else 4
            return data[:-back] if length > back else data
        if not 0x80 <= byte < 0xC0:  # nor one of the others
            break
    return data


def whole_start(data: bytes) -> bytes:
    """Data without the rest of the character that it was cut in, if it starts with one."""
    start = 0
    while start < min(3, len(data)) and 0x80 <= data[start] < 0xC0:
        start += 1
    return data[start:]
