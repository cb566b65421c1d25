"""T86: events out of bytes, cut anywhere: pieces, CRLF, several data lines, comments, a missing space."""

import pytest

from alloy_actors.providers._sse import SSEEvent, SSEParser


def parse(*chunks: bytes) -> list[SSEEvent]:
    parser = SSEParser()
    events = [event for chunk in chunks for event in parser.feed(chunk)]
    last = parser.close()
    return events if last is None else [*events, last]


def data(*chunks: bytes) -> list[bytes]:
    return [event.data for event in parse(*chunks)]


@pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\n"])
def test_lines_end_with_lf_cr_or_crlf(end: bytes) -> None:
    assert data(b"data: a" + end + end + b"data: b" + end + end) == [b"a", b"b"]


def test_an_lf_after_a_chunk_that_ended_with_cr_belongs_to_it() -> None:
    assert data(b"data: a\r", b"\n\r", b"\ndata: b\r\n\r\n") == [b"a", b"b"]
    assert data(b"data: a\r", b"\n", b"data: b\r\n\r\n") == [b"a\nb"]


def test_an_event_that_ends_with_a_chunk_is_given_out_at_once() -> None:
    parser = SSEParser()
    assert parser.feed(b"data: a\r\n\r") == [SSEEvent(None, b"a")]
    assert parser.feed(b"\n") == []


def test_data_lines_are_joined_by_lf() -> None:
    assert data(b"data: a\ndata:\ndata: b\n\n") == [b"a\n\nb"]


def test_one_space_after_the_colon_is_no_data_and_may_lack() -> None:
    assert data(b"data:a\n\ndata: a\n\ndata:  a\n\n") == [b"a", b"a", b" a"]


def test_comments_and_other_fields_are_skipped() -> None:
    assert data(b": keep-alive\n\nid: 7\nretry: 10\nwhatever\ndata: a\n\n") == [b"a"]


def test_an_event_without_data_is_dropped_and_its_name_with_it() -> None:
    assert parse(b"event: ping\n\ndata: a\n\n") == [SSEEvent(None, b"a")]


def test_the_first_name_of_an_event_counts() -> None:
    assert parse(b"event: one\nevent: two\ndata: a\n\ndata: b\n\n") == [
        SSEEvent("one", b"a"),
        SSEEvent(None, b"b"),
    ]


def test_a_data_field_without_colon_is_an_empty_line() -> None:
    assert data(b"data\n\n") == [b""]


def test_a_byte_order_mark_is_skipped_at_the_start_only() -> None:
    assert data(b"\xef\xbb", b"\xbfdata: a\n\n") == [b"a"]
    assert data(b"data: a\n\n\xef\xbb\xbfdata: b\n\n") == [b"a"]


def test_a_character_cut_in_two_is_whole_again() -> None:
    encoded = "data: grüße 😀\n\n".encode()
    for cut in range(len(encoded)):
        assert data(encoded[:cut], encoded[cut:]) == ["grüße 😀".encode()]


def test_what_the_end_left_unterminated_is_given_out_by_close() -> None:
    assert data(b"data: a\n\ndata: b") == [b"a", b"b"]
    assert data(b"data: a\n\ndata: b\n") == [b"a", b"b"]
    assert data(b"data: a\n\nevent: b") == [b"a"]
    assert data(b"") == []


def test_closing_twice_gives_nothing_twice() -> None:
    parser = SSEParser()
    parser.feed(b"data: a")
    assert parser.close() == SSEEvent(None, b"a")
    assert parser.close() is None


def test_a_huge_event_in_small_pieces_is_joined_once() -> None:
    """Counted, not timed: no piece may be looked at again when the next one comes."""
    looked_at = 0

    class Counted(bytes):
        def splitlines(self, keepends: bool = False) -> list[bytes]:
            nonlocal looked_at
            looked_at += len(self)
            return super().splitlines(keepends)

    parser = SSEParser()
    pieces = [b"data: "] + [b"x" * 10] * 20_000 + [b"\n\n"]
    events = [event for piece in pieces for event in parser.feed(Counted(piece))]
    assert [len(event.data) for event in events] == [200_000]
    assert looked_at == sum(map(len, pieces))
