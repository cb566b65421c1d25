import json

from alloy_actors.local.script import Call, Reply
from alloy_actors.local.wire import ChunkWriter, completion, stream_deltas

TEXT = Reply(("Hello ", "you"), (), "stop", ("Hm. ",), 5, 3)
CALLS = Reply((), (Call("c1", "add", '{"a": 1, "b": 20}'), Call("c2", "now", "{}")), "tool_calls", (), 5, 3)


def join(reply):
    """Put the deltas together as a client does."""
    text, reasoning, calls = "", "", {}
    for delta in stream_deltas(reply):
        text += delta.get("content") or ""
        reasoning += delta.get("reasoning_content") or ""
        for piece in delta.get("tool_calls") or ():
            held = calls.setdefault(piece["index"], {"id": "", "name": "", "arguments": ""})
            held["id"] += piece.get("id") or ""
            held["name"] += piece["function"].get("name") or ""
            held["arguments"] += piece["function"]["arguments"]
    return text, reasoning, [tuple(call.values()) for call in calls.values()]


def test_deltas_join_to_the_reply() -> None:
    assert join(TEXT) == ("Hello you", "Hm. ", [])
    assert join(CALLS) == ("", "", [("c1", "add", '{"a": 1, "b": 20}'), ("c2", "now", "{}")])


def test_arguments_come_in_pieces_after_the_name() -> None:
    first, second, third = [delta["tool_calls"][0] for delta in list(stream_deltas(CALLS))[1:4]]
    assert (first["id"], first["function"]) == ("c1", {"name": "add", "arguments": ""})
    assert second["function"] == {"arguments": '{"a": 1, "b"'}
    assert third == {"index": 0, "function": {"arguments": ": 20}"}}


def test_a_plain_body_holds_text_reasoning_and_usage() -> None:
    body = completion(TEXT, identifier="x", model="m", created=1, usage=True)
    assert body["choices"][0]["message"] == {
        "role": "assistant",
        "content": "Hello you",
        "reasoning_content": "Hm. ",
    }
    assert body["choices"][0]["finish_reason"] == "stop"
    assert body["usage"]["total_tokens"] == 8
    assert "not-a-model" in body["system_fingerprint"]


def test_a_plain_body_with_calls_has_null_content() -> None:
    message = completion(CALLS, identifier="x", model="m", created=1, usage=False)["choices"][0]["message"]
    assert message["content"] is None
    assert [call["id"] for call in message["tool_calls"]] == ["c1", "c2"]


def test_chunks_are_data_lines_of_json() -> None:
    writer = ChunkWriter(identifier="x", model='a "quoted" name', created=1, usage=True)
    chunk = writer.delta({"content": "hé"}, "stop")
    assert chunk.startswith(b"data: {")
    assert chunk.endswith(b"}\n\n")
    assert json.loads(chunk[6:]) == {
        "id": "x",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": 'a "quoted" name',
        "system_fingerprint": "scripted-stand-in-not-a-model",
        "choices": [{"index": 0, "delta": {"content": "hé"}, "logprobs": None, "finish_reason": "stop"}],
        "usage": None,
    }
    last = json.loads(writer.usage(TEXT)[6:])
    assert last["choices"] == []
    assert last["usage"]["prompt_tokens"] == 5
