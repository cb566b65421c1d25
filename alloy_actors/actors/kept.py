"""Results that stay readable for a while."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from alloy_actors.actors.request import Request

KEPT_RESULTS = 1000
"""Per agent, whatever their age."""


class KeptResults:
    """Finished requests of one agent, by id; guarded by its book's lock.

    Args:
        ttl: Seconds that one is kept.
    """

    __slots__ = ("_requests", "_ttl")

    def __init__(self, ttl: float) -> None:
        self._requests: dict[str, Request] = {}  # oldest first
        self._ttl = ttl

    def keep(self, request: Request, age: float = 0.0) -> None:
        """Keep a finished request; `age` is how many seconds ago it finished."""
        request.finished_at = time.monotonic() - max(age, 0.0)
        self._requests[request.id] = request
        self._prune()

    def get(self, request_id: str) -> Request | None:
        """The request, as long as it is kept."""
        self._prune()
        return self._requests.get(request_id)

    def let_go(self, since: float) -> None:
        """Keep only what had finished by `since`."""
        self._requests = {
            name: request for name, request in self._requests.items() if request.finished_at <= since
        }

    def __contains__(self, request_id: str) -> bool:
        return self.get(request_id) is not None

    def _prune(self) -> None:
        while self._requests:
            oldest = next(iter(self._requests.values()))
            if len(self._requests) <= KEPT_RESULTS and time.monotonic() - oldest.finished_at < self._ttl:
                return
            del self._requests[oldest.id]
