"""The file of a recording: JSON that people can read and edit.

    {"format": 1, "exchanges": [{"url", "headers", "body", "reply", "error", "seconds"}]}

A reply is null where none came, else {"status", "headers", "body", "complete"}. A body is {"json": value} where it is
JSON, {"text": [lines]} where it is other text, as streams are, else {"base64": "..."}.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from alloy_actors.errors import ConfigError
from alloy_actors.providers.trace import without_query_secrets

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from alloy_actors.providers.trace import HTTPExchange

FORMAT: Final = 1
_KEPT = ("content-type", "date", "location", "retry-after", "retry-after-ms", "x-should-retry")
_KEPT_PARTS = ("request-id", "ratelimit")


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request and what came back, as `HTTPExchange`, with the headers that matter."""

    url: str
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    status: int | None = None
    reply_headers: Mapping[str, str] = field(default_factory=dict)
    reply_body: bytes = b""
    complete: bool = True
    error: str | None = None
    seconds: float = 0.0

    @classmethod
    def of(cls, seen: HTTPExchange) -> Exchange:
        """What a trace was told."""
        return cls(
            seen.url,
            seen.request_body,
            seen.request_headers,
            seen.status,
            {
                name: without_query_secrets(value) if name == "location" else value
                for name, value in seen.response_headers.items()
                if _matters(name)
            },
            seen.response_body,
            seen.complete,
            seen.error,
            round(seen.seconds, 3),
        )


def write(path: Path, exchanges: list[Exchange]) -> None:
    """Write a recording; its folder is made if need be."""
    path.parent.mkdir(parents=True, exist_ok=True)
    document = {"format": FORMAT, "exchanges": [_plain(exchange) for exchange in exchanges]}
    path.write_text(json.dumps(document, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")


def read(path: Path) -> list[Exchange]:
    """Read a recording.

    Raises:
        ConfigError: It is none, or one of a newer version.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        if document["format"] != FORMAT:
            raise ConfigError(
                f"{path}: format {document['format']!r} is not {FORMAT}, which this version reads"
            )
        return [_exchange(item) for item in document["exchanges"]]
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        if isinstance(error, ConfigError):
            raise
        raise ConfigError(f"{path}: this is no recording: {type(error).__name__}: {error}") from None


def _plain(exchange: Exchange) -> dict[str, Any]:
    reply = None
    if exchange.status is not None:
        reply = {
            "status": exchange.status,
            "headers": dict(exchange.reply_headers),
            "body": _plain_body(exchange.reply_body),
            "complete": exchange.complete,
        }
    return {
        "url": exchange.url,
        "headers": dict(exchange.headers),
        "body": _plain_body(exchange.body),
        "reply": reply,
        "error": exchange.error,
        "seconds": exchange.seconds,
    }


def _exchange(item: dict[str, Any]) -> Exchange:
    reply = item["reply"] or {"status": None, "headers": {}, "body": {"text": []}, "complete": False}
    return Exchange(
        item["url"],
        _body(item["body"]),
        item["headers"],
        reply["status"],
        reply["headers"],
        _body(reply["body"]),
        reply["complete"],
        item["error"],
        item["seconds"],
    )


def _plain_body(body: bytes) -> dict[str, Any]:
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(body).decode()}
    try:
        value = json.loads(text)
    except ValueError:
        return {"text": text.splitlines(keepends=True)}
    return {"json": value}


def _body(plain: dict[str, Any]) -> bytes:
    match plain:
        case {"json": value}:
            return json.dumps(value, ensure_ascii=False).encode()
        case {"text": lines}:
            return "".join(lines).encode()
        case {"base64": data}:
            return base64.b64decode(data)
        case _:
            raise ValueError(f"a body is one of json, text, base64, not {sorted(plain)}")


def _matters(name: str) -> bool:
    return name in _KEPT or any(part in name for part in _KEPT_PARTS)
