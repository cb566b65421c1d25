"""Whole agents over the Responses API: what the server wants back it gets, and what it says reaches the result."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import httpx
import pytest

import alloy_actors as alloy

if TYPE_CHECKING:
    from collections.abc import Sequence

REASONING = {
    "id": "rs_1",
    "type": "reasoning",
    "summary": [{"type": "summary_text", "text": "I add."}],
    "encrypted_content": "gAAAAAB",
}
CALL = {
    "id": "fc_1",
    "type": "function_call",
    "call_id": "call_1",
    "name": "add",
    "arguments": '{"a":19,"b":23}',
}
CITE = {
    "type": "url_citation",
    "url": "https://example.org",
    "title": "Sums",
    "start_index": 0,
    "end_index": 2,
}
TEXT = {"type": "output_text", "text": "42", "annotations": [CITE]}
ANSWER = {"id": "msg_1", "type": "message", "role": "assistant", "phase": "final_answer", "content": [TEXT]}
USAGE = {"input_tokens": 10, "input_tokens_details": {"cached_tokens": 4}, "output_tokens": 5}


@alloy.tool
async def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


class Server:
    """Answers with these outputs in turn, streamed or whole as it is asked, and keeps the requests."""

    def __init__(self, *outputs: Sequence[dict[str, Any]]) -> None:
        self.outputs = list(outputs)
        self.bodies: list[dict[str, Any]] = []
        self.client = httpx.AsyncClient(transport=httpx.MockTransport(self.answer))

    def answer(self, request: httpx.Request) -> httpx.Response:
        self.bodies.append(json.loads(request.content))
        output = self.outputs.pop(0)
        whole = {"id": f"resp_{len(self.bodies)}", "status": "completed", "output": output, "usage": USAGE}
        if not self.bodies[-1].get("stream"):
            return httpx.Response(200, json=whole)
        events: list[dict[str, Any]] = []
        for index, item in enumerate(output):
            said = [("reasoning_summary_text", part["text"]) for part in item.get("summary", ())]
            said += [("output_text", part["text"]) for part in item.get("content", ())]
            events += [
                {"type": "response.output_item.added", "output_index": index, "item": item},
                *(
                    {"type": f"response.{kind}.delta", "output_index": index, "delta": text}
                    for kind, text in said
                ),
            ]
        events.append({"type": "response.completed", "response": whole})
        body = "".join(f"data: {json.dumps(event)}\n\n" for event in events)
        return httpx.Response(200, text=body, headers={"content-type": "text/event-stream"})

    def model(self, **options: Any) -> alloy.OpenAI:
        return alloy.OpenAI("m", "sk-key", "http://server", self.client, **options)


@pytest.mark.parametrize("streamed", [False, True], ids=["plain", "streamed"])
def test_a_tool_loop_gives_reasoning_back_and_shows_its_summary_and_the_citations(streamed: bool) -> None:
    server = Server([REASONING, CALL], [ANSWER])
    heard: list[tuple[str, str]] = []

    def listen(event: alloy.Event) -> None:
        if event.type in ("text_delta", "thinking_delta"):
            heard.append((event.type, event.text))

    options: dict[str, Any] = {"provider": server.model(), "tools": [add]}
    if streamed:
        result = alloy.stream("19 and 23?", lambda _chunk: None, on_event=listen, **options)
    else:
        result = alloy.run("19 and 23?", **options)
    result.raise_for_status()
    assert result.text == "42"
    assert result.messages[1].thinking == "I add."
    assert server.bodies[1]["input"] == [
        {"role": "user", "content": "19 and 23?"},
        REASONING,
        {"type": "function_call", "call_id": "call_1", "name": "add", "arguments": '{"a":19,"b":23}'},
        {"type": "function_call_output", "call_id": "call_1", "output": "42"},
    ]
    assert result.usage == alloy.Usage(12, 10, 8)
    facts = result.metadata["provider_response"]
    assert facts["citations"] == [CITE]
    assert facts["id"] == "resp_2"
    assert result.metadata["provider_state"] == {"response_id": "resp_2"}
    if streamed:
        assert heard == [("thinking_delta", "I add."), ("text_delta", "42")]


def test_a_previous_response_stays_named_until_the_agent_is_reset(system: alloy.AgentSystem) -> None:
    server = Server([CALL], [ANSWER], [ANSWER], [ANSWER])
    agent = system.spawn("a", provider=server.model(previous_response_id="resp_0"), tools=[add])
    agent.chat("19 and 23?").raise_for_status()
    agent.chat("Again?").raise_for_status()
    agent.reset()
    agent.chat("hi").raise_for_status()
    assert [body.get("previous_response_id") for body in server.bodies] == [
        "resp_0",
        "resp_0",
        "resp_0",
        None,
    ]
    assert server.bodies[3]["input"] == [{"role": "user", "content": "hi"}]


def test_a_conversation_moves_to_another_server_and_comes_back(system: alloy.AgentSystem) -> None:
    here, there = Server([REASONING, CALL], [ANSWER], [ANSWER]), Server([ANSWER])
    agent = system.spawn("a", provider=here.model(), tools=[add])
    agent.chat("19 and 23?").raise_for_status()
    agent.set_model(alloy.XAI("grok", "xai-key", "http://elsewhere", there.client))
    agent.chat("Sure?").raise_for_status()
    agent.set_model(here.model())
    agent.chat("Really?").raise_for_status()
    assert there.bodies[0]["input"][1:5] == [
        {"role": "assistant", "content": "I add."},
        {"type": "function_call", "call_id": "call_1", "name": "add", "arguments": '{"a":19,"b":23}'},
        {"type": "function_call_output", "call_id": "call_1", "output": "42"},
        {"role": "assistant", "content": "42"},
    ]
    assert here.bodies[2]["input"][1] == REASONING
    assert here.bodies[2]["input"][4] == {"role": "assistant", "content": "42", "phase": "final_answer"}
    assert here.bodies[2]["input"][6] == {"role": "assistant", "content": "42"}


def test_an_image_that_cannot_be_sent_ends_the_run_with_its_field() -> None:
    server = Server()
    message = alloy.Message("user", [alloy.ImageBlock("image/tiff", "aGk=")])
    result = alloy.run(
        "What is it?", provider=server.model(), messages=[message, alloy.Message("assistant", "?")]
    )
    assert result.status == "error"
    assert isinstance(result.error, alloy.InvalidRequestError)
    assert "mime_type 'image/tiff'" in str(result.error)
    assert server.bodies == []
