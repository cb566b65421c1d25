"""Which part of arriving Markdown is complete."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alloy_actors.cli.terminal.blocks import split


@pytest.mark.parametrize(
    ("text", "complete"),
    [
        ("", ""),
        ("one line", ""),
        ("one line\n", ""),
        ("a paragraph\n\nthe next", "a paragraph\n\n"),
        ("a\n\nb\n\nc", "a\n\nb\n\n"),
        ("```py\nx = 1\n\ny = 2\n", ""),
        ("```py\nx = 1\n\ny = 2\n```\n\nafter", "```py\nx = 1\n\ny = 2\n```\n\n"),
        ("````\n```\n\n````\n\nafter", "````\n```\n\n````\n\n"),
        ("```\n~~~\n\n```\n\nafter", "```\n~~~\n\n```\n\n"),
        ("text\n\n```\nopen\n\n", "text\n\n"),
    ],
)
def test_the_cut_is_after_the_last_empty_line_outside_a_fence(text: str, complete: str) -> None:
    assert split(text) == (complete, text[len(complete) :])


@given(
    st.lists(st.sampled_from(["a", " ", "\n", "\n\n", "```", "~~~", "```py\n", "x\n", "\r\n"]), max_size=40)
)
def test_nothing_is_lost_however_it_arrives(pieces: list[str]) -> None:
    shown, rest = "", ""
    for piece in pieces:
        complete, rest = split(rest + piece)
        shown += complete
    assert shown + rest == "".join(pieces)
