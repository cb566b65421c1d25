import pytest

from alloy_actors.local.errors import ApiError
from alloy_actors.local.validation import check_request

USER = {"role": "user", "content": "hello"}


def call(identifier="c1", name="add", arguments="{}"):
    return {"id": identifier, "type": "function", "function": {"name": name, "arguments": arguments}}


def asks(*identifiers):
    return {
        "role": "assistant",
        "content": None,
        "tool_calls": [call(identifier) for identifier in identifiers],
    }


def answers(identifier):
    return {"role": "tool", "tool_call_id": identifier, "content": "3"}


def spec(name="add", **more):
    return {"type": "function", "function": {"name": name, **more}}


def request(*messages, **options):
    return {"model": "scripted-fast", "messages": list(messages or (USER,)), **options}


@pytest.mark.parametrize(
    "body",
    [
        request(),
        request(
            {"role": "system", "content": "x"},
            {"role": "developer", "content": [{"type": "text", "text": "x"}]},
        ),
        request({"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:"}}]}),
        request(USER, asks("a", "b"), answers("b"), answers("a"), USER),
        request(USER, asks("a"), answers("a"), asks("a"), answers("a")),
        request(USER, {"role": "assistant", "content": "hi", "tool_calls": None}, USER),
        request(
            USER, asks("a"), {"role": "tool", "tool_call_id": "a", "content": [{"type": "text", "text": "3"}]}
        ),
        request(stream=True, stream_options={"include_usage": True}),
        request(tools=[spec(parameters={"type": "object", "properties": {}})], tool_choice="auto", n=1),
        request(
            tools=[spec()],
            tool_choice={"type": "function", "function": {"name": "add"}},
            parallel_tool_calls=False,
        ),
        request(unknown_option=1, temperature=0.5, max_tokens=1),
    ],
)
def test_what_the_real_api_takes_is_taken(body: dict[str, object]) -> None:
    assert check_request(body) is body


@pytest.mark.parametrize(
    ("body", "param", "words"),
    [
        ([], None, "JSON object"),
        ({"messages": [USER]}, "model", "must provide a model"),
        ({"model": "m"}, "messages", "Missing required parameter: 'messages'"),
        ({"model": "m", "messages": []}, "messages", "empty array"),
        (request("hello"), "messages[0]", "expected an object"),
        (request({"role": "function", "content": "x"}), "messages[0].role", "Invalid value: 'function'"),
        (request({"role": [], "content": "x"}), "messages[0].role", "Invalid value"),
        (request({"role": "user"}), "messages[0].content", "got null"),
        (request({"role": "user", "content": 3}), "messages[0].content", "got a int"),
        (request({"role": "user", "content": []}), "messages[0].content", "list of parts"),
        (request({"role": "user", "content": ["x"]}), "messages[0].content[0].type", "Invalid value"),
        (
            request({"role": "system", "content": [{"type": "image_url"}]}),
            "messages[0].content[0].type",
            "role 'system'",
        ),
        (request({"role": "user", "content": [{"type": "text"}]}), "messages[0].content[0].text", "Missing"),
        (request(USER, {"role": "assistant", "content": None}), "messages[1].content", "got null"),
        (
            request(USER, {"role": "assistant", "content": None, "tool_calls": []}),
            "messages[1].tool_calls",
            "at least one",
        ),
        (
            request({**USER, "tool_calls": [call()]}),
            "messages[0].tool_calls",
            "only allowed with role 'assistant'",
        ),
        (
            request(USER, {"role": "tool", "content": "3"}),
            "messages[1].tool_call_id",
            "Missing required parameter",
        ),
    ],
)
def test_a_malformed_message_is_refused_with_its_path(body: object, param: str | None, words: str) -> None:
    with pytest.raises(ApiError) as caught:
        check_request(body)
    assert caught.value.param == param
    assert words in caught.value.message
    assert (caught.value.status, caught.value.type) == (400, "invalid_request_error")


@pytest.mark.parametrize(
    ("bad", "param"),
    [
        ({"type": "function"}, "messages[1].tool_calls[0]"),
        ({**call(), "type": "custom"}, "messages[1].tool_calls[0]"),
        ({**call(), "id": None}, "messages[1].tool_calls[0].id"),
        (call(name="no good"), "messages[1].tool_calls[0].function.name"),
        (call(arguments=""), "messages[1].tool_calls[0].function.arguments"),
        (call(arguments="[1]"), "messages[1].tool_calls[0].function.arguments"),
        (call(arguments={"a": 1}), "messages[1].tool_calls[0].function.arguments"),
    ],
)
def test_a_malformed_tool_call_is_refused_with_its_path(bad: dict[str, object], param: str) -> None:
    with pytest.raises(ApiError) as caught:
        check_request(
            request(USER, {"role": "assistant", "content": None, "tool_calls": [bad]}, answers("c1"))
        )
    assert caught.value.param == param


@pytest.mark.parametrize(
    ("messages", "param", "words"),
    [
        ((USER, asks("a")), "messages[1].tool_calls", "did not have response messages: a"),
        ((USER, asks("a", "b"), answers("a")), "messages[1].tool_calls", "did not have response messages: b"),
        (
            (USER, asks("a"), USER, answers("a")),
            "messages[1].tool_calls",
            "must be followed by tool messages",
        ),
        (
            (USER, asks("a"), {"role": "assistant", "content": "x"}),
            "messages[1].tool_calls",
            "must be followed",
        ),
        ((USER, answers("a")), "messages[1].tool_call_id", "must be a response to a preceding message"),
        ((USER, asks("a"), answers("a"), answers("a")), "messages[3].tool_call_id", "'a' is not waiting"),
        ((USER, asks("a"), answers("b")), "messages[2].tool_call_id", "'b' is not waiting"),
        (
            (USER, asks("a"), answers("a"), USER, answers("a")),
            "messages[4].tool_call_id",
            "'a' is not waiting",
        ),
        ((USER, asks("a", "a"), answers("a")), "messages[1].tool_calls[1].id", "Duplicate"),
    ],
)
def test_every_tool_call_needs_exactly_one_result_right_after_it(messages, param: str, words: str) -> None:
    with pytest.raises(ApiError) as caught:
        check_request(request(*messages))
    assert caught.value.param == param
    assert words in caught.value.message


@pytest.mark.parametrize(
    ("options", "param"),
    [
        ({"tools": []}, "tools"),
        ({"tools": ["add"]}, "tools[0]"),
        ({"tools": [spec("no good")]}, "tools[0].function.name"),
        ({"tools": [spec(), spec()]}, "tools[1].function.name"),
        ({"tools": [spec(parameters={"type": "string"})]}, "tools[0].function.parameters"),
        ({"tools": [spec()], "tool_choice": "always"}, "tool_choice"),
        (
            {"tools": [spec()], "tool_choice": {"type": "function", "function": {"name": "sub"}}},
            "tool_choice",
        ),
        ({"tools": [spec()], "tool_choice": {"function": {"name": []}}}, "tool_choice"),
        ({"tool_choice": "auto"}, "tool_choice"),
        ({"parallel_tool_calls": True}, "parallel_tool_calls"),
        ({"stream": "yes"}, "stream"),
        ({"stream_options": {"include_usage": True}}, "stream_options"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_completion_tokens": "many"}, "max_completion_tokens"),
        ({"n": 2}, "n"),
        ({"n": []}, "n"),
    ],
)
def test_a_wrong_option_is_refused_by_name(options: dict[str, object], param: str) -> None:
    with pytest.raises(ApiError) as caught:
        check_request(request(**options))
    assert caught.value.param == param
