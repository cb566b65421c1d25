"""Server-sent events: bytes in, events out, wherever the network cut them.

A line ends with LF, CR or CRLF; an event ends with an empty line. `data:` lines are joined by LF, the first
`event:` names the event, comments and other fields are skipped, an event without data is dropped.

Source: WHATWG HTML, 9.2 Server-sent events.
"""

from __future__ import annotations

from typing import NamedTuple

BOM = b"\xef\xbb\xbf"
LF = 0x0A
COLON = 0x3A
SPACE = 0x20


class SSEEvent(NamedTuple):
    """One event; `data` is undecoded, so a character cut by the network is whole again."""

    name: str | None
    data: bytes


class SSEParser:
    """Takes chunks as they arrive; time is linear in the bytes, also for one huge event in small pieces."""

    __slots__ = ("_after_cr", "_at_start", "_data", "_name", "_partial")

    def __init__(self) -> None:
        self._partial: list[bytes] = []  # pieces of a line whose end has not come
        self._data: list[bytes] = []
        self._name: str | None = None
        self._after_cr = False  # an LF now belongs to the CR before it
        self._at_start = True

    def feed(self, chunk: bytes) -> list[SSEEvent]:
        """The events that this chunk completes, in order."""
        if self._after_cr and chunk:
            self._after_cr = False
            if chunk[0] == LF:
                chunk = chunk[1:]
        if not chunk:
            return []
        lines = chunk.splitlines()
        if chunk.endswith((b"\n", b"\r")):
            self._after_cr = chunk.endswith(b"\r")
            rest = None
        else:
            rest = lines.pop()
            if not lines:
                self._partial.append(rest)
                return []
        if self._partial:
            self._partial.append(lines[0])
            lines[0] = b"".join(self._partial)
            self._partial.clear()
        if rest is not None:
            self._partial.append(rest)
        events: list[SSEEvent] = []
        for line in lines:
            if not line:
                if self._data:
                    events.append(SSEEvent(self._name, b"\n".join(self._data)))
                    self._data = []
                self._name = None
            elif line.startswith(b"data:"):
                self._data.append(line[6:] if line[5:6] == b" " else line[5:])
            else:
                self._field(line)
            self._at_start = False
        return events

    def close(self) -> SSEEvent | None:
        """The event that the end of the stream left without its empty line; its data may be cut short."""
        if self._partial:
            self._field(b"".join(self._partial))
            self._partial.clear()
        if not self._data:
            return None
        event = SSEEvent(self._name, b"\n".join(self._data))
        self._data = []
        self._name = None
        return event

    def _field(self, line: bytes) -> None:
        if self._at_start:
            line = line.removeprefix(BOM)
        if not line or line[0] == COLON:
            return
        name, _, value = line.partition(b":")
        if value and value[0] == SPACE:
            value = value[1:]
        if name == b"data":
            self._data.append(value)
        elif name == b"event" and self._name is None:
            self._name = value.decode("utf-8", "replace")
