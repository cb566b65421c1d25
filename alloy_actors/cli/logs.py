"""The library's log, told to the person at the command line: nothing but what they wait for, or all of it."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Any

import structlog

if TYPE_CHECKING:
    from collections.abc import Callable, MutableMapping

LEFT_OUT = ("event", "exception")


def route_logs(tell: Callable[[str], object], *, verbose: bool) -> None:
    """Send log records to `tell`, on whatever thread they are made.

    Args:
        tell: Gets one line.
        verbose: Tell everything from INFO on; else only that a request is being tried again, since that takes time, or elsewhere.
    """

    def route(_logger: object, _method: str, record: MutableMapping[str, Any]) -> str:
        if verbose:
            facts = " ".join(f"{key}={value}" for key, value in record.items() if key not in LEFT_OUT)
            tell(f"{record['event']} {facts}")
        elif record["event"] == "provider_retry":
            tell(f"{record['error']}: trying again in {record['wait']:.1f} s")
        elif record["event"] == "provider_fallback":
            tell(f"{record.get('error', 'cooling down')}: asking {record['to']} instead")
        raise structlog.DropEvent

    structlog.configure(
        processors=[route],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
