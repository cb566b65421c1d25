"""The package's logger, without structlog until something is started.

Importing structlog takes a fifth to a quarter of the time of importing this package, as it brings rich along where that is
installed. A supervisor's start loads it, so that no thread that others wait for has to.
"""

from __future__ import annotations

from typing import Any


class Logger:
    """What `structlog.get_logger(name)` gives, looked up at each use."""

    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, method: str) -> Any:
        return getattr(load().get_logger(self._name), method)


def load() -> Any:
    """Import structlog; harmless when it is there."""
    import structlog

    return structlog


log: Any = Logger("supervisors")
