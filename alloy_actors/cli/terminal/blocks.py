"""Markdown that is still arriving: which of it is complete."""

from __future__ import annotations

import re

_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")


def split(text: str) -> tuple[str, str]:
    """Cut after the last empty line outside a code fence: what is before it will not change its look any more.

    Returns:
        (complete, rest), which joined are the text.
    """
    end = position = 0
    fence = ""
    for line in text.splitlines(keepends=True):
        position += len(line)
        if found := _FENCE.match(line):
            if not fence:
                fence = found[1]
            elif found[1].startswith(fence) and not line.strip().strip(fence[0]):
                fence = ""
        if not fence and not line.strip() and line.endswith("\n"):
            end = position
    return text[:end], text[end:]
