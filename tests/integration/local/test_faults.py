"""Every fault that can be ordered, as a bare client meets it."""

import http.client
import json

import pytest

from alloy_actors.local import LocalServer, scripted_model


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("status", [400, 401, 429, 500, 529])
def test_an_error_status_comes_in_the_apis_shape(client, status: int, stream: bool) -> None:
    reply = client.ask(stream=stream, status=status, retry_after=7)
    assert (reply.status, reply.headers["retry-after"]) == (status, "7")
    assert f"HTTP {status}" in reply.json()["error"]["message"]


def test_retry_after_is_left_out_unless_ordered(client) -> None:
    assert "retry-after" not in client.ask(status=429).headers


def test_a_fault_can_be_limited_to_the_first_requests(client) -> None:
    statuses = [client.ask(status=503, times=2, text="limited").status for _ in range(4)]
    assert statuses == [503, 503, 200, 200]


def test_a_fault_can_wait_for_the_history_to_grow(client) -> None:
    body = {"model": scripted_model(status=500, after=1), "messages": [{"role": "user", "content": "x"}]}
    assert client.post(body).status == 200
    body["messages"] += [{"role": "assistant", "content": "y"}, {"role": "user", "content": "z"}]
    assert client.post(body).status == 500


@pytest.mark.parametrize("stream", [False, True])
def test_a_hanging_request_ends_when_its_client_closes_the_socket(
    server: LocalServer, client, stream: bool
) -> None:
    before = server.stats()
    client.begin(stream=stream, fault="hang")
    server.wait_stats(active=1, connections=1)
    client.connection.close()
    after = server.wait_stats(active=0, connections=0)
    assert after.abandoned == before.abandoned + 1


def test_a_stalled_stream_sends_half_and_then_nothing(server: LocalServer, client) -> None:
    before = server.stats()
    client.begin(stream=True, fault="stall", deltas=9)
    response = client.connection.getresponse()
    lines = [response.readline() for _ in range(2 * 5)]  # a role and four words
    assert b"word3" in lines[-2]
    assert server.stats().active == 1
    client.connection.close()
    response.close()
    assert server.wait_stats(active=0).abandoned == before.abandoned + 1


@pytest.mark.parametrize("stream", [False, True])
def test_a_disconnect_comes_before_the_first_byte(client, stream: bool) -> None:
    with pytest.raises(http.client.RemoteDisconnected):
        client.ask(stream=stream, fault="disconnect")


@pytest.mark.parametrize("stream", [False, True])
def test_a_cut_leaves_the_body_short(client, stream: bool) -> None:
    with pytest.raises(http.client.IncompleteRead) as caught:
        client.ask(stream=stream, fault="cut")
    assert caught.value.partial.startswith(b"data: {" if stream else b"{")
    assert b"DONE" not in caught.value.partial


@pytest.mark.parametrize("stream", [False, True])
def test_an_empty_answer_is_a_200_without_a_byte(client, stream: bool) -> None:
    reply = client.ask(stream=stream, fault="empty")
    assert (reply.status, reply.body) == (200, b"")


def test_a_plain_answer_that_is_not_json(client) -> None:
    reply = client.ask(fault="not_json")
    assert reply.status == 200
    assert reply.body.startswith(b"<html>")


def test_a_stream_with_an_event_that_is_not_json(client) -> None:
    *good, bad = client.ask(stream=True, fault="not_json").body.strip().split(b"\n\n")
    assert all(json.loads(line[6:]) for line in good)
    assert bad.startswith(b"data: <html>")


@pytest.mark.parametrize("stream", [False, True])
def test_an_error_object_after_the_status_200(client, stream: bool) -> None:
    reply = client.ask(stream=stream, fault="error")
    assert reply.status == 200
    error = reply.chunks()[-1] if stream else reply.json()
    assert error["error"]["type"] == "server_error"
    assert b"DONE" not in reply.body


def test_a_stream_without_done_is_otherwise_complete(client) -> None:
    whole, short = client.ask(stream=True).chunks(), client.ask(stream=True, fault="no_done").chunks()
    assert len(short) == len(whole) - 1
    assert short[-2]["choices"][0]["finish_reason"] == "stop"


def test_an_unfinished_stream_ends_cleanly_without_a_finish_reason(client) -> None:
    chunks = client.ask(stream=True, fault="unfinished").chunks()
    assert chunks
    assert all(chunk["choices"][0]["finish_reason"] is None for chunk in chunks)
