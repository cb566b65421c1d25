"""Requests on the wire: tests/data/requests/<api>.json holds, for each shape, the body that was checked by hand."""

import json

import pytest
from hypothesis import given, settings

from alloy_actors.content import Message, TextBlock
from alloy_actors.provider import ModelRequest
from tests.contract.shapes import add, now, shapes
from tests.contract.wire import APIS, DATA, Api, as_json, sent
from tests.strategies import histories

REQUESTS = {name: json.loads((DATA / "requests" / f"{name}.json").read_text()) for name in APIS}


def all_shapes(api: Api) -> dict[str, ModelRequest]:
    origin = api.make().origin
    return {**shapes(origin), **api.own(origin)}


CASES = [(name, shape) for name, api in APIS.items() for shape in all_shapes(api)]


@pytest.mark.parametrize(("api", "shape"), CASES, ids=["-".join(case) for case in CASES])
def test_a_shape_goes_out_as_it_was_checked(api: str, shape: str) -> None:
    request = sent(APIS[api], all_shapes(APIS[api])[shape], **APIS[api].options.get(shape, {}))
    body = json.loads(request.content)
    assert shape in REQUESTS[api], f"check this and put it into the file: {as_json({shape: body})}"
    assert body == REQUESTS[api][shape], as_json(body)


@pytest.mark.parametrize("api", APIS)
def test_every_checked_request_has_a_shape(api: str) -> None:
    assert set(REQUESTS[api]) == set(all_shapes(APIS[api]))


@pytest.mark.parametrize("api", APIS)
def test_extra_body_wins_and_its_tools_are_added(api: str) -> None:
    extra = {"x_first": {"deep": [1, None]}, "tools": [{"x_tool": 1}]}
    plain = json.loads(sent(APIS[api], shapes("")["tools"]).content)
    body = json.loads(sent(APIS[api], shapes("")["tools"], extra_body=extra).content)
    assert body.pop("x_first") == {"deep": [1, None]}
    assert body.pop("tools") == [*plain.pop("tools"), {"x_tool": 1}]
    assert body == plain
    for name, value in plain.items():
        if isinstance(value, str | int):
            body = json.loads(sent(APIS[api], shapes("")["text"], extra_body={name: "mine"}).content)
            assert body[name] == "mine"


@pytest.mark.parametrize("api", APIS)
def test_what_the_caller_says_of_tool_calls_wins_over_the_last_request(api: str) -> None:
    name = "toolConfig" if api == "gemini" else "tool_choice"
    request = shapes("")["no_more_calls"]
    content = sent(APIS[api], request, extra_body={name: {"type": "mine"}}).content
    assert json.loads(content)[name] == {"type": "mine"}
    assert content.count(f'"{name}"'.encode()) == 1


@pytest.mark.parametrize("api", APIS)
def test_extra_headers_win(api: str) -> None:
    headers = sent(APIS[api], shapes("")["text"], extra_headers={"x-mine": "1", "User-Agent": "me"}).headers
    assert headers["x-mine"] == "1"
    assert headers.get_list("user-agent") == ["me"]


@pytest.mark.parametrize("api", APIS)
@settings(max_examples=60, deadline=None)
@given(history=histories())
def test_any_history_goes_out_as_json_the_same_each_time(api: str, history: list[Message]) -> None:
    provider = APIS[api].make()
    own = [
        Message(
            item.role, item.content, item.model, provider.origin if item.origin == "here" else item.origin
        )
        for item in history
    ]
    own[-1] = Message("user", (*own[-1].blocks, TextBlock("go on")))  # to ask nothing may be refused
    fresh = [Message(item.role, item.content, item.model, item.origin) for item in own]
    first = sent(APIS[api], ModelRequest(tuple(own), (add, now))).content
    assert json.loads(first)
    assert sent(APIS[api], ModelRequest(tuple(own), (add, now))).content == first
    assert sent(APIS[api], ModelRequest(tuple(fresh), (add, now))).content == first
