"""What an agent's actor is told and asked. Requests come through its book instead."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from alloy_actors.conversation import Conversation
    from alloy_actors.errors import FencedError
    from alloy_actors.provider import Provider


@dataclass(frozen=True, slots=True)
class Restore:
    """Read the journal and go on from there; an incarnation's first message, to itself."""


@dataclass(frozen=True, slots=True)
class Wake:
    """The book may hold something to take."""


@dataclass(frozen=True, slots=True)
class Doze:
    """It may be time to sleep."""


@dataclass(frozen=True, slots=True)
class RunDone:
    """A run has left by its door; the conversation is the actor's again. None: there was no run."""

    request_id: str
    conversation: Conversation | None


@dataclass(frozen=True, slots=True)
class RunCrashed:
    """A bug ended a run."""

    request_id: str
    bug: BaseException


@dataclass(frozen=True, slots=True)
class Fenced:
    """The store refused a record because another process has the agent's journal: this agent is over."""

    error: FencedError


@dataclass(frozen=True, slots=True)
class GetMessages:
    """Answered with a tuple of messages."""


@dataclass(frozen=True, slots=True)
class GetUsage:
    """Answered with a Usage."""


@dataclass(frozen=True, slots=True)
class GetHealth:
    """Answered with a Health."""


@dataclass(frozen=True, slots=True)
class GetSession:
    """Answered with a Session."""


@dataclass(frozen=True, slots=True)
class SetModel:
    """Answered with None, or BusyError."""

    provider: Provider


@dataclass(frozen=True, slots=True)
class Reset:
    """Answered with a future that is set when the store has done it as well, or BusyError."""


@dataclass(frozen=True, slots=True)
class CrashNow:
    """Fail on purpose."""

    reason: str | None


WAKE = Wake()
DOZE = Doze()
RESTORE = Restore()
