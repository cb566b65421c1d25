"""Where an answer comes from: grounding and recitation, put beside the text they are about.

Source: Gemini API reference, GroundingMetadata (offsets count bytes of UTF-8) and CitationMetadata.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from alloy_actors.providers._gemini_parts import OpenText

    Annotation = dict[str, Any]


def annotate(
    texts: Sequence[OpenText], grounding: dict[str, Any], citations: Iterable[Any]
) -> list[Annotation]:
    """Give each text its annotations, and return all of them.

    A support is kept as it came, with the chunks it points at beside it (`groundingChunks`).
    """
    found: list[Annotation] = []
    chunks = _dicts(grounding.get("groundingChunks"))
    for support in _dicts(grounding.get("groundingSupports")):
        indices = support.get("groundingChunkIndices")
        sources = [
            chunks[at]
            for at in (indices if isinstance(indices, list) else ())
            if isinstance(at, int) and 0 <= at < len(chunks)
        ]
        annotation = {**support, "groundingChunks": sources}
        found.append(annotation)
        segment = support.get("segment")
        text = _text_with(segment if isinstance(segment, dict) else {}, texts)
        if text is not None:
            text.annotations.append(annotation)
    for citation in _dicts(citations):
        found.append(citation)
        if texts:
            texts[-1].annotations.append(citation)
    return found


def _text_with(segment: dict[str, Any], texts: Sequence[OpenText]) -> OpenText | None:
    """Which text a segment is about: the parts it counts are not our blocks, so its own words decide."""
    said = segment.get("text")
    if isinstance(said, str) and said:
        for text in texts:
            if said in text.text:
                return text
    return texts[-1] if texts else None


def _dicts(values: Any) -> list[dict[str, Any]]:
    return [value for value in values if isinstance(value, dict)] if isinstance(values, list | tuple) else []
