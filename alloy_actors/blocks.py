"""Content blocks: what a message is made of where it is more than a string.

A provider's own form of a block is kept beside it in `raw`, as compact JSON text, where the neutral fields cannot
rebuild it; it goes back, unchanged, only to the origin that made the message. Everything here is frozen.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias


@dataclass(frozen=True, slots=True)
class TextBlock:
    """Text.

    Args:
        text: May be empty where it only carries a signature.
        annotations: Citations as the provider gave them.
        signature: Lets its provider recognise the block when it comes back (Gemini).
        phase: "commentary" or "final_answer" (OpenAI Responses).
        raw: See the module.
    """

    text: str
    annotations: tuple[dict[str, Any], ...] | None = None
    signature: str | None = None
    phase: str | None = None
    raw: str | None = None
    type: Literal["text"] = "text"


@dataclass(frozen=True, slots=True)
class ThinkingBlock:
    """The model's reasoning, or its provider's summary of it; may be empty where only `signature` or `raw` count.

    `signature` lets its provider recognise it when it comes back.
    """

    thinking: str
    signature: str | None = None
    raw: str | None = None
    type: Literal["thinking"] = "thinking"


@dataclass(frozen=True, slots=True)
class RedactedThinkingBlock:
    """Reasoning that its provider shows to nobody but itself: `data` is opaque."""

    data: str
    raw: str | None = None
    type: Literal["redacted_thinking"] = "redacted_thinking"


@dataclass(frozen=True, slots=True)
class ToolCall:
    """The model asks for a tool; answered by exactly one `ToolResult` with the same id.

    Args:
        id: Unique within its message.
        name: The tool's.
        input: The arguments.
        invalid: The arguments as received when they are no JSON object: such a call is answered with an error and
            never run, so the run goes on.
        signature: Lets its provider recognise the call when it comes back (the thought signature of Gemini, also
            behind Chat Completions).
        caller: Who called, where it was not the model itself (Anthropic's code execution).
        raw: See the module.
    """

    id: str
    name: str
    input: dict[str, Any]
    invalid: str | None = None
    signature: str | None = None
    caller: dict[str, Any] | None = None
    raw: str | None = None
    type: Literal["tool_use"] = "tool_use"


@dataclass(frozen=True, slots=True)
class ServerToolCall:
    """A tool that the provider runs itself; nobody here answers it."""

    id: str
    name: str
    input: dict[str, Any]
    raw: str | None = None
    type: Literal["server_tool_use"] = "server_tool_use"


@dataclass(frozen=True, slots=True)
class ServerToolResult:
    """What a provider's own tool came to.

    Args:
        tool_use_id: Of the `ServerToolCall`.
        content: What there is to read in it; "" where it is for the model alone.
        is_error: The tool failed.
        raw: The block as it came; None only for one made by hand, which no provider takes.
    """

    tool_use_id: str
    content: str = ""
    is_error: bool = False
    raw: str | None = None
    type: Literal["server_tool_result"] = "server_tool_result"


@dataclass(frozen=True, slots=True)
class _Media:
    """`data` (base64) or `uri`, one of the two.

    Args:
        mime_type: For example `image/png`; "" is fine beside a `uri` whose provider does not ask for it.
        data: The file itself in base64.
        uri: Where the provider finds it: a URL, or the name that its file store gave it.
        title: Shown to the model where the wire has a place for it, as file name for example.
        signature: Lets its provider recognise the block when it comes back (Gemini).
        raw: See the module.
    """

    mime_type: str
    data: str | None = None
    uri: str | None = None
    title: str | None = None
    signature: str | None = None
    raw: str | None = None

    def __post_init__(self) -> None:
        name = type(self).__name__
        if (self.data is None) == (self.uri is None):
            msg = f"{name} takes data= (base64) or uri=, exactly one of the two"
            raise ValueError(msg)
        if self.data is not None and not self.mime_type:
            msg = f"{name} with data= needs its mime_type, for example 'image/png'"
            raise ValueError(msg)


@dataclass(frozen=True, slots=True)
class ImageBlock(_Media):
    """An image: base64 `data` or a `uri`."""

    type: Literal["image"] = "image"


@dataclass(frozen=True, slots=True)
class AudioBlock(_Media):
    """Sound: base64 `data` or a `uri`."""

    type: Literal["audio"] = "audio"


@dataclass(frozen=True, slots=True)
class VideoBlock(_Media):
    """A video: base64 `data` or a `uri`."""

    type: Literal["video"] = "video"


@dataclass(frozen=True, slots=True)
class DocumentBlock(_Media):
    """A document such as a PDF: base64 `data` or a `uri`."""

    type: Literal["document"] = "document"


MediaBlock: TypeAlias = ImageBlock | AudioBlock | VideoBlock | DocumentBlock
MEDIA = (ImageBlock, AudioBlock, VideoBlock, DocumentBlock)


@dataclass(frozen=True, slots=True)
class ToolResult:
    """The answer to the tool call with id `tool_use_id`: a string, or text with images and other files.

    A provider that cannot be shown one of them shows it right after the results, or tells the model that it was there.
    """

    tool_use_id: str
    content: str | tuple[TextBlock | MediaBlock, ...]
    is_error: bool = False
    type: Literal["tool_result"] = "tool_result"

    def __post_init__(self) -> None:
        content: object = self.content
        if isinstance(content, str):
            return
        if not isinstance(content, list | tuple) or not all(
            isinstance(part, (TextBlock, *MEDIA)) for part in content
        ):
            msg = (
                "ToolResult content must be a string, or a list of TextBlock, ImageBlock, AudioBlock, VideoBlock and "
                f"DocumentBlock, not {content!r}"
            )
            raise TypeError(msg)
        object.__setattr__(self, "content", tuple(content))

    @property
    def text(self) -> str:
        """The text of it, joined by newlines."""
        if isinstance(self.content, str):
            return self.content
        return "\n".join(part.text for part in self.content if isinstance(part, TextBlock))

    @property
    def media(self) -> tuple[MediaBlock, ...]:
        """What is in it beside text."""
        if isinstance(self.content, str):
            return ()
        return tuple(part for part in self.content if isinstance(part, MEDIA))


@dataclass(frozen=True, slots=True)
class RawBlock:
    """A provider's own block for which there are no neutral words: JSON text of an object.

    In an assistant message it goes back to the message's origin alone; in a user message it is yours, and goes to
    whichever provider is asked, as one more block of the message's content.
    """

    raw: str
    type: Literal["raw"] = "raw"


ContentBlock: TypeAlias = (
    TextBlock
    | ThinkingBlock
    | RedactedThinkingBlock
    | ToolCall
    | ToolResult
    | ServerToolCall
    | ServerToolResult
    | ImageBlock
    | AudioBlock
    | VideoBlock
    | DocumentBlock
    | RawBlock
)
"""What the content of a message is made of; `match` on the classes, or look at `.type`."""
BLOCKS = (
    TextBlock,
    ToolCall,
    ToolResult,
    ThinkingBlock,
    *MEDIA,
    RedactedThinkingBlock,
    ServerToolCall,
    ServerToolResult,
    RawBlock,
)  # isinstance is far quicker with a tuple than with a union
