import json

import pytest

from alloy_actors.local.directives import Directives
from alloy_actors.local.script import Reply, reply_to

PLAIN = Directives()


def tool(name="get_weather", **properties):
    properties = properties or {"city": {"type": "string"}}
    parameters = {"type": "object", "properties": properties, "required": list(properties)}
    return {"type": "function", "function": {"name": name, "parameters": parameters}}


def user(text):
    return {"role": "user", "content": text}


def ask(*messages, tools=None, directives=PLAIN, **options) -> Reply:
    body = {"model": "m", "messages": list(messages), **options}
    if tools is not None:
        body["tools"] = tools
    return reply_to(body, "scripted-fast", directives)


def text_of(reply):
    return "".join(reply.words)


def calls_of(reply):
    return [(call.name, json.loads(call.arguments)) for call in reply.calls]


def exchange(question, reply, *results):
    """Return the messages of a run so far: question, the reply's calls, their results."""
    calls = [
        {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
        for call in reply.calls
    ]
    answers = [
        {"role": "tool", "tool_call_id": call.id, "content": result}
        for call, result in zip(reply.calls, results, strict=True)
    ]
    return [user(question), {"role": "assistant", "content": None, "tool_calls": calls}, *answers]


def test_a_question_is_echoed_with_the_count_of_user_turns_and_an_honest_label() -> None:
    reply = ask(user("one"), {"role": "assistant", "content": "1"}, user("two  words"))
    assert text_of(reply) == (
        '[scripted-fast: a script, not a model] You said: "two  words". This is user turn 2 of our conversation.'
    )
    assert reply.finish == "stop"
    assert len(reply.words) > 10


@pytest.mark.parametrize(
    ("text", "calls"),
    [
        ('get_weather(city="Paris")', [{"city": "Paris"}]),
        ("Use get_weather('Paris'), please.", [{"city": "Paris"}]),
        (
            'get_weather({"city": "Paris", "deep": {"a": [1, true, null]}})',
            [{"city": "Paris", "deep": {"a": [1, True, None]}}],
        ),
        ('get_weather(city="a) b(c") then get_weather(city="Oslo")', [{"city": "a) b(c"}, {"city": "Oslo"}]),
        ("get_weather(town=-1.5)", [{"town": -1.5}]),
        ("get_weather()", [{}]),
        ("get_weather(city=b'no JSON')", []),
        ("get_weather(city=other)", []),
        ("get_weather(city=", []),
        ("forget_weather(city='x') my.get_weather(city='x')", []),
    ],
)
def test_calls_written_in_the_users_text_are_made(text: str, calls: list[dict[str, object]]) -> None:
    reply = ask(user(text), tools=[tool()])
    assert calls_of(reply) == [("get_weather", arguments) for arguments in calls]
    assert reply.finish == ("tool_calls" if calls else "stop")
    assert bool(reply.words) is not bool(calls)


def test_the_longer_of_two_tool_names_is_not_cut_short() -> None:
    reply = ask(user("add_all(a=1) add(a=2)"), tools=[tool("add"), tool("add_all")])
    assert calls_of(reply) == [("add_all", {"a": 1}), ("add", {"a": 2})]


@pytest.mark.parametrize(
    ("text", "cities"),
    [
        ("Compare the weather in Paris and Oslo.", ["Paris", "Oslo"]),
        ("What is the weather in New York, Rio, and Oslo?", ["New York", "Rio", "Oslo"]),
        ("The weather of Köln, please", ["Köln"]),
        ("The weather in general", []),
        ("Trains between Paris and Oslo", []),
    ],
)
def test_the_demos_vocabulary_makes_one_call_for_each_place(text: str, cities: list[str]) -> None:
    reply = ask(user(text), tools=[tool("other", n={"type": "integer"}), tool()])
    assert calls_of(reply) == [("get_weather", {"city": city}) for city in cities]


def test_results_are_quoted_after_the_calls_they_answer() -> None:
    question = "get_weather(city='Paris') and get_weather(city='Oslo')"
    first = ask(user(question), tools=[tool()])
    reply = ask(*exchange(question, first, "sunny", "rain"), tools=[tool()])
    assert 'get_weather(city="Paris") said: sunny; get_weather(city="Oslo") said: rain.' in text_of(reply)
    assert "user turn 1" in text_of(reply)


def test_results_of_earlier_runs_are_not_quoted_again() -> None:
    question = "get_weather(city='Paris')"
    first = ask(user(question), tools=[tool()])
    done = [*exchange(question, first, "sunny"), {"role": "assistant", "content": "It is sunny."}]
    assert "sunny" not in text_of(ask(*done, user("Thanks."), tools=[tool()]))


def test_call_ids_differ_within_a_conversation_and_are_the_same_for_the_same_request() -> None:
    question = "get_weather(city='Paris') get_weather(city='Paris')"
    first = ask(user(question), tools=[tool()])
    again = ask(user(question), tools=[tool()])
    later = ask(*exchange(question, first, "sunny", "sunny"), user(question), tools=[tool()])
    assert first == again
    assert len({call.id for call in (*first.calls, *later.calls)}) == 4


def test_no_calls_without_tools_or_when_the_client_forbids_them() -> None:
    assert ask(user("get_weather(city='Paris')")).calls == ()
    assert ask(user("get_weather(city='Paris')"), tools=[tool()], tool_choice="none").calls == ()


def test_only_one_call_when_parallel_calls_are_off() -> None:
    reply = ask(user("The weather in Paris and Oslo"), tools=[tool()], parallel_tool_calls=False)
    assert calls_of(reply) == [("get_weather", {"city": "Paris"})]


def test_a_forced_tool_is_called_with_sample_arguments() -> None:
    tools = [
        tool(),
        tool("pick", n={"type": "integer"}, colour={"enum": ["red", "blue"]}, note={"type": "string"}),
    ]
    forced = {"type": "function", "function": {"name": "pick"}}
    assert calls_of(ask(user("Hm."), tools=tools, tool_choice=forced)) == [
        ("pick", {"n": 1, "colour": "red", "note": "sample-0"})
    ]
    assert calls_of(ask(user("Hm."), tools=tools, tool_choice="required")) == [
        ("get_weather", {"city": "sample-0"})
    ]


def test_ordered_calls_are_made_for_the_ordered_number_of_rounds() -> None:
    directives = Directives(calls=2, rounds=2)
    first = ask(user("go"), tools=[tool()], directives=directives)
    history = exchange("go", first, "a", "b")
    second = ask(*history, tools=[tool()], directives=directives)
    history += exchange("go", second, "c", "d")[1:]
    third = ask(*history, tools=[tool()], directives=directives)
    assert calls_of(first) == calls_of(second) == [("get_weather", {"city": f"sample-{n}"}) for n in range(2)]
    assert third.calls == ()
    assert "said: a" in text_of(third)
    assert "said: d" in text_of(third)


def test_ordered_arguments_are_sent_as_they_are_even_if_broken() -> None:
    reply = ask(
        user("go"), tools=[tool()], directives=Directives(calls=1, tool="no_such", arguments='{"city": ')
    )
    assert [(call.name, call.arguments) for call in reply.calls] == [("no_such", '{"city": ')]


def test_text_deltas_and_finish_can_be_ordered() -> None:
    assert text_of(ask(user("x"), directives=Directives(text=" two\n words "))) == " two\n words "
    assert len(ask(user("x"), directives=Directives(deltas=2000)).words) == 2000
    assert ask(user("x"), directives=Directives(finish="content_filter")).finish == "content_filter"


@pytest.mark.parametrize("option", ["max_tokens", "max_completion_tokens"])
def test_a_token_limit_cuts_the_text_and_says_so(option: str) -> None:
    reply = ask(user("x"), directives=Directives(deltas=10), **{option: 3})
    assert (len(reply.words), reply.finish, reply.completion_tokens) == (3, "length", 3)


def test_parts_of_a_message_are_read_as_text() -> None:
    parts = [
        {"type": "text", "text": "get_weather(city='Oslo')"},
        {"type": "image_url", "image_url": {"url": "data:"}},
    ]
    assert calls_of(ask(user(parts), tools=[tool()])) == [("get_weather", {"city": "Oslo"})]
    assert "[image_url]" in text_of(ask(user(parts)))


def test_a_history_without_a_user_message_is_answered() -> None:
    assert "user turn 0" in text_of(ask({"role": "system", "content": "Be brief."}))


def form_of(schema):
    return {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}


def test_an_answer_of_a_form_is_a_sample_that_fits_it() -> None:
    city = {
        "type": "object",
        "properties": {"name": {"type": "string"}, "people": {"type": "integer"}, "motto": {}},
        "required": ["name", "people"],
    }
    schema = {
        "type": "object",
        "properties": {
            "cities": {"type": "array", "items": {"$ref": "#/$defs/City"}, "minItems": 2},
            "size": {"enum": ["big", "small"]},
            "kind": {"const": "list"},
            "note": {"anyOf": [{"type": "null"}, {"type": "string"}]},
        },
        "required": ["cities", "size", "kind", "note"],
        "$defs": {"City": city},
    }
    reply = ask(user("where?"), response_format=form_of(schema))
    assert json.loads(text_of(reply)) == {
        "cities": [{"name": "sample-0", "people": 1}] * 2,
        "size": "big",
        "kind": "list",
        "note": None,
    }


def test_a_text_that_was_ordered_goes_before_the_form() -> None:
    reply = ask(
        user("where?"),
        response_format=form_of({"type": "object"}),
        directives=Directives(text="no"),
    )
    assert text_of(reply) == "no"
