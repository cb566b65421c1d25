"""What Gemini sends, folded: the parts of T83 and T85 that no exchange in tests/data/gemini can show."""

import json
from typing import Any

import pytest

from alloy_actors import errors
from alloy_actors.content import ThinkingBlock
from alloy_actors.provider import Delta
from alloy_actors.providers._gemini_reply import ContentReply


def chunk(*parts: dict[str, Any], reason: str | None = None, **more: Any) -> bytes:
    candidate: dict[str, Any] = {"content": {"role": "model", "parts": list(parts)}}
    if reason:
        candidate["finishReason"] = reason
    return json.dumps({"candidates": [candidate], **more}).encode()


def folded(*chunks: bytes) -> tuple[ContentReply, list[Delta]]:
    fold, deltas = ContentReply(), []
    for data in chunks:
        assert fold.feed(data, deltas) is False
    return fold, deltas


def finish(fold: ContentReply):
    return fold.finish(model="m", origin="0" * 16)


def test_t85_only_a_finish_reason_or_a_blocked_prompt_completes_a_stream() -> None:
    fold, _ = folded(chunk({"text": "Hel"}))
    assert not fold.complete
    fold.feed(chunk({"text": "lo"}, reason="STOP"), [])
    assert fold.complete
    assert not folded(b'{"promptFeedback": {"safetyRatings": []}}')[0].complete
    assert folded(b'{"promptFeedback": {"blockReason": "OTHER"}}')[0].complete


def test_t83_pieces_are_merged_unless_a_signature_stands_between() -> None:
    fold, deltas = folded(
        chunk({"text": "a", "thought": True}),
        chunk({"text": "b", "thought": True}),
        chunk({"text": "c", "thought": True, "thoughtSignature": "YQ=="}),
        chunk({"text": "d", "thought": True}, reason="STOP"),
    )
    assert finish(fold).message.blocks == (
        ThinkingBlock("ab"),
        ThinkingBlock("c", "YQ=="),
        ThinkingBlock("d"),
    )
    assert "".join(delta.text for delta in deltas) == "abcd"


def test_the_ids_of_two_replies_without_response_ids_differ() -> None:
    call = chunk({"functionCall": {"name": "now"}}, reason="STOP")
    first, second = (finish(folded(call)[0]).message.tool_calls[0].id for _ in range(2))
    assert first != second
    assert first.startswith("gemini_call_")
    assert len(first) <= 64


def test_a_response_id_that_fits_no_call_id_is_not_used_for_one() -> None:
    call = chunk({"functionCall": {"name": "now"}}, reason="STOP", responseId="a/b c" * 20)
    (found,) = finish(folded(call)[0]).message.tool_calls
    assert found.id.replace("_", "").isalnum()
    assert len(found.id) <= 64


def test_half_a_character_at_the_end_is_replaced() -> None:
    data = b'{"candidates": [{"content": {"parts": [{"text": "a \\ud83d"}]}, "finishReason": "STOP"}]}'
    assert finish(folded(data)[0]).message.text == "a \ufffd"


@pytest.mark.parametrize("path", ["", "a", "$", "$a", "$.a[x]", "$.a..b", "$.a[7]", "$.a.b", "$[0]"])
def test_a_path_that_leads_nowhere_makes_the_call_invalid(path: str) -> None:
    pieces = [{"jsonPath": "$.a", "stringValue": "x"}, {"jsonPath": path, "stringValue": "y"}]
    call = {"functionCall": {"name": "add", "partialArgs": pieces}}
    (found,) = finish(folded(chunk(call, reason="STOP"))[0]).message.tool_calls
    assert found.input == {}
    assert found.invalid is not None
    assert json.loads(found.invalid)["$.a"] == "x"


def test_a_long_argument_in_many_pieces_is_put_together() -> None:
    piece = {"jsonPath": "$.text", "stringValue": "0123456789", "willContinue": True}
    more = chunk({"functionCall": {"partialArgs": [piece], "willContinue": True}})
    fold, _ = folded(
        chunk({"functionCall": {"name": "write", "willContinue": True}}),
        *[more] * 2_000,
        chunk({"functionCall": {}}, reason="STOP"),
    )
    (call,) = finish(fold).message.tool_calls
    assert call.input == {"text": "0123456789" * 2_000}
    assert call.invalid is None


def test_an_error_keeps_secrets_out() -> None:
    fold = ContentReply(["AIza-secret"])
    with pytest.raises(errors.ServerError) as caught:
        fold.feed(b'{"error": {"message": "key AIza-secret", "status": "INTERNAL"}}', [])
    assert "AIza" not in str(caught.value)
