"""What the embedded server counts, so that a test can see what reached it and what is still open."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class ServerStats:
    """Counters since the server started; requests to `/stats`, `/gates` and `/health` are not counted.

    requests: Chat requests that arrived.
    active: Chat requests that are being answered now; a client that closes its socket ends its request.
    peak_active: The most that were active at once.
    streams: Chat requests that asked for a stream.
    refused: Chat requests answered with an HTTP error, ordered by a directive or earned.
    early: Chat requests that arrived before the `retry_after` seconds of an error that their key was given were over.
    abandoned: Chat requests whose client went away before the reply was complete.
    connections: Sockets open now, the asker's own left out.
    peak_connections: The most sockets that were open when a chat request arrived.
    """

    requests: int = 0
    active: int = 0
    peak_active: int = 0
    streams: int = 0
    refused: int = 0
    early: int = 0
    abandoned: int = 0
    connections: int = 0
    peak_connections: int = 0
