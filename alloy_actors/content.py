"""What a conversation is made of: messages, their content blocks, and usage.

Everything here is frozen, so it may cross threads and be shared between a run, its agent and the journal. A
message keeps its encoded form beside it (`wire_cache`): encoding is a pure function of the message and the wire
format, so whoever computes it first may leave it there.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, overload

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

Role: TypeAlias = Literal["user", "assistant"]
StopReason: TypeAlias = Literal["end_turn", "tool_use", "max_tokens", "refusal", "pause_turn"]


@dataclass(frozen=True, slots=True)
class TextBlock:
    """Text; `annotations` are citations as the provider gave them."""

    text: str
    annotations: tuple[dict[str, Any], ...] | None = None
    type: Literal["text"] = "text"


@dataclass(frozen=True, slots=True)
class ThinkingBlock:
    """The model's reasoning; `signature` lets its provider recognise it when it comes back."""

    thinking: str
    signature: str | None = None
    type: Literal["thinking"] = "thinking"


@dataclass(frozen=True, slots=True)
class ToolCall:
    """The model asks for a tool; answered by exactly one `ToolResult` with the same id.

    `invalid` holds the arguments as received when they are no JSON object: such a call is answered with an error
    and never run, so the run goes on.
    """

    id: str
    name: str
    input: dict[str, Any]
    invalid: str | None = None
    type: Literal["tool_use"] = "tool_use"


@dataclass(frozen=True, slots=True)
class ToolResult:
    """The answer to the tool call with id `tool_use_id`."""

    tool_use_id: str
    content: str
    is_error: bool = False
    type: Literal["tool_result"] = "tool_result"


@dataclass(frozen=True, slots=True)
class ImageBlock:
    """An image: `data` is base64, `mime_type` for example `image/png`."""

    mime_type: str
    data: str
    type: Literal["image"] = "image"


ContentBlock: TypeAlias = TextBlock | ThinkingBlock | ToolCall | ToolResult | ImageBlock
_BLOCKS = (
    TextBlock,
    ThinkingBlock,
    ToolCall,
    ToolResult,
    ImageBlock,
)  # isinstance is far quicker than with a union


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a conversation.

    `content` is a string or blocks (a list is kept as a tuple). `model` and `origin` say who made an assistant
    message (`origin` is a fingerprint of provider, URL and key); both are None for messages made by hand and take
    no part in comparisons.
    """

    role: Role
    content: str | Sequence[ContentBlock]
    model: str | None = field(default=None, compare=False)
    origin: str | None = field(default=None, compare=False)
    # (wire format, encoded) of the last format this message was encoded for; a benign race at worst encodes twice.
    _wire: tuple[object, bytes] | None = field(default=None, init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        if self.role not in ("user", "assistant"):
            msg = f"message role {self.role!r}: use 'user' or 'assistant' (the system prompt is an option of its own)"
            raise ValueError(msg)
        if isinstance(self.content, str):
            return
        blocks: tuple[object, ...] = tuple(self.content)
        for block in blocks:
            if not isinstance(block, _BLOCKS):
                msg = f"message content holds {block!r}: use a string or content blocks such as TextBlock"
                raise TypeError(msg)
        object.__setattr__(self, "content", blocks)

    @property
    def blocks(self) -> tuple[ContentBlock, ...]:
        """The content as blocks, also where it is a string."""
        if isinstance(self.content, str):
            return (TextBlock(self.content),) if self.content else ()
        return self.content  # type: ignore[return-value]  # __post_init__ made it a tuple

    @property
    def text(self) -> str:
        """The text blocks joined by newlines; "" when there is none."""
        if isinstance(self.content, str):
            return self.content
        return "\n".join(block.text for block in self.content if isinstance(block, TextBlock))

    @property
    def thinking(self) -> str | None:
        """The thinking blocks joined by newlines; None when there is none."""
        parts = [block.thinking for block in self.blocks if isinstance(block, ThinkingBlock)]
        return "\n".join(parts) if parts else None

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        """The tool calls, in the model's order."""
        if isinstance(self.content, str):
            return ()
        return tuple(block for block in self.content if isinstance(block, ToolCall))

    def cached_wire(self, wire_format: object) -> bytes | None:
        """What `cache_wire` kept for exactly this `wire_format`, else None."""
        kept = self._wire
        return kept[1] if kept is not None and kept[0] is wire_format else None

    def cache_wire(self, wire_format: object, encoded: bytes) -> bytes:
        """Keep the encoded form for `wire_format` (compared by identity) and return it."""
        object.__setattr__(self, "_wire", (wire_format, encoded))
        return encoded


def user(text: str) -> Message:
    """A user message."""
    return Message("user", text)


def assistant(text: str) -> Message:
    """An assistant message."""
    return Message("assistant", text)


def tool_results(results: Iterable[ToolResult]) -> Message:
    """The user message that answers the tool calls of the assistant message before it."""
    return Message("user", tuple(results))


class History(Sequence[Message]):
    """The first messages of a conversation as they were at one moment; compares equal to any sequence of the same.

    A view: the list behind it is only ever appended to, so a thousand kept results of one agent share one list.
    """

    __slots__ = ("_length", "_messages")

    def __init__(self, messages: list[Message], length: int | None = None) -> None:
        self._messages = messages
        self._length = len(messages) if length is None else length

    @overload
    def __getitem__(self, index: int) -> Message: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Message, ...]: ...
    def __getitem__(self, index: int | slice) -> Message | tuple[Message, ...]:
        if isinstance(index, slice):
            return tuple(self._messages[position] for position in range(*index.indices(self._length)))
        if not -self._length <= index < self._length:
            msg = f"message {index} of {self._length}"
            raise IndexError(msg)
        return self._messages[index if index >= 0 else index + self._length]

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[Message]:
        return itertools.islice(self._messages, self._length)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence) or isinstance(other, str):
            return NotImplemented
        return len(self) == len(other) and all(mine == its for mine, its in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]  # as a list has none

    def __repr__(self) -> str:
        return f"<History of {self._length} messages>"


NO_HISTORY = History([])


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens. `input_tokens` excludes what came from or went into the cache; `output_tokens` includes reasoning."""

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_input_tokens: int = 0
    cache_creation_input_tokens: int = 0

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            self.cache_read_input_tokens + other.cache_read_input_tokens,
            self.cache_creation_input_tokens + other.cache_creation_input_tokens,
        )

    @property
    def total_tokens(self) -> int:
        """All input, cached or not, plus output."""
        return sum(getattr(self, item.name) for item in fields(self))


NO_USAGE = Usage()
