"""How this package logs: fixed words, facts as keys, and tracebacks as text.

A traceback goes in as text because renderers that get the exception itself may show the local variables of every
frame, and those hold prompts and keys. structlog is not imported with the package, but when a system is started; see
`supervisors.logs`, which the loop does not know.
"""

from __future__ import annotations

import traceback
from typing import Any


class _Logger:
    def __getattr__(self, method: str) -> Any:
        import structlog

        return getattr(structlog.get_logger("alloy_actors"), method)


log: Any = _Logger()


def traced(error: BaseException) -> dict[str, str]:
    """The traceback of `error` as a key for a log record; structlog's renderers print `exception` as a block."""
    return {"exception": "".join(traceback.format_exception(error)).rstrip()}
