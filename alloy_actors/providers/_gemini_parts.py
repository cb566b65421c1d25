"""GenerateContent, incoming: the parts of a reply while they arrive, and the blocks that become of them.

Pieces of text are one block until a signature stands between them: what is signed goes back as it came.

Source: Gemini API reference, Part; its guide on thought signatures. Arguments in pieces: the Vertex AI reference,
FunctionCall.partialArgs.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from alloy_actors.content import (
    AudioBlock,
    DocumentBlock,
    ImageBlock,
    RawBlock,
    ServerToolCall,
    ServerToolResult,
    TextBlock,
    ThinkingBlock,
    ToolCall,
    VideoBlock,
)
from alloy_actors.errors import MalformedReplyError
from alloy_actors.providers._json import dumps

if TYPE_CHECKING:
    from typing import Literal

    from alloy_actors.blocks import MediaBlock
    from alloy_actors.content import ContentBlock

    Part = dict[str, Any]
    Kind = Literal["text", "thinking"]

TEXT = {"text", "thought", "thoughtSignature"}
CALL = {"functionCall", "thoughtSignature"}
FUNCTION = {"id", "name", "args", "partialArgs", "willContinue"}
FILE = {"inlineData", "fileData", "thoughtSignature"}
MEDIA: dict[str, type[MediaBlock]] = {"image": ImageBlock, "audio": AudioBlock, "video": VideoBlock}
VALUES = ("stringValue", "numberValue", "boolValue")
_STEP = re.compile(r"\.([^.\[\]]+)|\[(\d+)\]|\['([^']*)'\]")


class OpenText:
    """Text or thinking that may go on."""

    __slots__ = ("annotations", "kind", "pieces", "raw", "signature")

    def __init__(self, kind: Kind, part: Part) -> None:
        self.kind = kind
        self.pieces: list[str] = []
        self.signature: str | None = part.get("thoughtSignature")
        self.raw = None if part.keys() <= TEXT else _raw(part)
        self.annotations: list[dict[str, Any]] = []

    @property
    def text(self) -> str:
        """As far as it has come."""
        return "".join(self.pieces)

    def takes(self, kind: str, part: Part) -> bool:
        """Whether this part's text is more of it."""
        return (
            self.kind == kind
            and self.signature is None
            and self.raw is None
            and (len(part) == 1 or (part.keys() <= TEXT and part.get("thoughtSignature") is None))
        )

    def block(self) -> ContentBlock:
        """It ends here."""
        if self.kind == "thinking":
            return ThinkingBlock(self.text, self.signature, self.raw)
        return TextBlock(self.text, tuple(self.annotations) or None, self.signature, raw=self.raw)


class OpenCall:
    """A function call; Vertex may send its arguments in pieces."""

    __slots__ = ("args", "given", "name", "open", "pieces", "raw", "signature")

    def __init__(self, part: Part) -> None:
        function = part["functionCall"]
        self.name = str(function.get("name") or "")
        self.given = str(function.get("id") or "")
        self.signature: str | None = part.get("thoughtSignature")
        self.raw = None if part.keys() <= CALL and function.keys() <= FUNCTION else _raw(part)
        self.args: Any = None
        self.pieces: dict[str, list[Any]] = {}
        self.open = False
        self.add(function)

    def add(self, function: dict[str, Any]) -> None:
        """One more piece of it."""
        if function.get("args") is not None:
            self.args = function["args"]
        for piece in listed(function.get("partialArgs"), "the pieces of a call"):
            path = piece.get("jsonPath", "") if type(piece) is dict else None
            if type(path) is not str:
                raise MalformedReplyError("a piece of a call says no path")
            if "stringValue" in piece and path in self.pieces:
                self.pieces[path].append(piece["stringValue"])
            else:
                self.pieces[path] = [next((piece[name] for name in VALUES if name in piece), None)]
        self.open = bool(function.get("willContinue"))

    def block(self, call_id: str) -> ToolCall:
        """It ends here; one that has not come to its end is not to be run."""
        arguments = self.args
        if self.pieces:
            try:
                arguments = _assembled(self.pieces)
            except ValueError:
                self.open = True
                arguments = {path: _joined(pieces) for path, pieces in self.pieces.items()}
        if arguments is None and not self.open:
            arguments = {}
        invalid = self.open or type(arguments) is not dict
        return ToolCall(
            call_id,
            self.name,
            {} if invalid else arguments,
            dumps(arguments).decode() if invalid else None,
            self.signature,
            raw=self.raw,
        )


def listed(value: Any, what: str) -> list[Any]:
    """A list that may be left out.

    Raises:
        MalformedReplyError: It is something else.
    """
    if not value:
        return []
    if type(value) is not list:
        raise MalformedReplyError(f"{what} are no list")
    return value


def block_of(part: Any, number: int, code_id: str) -> ContentBlock:
    """A part that is neither text nor a call.

    Args:
        part: As it came.
        number: Its place in the reply, for a name where it has none.
        code_id: Of the code before it.
    """
    if type(part) is not dict:
        raise MalformedReplyError("a part of the answer is no object")
    for name in ("inlineData", "fileData"):
        file = part.get(name)
        if type(file) is dict and not part.get("thought"):
            return _file(part, file) or RawBlock(_raw(part))
    match part:
        case {"executableCode": {"code": str()} as code}:
            name = str(code.get("id") or f"code_{number}")
            values = {key: value for key, value in code.items() if key != "id"}
            return ServerToolCall(name, "code_execution", values, _raw(part))
        case {"codeExecutionResult": dict() as result}:
            failed = result.get("outcome") not in (None, "OUTCOME_OK")
            output = str(result.get("output") or "")
            return ServerToolResult(str(result.get("id") or code_id), output, failed, _raw(part))
        case {"toolCall": dict() as call}:
            kind = str(call.get("toolType") or "tool").lower()
            args = call.get("args")
            return ServerToolCall(
                str(call.get("id") or ""), kind, args if type(args) is dict else {}, _raw(part)
            )
        case {"toolResponse": dict() as result}:
            answer = result.get("response")
            content = dumps(answer).decode() if answer else ""
            return ServerToolResult(str(result.get("id") or ""), content, raw=_raw(part))
        case _:
            return RawBlock(_raw(part))


def _file(part: Part, file: dict[str, Any]) -> ContentBlock | None:
    kind = str(file.get("mimeType") or "")
    data, uri = file.get("data"), file.get("fileUri")
    make = MEDIA.get(kind.partition("/")[0], DocumentBlock)
    plain = part.keys() <= FILE and file.keys() <= {"mimeType", "data", "fileUri"}
    raw = None if plain else _raw(part)
    signature = part.get("thoughtSignature")
    if type(data) is str and kind:
        return make(kind, data, signature=signature, raw=raw)
    return make(kind, uri=uri, signature=signature, raw=raw) if type(uri) is str else None


def _raw(part: Part) -> str:
    return dumps(part).decode()


def _joined(pieces: list[Any]) -> Any:
    return "".join(map(str, pieces)) if isinstance(pieces[0], str) else pieces[-1]


def _assembled(pieces: dict[str, list[Any]]) -> dict[str, Any]:
    """The arguments out of their leaves, each with its JSON path.

    Raises:
        ValueError: A path is none, or none that follows from those before it.
    """
    root: dict[str, Any] = {}
    for path, found in pieces.items():
        steps = _steps(path)
        place: Any = root
        for step, after in pairwise(steps):
            place = _entered(place, step, {} if isinstance(after, str) else [])
        _entered(place, steps[-1], _joined(found))
    return root


def _entered(place: Any, step: str | int, value: Any) -> Any:
    """What stands at this step, put there where nothing did."""
    if isinstance(place, dict) and isinstance(step, str):
        return place.setdefault(step, value)
    if isinstance(place, list) and isinstance(step, int) and step <= len(place):
        if step == len(place):
            place.append(value)
        return place[step]
    msg = f"{step!r} is no place in {type(place).__name__}"
    raise ValueError(msg)


def _steps(path: str) -> list[str | int]:
    found: list[str | int] = []
    at = 1
    while at < len(path):
        step = _STEP.match(path, at)
        if step is None:
            break
        name, index, quoted = step.groups()
        found.append(int(index) if index is not None else name if name is not None else quoted)
        at = step.end()
    if path[:1] != "$" or at < len(path) or not found:
        msg = f"{path!r} is no path to an argument"
        raise ValueError(msg)
    return found
