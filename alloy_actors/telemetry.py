"""Telemetry: what a process does, told to functions in that process, where and when it happens.

    with telemetry.attach(handler, "alloy.run.*", "alloy.provider.request"):
        ...

A handler is called as `handler(name, measurements, metadata)` on the thread where the thing happens, mostly the
runtime's loop: it must not block. One that raises is logged and detached. Nothing leaves the process. While nobody is
attached a place that could tell something costs one look at `wanted`.
"""

from __future__ import annotations

import inspect
import itertools
import threading
import time
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Final, Self, TypeAlias

from alloy_actors.errors import ConfigError
from alloy_actors.logs import log, traced
from alloy_actors.plain_json import word

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Handler: TypeAlias = Callable[[str, Mapping[str, Any], Mapping[str, Any]], object]

__all__ = ["NAMES", "Attachment", "attach"]

NAMES: Final = (
    "alloy.run.start",
    "alloy.run.stop",
    "alloy.run.exception",
    "alloy.turn.start",
    "alloy.turn.stop",
    "alloy.turn.exception",
    "alloy.turn.prompt_too_long_recovery",
    "alloy.provider.request",
    "alloy.compaction.cleared",
    "alloy.compaction.done",
    "alloy.tool.start",
    "alloy.tool.stop",
    "alloy.event",
)
"""All there is to be told."""

wanted: frozenset[str] = frozenset()
"""The names that somebody is attached to now; look before you gather facts that cost something."""

_attached: dict[str, tuple[Attachment, ...]] = {}
_lock = threading.Lock()
_spans = itertools.count(1)


class Attachment:
    """A handler that is attached, until `detach()` or the end of the `with` block."""

    __slots__ = ("_detached", "_handler", "names")

    def __init__(self, handler: Handler, names: frozenset[str]) -> None:
        self._detached = False
        self._handler = handler
        self.names = names

    @property
    def attached(self) -> bool:
        """Whether it still is; one that has raised is not."""
        return any(self in _attached.get(name, ()) for name in self.names)

    def detach(self) -> None:
        """Tell it nothing more; harmless when it is detached already."""
        self._detached = True  # for an `emit` that has begun
        with _lock:
            for name in self.names:
                _set(name, tuple(other for other in _attached.get(name, ()) if other is not self))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.detach()

    def tell(self, name: str, measurements: Mapping[str, Any], metadata: Mapping[str, Any]) -> None:
        """Call the handler; for `emit`."""
        if self._detached:
            return
        try:
            self._handler(name, dict(measurements), dict(metadata))
        except BaseException as error:  # also SystemExit, which would end the loop for everyone
            self.detach()
            # Not its repr: that of a partial shows what it was given, keys as well.
            handler = getattr(self._handler, "__qualname__", type(self._handler).__qualname__)
            log.error("telemetry_handler_failed", handler=handler, telemetry=name, **traced(error))


def attach(handler: Handler, *names: str) -> Attachment:
    """Have `handler(name, measurements, metadata)` called from now on, for every agent of the process.

    Args:
        handler: A plain function. Both mappings are its own to keep and to change; other handlers get others.
        names: Of `NAMES`, or patterns as in `alloy.tool.*`; none means all.

    Raises:
        ConfigError: The handler cannot be called, is async, or a name matches nothing there is.
    """
    if not callable(handler):
        raise ConfigError(f"attach: handler must be a function, got {type(handler).__name__}")
    if inspect.iscoroutinefunction(handler) or inspect.iscoroutinefunction(type(handler).__call__):
        raise ConfigError("attach: handler must be a plain function: it is called where the thing happens")
    chosen: set[str] = set()
    patterns: tuple[object, ...] = names or ("*",)
    for pattern in patterns:
        found = {name for name in NAMES if isinstance(pattern, str) and fnmatchcase(name, pattern)}
        if not found:
            raise ConfigError(f"attach: {pattern!r} matches none of the names: {', '.join(NAMES)}")
        chosen |= found
    attachment = Attachment(handler, frozenset(chosen))
    with _lock:
        for name in chosen:
            _set(name, (*_attached.get(name, ()), attachment))
    return attachment


def emit(name: str, measurements: Mapping[str, Any], metadata: Mapping[str, Any]) -> None:
    """Tell whoever is attached to `name`, here and now; the mappings are not to be changed afterwards."""
    if name in wanted:
        for attachment in _attached.get(name, ()):
            attachment.tell(name, measurements, metadata)


class Span:
    """Something that begins (`<what>.start` is told at once) and ends, either well or with an exception."""

    __slots__ = ("_begun", "_metadata", "_what")

    def __init__(self, what: str, **metadata: Any) -> None:
        self._what = what
        self._begun = time.monotonic()
        self._metadata = {**metadata, "span_context": next(_spans)}
        emit(f"{what}.start", {"system_time": time.time(), "monotonic_time": self._begun}, self._metadata)

    def stop(self, **facts: Any) -> None:
        """It has ended."""
        emit(f"{self._what}.stop", self._measured(), {**self._metadata, **facts})

    def fail(self, error: BaseException) -> None:
        """It was left by an exception."""
        told = {"kind": type(error).__name__, "reason": word(error), "stacktrace": traced(error)["exception"]}
        emit(f"{self._what}.exception", self._measured(), {**self._metadata, **told})

    def _measured(self) -> dict[str, float]:
        now = time.monotonic()
        took = now - self._begun
        return {"duration": took, "duration_ms": took * 1000, "monotonic_time": now}


def _set(name: str, attachments: tuple[Attachment, ...]) -> None:
    """Under the lock."""
    global wanted  # a plain module attribute is the cheapest thing to look at
    if attachments:
        _attached[name] = attachments
    else:
        _attached.pop(name, None)
    wanted = frozenset(_attached)
