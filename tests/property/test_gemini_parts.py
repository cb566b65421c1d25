"""What Gemini has said goes back as it came: every part, wherever its stream was divided."""

import json
from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from alloy_actors.content import Message, user
from alloy_actors.providers._gemini_reply import ContentReply
from alloy_actors.providers._gemini_request import PLACEHOLDER, ContentsFormat
from tests.strategies import names, texts

ORIGIN = "0" * 16
Part = dict[str, Any]

signed = st.just({}) | st.sampled_from([{"thoughtSignature": "YQ=="}, {"thoughtSignature": "Yg=="}])
values = st.none() | st.booleans() | st.integers(-(2**40), 2**40) | texts
arguments = st.dictionaries(texts, values | st.lists(values, max_size=2), max_size=3)
kinds = st.one_of(
    texts.map(lambda text: {"text": text}),
    texts.map(lambda text: {"text": text, "thought": True}),
    st.builds(lambda name, args: {"functionCall": {"name": name, "args": args}}, names, arguments),
    st.sampled_from(
        [
            {"inlineData": {"mimeType": "image/png", "data": "aGk="}},
            {"inlineData": {"mimeType": "audio/wav", "data": "aGk="}, "partMetadata": {"a": 1}},
            {"fileData": {"mimeType": "application/pdf", "fileUri": "https://example.org/a.pdf"}},
            {"executableCode": {"language": "PYTHON", "code": "print(1)"}},
            {"codeExecutionResult": {"outcome": "OUTCOME_FAILED", "output": "no"}},
            {"toolCall": {"id": "t", "toolType": "URL_CONTEXT", "args": {}}},
            {"toolResponse": {"id": "t", "toolType": "URL_CONTEXT", "response": {"a": 1}}},
            {"text": "told", "partMetadata": {"a": 1}},
            {"brandNew": {"a": [1]}},
        ]
    ),
)
said = st.lists(st.builds(lambda part, signature: {**part, **signature}, kinds, signed), max_size=6)


def expected(parts: list[Part]) -> list[Part]:
    """Unsigned text is joined, what says nothing is left out, and the first call has a signature."""
    found: list[Part] = []
    signed = False
    for part in parts:
        if part.keys() <= {"text", "thought"}:
            if not part["text"]:
                continue
            last = found[-1] if found else {}
            if last.keys() == part.keys():
                found[-1] = {**last, "text": last["text"] + part["text"]}
                continue
        if "functionCall" in part and not signed:
            signed = True
            part = {"thoughtSignature": PLACEHOLDER, **part}
        found.append(part)
    return found


def message_of(chunks: list[list[Part]]) -> Message:
    fold = ContentReply()
    for number, parts in enumerate(chunks):
        candidate: dict[str, Any] = {"content": {"role": "model", "parts": parts}}
        if number == len(chunks) - 1:
            candidate["finishReason"] = "STOP"
        fold.feed(json.dumps({"candidates": [candidate], "responseId": "r"}).encode(), [])
    return fold.finish(model="m", origin=ORIGIN).message


@given(parts=said, cuts=st.lists(st.integers(0, 6), max_size=3))
def test_parts_go_back_as_they_came(parts: list[Part], cuts: list[int]) -> None:
    whole = message_of([parts])
    marks = sorted({0, len(parts), *(cut for cut in cuts if cut < len(parts))})
    pieces = [parts[start:end] for start, end in pairwise(marks)] or [parts]
    assert message_of(pieces) == whole
    sent = ContentsFormat.of(ORIGIN).messages((user("hi"), whole))[1:]
    assert [content["parts"] for content in map(json.loads, sent)] == [expected(parts)] * bool(
        expected(parts)
    )
