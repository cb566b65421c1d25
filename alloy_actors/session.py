"""A conversation as a value that can be written down and taken up again."""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal, NotRequired

from pydantic import ConfigDict, Field, with_config
from typing_extensions import TypedDict

from alloy_actors.content import NO_USAGE, ContentBlock, Message, Usage
from alloy_actors.errors import ConfigError

if TYPE_CHECKING:
    from pydantic import TypeAdapter

FORMAT = 1
"""The version of the JSON form; a reader refuses newer ones."""


@with_config(ConfigDict(extra="forbid"))
class StoredMessage(TypedDict):
    """A message in JSON."""

    role: Literal["user", "assistant"]
    content: str | tuple[Annotated[ContentBlock, Field(discriminator="type")], ...]
    model: NotRequired[str]
    origin: NotRequired[str]


class StoredSession(TypedDict):
    """A session in JSON."""

    format: int
    id: str
    messages: list[StoredMessage]
    usage: Usage
    metadata: dict[str, Any]
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """What `export_session()` gives and `session=` takes.

    Args:
        id: The agent's id; a new agent with this session goes on under it.
        messages: The conversation in order.
        usage: Tokens used so far.
        metadata: Free; `export_session` puts the agent's name, model and status here.
        created_at: UTC.
        updated_at: UTC.
    """

    id: str
    messages: tuple[Message, ...] = ()
    usage: Usage = NO_USAGE
    metadata: dict[str, Any] = field(default_factory=dict)
    created_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    updated_at: datetime = field(default_factory=lambda: datetime.now(UTC))

    def to_json(self) -> bytes:
        """UTF-8 JSON; `from_json` reads it back."""
        return _adapter().dump_json(
            {
                "format": FORMAT,
                "id": self.id,
                "messages": [_plain(message) for message in self.messages],
                "usage": self.usage,
                "metadata": self.metadata,
                "created_at": self.created_at,
                "updated_at": self.updated_at,
            }
        )

    @classmethod
    def from_json(cls, data: bytes | str) -> Session:
        """Read what `to_json` wrote.

        Raises:
            ConfigError: It is no session, is damaged, or comes from a newer version.
        """
        from pydantic import ValidationError

        try:
            stored = _adapter().validate_json(data)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(str(part) for part in first["loc"]) or "the document"
            msg = f"this is no session of alloy-actors: {where}: {first['msg']}"
            raise ConfigError(msg) from None
        if stored["format"] > FORMAT:
            msg = f"session format {stored['format']} is newer than this version reads (up to {FORMAT}): upgrade alloy-actors"
            raise ConfigError(msg)
        return cls(
            id=stored["id"],
            messages=tuple(Message(**message) for message in stored["messages"]),
            usage=stored["usage"],
            metadata=stored["metadata"],
            created_at=stored["created_at"],
            updated_at=stored["updated_at"],
        )


def _plain(message: Message) -> StoredMessage:
    plain: StoredMessage = {"role": message.role, "content": message.content}  # type: ignore[typeddict-item]  # a tuple
    if message.model is not None:
        plain["model"] = message.model
    if message.origin is not None:
        plain["origin"] = message.origin
    return plain


@functools.cache
def _adapter() -> TypeAdapter[StoredSession]:
    """Built at first need: it takes milliseconds."""
    from pydantic import TypeAdapter

    return TypeAdapter(StoredSession)
