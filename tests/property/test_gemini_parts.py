"""What Gemini has said goes back as it came, wherever its stream was divided; nothing that it may say is a crash."""

import json
from itertools import pairwise
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from alloy_actors.content import Message, user
from alloy_actors.errors import ProviderError
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


SAMPLE = {
    "candidates": [
        {
            "content": {
                "role": "model",
                "parts": [
                    {"text": "hm", "thought": True, "thoughtSignature": "YQ=="},
                    {"functionCall": {"id": "x", "name": "add", "args": {"a": 1}}},
                    {
                        "functionCall": {
                            "name": "add",
                            "partialArgs": [{"jsonPath": "$.a", "stringValue": "x"}],
                        }
                    },
                    {"inlineData": {"mimeType": "image/png", "data": "aGk="}},
                    {"fileData": {"mimeType": "image/png", "fileUri": "files/a"}},
                    {"executableCode": {"language": "PYTHON", "code": "print(1)"}},
                    {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "1"}},
                    {"toolCall": {"id": "t", "toolType": "URL_CONTEXT", "args": {}}},
                    {"toolResponse": {"id": "t", "response": {"a": 1}}},
                    {"text": "It is 1."},
                ],
            },
            "finishReason": "SAFETY",
            "finishMessage": "Stopped.",
            "safetyRatings": [{"category": "x"}],
            "groundingMetadata": {
                "groundingChunks": [{"web": {"uri": "https://example.org"}}],
                "groundingSupports": [{"segment": {"text": "It"}, "groundingChunkIndices": [0]}],
                "webSearchQueries": ["x"],
            },
            "citationMetadata": {"citationSources": [{"uri": "https://example.org"}]},
            "index": 0,
        }
    ],
    "promptFeedback": {"blockReason": "SAFETY"},
    "usageMetadata": {"promptTokenCount": 1, "candidatesTokenCount": 2},
    "responseId": "r",
}


def paths(value: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(found for key, item in items for found in paths(item, (*path, key)))]


PATHS = paths(SAMPLE)[1:]


def changed(path: tuple[str | int, ...], value: Any) -> Any:
    sample: Any = json.loads(json.dumps(SAMPLE))
    place = sample
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    return sample


@given(
    path=st.sampled_from(PATHS),
    value=st.sampled_from(
        [None, True, 0, 7, -1.5, "", "x", [], [None], ["x"], [[]], {}, {"x": 1}, {"x": None}]
    ),
)
@settings(max_examples=400)
def test_a_reply_with_anything_anywhere_is_read_or_refused_with_a_typed_error(
    path: tuple[str | int, ...], value: Any
) -> None:
    fold = ContentReply()
    try:
        fold.feed(json.dumps(changed(path, value)).encode(), [])
        message = fold.finish(model="m", origin=ORIGIN).message
    except ProviderError:
        return
    assert all(map(json.loads, ContentsFormat.of(ORIGIN).messages((user("hi"), message))))
