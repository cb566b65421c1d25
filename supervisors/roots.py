"""The supervisors nobody supervises: where a look at everything starts, and what must stop before the process ends."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from supervisors.refs import BaseSupervisorRef

_lock = threading.RLock()
_roots: dict[str, BaseSupervisorRef[Any]] = {}
_on_first: list[Callable[[], object]] = []
_on_interrupt: list[Callable[[], object]] = []


def add(ref: BaseSupervisorRef[Any]) -> None:
    """Note a root that is up, or whose start was given up and that now stops."""
    with _lock:
        if ref.is_alive():
            _roots[ref.actor_urn] = ref
        hooks = _on_first[:]
        _on_first.clear()
    for hook in hooks:
        hook()


def discard(ref: Any) -> None:
    """Forget a root that has ended."""
    with _lock:
        _roots.pop(ref.actor_urn, None)


def all_roots() -> list[BaseSupervisorRef[Any]]:
    """List the live roots, the oldest first."""
    with _lock:
        return [ref for ref in _roots.values() if ref.is_alive()]


def when_first(hook: Callable[[], object]) -> None:
    """Call `hook` once, when the first root is up."""
    with _lock:
        _on_first.append(hook)


def when_interrupted(hook: Callable[[], object]) -> Callable[[], None]:
    """Let `hook` decide what a KeyboardInterrupt in a child means; returns what ends that."""
    with _lock:
        _on_interrupt.append(hook)

    def undo() -> None:
        with _lock:
            if hook in _on_interrupt:
                _on_interrupt.remove(hook)

    return undo


def interrupt(root_urn: str) -> None:
    """Shut down as for SIGINT: tell who runs the process, else stop that root."""
    with _lock:
        hooks, root = _on_interrupt[:], _roots.get(root_urn)
    for hook in hooks:
        hook()
    if not hooks and root is not None:
        root.stop(block=False)


def _reset_after_fork() -> None:
    global _lock  # the parent's lock may be held by a thread that does not exist here
    _lock = threading.RLock()
    _roots.clear()
    _on_interrupt.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_reset_after_fork)
