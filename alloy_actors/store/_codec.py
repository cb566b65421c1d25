"""Records as JSON: what is written to disk, and the only way to read it back.

A batch of records is a JSON array; a record in it is `[kind, field, field, ...]` in the order of `KINDS`, where
trailing fields that have their default are left out. That is also how a kind grows: a new field has a default and
goes to the end, so older rows read as before. A field whose meaning changes makes a new kind, and the reader of the
old one stays. A kind or a field that this version does not know was written by a newer one and is refused.

A conversation's messages are written once: `RunBegan` repeats the message of its `Accepted`, so it is left out when
that one is known to be in the same log, and looked up when the log is read.
"""

from __future__ import annotations

import json
from dataclasses import MISSING, dataclass, fields
from typing import TYPE_CHECKING, Any, cast

from pydantic_core import from_json, to_json

from alloy_actors.content import (
    AudioBlock,
    DocumentBlock,
    ImageBlock,
    Message,
    ProviderState,
    RawBlock,
    RedactedThinkingBlock,
    ServerToolCall,
    ServerToolResult,
    TextBlock,
    ThinkingBlock,
    ToolCall,
    ToolResult,
    Usage,
    VideoBlock,
)
from alloy_actors.journal import (
    Accepted,
    ApprovalAsked,
    ApprovalDecided,
    Charged,
    Closed,
    ModelChanged,
    Reminded,
    Replied,
    RequestSent,
    RunBegan,
    RunEnded,
    RunResumed,
    RunSuspended,
    Seeded,
    Steered,
    ToolCallEnded,
    ToolCallStarted,
    WasCompacted,
    WasReset,
    Withdrawn,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from alloy_actors.journal import Record


class NewerRecordError(ValueError):
    """A kind or a field that this version does not know."""


@dataclass(frozen=True, slots=True)
class _Field:
    """How one field becomes JSON and comes back; `default` is MISSING for one that is always written."""

    name: str
    default: object
    to_plain: Callable[[Any], Any] | None
    from_plain: Callable[[Any], Any] | None


@dataclass(frozen=True, slots=True)
class Kind:
    """A class and its fields in the order on disk."""

    tag: str
    cls: type[Any]
    fields: tuple[_Field, ...]

    def to_plain(self, value: object) -> list[Any]:
        """[tag, field, ...] without trailing defaults."""
        plain: list[Any] = [self.tag]
        length = 1
        for item in self.fields:
            part = getattr(value, item.name)
            if part is item.default or part == item.default:
                plain.append(None)
                continue
            plain.append(part if item.to_plain is None else item.to_plain(part))
            length = len(plain)
        del plain[length:]
        return plain

    def from_plain(self, plain: Sequence[Any]) -> Any:
        """The value of `[tag, field, ...]`.

        Raises:
            NewerRecordError: There are more fields than this version knows.
            Exception: The fields are not what they should be.
        """
        given = {}
        parts = plain[1:]
        if len(parts) > len(self.fields):
            msg = f"{self.tag!r} with {len(parts)} fields, of which this version knows {len(self.fields)}"
            raise NewerRecordError(msg)
        for item, part in zip(self.fields, parts, strict=False):
            if part is None and item.default is not MISSING:
                continue
            given[item.name] = part if item.from_plain is None else item.from_plain(part)
        return self.cls(**given)


_AsIs: tuple[None, None] = (None, None)


def _kind(tag: str, cls: type[Any], *also_without: str, **codecs: tuple[Any, Any]) -> Kind:
    """Describe a class; the keywords are its fields in the order on disk, so new ones go to the end.

    Raises:
        TypeError: The class has other fields: it has changed, and its form on disk has to follow.
    """
    defaults = {item.name: item.default for item in fields(cls)}
    if set(codecs) != set(defaults) - set(also_without):
        msg = f"{cls.__name__} has the fields {sorted(defaults)}, its form on disk has {sorted(codecs)}"
        raise TypeError(msg)
    return Kind(tag, cls, tuple(_Field(name, defaults[name], *codec) for name, codec in codecs.items()))


def _find(kinds: Mapping[str, Kind], plain: Sequence[Any]) -> Kind:
    kind = kinds.get(plain[0])
    if kind is None:
        msg = f"the kind {plain[0]!r}"
        raise NewerRecordError(msg)
    return kind


# -- content -------------------------------------------------------------------------------------------------------


def _opt_tuple(plain: list[Any] | None) -> tuple[Any, ...] | None:
    return None if plain is None else tuple(plain)


def _media(tag: str, cls: type[Any]) -> Kind:
    return _kind(
        tag, cls, "type", mime_type=_AsIs, data=_AsIs, uri=_AsIs, title=_AsIs, signature=_AsIs, raw=_AsIs
    )


def _content_to_plain(content: Any) -> Any:
    if isinstance(content, str):
        return content
    return [_BLOCK_OF[type(block)].to_plain(block) for block in content]


def _content_from_plain(plain: Any) -> Any:
    if isinstance(plain, str):
        return plain
    return tuple(_find(_BLOCK_TAGS, block).from_plain(block) for block in plain)


_CONTENT = (_content_to_plain, _content_from_plain)
_BLOCKS = (
    _kind(
        "text",
        TextBlock,
        "type",
        text=_AsIs,
        annotations=(list, _opt_tuple),
        signature=_AsIs,
        phase=_AsIs,
        raw=_AsIs,
    ),
    _kind("thinking", ThinkingBlock, "type", thinking=_AsIs, signature=_AsIs, raw=_AsIs),
    _kind("redacted_thinking", RedactedThinkingBlock, "type", data=_AsIs, raw=_AsIs),
    _kind(
        "tool_use",
        ToolCall,
        "type",
        id=_AsIs,
        name=_AsIs,
        input=_AsIs,
        invalid=_AsIs,
        signature=_AsIs,
        caller=_AsIs,
        raw=_AsIs,
    ),
    _kind("tool_result", ToolResult, "type", tool_use_id=_AsIs, content=_CONTENT, is_error=_AsIs),
    _kind("server_tool_use", ServerToolCall, "type", id=_AsIs, name=_AsIs, input=_AsIs, raw=_AsIs),
    _kind(
        "server_tool_result",
        ServerToolResult,
        "type",
        tool_use_id=_AsIs,
        content=_AsIs,
        is_error=_AsIs,
        raw=_AsIs,
    ),
    _media("image", ImageBlock),
    _media("audio", AudioBlock),
    _media("video", VideoBlock),
    _media("document", DocumentBlock),
    _kind("raw", RawBlock, "type", raw=_AsIs),
)
_BLOCK_OF = {kind.cls: kind for kind in _BLOCKS}
_BLOCK_TAGS = {kind.tag: kind for kind in _BLOCKS}


_MESSAGE_KIND = _kind(
    "m",
    Message,
    "_wire",
    "_tokens",
    role=_AsIs,
    content=_CONTENT,
    model=_AsIs,
    origin=_AsIs,
)
_RESULT_KIND = _BLOCK_OF[ToolResult]
_USAGE_KIND = _kind(
    "u",
    Usage,
    input_tokens=_AsIs,
    output_tokens=_AsIs,
    cache_read_input_tokens=_AsIs,
    cache_creation_input_tokens=_AsIs,
)

_MESSAGE = (_MESSAGE_KIND.to_plain, _MESSAGE_KIND.from_plain)
_RESULT = (_RESULT_KIND.to_plain, _RESULT_KIND.from_plain)
_USAGE = (_USAGE_KIND.to_plain, _USAGE_KIND.from_plain)
_STATE = (
    lambda state: [state.origin, state.values],
    lambda plain: ProviderState(plain[0], plain[1]),
)
_PART = (
    lambda part: part if isinstance(part, tuple) else _MESSAGE_KIND.to_plain(part),
    lambda plain: tuple(plain) if isinstance(plain[0], int) else _MESSAGE_KIND.from_plain(plain),
)


def _many(
    codec: tuple[Callable[[Any], Any], Callable[[Any], Any]],
) -> tuple[Callable[[Any], Any], Callable[[Any], Any]]:
    to_plain, from_plain = codec
    return (
        lambda values: [to_plain(value) for value in values],
        lambda values: tuple(from_plain(value) for value in values),
    )


# -- records -------------------------------------------------------------------------------------------------------

KINDS = (
    _kind("seeded", Seeded, messages=_many(_MESSAGE), usage=_USAGE, provider_state=_STATE, cost_cents=_AsIs),
    _kind("accepted", Accepted, request_id=_AsIs, message=_MESSAGE, when_busy=_AsIs),
    _kind("began", RunBegan, request_id=_AsIs, message=_MESSAGE),
    _kind("resumed", RunResumed, request_id=_AsIs, attempt=_AsIs),
    _kind("suspended", RunSuspended, request_id=_AsIs),
    _kind("steered", Steered, request_id=_AsIs, steering_id=_AsIs, message=_MESSAGE),
    _kind("reminded", Reminded, request_id=_AsIs, about=_AsIs, message=_MESSAGE),
    _kind("sent", RequestSent, request_id=_AsIs, turn=_AsIs, model=_AsIs),
    _kind(
        "replied",
        Replied,
        request_id=_AsIs,
        message=_MESSAGE,
        stop_reason=_AsIs,
        usage=_USAGE,
        provider_state=_AsIs,
        cost_cents=_AsIs,
    ),
    _kind("approval", ApprovalAsked, request_id=_AsIs, call_id=_AsIs, reason=_AsIs),
    _kind(
        "decided",
        ApprovalDecided,
        request_id=_AsIs,
        call_id=_AsIs,
        approved=_AsIs,
        reason=_AsIs,
        input=_AsIs,
    ),
    _kind("call", ToolCallStarted, request_id=_AsIs, call_id=_AsIs),
    _kind("result", ToolCallEnded, request_id=_AsIs, result=_RESULT, duration=_AsIs, error=_AsIs, data=_AsIs),
    _kind("closed", Closed, request_id=_AsIs, results=_many(_RESULT), message=_MESSAGE),
    _kind(
        "ended", RunEnded, request_id=_AsIs, status=_AsIs, at=_AsIs, error_type=_AsIs, error=_AsIs, text=_AsIs
    ),
    _kind("withdrawn", Withdrawn, request_id=_AsIs, at=_AsIs, error_type=_AsIs, error=_AsIs),
    _kind("reset", WasReset),
    _kind("model", ModelChanged, model=_AsIs),
    _kind("charged", Charged, request_id=_AsIs, usage=_USAGE, cost_cents=_AsIs),
    _kind(
        "compacted",
        WasCompacted,
        request_id=_AsIs,
        parts=_many(_PART),
        tokens=_AsIs,
        before=_AsIs,
        refused=_AsIs,
    ),
)
_KIND_OF = {kind.cls: kind for kind in KINDS}
_TAGS = {kind.tag: kind for kind in KINDS}


def encode(records: Iterable[Record], accepted: Mapping[str, Message] | None = None) -> bytes:
    """One batch as JSON without line breaks.

    Args:
        records: In order.
        accepted: Messages of requests that are in the same log already, by request id.

    Raises:
        Exception: A record holds what JSON cannot: an object in a tool's input that did not come from JSON.
    """
    plain = []
    last: Record | None = None
    for record in records:
        if isinstance(record, RunBegan):
            if isinstance(last, Accepted) and last.request_id == record.request_id:
                known: Message | None = last.message
            else:
                known = accepted.get(record.request_id) if accepted else None
            if known is not None and known is record.message:
                plain.append(["began", record.request_id])
                continue
        plain.append(_KIND_OF[type(record)].to_plain(record))
        last = record
    try:
        return to_json(plain, inf_nan_mode="constants")
    except (ValueError, RecursionError):  # half a surrogate pair, as a tool may read it from a file name
        return json.dumps(plain, separators=(",", ":")).encode("ascii")


def decode(data: bytes, accepted: dict[str, Message]) -> list[Record]:
    """The records of one batch.

    Args:
        data: What `encode` made.
        accepted: Messages of the accepted requests so far in this log; those of this batch are added.

    Raises:
        NewerRecordError: A kind or field that this version does not know.
        Exception: The data is damaged.
    """
    try:
        plain = from_json(data)
    except ValueError:  # half a surrogate pair again, or nested deeper than it goes
        plain = json.loads(data)
    records: list[Record] = []
    for item in plain:
        kind = _find(_TAGS, item)
        if kind.cls is RunBegan and len(item) == 2:
            record: Record = RunBegan(item[1], accepted[item[1]])
        else:
            record = cast("Record", kind.from_plain(item))
        if isinstance(record, Accepted):
            accepted[record.request_id] = record.message
        records.append(record)
    return records
