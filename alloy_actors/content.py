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

from alloy_actors.blocks import (
    BLOCKS,
    AudioBlock,
    ContentBlock,
    DocumentBlock,
    ImageBlock,
    RawBlock,
    RedactedThinkingBlock,
    ServerToolCall,
    ServerToolResult,
    TextBlock,
    ThinkingBlock,
    ToolCall,
    ToolResult,
    VideoBlock,
)
from alloy_actors.estimate import tokens_of_block, tokens_of_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = [
    "DROPPED",
    "NO_HISTORY",
    "NO_USAGE",
    "AudioBlock",
    "ContentBlock",
    "DocumentBlock",
    "History",
    "ImageBlock",
    "Message",
    "ProviderState",
    "RawBlock",
    "RedactedThinkingBlock",
    "Role",
    "ServerToolCall",
    "ServerToolResult",
    "StopReason",
    "TextBlock",
    "ThinkingBlock",
    "ToolCall",
    "ToolResult",
    "Usage",
    "VideoBlock",
    "assistant",
    "tool_results",
    "user",
]

Role: TypeAlias = Literal["user", "assistant"]
StopReason: TypeAlias = Literal["end_turn", "tool_use", "max_tokens", "refusal", "pause_turn"]


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
    # What `cache_wire` kept; a benign race at worst encodes twice.
    _wire: tuple[object, Message | None, bytes] | None = field(
        default=None, init=False, compare=False, repr=False
    )
    _tokens: int | None = field(default=None, init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        if self.role not in ("user", "assistant"):
            msg = f"message role {self.role!r}: use 'user' or 'assistant' (the system prompt is an option of its own)"
            raise ValueError(msg)
        if isinstance(self.content, str):
            return
        blocks: tuple[object, ...] = tuple(self.content)
        for block in blocks:
            if not isinstance(block, BLOCKS):
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
        """The text blocks joined by newlines, but by nothing where a citation or a signature divides them; "" for none."""
        if isinstance(self.content, str):
            return self.content
        pieces: list[str] = []
        before: ContentBlock | None = None
        for block in self.content:
            if isinstance(block, TextBlock):
                if pieces and not _runs_on(before, block):
                    pieces.append("\n")
                pieces.append(block.text)
            before = block
        return "".join(pieces)

    @property
    def thinking(self) -> str | None:
        """The thinking blocks joined by newlines; None when there is none to read."""
        parts = [
            block.thinking for block in self.blocks if isinstance(block, ThinkingBlock) and block.thinking
        ]
        return "\n".join(parts) if parts else None

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        """The tool calls, in the model's order."""
        if isinstance(self.content, str):
            return ()
        return tuple(block for block in self.content if isinstance(block, ToolCall))

    @property
    def estimated_tokens(self) -> int:
        """About how many tokens it is to a model; see `alloy_actors.estimate`. Found once."""
        tokens = self._tokens
        if tokens is None:
            content = self.content
            if isinstance(content, str):
                tokens = tokens_of_text(content)
            else:
                tokens = sum(map(tokens_of_block, content))
            object.__setattr__(self, "_tokens", tokens)
        return tokens

    def cached_wire(self, wire_format: object, answers: Message | None = None) -> bytes | None:
        """What `cache_wire` kept for exactly this format and these calls, else None."""
        kept = self._wire
        if kept is None or kept[0] is not wire_format or kept[1] is not answers:
            return None
        return kept[2]

    def cache_wire(self, wire_format: object, encoded: bytes, answers: Message | None = None) -> bytes:
        """Keep the encoded form and return it.

        Args:
            wire_format: Compared by identity; only the last format's form is kept.
            encoded: The bytes.
            answers: The message whose tool calls this one answers, where the encoding depends on it.
        """
        object.__setattr__(self, "_wire", (wire_format, answers, encoded))
        return encoded


def user(*content: str | ContentBlock) -> Message:
    """A user message: one string, or strings and blocks in their order (`user("What is this?", image)`)."""
    return Message("user", _content(content))


def assistant(*content: str | ContentBlock) -> Message:
    """An assistant message, likewise."""
    return Message("assistant", _content(content))


def tool_results(results: Iterable[ToolResult]) -> Message:
    """The user message that answers the tool calls of the assistant message before it."""
    return Message("user", tuple(results))


def _runs_on(before: ContentBlock | None, block: TextBlock) -> bool:
    """Whether both are one text that was split, in the middle of a sentence, by what belongs to a part of it."""
    if not isinstance(before, TextBlock) or before.phase != block.phase:
        return False
    return bool(before.annotations or block.annotations or before.signature or block.signature)


def _content(parts: tuple[str | ContentBlock, ...]) -> str | tuple[ContentBlock, ...]:
    if len(parts) == 1 and isinstance(parts[0], str):
        return parts[0]
    return tuple(TextBlock(part) if isinstance(part, str) else part for part in parts)


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
    def prompt_tokens(self) -> int:
        """All input, cached or not."""
        return self.input_tokens + self.cache_read_input_tokens + self.cache_creation_input_tokens

    @property
    def total_tokens(self) -> int:
        """All input, cached or not, plus output."""
        return sum(getattr(self, item.name) for item in fields(self))


NO_USAGE = Usage()


@dataclass(frozen=True, slots=True)
class ProviderState:
    """What a provider wants back with the next request: ids of responses or containers, for its own origin alone.

    `values` are JSON; empty ones say that there was a state and it was dropped.
    """

    origin: str | None
    values: dict[str, Any]


DROPPED = ProviderState(None, {})
