import json
from dataclasses import dataclass, field
from typing import Any

from alloy_actors.content import (
    ImageBlock,
    Message,
    TextBlock,
    ThinkingBlock,
    ToolCall,
    ToolResult,
    assistant,
    user,
)
from alloy_actors.provider import ModelRequest
from alloy_actors.providers import _chat_request as wire
from alloy_actors.providers._wire import opened

HERE = wire.ChatFormat.of("aaaaaaaaaaaaaaaa")


@dataclass
class Tool:
    """What a provider reads of a tool."""

    name: str
    description: str = "Does it."
    input_schema: dict[str, Any] = field(default_factory=lambda: {"type": "object", "properties": {}})
    strict: bool = False
    kept: list[tuple[object, bytes]] = field(default_factory=list)
    encoded: int = 0

    def cached_wire(self, wire_format: object) -> bytes | None:
        return next((encoded for kept, encoded in self.kept if kept is wire_format), None)

    def cache_wire(self, wire_format: object, encoded: bytes) -> bytes:
        self.encoded += 1
        self.kept.append((wire_format, encoded))
        return encoded


def sent(message: Message, chat: wire.ChatFormat = HERE) -> list[dict]:
    return json.loads(b"[" + b",".join(chat.messages([message])) + b"]")


def body(request: ModelRequest, more: bytes = b"", **fixed: Any) -> dict:
    return json.loads(wire.body(opened(fixed), HERE, request, more))


def test_a_schema_is_narrowed_to_the_strict_mode_and_sent_as_it_is_where_it_cannot_be() -> None:
    city = {"type": "string", "default": "Oslo"}
    schema = {"type": "object", "properties": {"city": city}}
    form = body(ModelRequest((user("hi"),), output_schema=schema))["response_format"]["json_schema"]
    assert form == {
        "name": "answer",
        "schema": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
            "additionalProperties": False,
        },
        "strict": True,
    }
    free = {"type": "object", "additionalProperties": {"type": "integer"}}
    form = body(ModelRequest((user("hi"),), output_schema=free))["response_format"]["json_schema"]
    assert form == {"name": "answer", "schema": free, "strict": False}


def test_text_is_a_string() -> None:
    assert sent(user("hi")) == [{"role": "user", "content": "hi"}]
    assert sent(assistant("yes")) == [{"role": "assistant", "content": "yes"}]
    assert sent(Message("user", (TextBlock("hi"),))) == [{"role": "user", "content": "hi"}]


def test_text_and_images_are_parts_in_their_order() -> None:
    message = Message("user", (TextBlock("a"), ImageBlock("image/png", "aGk="), TextBlock("b")))
    assert sent(message) == [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "a"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}},
                {"type": "text", "text": "b"},
            ],
        }
    ]


def test_tool_calls_go_beside_the_text_or_null() -> None:
    call = ToolCall("call_1", "add", {"a": 1, "b": [2.5, None]})
    wire_call = {
        "id": "call_1",
        "type": "function",
        "function": {"name": "add", "arguments": '{"a":1,"b":[2.5,null]}'},
    }
    assert sent(Message("assistant", (call,))) == [
        {"role": "assistant", "content": None, "tool_calls": [wire_call]}
    ]
    assert sent(Message("assistant", (TextBlock("a"), TextBlock("b"), call))) == [
        {"role": "assistant", "content": "a\nb", "tool_calls": [wire_call]}
    ]


def test_a_call_whose_arguments_were_no_object_goes_back_with_none() -> None:
    call = ToolCall("call_1", "add", {}, invalid='{"a":')
    assert sent(Message("assistant", (call,)))[0]["tool_calls"][0]["function"]["arguments"] == "{}"


def test_an_empty_answer_is_an_empty_string_not_null() -> None:
    assert sent(Message("assistant", ())) == [{"role": "assistant", "content": ""}]


def test_each_tool_result_is_a_message_and_what_was_said_beside_them_follows() -> None:
    message = Message(
        "user", (ToolResult("call_1", "3"), ToolResult("call_2", "no", is_error=True), TextBlock("and?"))
    )
    assert sent(message) == [
        {"role": "tool", "tool_call_id": "call_1", "content": "3"},
        {"role": "tool", "tool_call_id": "call_2", "content": "no"},
        {"role": "user", "content": "and?"},
    ]


def test_thinking_goes_back_where_it_came_from() -> None:
    blocks = (ThinkingBlock("2 and 2"), TextBlock("4"))
    expected = [{"role": "assistant", "content": "4", "reasoning_content": "2 and 2"}]
    assert sent(Message("assistant", blocks, origin=HERE.origin)) == expected
    assert sent(Message("assistant", blocks)) == expected


def test_thinking_of_another_origin_is_text_here() -> None:
    elsewhere = "bbbbbbbbbbbbbbbb"
    blocks = (ThinkingBlock("2 and 2"), ThinkingBlock(" "), TextBlock("4"))
    assert sent(Message("assistant", blocks, origin=elsewhere)) == [
        {"role": "assistant", "content": "2 and 2\n4"}
    ]
    assert HERE.messages([Message("assistant", (ThinkingBlock(" "),), origin=elsewhere)]) == []


def test_a_message_is_encoded_once_for_a_format() -> None:
    message = user("hi")
    assert HERE.messages([message])[0] is HERE.messages([message])[0]
    other = wire.ChatFormat.of("cccccccccccccccc")
    assert message.cached_wire(other) is None
    assert other.messages([message]) == HERE.messages([message])


def test_providers_of_one_origin_share_their_format() -> None:
    assert wire.ChatFormat.of("dddddddddddddddd") is not wire.ChatFormat.of("eeeeeeeeeeeeeeee")
    assert wire.ChatFormat.of("aaaaaaaaaaaaaaaa") is HERE


def test_a_body_is_the_joined_pieces() -> None:
    tools: Any = (Tool("add"), Tool("read"))
    request = ModelRequest((user("hi"), assistant("yes"), user("go")), tools, "Be brief.")
    assert body(request, b'{"type":"web_search"}', model="m", max_tokens=5) == {
        "model": "m",
        "max_tokens": 5,
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "hi"},
            {"role": "assistant", "content": "yes"},
            {"role": "user", "content": "go"},
        ],
        "tools": [
            {
                "type": "function",
                "function": {
                    "name": name,
                    "description": "Does it.",
                    "parameters": {"type": "object", "properties": {}},
                },
            }
            for name in ("add", "read")
        ]
        + [{"type": "web_search"}],
    }


def test_an_empty_request_is_still_json() -> None:
    assert body(ModelRequest(())) == {"messages": []}


def test_a_message_with_nothing_for_this_wire_leaves_no_gap() -> None:
    foreign = Message("assistant", (ThinkingBlock(" "),), origin="bbbbbbbbbbbbbbbb")
    assert len(body(ModelRequest((user("a"), foreign, user("b"))))["messages"]) == 2


def test_the_same_history_is_the_same_bytes_and_a_longer_one_begins_with_them() -> None:
    history = (
        user("a"),
        Message("assistant", (ToolCall("c", "t", {"z": 1, "a": 2}),)),
        Message("user", (ToolResult("c", "x"),)),
    )
    start = opened({"model": "m"})
    first = wire.body(start, HERE, ModelRequest(history))
    again = wire.body(start, HERE, ModelRequest(tuple(Message(m.role, m.content) for m in history)))
    longer = wire.body(start, HERE, ModelRequest((*history, user("b"))))
    assert first == again
    assert longer.startswith(first.removesuffix(b"]}"))


def test_a_tool_is_encoded_once_for_all_origins() -> None:
    tool: Any = Tool("add")
    wire.body(b"{", HERE, ModelRequest((), (tool,)))
    wire.body(b"{", wire.ChatFormat.of("ffffffffffffffff"), ModelRequest((), (tool,)))
    assert tool.encoded == 1
