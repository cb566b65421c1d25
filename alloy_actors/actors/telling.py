"""Telling those who wait what a request has come to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alloy_actors.logs import log, traced

if TYPE_CHECKING:
    from collections.abc import Iterable

    from alloy_actors.actors.request import OnResult
    from alloy_actors.result import Result


def tell(callbacks: Iterable[OnResult], result: Result) -> None:
    """Call each; one that raises is logged and keeps nothing from the others."""
    for callback in callbacks:
        try:
            callback(result)
        except Exception as error:
            log.error("result_callback_failed", request_id=result.request_id, **traced(error))


def forget_frames(error: BaseException | None) -> None:
    """What went wrong was logged; its frames hold local variables, which may be large."""
    while error is not None:
        error.__traceback__ = None
        error = error.__cause__ or error.__context__
