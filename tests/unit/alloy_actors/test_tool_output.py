"""What becomes of a return value: text, files and data; T40, T43, T45."""

from __future__ import annotations

from typing import Any

import pytest

from alloy_actors.content import (
    AudioBlock,
    DocumentBlock,
    ImageBlock,
    RawBlock,
    TextBlock,
    ThinkingBlock,
    ToolResult,
    VideoBlock,
)
from alloy_actors.errors import ToolError
from alloy_actors.tool_output import ToolReturn, fitted, rendered

IMAGE = ImageBlock("image/png", "aW1hZ2U=")
PDF = DocumentBlock("application/pdf", "cGRm")
SOUND = AudioBlock("audio/wav", "d2F2")
VIDEO = VideoBlock("video/mp4", uri="https://example.org/a.mp4")


@pytest.mark.parametrize(
    ("value", "content"),
    [
        (IMAGE, (IMAGE,)),
        (TextBlock("hi"), (TextBlock("hi"),)),
        (["a plot", IMAGE], (TextBlock("a plot"), IMAGE)),
        (("a plot", IMAGE, TextBlock("end"), PDF, SOUND, VIDEO), (TextBlock("a plot"), IMAGE, TextBlock("end"), PDF, SOUND, VIDEO)),
        (["half \udce4", IMAGE, TextBlock("\udce4", phase="x")], (TextBlock("half \ufffd"), IMAGE, TextBlock("\ufffd", phase="x"))),
    ],
)  # fmt: skip
def test_blocks_go_to_the_model_as_they_are(value: Any, content: Any) -> None:
    assert rendered("t", value) == (content, None)
    assert ToolResult("1", content).content == content


def test_a_list_without_blocks_is_json() -> None:
    assert rendered("t", ["a", "b"]) == ('["a","b"]', ["a", "b"])
    assert rendered("t", []) == ("[]", [])


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (["a", IMAGE, 3], "int"),
        ([IMAGE, ThinkingBlock("hm")], "ThinkingBlock"),
        (RawBlock("{}"), "RawBlock"),
        (ToolResult("1", "x"), "ToolResult"),
    ],
)
def test_blocks_that_no_result_can_hold_are_an_error_naming_them(value: Any, kind: str) -> None:
    with pytest.raises(ToolError, match=f"Tool t failed: it returned a {kind} among content blocks"):
        rendered("t", value)


@pytest.mark.parametrize(
    ("returned", "content", "data"),
    [
        (ToolReturn("3 rows", data={"rows": [1, 2, 3]}), "3 rows", {"rows": [1, 2, 3]}),
        (ToolReturn("nothing"), "nothing", None),
        (ToolReturn(["a plot", IMAGE], data=[1]), (TextBlock("a plot"), IMAGE), [1]),
        (ToolReturn({"a": 1}, data="text"), '{"a":1}', "text"),
        (ToolReturn({"a": 1}), '{"a":1}', None),
        (ToolReturn(None, data=0), "", 0),
        (ToolReturn("x", data=["\udce4"]), "x", ["\ufffd"]),
    ],
)
def test_t43_a_tool_may_give_a_text_of_its_own_beside_its_data(
    returned: ToolReturn, content: Any, data: Any
) -> None:
    assert rendered("t", returned) == (content, data)


def test_t43_data_without_a_json_form_is_an_error() -> None:
    with pytest.raises(ToolError, match="neither text nor JSON"):
        rendered("t", ToolReturn("x", data=object()))


@pytest.mark.parametrize(("text", "limit"), [("x" * 100, None), ("x" * 100, 100), ("", 1)])
def test_t45_what_is_short_enough_stays(text: str, limit: int | None) -> None:
    assert fitted(text, limit) == text
    assert fitted((TextBlock(text), IMAGE), limit) == (TextBlock(text), IMAGE)


def test_t45_four_fifths_are_from_the_head_one_fifth_from_the_tail_counted_in_characters() -> None:
    assert fitted("ä" * 8 + "…" * 90 + "yz", 10) == (
        "ä" * 8 + "\n[... truncated: 100 characters, 10 of them shown ...]\n" + "yz"
    )


@pytest.mark.parametrize("cut", range(1, 40))
def test_t45_only_text_is_cut_and_files_stay_where_they_are(cut: int) -> None:
    """Like one text, wherever it is divided into parts."""
    text = "".join(chr(ord("a") + at % 26) for at in range(40))
    whole = fitted(text, 10)
    parts = fitted((TextBlock(text[:cut]), IMAGE, TextBlock(text[cut:]), PDF), 10)
    assert not isinstance(parts, str)
    assert "".join(part.text for part in parts if isinstance(part, TextBlock)) == whole
    assert [part for part in parts if not isinstance(part, TextBlock)] == [IMAGE, PDF]
    first = next(at for at, part in enumerate(parts) if part is IMAGE)
    assert all(part.text[0] in whole[:8] for part in parts[:first] if isinstance(part, TextBlock))


def test_t40_half_characters_are_mended_in_text_and_in_json() -> None:
    assert rendered("t", "a\ud83d") == ("a\ufffd", None)
    assert rendered("t", "\ud83d\ude00")[0] == "😀"
    assert rendered("t", {"name": "a\udce4"}) == ('{"name":"a\ufffd"}', {"name": "a\ufffd"})
