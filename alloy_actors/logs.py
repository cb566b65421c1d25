"""How this package logs: fixed words, facts as keys, and tracebacks as text.

A traceback goes in as text because renderers that get the exception itself may show the local variables of every
frame, and those hold prompts and keys.
"""

from __future__ import annotations

import traceback

import structlog

log = structlog.get_logger("alloy_actors")


def traced(error: BaseException) -> dict[str, str]:
    """The traceback of `error` as a key for a log record; structlog's renderers print `exception` as a block."""
    return {"exception": "".join(traceback.format_exception(error)).rstrip()}
