"""A conversation as a value that can be written down and taken up again."""

from __future__ import annotations

import functools
from dataclasses import MISSING, asdict, dataclass, field, fields
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal, NotRequired

from pydantic import ConfigDict, Field, with_config
from pydantic_core import to_json
from typing_extensions import TypedDict

from alloy_actors.content import NO_USAGE, ContentBlock, Message, ToolResult, Usage
from alloy_actors.errors import ConfigError

if TYPE_CHECKING:
    from pydantic import TypeAdapter

FORMAT = 3
"""The version of the JSON form; a reader refuses newer ones.

2: blocks of more kinds, with signatures and raw forms, which a reader of 1 would lose without a word.
3: what the conversation has cost.
"""


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
    cost_cents: NotRequired[float | None]
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
        cost_cents: Cents spent so far; None where no price was known.
        metadata: Free; `export_session` puts the agent's name, model and status here.
        created_at: UTC.
        updated_at: UTC.
    """

    id: str
    messages: tuple[Message, ...] = ()
    usage: Usage = NO_USAGE
    cost_cents: float | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    created_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    updated_at: datetime = field(default_factory=lambda: datetime.now(UTC))

    def to_json(self) -> bytes:
        """UTF-8 JSON; `from_json` reads it back."""
        return to_json(
            {
                "format": FORMAT,
                "id": self.id,
                "messages": [_plain(message) for message in self.messages],
                "usage": asdict(self.usage),
                "cost_cents": self.cost_cents,
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
            _refuse_newer(_format_of(data))  # whatever else it may have changed
            first = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(str(part) for part in first["loc"]) or "the document"
            msg = f"this is no session of alloy-actors: {where}: {first['msg']}"
            raise ConfigError(msg) from None
        _refuse_newer(stored["format"])
        return cls(
            id=stored["id"],
            messages=tuple(Message(**message) for message in stored["messages"]),
            usage=stored["usage"],
            cost_cents=stored.get("cost_cents"),
            metadata=stored["metadata"],
            created_at=stored["created_at"],
            updated_at=stored["updated_at"],
        )


def _refuse_newer(found: object) -> None:
    if isinstance(found, int) and found > FORMAT:
        msg = (
            f"session format {found} is newer than this version reads (up to {FORMAT}): upgrade alloy-actors"
        )
        raise ConfigError(msg)


def _format_of(data: bytes | str) -> object:
    from pydantic_core import from_json

    try:
        document = from_json(data)
    except ValueError:
        return None
    return document.get("format") if isinstance(document, dict) else None


def _plain(message: Message) -> dict[str, Any]:
    content = message.content
    plain: dict[str, Any] = {
        "role": message.role,
        "content": content if isinstance(content, str) else [_plain_block(block) for block in content],
    }
    if message.model is not None:
        plain["model"] = message.model
    if message.origin is not None:
        plain["origin"] = message.origin
    return plain


def _plain_block(block: ContentBlock) -> dict[str, Any]:
    """The type, and the fields that are not at their default."""
    plain: dict[str, Any] = {"type": block.type}
    for item in fields(block):
        value = getattr(block, item.name)
        if item.default is MISSING or value != item.default:
            plain[item.name] = value
    if isinstance(block, ToolResult) and not isinstance(block.content, str):
        plain["content"] = [_plain_block(part) for part in block.content]
    return plain


@functools.cache
def _adapter() -> TypeAdapter[StoredSession]:
    """Built at first need: it takes milliseconds."""
    from pydantic import TypeAdapter

    return TypeAdapter(StoredSession)


def take_session(session: object, given: dict[str, Any]) -> None:
    """Let the session given to `spawn` stand for the options `messages`, `usage` and `cost_cents` that it holds.

    Raises:
        ConfigError: It is no session, or those are given as well.
    """
    if not isinstance(session, Session):
        message = (
            f"spawn: session must be a Session (Session.from_json reads one), got {type(session).__name__}"
        )
        raise ConfigError(message)
    if not given.keys().isdisjoint(("messages", "usage", "cost_cents")):
        message = (
            "spawn: give session= or messages=, not both: a session holds its messages, usage and cost_cents"
        )
        raise ConfigError(message)
    given["messages"] = session.messages
    given["usage"] = session.usage
    given["cost_cents"] = session.cost_cents
