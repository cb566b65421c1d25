"""Everything this package takes from pykka that pykka calls private; a test holds each name to what we think it means.

Also `FastRefs`, put in the place of the list in pykka's registry: there, taking an actor out costs a search through
all of them (100,000 stops: minutes), here it costs the same for one and for a hundred thousand.
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Any

import pykka
from pykka._envelope import Envelope
from pykka.messages import _ActorStop as StopMessage

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["Envelope", "FastRefs", "StopMessage", "install_fast_refs", "log_returned", "registered"]

_logger = logging.getLogger("pykka")


class FastRefs:
    """Insertion-ordered set of refs that answers what pykka's registry asks of its list."""

    __slots__ = ("_refs",)

    def __init__(self, refs: Iterable[pykka.ActorRef[Any]] = ()) -> None:
        self._refs = dict.fromkeys(refs)

    def append(self, ref: pykka.ActorRef[Any]) -> None:
        self._refs[ref] = None

    def remove(self, ref: pykka.ActorRef[Any]) -> None:
        try:
            del self._refs[ref]
        except KeyError:
            raise ValueError(f"{ref!r} is not registered") from None

    def __contains__(self, ref: object) -> bool:
        return ref in self._refs

    def __iter__(self) -> Iterator[pykka.ActorRef[Any]]:
        return iter(self._refs)

    def __len__(self) -> int:
        return len(self._refs)

    def __getitem__(self, index: Any) -> Any:
        return list(self._refs)[index]


def install_fast_refs() -> None:
    """Replace the list of pykka's registry, once; what is registered stays."""
    registry = pykka.ActorRegistry
    with registry._actor_refs_lock:
        refs: object = registry._actor_refs
        if not isinstance(refs, FastRefs):
            registry._actor_refs = FastRefs(registry._actor_refs)  # type: ignore[assignment] # answers all that pykka asks


def registered() -> list[pykka.ActorRef[Any]]:
    """List all registered actors without taking the lock: for a forked child, where nobody may ever release it."""
    return list(pykka.ActorRegistry._actor_refs)


def reset_registry() -> None:
    """Forget all actors and make the lock anew; for a forked child."""
    pykka.ActorRegistry._actor_refs_lock = threading.RLock()
    pykka.ActorRegistry._actor_refs = FastRefs()  # type: ignore[assignment] # answers all that pykka asks


def log_returned(actor: pykka.Actor, error: BaseException) -> None:
    """Say, as pykka does, that an exception went to the asker."""
    if _logger.isEnabledFor(logging.INFO):
        _logger.info(f"Exception returned from {actor} to caller:", exc_info=error)
