"""The embedded server seen by a bare client."""

import json
import time
from typing import Any

import pytest

from alloy_actors.local import LocalServer

from .conftest import Client, chat_request

WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


def text_of(chunks: list[Any]) -> str:
    return "".join(
        choice["delta"].get("content") or ""
        for chunk in chunks
        if chunk != "DONE"
        for choice in chunk["choices"]
    )


def test_a_plain_answer_is_a_chat_completion(client) -> None:
    reply = client.ask("What is an actor?")
    body = reply.json()
    assert reply.status == 200
    assert reply.headers["content-type"].startswith("application/json")
    assert body["object"] == "chat.completion"
    assert body["model"] == "scripted-fast"
    assert 'You said: "What is an actor?"' in body["choices"][0]["message"]["content"]
    assert body["choices"][0]["finish_reason"] == "stop"
    assert (
        body["usage"]["total_tokens"] == body["usage"]["prompt_tokens"] + body["usage"]["completion_tokens"]
    )


def test_a_stream_says_the_same_as_a_plain_answer_word_by_word(client) -> None:
    plain = client.ask("What is an actor?").json()
    reply = client.ask("What is an actor?", stream=True)
    chunks = reply.chunks()
    assert reply.headers["content-type"].startswith("text/event-stream")
    assert text_of(chunks) == plain["choices"][0]["message"]["content"]
    assert len(chunks) > 10
    assert chunks[0]["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert chunks[-3]["choices"][0]["finish_reason"] == "stop"
    assert (chunks[-2]["choices"], chunks[-2]["usage"]) == ([], plain["usage"])
    assert chunks[-1] == "DONE"
    assert all(chunk["usage"] is None for chunk in chunks[:-2])


def test_a_stamped_stream_begins_with_the_moment_it_was_written(client) -> None:
    before = time.monotonic()
    text = text_of(client.ask(stream=True, stamp=1, text="the answer").chunks())
    stamp, rest = text.split(" ", 1)
    assert before <= float(stamp) <= time.monotonic()
    assert rest == "the answer"


def test_a_stream_has_no_usage_unless_it_was_asked_for(client) -> None:
    chunks = client.post(chat_request("scripted-fast") | {"stream": True}).chunks()
    assert not any("usage" in chunk for chunk in chunks[:-1])
    assert chunks[-1] == "DONE"


@pytest.mark.parametrize("stream", [False, True])
def test_usage_can_be_left_out_by_order(client, stream: bool) -> None:
    reply = client.ask(stream=stream, usage=0)
    assert b"total_tokens" not in reply.body


def test_parallel_calls_go_out_and_their_results_come_back_quoted(client) -> None:
    asked = {"role": "user", "content": "Compare the weather in Paris and Oslo."}
    body = {"model": "scripted-fast", "messages": [asked], "tools": [WEATHER]}
    first = client.post(body).json()["choices"][0]
    calls = first["message"]["tool_calls"]
    assert first["finish_reason"] == "tool_calls"
    assert [json.loads(call["function"]["arguments"]) for call in calls] == [
        {"city": "Paris"},
        {"city": "Oslo"},
    ]
    results = [
        {"role": "tool", "tool_call_id": call["id"], "content": word}
        for call, word in zip(calls, ["sun", "rain"], strict=True)
    ]
    second = client.post(body | {"messages": [asked, first["message"], *results]}).json()["choices"][0]
    assert 'weather(city="Paris") said: sun; weather(city="Oslo") said: rain' in second["message"]["content"]


def test_streamed_calls_come_by_index_with_one_id_each(client) -> None:
    options = {"tools": [WEATHER], "parallel_tool_calls": True}
    chunks = client.ask("The weather in Paris and Oslo", stream=True, options=options).chunks()
    pieces = [piece for chunk in chunks[:-2] for piece in chunk["choices"][0]["delta"].get("tool_calls", ())]
    for index, city in enumerate(["Paris", "Oslo"]):
        mine = [piece for piece in pieces if piece["index"] == index]
        assert [piece.get("id") is not None for piece in mine] == [True] + [False] * (len(mine) - 1)
        assert len(mine) > 2
        assert json.loads("".join(piece["function"]["arguments"] for piece in mine)) == {"city": city}
    assert chunks[-3]["choices"][0]["finish_reason"] == "tool_calls"


@pytest.mark.parametrize("stream", [False, True])
def test_reasoning_comes_before_the_answer(client, stream: bool) -> None:
    reply = client.ask(stream=stream, reasoning="Let me see. ", text="Done.")
    if stream:
        deltas = [chunk["choices"][0]["delta"] for chunk in reply.chunks()[1:-3]]
        assert "".join(delta["reasoning_content"] for delta in deltas[:-1]) == "Let me see. "
        assert deltas[-1] == {"content": "Done."}
    else:
        message = reply.json()["choices"][0]["message"]
        assert (message["reasoning_content"], message["content"]) == ("Let me see. ", "Done.")


def test_as_many_deltas_as_ordered(client) -> None:
    chunks = client.ask(stream=True, deltas=2000, per_write=100).chunks()
    assert sum("content" in chunk["choices"][0]["delta"] for chunk in chunks[1:-3]) == 2000


def test_the_server_says_everywhere_that_it_is_no_model(client) -> None:
    reply = client.ask()
    assert "not a model" in reply.headers["server"]
    assert reply.headers["x-request-id"]
    assert "not-a-model" in reply.json()["system_fingerprint"]
    assert "not a model" in reply.json()["choices"][0]["message"]["content"]
    assert b"No language model answers here" in client.request("GET", "/").body
    models = client.request("GET", "/v1/models").json()
    assert models["object"] == "list"
    assert {model["owned_by"] for model in models["data"]} == {"a-script-not-a-model"}
    assert all(model["id"].startswith("scripted-") for model in models["data"])


def test_health_answers(client) -> None:
    assert client.request("GET", "/health").json()["status"] == "ok"


@pytest.mark.parametrize(
    ("body", "status", "param", "words"),
    [
        (b"{nonsense", 400, None, "could not parse the JSON body"),
        (b'{"model": "\xff"}', 400, None, "could not parse the JSON body"),
        ({"model": "scripted-fast"}, 400, "messages", "Missing required parameter"),
        (chat_request("gpt-5"), 404, "model", "does not exist"),
        (
            chat_request("scripted-fast?x=1"),
            400,
            "model",
            "unknown directive",
        ),
    ],
)
def test_a_bad_request_gets_an_error_in_the_apis_shape(
    client, body, status: int, param: str | None, words: str
) -> None:
    reply = client.post(body)
    error = reply.json()["error"]
    assert reply.status == status
    assert (error["type"], error["param"]) == ("invalid_request_error", param)
    assert words in error["message"]


def test_a_body_that_does_not_say_it_is_json_is_refused(client) -> None:
    reply = client.post(b"{}", **{"content-type": "application/octet-stream"})
    assert reply.status == 400
    assert "application/json" in reply.json()["error"]["message"]


@pytest.mark.parametrize(
    ("method", "path", "status"), [("GET", "/v2/nothing", 404), ("GET", "/v1/chat/completions", 405)]
)
def test_a_wrong_address_gets_an_error_in_the_apis_shape(client, method: str, path: str, status: int) -> None:
    reply = client.request(method, path)
    assert reply.status == status
    assert path in reply.json()["error"]["message"]


def test_large_bodies_pass(client) -> None:
    reply = client.ask("x" * 3_000_000)
    assert reply.status == 200
    assert len(reply.body) < 2000


def test_counters_tell_what_arrived(server: LocalServer, client) -> None:
    before = server.stats()
    client.ask()
    client.ask(stream=True)
    client.post(b"{nonsense")
    after = server.wait_stats(active=0, connections=1)
    assert after.requests - before.requests == 3
    assert after.streams - before.streams == 1
    assert after.refused - before.refused == 1
    assert after.abandoned == before.abandoned


def test_waiting_for_a_counter_that_does_not_come_is_an_error_that_shows_all(server: LocalServer) -> None:
    with pytest.raises(TimeoutError, match=r"peak_active': -1.*counts.*'requests'"):
        server.wait_stats(peak_active=-1, timeout=0)
    with pytest.raises(ValueError, match="no counter 'socks'"):
        server.wait_stats(socks=0)


def test_a_gate_holds_its_requests_until_it_is_opened(server: LocalServer, client) -> None:
    client.begin(gate="g 1/2")
    server.wait_stats(active=1)
    server.open_gate("g 1/2")
    assert client.connection.getresponse().read()
    assert client.ask(gate="g 1/2").status == 200


def test_a_gate_can_stand_in_the_middle_of_a_stream(server: LocalServer, client) -> None:
    client.begin(stream=True, gate="halfway", gate_after=3, deltas=5)
    response = client.connection.getresponse()
    lines = [response.readline() for _ in range(2 * 3)]  # a role and two words
    assert b"word1" in lines[-2]
    assert server.stats().active == 1
    server.open_gate("halfway")
    assert b"word4" in response.read()


def test_a_token_is_asked_for_everywhere_but_at_health() -> None:
    with LocalServer(token="s3cret") as server:
        client = Client(server)
        try:
            assert client.request("GET", "/health").status == 200
            refused = client.ask()
            assert (refused.status, refused.json()["error"]["code"]) == (401, "invalid_api_key")
            assert client.request("GET", "/stats").status == 401
            assert client.request("GET", "/v1/models", authorization="Bearer s3cret").status == 200
            assert server.stats().requests == 0
        finally:
            client.connection.close()
