"""How this package logs: fixed words, facts as keys, and tracebacks as text.

A traceback goes in as text because renderers that get the exception itself may show the local variables of every
frame, and those hold prompts and keys. structlog is not imported with the package, but when a system is started; see
`supervisors.logs`, which the loop does not know.
"""

from __future__ import annotations

import contextlib
import traceback
from typing import Any


class _Logger:
    """Like structlog's, but that a record cannot be written makes nothing worse: what it speaks of is bad enough."""

    def __getattr__(self, method: str) -> Any:
        import structlog

        say = getattr(structlog.get_logger("alloy_actors"), method)

        def try_to_say(event: str, **facts: object) -> None:
            try:
                say(event, **facts)
            except (
                Exception
            ) as error:  # a processor of the user's, a stream that is closed or takes no such text
                with contextlib.suppress(Exception):
                    say(event, not_said=type(error).__qualname__)

        return try_to_say


log: Any = _Logger()


def traced(error: BaseException) -> dict[str, str]:
    """The traceback of `error` as a key for a log record; structlog's renderers print `exception` as a block."""
    text = "".join(traceback.format_exception(error)).rstrip()
    # Half a surrogate pair, as in names of files, is refused by most streams.
    return {"exception": text.encode("utf-8", "backslashreplace").decode()}
