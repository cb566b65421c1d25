"""What is kept of an output of any length."""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alloy_actors.tools._output import HEAD, TAIL, Capture, whole_end, whole_start


def captured(*pieces: bytes, **limits: int) -> str:
    capture = Capture(**limits)
    for piece in pieces:
        capture.add(piece)
    return capture.text()


def test_t49_a_short_output_is_kept_whole() -> None:
    assert captured(b"a" * HEAD, b"b" * TAIL) == "a" * HEAD + "b" * TAIL
    assert captured() == ""


def test_t49_of_a_long_one_the_ends_are_kept_and_the_middle_is_counted() -> None:
    assert captured(b"a" * HEAD, b"x", b"b" * TAIL) == (
        "a" * HEAD + "\n[... 1 bytes omitted ...]\n" + "b" * TAIL
    )


@given(st.lists(st.binary(max_size=12), max_size=40))
def test_t49_pieces_do_not_matter(pieces: list[bytes]) -> None:
    whole = b"".join(pieces)
    assert captured(*pieces, head=8, tail=20) == captured(whole, head=8, tail=20)
    if len(whole) <= 28:
        assert captured(whole, head=8, tail=20) == whole.decode(errors="replace")


@given(st.text("aé€😀", max_size=60))
def test_t49_no_character_is_cut_in_two(text: str) -> None:
    data = text.encode()
    shown = captured(data, head=8, tail=20)
    assert "\ufffd" not in shown
    if len(data) > 28:
        start, _, rest = shown.partition("\n[... ")
        omitted, _, end = rest.partition(" bytes omitted ...]\n")
        assert text.startswith(start)
        assert text.endswith(end)
        assert len(start.encode()) + int(omitted) + len(end.encode()) == len(data)


def test_bytes_that_are_no_utf_8_are_replaced() -> None:
    assert captured(b"ok \xff\xfe\xe2\x82 \xed\xa0\x80") == "ok \ufffd\ufffd\ufffd \ufffd\ufffd\ufffd"
    captured(bytes(range(256)) * 1_000).encode()


@pytest.mark.parametrize(
    "data", [b"", b"a", "é".encode(), "€".encode(), "😀".encode(), b"\xff", b"\x80\x80\x80\x80"]
)
def test_whole_characters_stay(data: bytes) -> None:
    assert whole_end(b"x" + data) == b"x" + data
    for cut in range(1, len(data)):
        if 0xC2 <= data[0] <= 0xF4:
            assert whole_end(b"x" + data[:cut]) == b"x"
            assert whole_start(data[cut:] + b"x") == b"x"


def test_t49_64_mib_take_no_memory_in_whatever_pieces_they_come() -> None:
    large, small = Capture(), Capture()
    chunk = b"0123456789abcdef" * 4_096
    tracemalloc.start()
    try:
        for _ in range(1_024):
            large.add(chunk)
        for _ in range(200_000):
            small.add(b"0123456789")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1 << 20
    assert f"[... {(64 << 20) - HEAD - TAIL} bytes omitted ...]" in large.text()
    assert small.text().endswith("0123456789" * 100)
