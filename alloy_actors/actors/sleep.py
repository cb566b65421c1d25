"""An agent that has nothing to do sleeps: it lets go of its conversation and of the results it keeps.

The store has both, so who needs them reads it again: the actor for the next request, a caller for a result, or for a
request id that may be known. What is left of a sleeping agent is its actor and its entry.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from alloy_actors.actors.restoring import fold
from supervisors.clock import system_clock

if TYPE_CHECKING:
    from collections.abc import Callable

    from alloy_actors.actors.entry import AgentEntry
    from alloy_actors.content import Usage
    from alloy_actors.conversation import Conversation
    from supervisors.clock import Clock, Timer

CLOCK: Clock = system_clock


@dataclass(frozen=True, slots=True)
class Remembered:
    """What `health()` and `usage()` say of a conversation that is not here; as in `Health`."""

    turns: int
    message_count: int
    usage: Usage
    cost_cents: float | None


class Sleep:
    """Of one agent; see the module.

    Args:
        entry: Its entry.
        idle_timeout: Seconds without anything to do after which it sleeps.
    """

    __slots__ = ("_entry", "_idle_timeout", "_lock", "_recalled", "_timer", "_used_at", "remembered")

    def __init__(self, entry: AgentEntry, idle_timeout: float) -> None:
        self._entry = entry
        self._idle_timeout = idle_timeout
        self._lock = threading.Lock()  # held while the store is read: who needs the same waits for it
        self._used_at = CLOCK.now()
        self._timer: Timer | None = None
        self._recalled: Conversation | None = None  # read again, and not yet taken by the actor
        self.remembered: Remembered | None = None  # None: the actor has the conversation

    @property
    def is_asleep(self) -> bool:
        """Whether `recall` would read the store."""
        return self.remembered is not None and self._recalled is None

    @property
    def is_recalled(self) -> bool:
        """Whether somebody has read it, and the actor is to take it up."""
        return self._recalled is not None

    # -- for the actor -----------------------------------------------------------------------------------------

    def used(self) -> None:
        """There was something to do."""
        self._used_at = CLOCK.now()

    def watch(self, look: Callable[[], object]) -> None:
        """Call `look` once when it may be time to sleep, on a thread of the clock."""
        left = self._idle_timeout - (CLOCK.now() - self._used_at)
        self._timer = CLOCK.call_later(left if left > 0 else self._idle_timeout, look)

    def cancel(self) -> None:
        """The actor ends: nobody is to be called."""
        if self._timer is not None:
            self._timer.cancel()

    def begin(self, conversation: Conversation) -> bool:
        """Fall asleep, if it is time to: then the actor lets go of its conversation.

        Args:
            conversation: What it lets go of; the store has all of it.
        """
        with self._lock:
            if CLOCK.now() - self._used_at < self._idle_timeout or self._entry.has_unwritten:
                return False
            if not self._entry.book.let_go():
                return False
            self.remembered = Remembered(
                conversation.turns, len(conversation.messages), conversation.usage, conversation.cost
            )
            return True

    def end(self) -> Conversation | None:
        """The conversation, which is the actor's again; None when it has it.

        Raises:
            StoreError: It could not be read.
        """
        with self._lock:
            if self.remembered is None:
                return None
            conversation = self._recalled if self._recalled is not None else self._read()
            self.remembered = self._recalled = None
            return conversation

    # -- for everybody -----------------------------------------------------------------------------------------

    def recall(self) -> None:
        """Have the results in the book again; the actor takes up the conversation when it hears of it.

        Raises:
            StoreError: It could not be read.
        """
        with self._lock:
            if not self.is_asleep:
                return
            self._recalled = self._read()
        self._entry.wake()

    def _read(self) -> Conversation:
        entry = self._entry
        config = entry.config
        conversation, finished = fold(entry.store.load(entry.agent_id), config.result_ttl, config.output)
        entry.book.recalled(finished)
        return conversation
