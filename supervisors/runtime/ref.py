"""pykka's ref, that does not wait for itself."""

from __future__ import annotations

from typing import Any, TypeVar

import pykka

from supervisors.errors import CallingSelf
from supervisors.runtime.incarnation import current

A = TypeVar("A", bound=pykka.Actor)


class Ref(pykka.ActorRef[A]):
    """Ref of an actor started through this package."""

    def stop(self, *, block: bool = True, timeout: float | None = None) -> Any:
        """As pykka's.

        Raises:
            CallingSelf: With `block`, in a handler of the actor itself: that would wait for its own end.
        """
        if block and (me := current()) is not None and me.ref is self and self.is_alive():
            raise CallingSelf(f"{self} cannot wait for its own end: call stop_self(), or stop(block=False)")
        return super().stop(block=block, timeout=timeout)
