"""The code in Markdown pages as programs.

The Python blocks of a page are one program, in the order of the page and in one namespace, on the lines where they stand there.
A comment in front of a block changes that:

    <!-- not run: it needs a key -->     compiled only; the reason is for the reader of the source
    <!-- prints -->                      the block that follows is what the program prints, "..." standing for any lines

and a comment of this form holds code that readers need not see:

    <!-- run
    api_url = "http://127.0.0.1:9"
    -->

Not a plugin such as pytest-markdown-docs or sybil: those run blocks in the test's own process, where ours start threads, install
signal handlers and end by `SystemExit`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_FENCE = re.compile(
    r"^(?P<indent> *)```(?P<language>\w*)[^\n]*\n(?P<body>.*?)^(?P=indent)```$", re.MULTILINE | re.DOTALL
)
_MARK = re.compile(r"<!-- (?P<word>not run|prints)(?:: (?P<reason>[^\n]+))? -->\n+\Z")
_HIDDEN = re.compile(r"^<!-- run\n(?P<body>.*?)^-->$", re.MULTILINE | re.DOTALL)


@dataclass(slots=True)
class Program:
    """What a page comes to.

    source: All that is run, each line where it stands in the page.
    compiled: The blocks that are not run, each as source of its own with its lines in place.
    printed: What it must print: runs of lines, in this order.
    """

    source: str = ""
    compiled: list[str] = field(default_factory=list)
    printed: list[list[str]] = field(default_factory=list)


def program(text: str) -> Program:
    """Read a page.

    Raises:
        ValueError: A mark belongs to nothing, or gives no reason.
    """
    made = Program()
    pieces: list[tuple[int, str]] = []
    used = 0
    for block in _FENCE.finditer(text):
        mark = _MARK.search(text, 0, block.start())
        word = mark["word"] if mark is not None else None
        used += mark is not None
        indent = len(block["indent"])
        body = "".join(line[indent:] for line in block["body"].splitlines(keepends=True))
        line = text.count("\n", 0, block.start("body"))
        if word == "prints":
            made.printed += _runs(body)
        elif word == "not run":
            if mark is None or not mark["reason"] or block["language"] != "python":
                raise ValueError(f"line {line}: 'not run' is for a Python block, and says why")
            made.compiled.append("\n" * line + body)
        elif block["language"] == "python":
            pieces.append((line, body))
    if used != len(re.findall(r"<!-- (?:not run|prints)\b", text)):
        raise ValueError("a 'not run' or 'prints' stands before no block")
    pieces += [
        (text.count("\n", 0, hidden.start("body")), hidden["body"]) for hidden in _HIDDEN.finditer(text)
    ]
    for line, body in sorted(pieces):
        made.source += "\n" * (line - made.source.count("\n")) + body
    return made


def lacks(printed: str, expected: list[list[str]]) -> list[str] | None:
    """The first run of lines that was not printed after those before it, None when all were."""
    lines = printed.splitlines()
    start = 0
    for run in expected:
        for at in range(start, len(lines) - len(run) + 1):
            if lines[at : at + len(run)] == run:
                start = at + len(run)
                break
        else:
            return run
    return None


def pages(root: Path) -> list[Path]:
    """All pages of a project that hold Python."""
    found = [root / "README.md", *sorted((root / "docs").rglob("*.md"))]
    return [page for page in found if "```python" in page.read_text(encoding="utf-8")]


def _runs(body: str) -> list[list[str]]:
    return [run.splitlines() for run in re.split(r"^\.\.\.\n", body, flags=re.MULTILINE) if run.strip()]
