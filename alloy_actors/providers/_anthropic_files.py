"""Images and documents for the Messages API; what it would refuse is refused here, before anything is sent.

Source: Anthropic documentation, Vision, PDF support, Files API.
"""

from __future__ import annotations

import binascii
from base64 import b64decode
from typing import TYPE_CHECKING, Any

from alloy_actors.errors import InvalidRequestError
from alloy_actors.providers._wire import notice

if TYPE_CHECKING:
    from alloy_actors.blocks import DocumentBlock, ImageBlock

    Wire = dict[str, Any]

IMAGES = ("image/jpeg", "image/png", "image/gif", "image/webp")
MAX_IMAGE = 10 * 1024 * 1024  # characters of base64
PDF = "application/pdf"


def image(block: ImageBlock) -> Wire:
    """An image.

    Raises:
        InvalidRequestError: Of a type, or a size, that the API does not take.
    """
    if block.data is None:
        source = _elsewhere(block.uri or "")
        return {"type": "image", "source": source} if source else {"type": "text", "text": notice(block)}
    kind = "image/jpeg" if block.mime_type == "image/jpg" else block.mime_type
    if kind not in IMAGES:
        raise InvalidRequestError(
            f"ImageBlock: mime_type {block.mime_type!r} is none that Anthropic takes; "
            f"convert the image to one of {', '.join(IMAGES)}"
        )
    if len(block.data) > MAX_IMAGE:
        raise InvalidRequestError(
            f"ImageBlock: data has {len(block.data):,} characters, Anthropic takes {MAX_IMAGE:,} of base64; "
            "make the image smaller"
        )
    return {"type": "image", "source": {"type": "base64", "media_type": kind, "data": block.data}}


def document(block: DocumentBlock, *, citations: bool) -> Wire:
    """A document: a PDF, or text, which the API wants as text.

    Raises:
        InvalidRequestError: Of a type that the API does not take.
    """
    source = _document_source(block)
    if source is None:
        return {"type": "text", "text": notice(block)}
    wire: Wire = {"type": "document", "source": source}
    if block.title:
        wire["title"] = block.title
    if citations:
        wire["citations"] = {"enabled": True}
    return wire


def _document_source(block: DocumentBlock) -> Wire | None:
    if block.data is None:
        return _elsewhere(block.uri or "")
    if block.mime_type == PDF:
        return {"type": "base64", "media_type": PDF, "data": block.data}
    try:
        text = b64decode(block.data, validate=True).decode()
    except (binascii.Error, ValueError):
        raise InvalidRequestError(
            f"DocumentBlock: {block.mime_type!r} is neither {PDF} nor UTF-8 text in base64, "
            "and Anthropic takes nothing else; convert the document"
        ) from None
    return {"type": "text", "media_type": "text/plain", "data": text}


def _elsewhere(uri: str) -> Wire | None:
    """A URL, or a file of the Files API by its id; None for the stores of others."""
    if uri.startswith(("https://", "http://")):
        return {"type": "url", "url": uri}
    return None if ":" in uri else {"type": "file", "file_id": uri}
