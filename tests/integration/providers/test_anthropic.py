"""Anthropic through whole agents: what a conversation with it has to carry from one request to the next (T79, T80)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import httpx
import pytest

import alloy_actors as alloy
from alloy_actors import Anthropic
from tests.checks import check_sendable

if TYPE_CHECKING:
    from collections.abc import Iterator

SEARCH = {"type": "web_search_20250305", "name": "web_search"}
CALL = {"type": "tool_use", "id": "toolu_1", "name": "add", "input": {"a": 1, "b": 2}}
THOUGHT = {"type": "thinking", "thinking": "Let me add.", "signature": "sig=="}
SEARCHING = {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "otp"}}
FOUND = {
    "type": "web_search_tool_result",
    "tool_use_id": "srvtoolu_1",
    "content": [
        {
            "type": "web_search_result",
            "title": "OTP",
            "url": "https://example.org",
            "encrypted_content": "Eo8B",
        }
    ],
}
CITATION = {"type": "web_search_result_location", "url": "https://example.org", "cited_text": "Let it crash."}
CITED = {"type": "text", "text": "let it crash", "citations": [CITATION]}


def text(words: str) -> dict:
    return {"type": "text", "text": words}


def message(*content: dict, stop: str = "end_turn", **members: object) -> dict:
    usage = {"input_tokens": 9, "output_tokens": 3}
    return {
        "id": "msg_1",
        "type": "message",
        "content": list(content),
        "stop_reason": stop,
        "usage": usage,
        **members,
    }


def events_of(reply: dict) -> Iterator[dict]:
    """A whole message as the events of a stream."""
    yield {"type": "message_start", "message": {**reply, "content": [], "stop_reason": None}}
    for at, block in enumerate(reply["content"]):
        kind = block["type"]
        if kind in ("text", "thinking"):
            yield {"type": "content_block_start", "index": at, "content_block": {"type": kind, kind: ""}}
            for piece in (block[kind][:3], block[kind][3:]):
                delta = {"type": f"{kind}_delta", kind: piece}
                yield {"type": "content_block_delta", "index": at, "delta": delta}
            for citation in block.get("citations", ()):
                delta = {"type": "citations_delta", "citation": citation}
                yield {"type": "content_block_delta", "index": at, "delta": delta}
            if "signature" in block:
                delta = {"type": "signature_delta", "signature": block["signature"]}
                yield {"type": "content_block_delta", "index": at, "delta": delta}
        else:
            yield {"type": "content_block_start", "index": at, "content_block": block}
        yield {"type": "content_block_stop", "index": at}
    end = {name: reply.get(name) for name in ("stop_reason", "stop_details", "container")}
    yield {"type": "message_delta", "delta": end, "usage": reply["usage"]}
    yield {"type": "message_stop"}


class Model:
    """Answers with these messages, one after the other, streamed to whoever asks for a stream; keeps the requests."""

    def __init__(self, *replies: dict | int) -> None:
        self.replies = list(replies)
        self.requests: list[dict] = []
        self.client = httpx.AsyncClient(transport=httpx.MockTransport(self.answer))

    def answer(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(json.loads(request.content))
        reply = self.replies.pop(0)
        if isinstance(reply, int):
            return httpx.Response(reply, json={"type": "error", "error": {"type": "x", "message": "no"}})
        if self.requests[-1].get("stream"):
            body = "".join(
                f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in events_of(reply)
            )
            return httpx.Response(200, text=body, headers={"content-type": "text/event-stream"})
        return httpx.Response(200, json=reply)

    def provider(self, **options: Any) -> Anthropic:
        return Anthropic("claude-m", "sk-ant-key", "http://server", self.client, **options)

    def sent(self, request: int, at: int) -> list[dict]:
        """The content of one message of one request."""
        return self.requests[request]["messages"][at]["content"]


@alloy.tool
async def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


@pytest.fixture(autouse=True)
def _runtime() -> Iterator[None]:
    yield
    alloy.shutdown()


@pytest.fixture
def system() -> Iterator[alloy.AgentSystem]:
    with alloy.AgentSystem() as system:
        yield system


def run(model: Model, streamed: bool = False, said: list[str] | None = None, **options: Any) -> alloy.Result:
    if streamed:
        return alloy.stream(
            "hi", (said if said is not None else []).append, provider=model.provider(), **options
        )
    return alloy.run("hi", provider=model.provider(), **options)


@pytest.mark.parametrize("streamed", [False, True])
def test_thinking_goes_back_with_the_tool_results_and_not_to_on_chunk(streamed: bool) -> None:
    """T79: text, tools, mixed; T80: thinking round trip, not on_chunk."""
    model = Model(message(THOUGHT, text("One moment."), CALL, stop="tool_use"), message(text("It is 3.")))
    said: list[str] = []
    result = run(model, streamed, said, tools=[add]).raise_for_status()
    assert model.sent(1, 1) == [THOUGHT, text("One moment."), CALL]
    assert model.sent(1, 2) == [{"type": "tool_result", "tool_use_id": "toolu_1", "content": "3"}]
    assert (result.text, result.thinking, result.turns) == ("It is 3.", "Let me add.", 2)
    assert (result.usage.input_tokens, result.usage.output_tokens) == (18, 6)
    assert "".join(said) == ("One moment.It is 3." if streamed else "")
    check_sendable(result.messages)


def test_thinking_is_heard_as_it_comes() -> None:
    model = Model(message(THOUGHT, text("So.")))
    with alloy.AgentSystem() as system:
        events: list[alloy.Event] = []
        system.spawn("a", provider=model.provider()).stream_chat("hi", on_event=events.append)
    heard = [event.text for event in events if isinstance(event, alloy.ThinkingDelta)]
    assert heard == ["Let", " me add."]


@pytest.mark.parametrize("streamed", [False, True])
def test_the_providers_own_tool_is_not_answered_and_its_citations_are_kept(streamed: bool) -> None:
    """T80: server tool not answered."""
    model = Model(
        message(SEARCHING, FOUND, text("They say "), CITED, text(".")), message(text("You are welcome."))
    )
    with alloy.AgentSystem() as system:
        agent = system.spawn("a", provider=model.provider(server_tools=[SEARCH]), tools=[add])
        ask = (lambda words: agent.stream_chat(words, lambda _: None)) if streamed else agent.chat
        result = ask("hi").raise_for_status()
        assert len(model.requests) == 1
        assert result.tool_calls == ()
        assert result.text == "They say let it crash."
        assert result.messages[-1].blocks[3].annotations == (CITATION,)
        assert result.metadata["provider_response"]["citations"] == [CITATION]
        ask("thanks")
    assert model.sent(1, 1) == [SEARCHING, FOUND, text("They say "), CITED, text(".")]


def test_a_paused_turn_goes_on_by_itself() -> None:
    model = Model(message(text("Searching."), SEARCHING, stop="pause_turn"), message(FOUND, text("Found.")))
    result = run(model).raise_for_status()
    assert (result.text, result.turns, result.stop_reason) == ("Found.", 2, "end_turn")
    assert model.requests[1]["messages"] == [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": [text("Searching."), SEARCHING]},
    ]


def test_a_search_that_was_left_unfinished_does_not_stand_in_the_way(system: alloy.AgentSystem) -> None:
    model = Model(message(text("Searching."), SEARCHING, stop="pause_turn"), message(text("Yes?")))
    agent = system.spawn("a", provider=model.provider(), max_turns=1)
    assert agent.chat("hi").status == "max_turns"
    assert agent.chat("no, wait").text == "Yes?"
    assert model.sent(1, 1) == [text("Searching.")]


LIVING = {"id": "container_1", "expires_at": "2999-10-14T10:28:40Z"}
DEAD = {"id": "container_0", "expires_at": "2025-10-14T10:28:40Z"}


def test_a_container_is_used_again_until_it_expires(system: alloy.AgentSystem) -> None:
    """T80: container reuse and expiry; point 4: provider_state out, in, and dropped by a reset."""
    model = Model(
        message(text("1"), container=DEAD),
        message(text("2"), container=LIVING),
        message(text("3")),
        message(text("4")),
        message(text("5")),
    )
    provider = model.provider(code_execution=True)
    agent = system.spawn("a", provider=provider)
    agent.chat("hi")
    state = agent.chat("hi").metadata["provider_state"]
    assert state == {"container_id": "container_1", "container_expires_at": LIVING["expires_at"]}
    agent.chat("hi")
    agent.reset()
    agent.chat("hi")
    alloy.run("hi", provider=model.provider(provider_state=state))
    assert [request.get("container") for request in model.requests] == [
        None,
        None,
        "container_1",
        None,
        "container_1",
    ]


@pytest.mark.parametrize("streamed", [False, True])
def test_a_refusal_ends_the_run_and_says_why(streamed: bool) -> None:
    details = {"type": "refusal", "category": "bio", "explanation": "This goes too far."}
    result = run(Model(message(text("First"), stop="refusal", stop_details=details)), streamed)
    assert (result.status, result.stop_reason) == ("error", "refusal")
    assert str(result.error) == "the model refused to answer: This goes too far."
    assert result.metadata["provider_response"]["stop_details"] == details


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("status", [429, 500, 529])
def test_the_run_alone_decides_about_retries(status: int, streamed: bool) -> None:
    """T79: no retry by the HTTP client."""
    model = Model(status, status, message(text("Here.")))
    assert run(model, streamed, max_retries=0).status == "error"
    assert len(model.requests) == 1
    assert run(model, streamed, max_retries=1, retry_backoff=0.001).text == "Here."
    assert len(model.requests) == 3


def test_a_history_that_was_exported_is_sent_as_the_one_that_was_lived(system: alloy.AgentSystem) -> None:
    """Round trip: reply -> session as JSON -> request."""
    rich = message(
        THOUGHT, SEARCHING, FOUND, CITED, {"type": "redacted_thinking", "data": "x"}, CALL, stop="tool_use"
    )
    model = Model(rich, message(text("3")), message(text("a")), message(text("a")))
    agent = system.spawn("a", provider=model.provider(cache=True), tools=[add])
    agent.chat("hi").raise_for_status()
    session = alloy.Session.from_json(agent.export_session().to_json())
    again = system.spawn("b", provider=model.provider(cache=True), tools=[add], session=session)
    agent.chat("and?")
    again.chat("and?")
    assert model.requests[3] == model.requests[2]
    assert model.sent(3, 1) == rich["content"]


def test_a_mistake_in_a_message_is_an_error_of_the_run_before_anything_is_sent() -> None:
    model = Model()
    picture = alloy.Message("user", (alloy.ImageBlock("image/tiff", "aGk="),))
    history = [picture, alloy.Message("assistant", "A picture.")]
    result = alloy.run("hi", provider=model.provider(), messages=history)
    assert isinstance(result.error, alloy.InvalidRequestError)
    assert "image/tiff" in str(result.error)
    assert model.requests == []
