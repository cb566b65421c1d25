"""How failures of others' code are logged: fixed words, and tracebacks as text.

Renderers that get an exception itself may show the local variables of every frame, and those may hold secrets.
"""

from __future__ import annotations

import contextlib
import traceback

from supervisors.logs import log


def report(event: str, error: BaseException, **facts: object) -> None:
    """Log an exception; that this fails too, in a processor or a `__repr__`, must not make anything worse."""
    try:
        text = "".join(traceback.format_exception(error)).rstrip()
        log.error(event, **facts, exception=text)
    except Exception:
        with contextlib.suppress(Exception):
            log.error(event, error_class=type(error).__qualname__)  # the rest could not be said
