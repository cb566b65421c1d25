"""Server-sent events mean the same wherever the network cut them."""

from hypothesis import given
from hypothesis import strategies as st

from alloy_actors.providers._sse import SSEEvent, SSEParser

LINES = st.one_of(
    st.builds(
        lambda text: b"data: " + text, st.binary(max_size=8).map(lambda raw: raw.translate(None, b"\r\n"))
    ),
    st.sampled_from(
        [
            b"",
            b"",
            b"data",
            b"data:",
            b"data:x",
            "data: grüße 😀".encode(),
            b": comment",
            b"event: name",
            b"id: 1",
            b"retry: 5",
            b"x",
        ]
    ),
)
ENDS = st.sampled_from([b"\n", b"\r", b"\r\n"])


@st.composite
def streams(draw: st.DrawFn) -> bytes:
    lines = draw(st.lists(st.tuples(LINES, ENDS), max_size=30))
    body = b"".join(line + end for line, end in lines)
    start = draw(st.sampled_from([b"", b"\xef\xbb\xbf"]))
    return start + body + draw(st.sampled_from([b"", b"data: tail", b"\n\n"]))


def events(chunks: list[bytes]) -> list[SSEEvent]:
    parser = SSEParser()
    found = [event for chunk in chunks for event in parser.feed(chunk)]
    last = parser.close()
    return found if last is None else [*found, last]


def reference(body: bytes) -> list[SSEEvent]:
    """The rules, written down naively on the whole body."""
    found: list[SSEEvent] = []
    data: list[bytes] = []
    name: str | None = None
    for line in [*body.removeprefix(b"\xef\xbb\xbf").splitlines(), b""]:
        if not line:
            if data:
                found.append(SSEEvent(name, b"\n".join(data)))
            data, name = [], None
            continue
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            data.append(value)
        elif field == b"event" and name is None:
            name = value.decode("utf-8", "replace")
    return found


@given(streams(), st.lists(st.integers(min_value=0, max_value=500), max_size=20))
def test_a_stream_cut_anywhere_gives_the_events_of_the_whole(body: bytes, cuts: list[int]) -> None:
    marks = sorted(min(cut, len(body)) for cut in cuts)
    chunks = [body[start:end] for start, end in zip([0, *marks], [*marks, len(body)], strict=True)]
    assert events(chunks) == reference(body)


@given(streams())
def test_a_stream_in_single_bytes_gives_the_events_of_the_whole(body: bytes) -> None:
    assert events([body[at : at + 1] for at in range(len(body))]) == reference(body)
