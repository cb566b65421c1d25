"""What a benchmark says: lines for a reader, and one row for the table in the README."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

BEGIN, END = "<!-- numbers: python -m benchmarks --write README.md -->", "<!-- end of numbers -->"


@dataclass(frozen=True, slots=True)
class Bar:
    """A limit; lower is better.

    goal, now: What is aimed at, and what must hold today.
    unit: For its text, for example " ms".
    """

    goal: float
    now: float
    unit: str = ""

    def __str__(self) -> str:
        now = f" (now {self.now:g}{self.unit})" if self.now != self.goal else ""
        return f"bar {self.goal:g}{self.unit}{now}"

    def held(self, value: float) -> str:
        """Which of the two holds, in a word or some."""
        if value <= self.goal:
            return "within"
        return "within the bar of now" if value <= self.now else "OVER"

    def verdict(self, value: float) -> str:
        """The bar and whether it holds."""
        return f"{self}: {self.held(value)}"


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the README's table, each cell as it is shown."""

    what: str
    floor: str
    ours: str
    bar: str


@dataclass(frozen=True, slots=True)
class Report:
    """The outcome of one benchmark; `row` is None when something could not be measured."""

    text: str
    row: Row | None

    def to_json(self) -> str:
        """Encode it for a parent process."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what `to_json` wrote."""
        value = json.loads(text)
        return cls(value["text"], Row(**value["row"]) if value["row"] is not None else None)


def table(rows: Sequence[Row], machine: str, day: str) -> str:
    """The rows in Markdown, with what they were taken on."""
    lines = ["| what | floor | alloy-actors | goal |", "| --- | --- | --- | --- |"]
    lines += [f"| {row.what} | {row.floor} | {row.ours} | {row.bar} |" for row in rows]
    return "\n".join((*lines, "", f"Measured {day} on {machine}."))


def write_into(path: Path, text: str) -> None:
    """Replace what stands between the two marks in a file.

    Raises:
        ValueError: It has not exactly one pair of them.
    """
    before = path.read_text(encoding="utf-8")
    marked = re.compile(f"{re.escape(BEGIN)}.*?{re.escape(END)}", re.DOTALL)
    after, replaced = marked.subn(lambda _: f"{BEGIN}\n{text}\n{END}", before)
    if replaced != 1:
        raise ValueError(f"{path} must hold {BEGIN!r} and {END!r} once, around the table")
    path.write_text(after, encoding="utf-8")
