"""Answers of a type: `output=`, by a provider's own structured output and by a tool that hands the answer in."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import time
from enum import Enum
from functools import partial
from typing import Annotated, Any, Literal, Optional

import pydantic
import pytest
from typing_extensions import TypedDict

import alloy_actors as alloy
from alloy_actors import errors
from alloy_actors import journal as log
from alloy_actors.actors.restoring import fold
from alloy_actors.config import RunConfig, make_config
from alloy_actors.content import Message, TextBlock, ToolCall, Usage, user
from alloy_actors.output import SUBMIT, Output, UnfitError
from alloy_actors.testing import ScriptedProvider, error, reply, tool_call, tool_calls
from alloy_actors.tooldef import tool
from tests.checks import check_sendable
from tests.world.one_run import Scene, play_twice


class City(pydantic.BaseModel):
    """A place."""

    name: str
    people: int = pydantic.Field(ge=0)


class Node(pydantic.BaseModel):
    """A tree."""

    value: int
    children: list[Node] = []


class Typed(TypedDict):
    name: str
    people: int


@dataclasses.dataclass
class Point:
    x: int
    y: int = 0


class Colour(Enum):
    RED = "red"


class Even(pydantic.BaseModel):
    n: int

    @pydantic.field_validator("n")
    @classmethod
    def _is_even(cls, n: int) -> int:
        if n == 13:
            raise ZeroDivisionError("unlucky")
        if n % 2:
            raise ValueError("must be even")
        return n


class Odd(pydantic.BaseModel):
    x: int = pydantic.Field(json_schema_extra={"not": {"const": 3}})


OSLO = {"name": "Oslo", "people": 700_000}
KINDS: list[tuple[Any, Any, Any]] = [
    (City, OSLO, City(**OSLO)),
    (Typed, OSLO, OSLO),
    (Point, {"x": 1}, Point(1)),
    (Node, {"value": 1, "children": [{"value": 2}]}, Node(value=1, children=[Node(value=2)])),
    (dict[str, int], {"a": 1}, {"a": 1}),
    (list[City], {"value": [OSLO]}, [City(**OSLO)]),
    (City | None, {"value": None}, None),
    (City | Point, {"value": {"x": 3}}, Point(3)),
    (Optional[int], {"value": 3}, 3),  # noqa: UP045  (people write it so)
    (Literal["yes", "no"], {"value": "yes"}, "yes"),
    (Colour, {"value": "red"}, Colour.RED),
    (str, {"value": "hm"}, "hm"),
    (bool, {"value": True}, True),
    (tuple[int, str], {"value": [1, "a"]}, (1, "a")),
    (dt.date, {"value": "2026-11-27"}, dt.date(2026, 11, 27)),
    (pydantic.conint(gt=3), {"value": 4}, 4),
]
NAMES = [str(kind) for kind, _, _ in KINDS]


@tool
async def look(city: str) -> str:
    """Look a city up."""
    return f"{city}: 700000"


LOOK = tool_call("look", city="Oslo")


Native = partial(ScriptedProvider, output_schemas="always")
Alone = partial(ScriptedProvider, output_schemas="alone")


@pytest.fixture(params=[False, True], ids=["plain", "streamed"])
def listen(request: pytest.FixtureRequest) -> bool:
    return request.param


@pytest.fixture(params=[ScriptedProvider, Native], ids=["tool", "native"])
def kind_of_provider(request: pytest.FixtureRequest) -> type[ScriptedProvider]:
    return request.param


def given(provider: type[ScriptedProvider], answer: dict[str, Any]) -> Any:
    """An answer as this kind of provider gives it."""
    return tool_call(SUBMIT, **answer) if provider is ScriptedProvider else json.dumps(answer)


def play(provider: ScriptedProvider, *, listen: bool = False, **options: Any) -> alloy.Result:
    return Scene(provider, listen=listen, **options).play()


# -- the type and its schema ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "answer", "value"), KINDS, ids=NAMES)
def test_the_answer_is_a_value_of_the_type(
    kind: Any, answer: dict[str, Any], value: Any, listen: bool, kind_of_provider: type[ScriptedProvider]
) -> None:
    provider = kind_of_provider([given(kind_of_provider, answer)])
    result = play(provider, listen=listen, output=kind)
    assert (result.status, result.error) == ("completed", None)
    assert result.output == value
    assert type(result.output) is type(value)
    assert json.loads(result.text) == answer
    check_sendable(result.messages)


@pytest.mark.parametrize("kind", [kind for kind, _, _ in KINDS], ids=NAMES)
def test_a_schema_is_that_of_an_object_and_has_no_titles(kind: Any) -> None:
    schema = Output(kind).schema
    assert schema["type"] == "object"
    assert "title" not in json.dumps(schema)


def test_a_member_that_is_called_title_stays() -> None:
    class Book(pydantic.BaseModel):
        title: str

    assert list(Output(Book).schema["properties"]) == ["title"]


@pytest.mark.parametrize(
    ("kind", "complaint"),
    [
        (City(**OSLO), "no JSON schema"),
        ({"type": "object"}, "is no type: give a pydantic model"),
        ("City", "is no type"),
        (object, "no JSON schema|anything would fit"),
        (Any, "anything would fit"),
        (Scene, "no JSON schema"),
        (3, "output=3 is no type"),
    ],
    ids=str,
)
def test_what_is_no_type_with_a_schema_is_refused_before_the_run(kind: Any, complaint: str) -> None:
    with pytest.raises(errors.ConfigError, match=complaint):
        make_config(RunConfig, {"provider": ScriptedProvider(), "output": kind}, where="run")


def test_a_type_that_cannot_be_hashed_does_as_well() -> None:
    kind = Annotated[int, pydantic.Field(json_schema_extra={"examples": [1]}), ["unhashable"]]
    assert play(Native(['{"value": 1}']), output=kind).output == 1


def test_the_same_type_is_prepared_once() -> None:
    def made() -> Any:
        return make_config(RunConfig, {"provider": ScriptedProvider(), "output": City}, where="run").output

    assert made() is made()


# -- how it is asked for -------------------------------------------------------------------------------------------


def test_a_provider_of_its_own_structured_output_gets_the_schema_and_may_call_tools(listen: bool) -> None:
    provider = Native([LOOK, json.dumps(OSLO)])
    result = play(provider, listen=listen, tools=[look], output=City)
    assert (result.output, result.turns) == (City(**OSLO), 2)
    for request in provider.requests:
        assert request.output_schema == Output(City).schema
        assert [one.name for one in request.tools] == ["look"]


@pytest.mark.parametrize("provider", [ScriptedProvider, Alone])
def test_any_other_gets_a_tool_beside_those_of_the_run(
    provider: type[ScriptedProvider], listen: bool
) -> None:
    asked = provider([LOOK, tool_call(SUBMIT, **OSLO)])
    result = play(asked, listen=listen, tools=[look], output=City)
    assert (result.output, result.turns, result.stop_reason) == (City(**OSLO), 2, "tool_use")
    for request in asked.requests:
        assert request.output_schema is None
        assert [one.name for one in request.tools] == ["look", SUBMIT]
    assert [(call.name, call.error) for call in result.tool_calls] == [("look", None), (SUBMIT, None)]
    assert result.tool_calls[-1].data == OSLO


def test_a_provider_that_takes_a_schema_only_without_tools_gets_it_then() -> None:
    provider = Alone([json.dumps(OSLO)])
    assert play(provider, output=City).output == City(**OSLO)
    assert provider.requests[0].output_schema is not None
    assert provider.requests[0].tools == ()


def test_a_fallback_is_asked_in_its_own_way(listen: bool) -> None:
    first = Native([error(errors.ServerError), error(errors.ServerError)])
    second = ScriptedProvider(["words", tool_call(SUBMIT, **OSLO)], model="second")
    result = play(first, listen=listen, fallback_providers=[second], output=City, max_retries=0)
    assert (result.output, result.turns) == (City(**OSLO), 2)
    assert [request.output_schema is None for request in first.requests] == [False, False]
    assert [[one.name for one in request.tools] for request in second.requests] == [[SUBMIT], [SUBMIT]]


def test_a_fallback_that_does_not_take_the_schema_is_named_before_the_run() -> None:
    with pytest.raises(errors.ConfigError, match="output=dict"):
        make_config(
            RunConfig,
            {
                "provider": ScriptedProvider(),
                "fallback_providers": [PROVIDERS["OpenAI"]()],
                "output": dict[str, int],
            },
            where="run",
        )


def test_an_answer_that_comes_with_other_calls_is_taken_after_they_have_run(listen: bool) -> None:
    result = play(
        ScriptedProvider([tool_calls(LOOK, tool_call(SUBMIT, **OSLO))]),
        listen=listen,
        tools=[look],
        output=City,
    )
    assert (result.output, result.turns) == (City(**OSLO), 1)
    assert result.messages[-2].blocks[0].text == "Oslo: 700000"


def test_json_in_words_does_as_well_where_a_tool_was_offered() -> None:
    result = play(ScriptedProvider([f"```json\n{json.dumps(OSLO)}\n```"]), output=City)
    assert (result.output, result.turns) == (City(**OSLO), 1)


def test_what_was_said_before_the_answer_does_no_harm() -> None:
    said = reply(TextBlock("Let me think."), TextBlock(json.dumps(OSLO)))
    assert play(Native([said]), output=City).output == City(**OSLO)


@pytest.mark.parametrize("between", ["", "\n"])
def test_an_answer_that_is_said_twice_is_one(between: str) -> None:
    said = json.dumps(OSLO)
    assert play(Native([said + between + said]), output=City).output == City(**OSLO)
    other = play(Native([said + between + json.dumps({**OSLO, "people": 1})] * 2), output=City)
    assert isinstance(other.error, errors.OutputError)


# -- answers that do not fit ---------------------------------------------------------------------------------------

WRONG = {"name": "Oslo", "people": -1}


def test_what_is_wrong_goes_back_to_the_model(kind_of_provider: type[ScriptedProvider], listen: bool) -> None:
    provider = kind_of_provider([given(kind_of_provider, WRONG), given(kind_of_provider, OSLO)])
    result = play(provider, listen=listen, output=City)
    assert (result.output, result.turns) == (City(**OSLO), 2)
    said = provider.requests[1].messages[-1]
    told = "".join(block.text for block in said.blocks)
    assert "people: Input should be greater than or equal to 0" in told


def test_after_output_retries_the_run_ends_with_an_error_and_the_text_is_kept(
    kind_of_provider: type[ScriptedProvider], listen: bool
) -> None:
    provider = kind_of_provider([given(kind_of_provider, WRONG)] * 4)
    result = play(provider, listen=listen, output=City, output_retries=2)
    assert (result.status, result.turns, result.output) == ("error", 3, None)
    assert isinstance(result.error, errors.OutputError)
    assert "output=City" in str(result.error)
    assert "people" in str(result.error)
    if kind_of_provider is Native:
        assert json.loads(result.text) == WRONG
    check_sendable(result.messages)


def test_no_retries_means_none(kind_of_provider: type[ScriptedProvider]) -> None:
    provider = kind_of_provider([given(kind_of_provider, WRONG)] * 2)
    result = play(provider, output=City, output_retries=0)
    assert (result.status, result.turns) == ("error", 1)


def test_two_wrong_answers_in_one_reply_are_one_try() -> None:
    twice = tool_calls(tool_call(SUBMIT, **WRONG), tool_call(SUBMIT, **WRONG))
    result = play(ScriptedProvider([twice, tool_call(SUBMIT, **OSLO)]), output=City)
    assert result.output == City(**OSLO)


def test_words_where_a_tool_was_offered_are_one_try_and_the_tool_is_named() -> None:
    provider = ScriptedProvider(["It is Oslo.", tool_call(SUBMIT, **OSLO)])
    assert play(provider, output=City).output == City(**OSLO)
    assert SUBMIT in provider.requests[1].messages[-1].text


def test_the_limit_of_turns_ends_the_run_without_output(
    kind_of_provider: type[ScriptedProvider], listen: bool
) -> None:
    provider = kind_of_provider([given(kind_of_provider, WRONG)] * 4)
    result = play(provider, listen=listen, output=City, output_retries=9, max_turns=2)
    assert (result.status, result.turns, result.output) == ("max_turns", 2, None)


@pytest.mark.parametrize("provider", [ScriptedProvider, Native])
def test_an_answer_cut_by_the_output_limit_says_what_to_raise(
    provider: type[ScriptedProvider], listen: bool
) -> None:
    result = play(provider([reply('{"name": "Os', stop_reason="max_tokens")] * 2), listen=listen, output=City)
    assert (result.status, result.turns, result.text) == ("error", 1, '{"name": "Os')
    assert isinstance(result.error, errors.MalformedReplyError)
    assert "max_tokens" in str(result.error)


def test_a_validator_of_the_users_is_heard(kind_of_provider: type[ScriptedProvider]) -> None:
    answers = [given(kind_of_provider, {"n": n}) for n in (1, 13, 2)]
    provider = kind_of_provider(answers)
    result = play(provider, output=Even, output_retries=2)
    assert result.output == Even(n=2)
    told = [request.messages[-1].blocks[-1].text for request in provider.requests]
    assert "must be even" in told[1]
    assert "unlucky" in told[2]


# -- with other options --------------------------------------------------------------------------------------------


def test_the_answer_waits_for_the_tool_that_has_to_be_called(
    kind_of_provider: type[ScriptedProvider], listen: bool
) -> None:
    answer = given(kind_of_provider, OSLO)
    provider = kind_of_provider([answer, LOOK, answer])
    result = play(provider, listen=listen, tools=[look], output=City, until_tool="look")
    assert (result.output, result.turns) == (City(**OSLO), 3)


def test_beyond_the_limit_the_answer_may_still_be_handed_in(
    kind_of_provider: type[ScriptedProvider], listen: bool
) -> None:
    provider = kind_of_provider([LOOK, given(kind_of_provider, OSLO)])
    result = play(provider, listen=listen, tools=[look], output=City, final_answer=True, max_turns=1)
    assert (result.status, result.output, result.turns) == ("max_turns", City(**OSLO), 2)
    assert provider.requests[1].tool_choice == ("none" if kind_of_provider is Native else "auto")


def test_beyond_the_limit_only_the_answer_is_taken(listen: bool) -> None:
    provider = ScriptedProvider([LOOK, tool_calls(LOOK, tool_call(SUBMIT, **OSLO))])
    result = play(provider, listen=listen, tools=[look], output=City, final_answer=True, max_turns=1)
    assert result.output == City(**OSLO)
    assert [call.error is None for call in result.tool_calls] == [True, False, True]


def test_a_halted_run_has_no_output(kind_of_provider: type[ScriptedProvider]) -> None:
    class Judge(alloy.Middleware):
        def after_completion(self, run: alloy.RunView, message: Message) -> alloy.Halt:
            return alloy.Halt(f"not {json.loads(message.text)['name']}")

    provider = kind_of_provider([given(kind_of_provider, OSLO)])
    result = play(provider, output=City, middleware=[Judge()])
    assert (result.status, result.output) == ("halted", None)
    assert "not Oslo" in str(result.error)


def test_two_answers_of_a_run_are_refused() -> None:
    with pytest.raises(errors.ConfigError, match="halt_on_tool .* output="):
        make_config(
            RunConfig,
            {"provider": ScriptedProvider(), "tools": [look], "output": City, "halt_on_tool": "look"},
            where="run",
        )


def test_a_tool_of_the_same_name_is_refused() -> None:
    @tool(name=SUBMIT)
    async def mine() -> None:
        """Mine."""

    with pytest.raises(errors.ConfigError, match="submit_result"):
        make_config(RunConfig, {"provider": ScriptedProvider(), "tools": [mine], "output": City}, where="run")
    make_config(RunConfig, {"provider": ScriptedProvider(), "tools": [mine]}, where="run")


SCENES: dict[str, tuple[Any, dict[str, Any]]] = {
    "tool": (lambda: ScriptedProvider([LOOK, tool_call(SUBMIT, **OSLO)]), {}),
    "native": (lambda: Native([LOOK, json.dumps(OSLO)]), {}),
    "retried": (lambda: ScriptedProvider([tool_call(SUBMIT), "Oslo", tool_call(SUBMIT, **OSLO)]), {}),
    "native, retried": (lambda: Native(["Oslo", "", json.dumps(OSLO)]), {}),
    "never": (lambda: ScriptedProvider([tool_call(SUBMIT)] * 3), {}),
    "native, never": (lambda: Native(["Oslo"] * 3), {}),
    "refused": (lambda: Native([reply("no", stop_reason="refusal")]), {}),
    "cut": (lambda: Native([reply('{"na', stop_reason="max_tokens")]), {}),
    "cut in the call": (
        lambda: ScriptedProvider([reply(tool_call(SUBMIT, name="Os"), stop_reason="max_tokens")]),
        {},
    ),
    "limit": (lambda: ScriptedProvider([LOOK] * 3), {"max_turns": 2}),
    "final": (
        lambda: ScriptedProvider([LOOK, LOOK, tool_call(SUBMIT, **OSLO)]),
        {"max_turns": 2, "final_answer": True},
    ),
    "final, wrong": (
        lambda: ScriptedProvider([LOOK, LOOK, tool_call(SUBMIT)]),
        {"max_turns": 2, "final_answer": True},
    ),
    "native, final": (
        lambda: Native([LOOK, LOOK, json.dumps(OSLO)]),
        {"max_turns": 2, "final_answer": True},
    ),
}


@pytest.mark.parametrize("name", SCENES)
def test_a_listener_changes_nothing_and_every_history_can_be_sent(name: str) -> None:
    make, options = SCENES[name]
    asked = make()

    class Fresh:  # each of the two runs plays the script from its beginning
        model = "fresh"
        output_schemas = getattr(asked, "output_schemas", "never")
        provider: Any = None

        async def complete(self, request: Any, on_deltas: Any = None) -> Any:
            if len(request.messages) == 1:
                self.provider = make()
            return await self.provider.complete(request, on_deltas)

    result = play_twice(Fresh(), tools=[look], output=City, output_retries=2, **options)
    check_sendable(result.messages)
    assert (result.output == City(**OSLO)) == (
        "wrong" not in name
        and name not in ("never", "native, never", "refused", "cut", "cut in the call", "limit")
    )


# -- real providers ------------------------------------------------------------------------------------------------

KEY = {"api_key": "k"}
PROVIDERS: dict[str, Any] = {
    "Anthropic": lambda **more: alloy.Anthropic("claude-sonnet-4-6", **KEY, **more),
    "OpenAI": lambda **more: alloy.OpenAI("gpt-5", **KEY, **more),
    "Gemini": lambda **more: alloy.Gemini("gemini-2.5-flash", **KEY, **more),
    "XAI": lambda **more: alloy.XAI("grok-4", **KEY, **more),
    "compat": lambda **more: alloy.OpenAICompat("m", api_url="http://localhost:1", **more),
}


@pytest.mark.parametrize(
    ("provider", "takes"),
    [
        (PROVIDERS["Anthropic"](), "always"),
        (PROVIDERS["Anthropic"](citations=True), "never"),
        (PROVIDERS["Anthropic"](extra_body={"output_config": {}}), "never"),
        (PROVIDERS["OpenAI"](), "always"),
        (PROVIDERS["OpenAI"](extra_body={"text": {"verbosity": "low"}}), "always"),
        (PROVIDERS["OpenAI"](extra_body={"text": {"format": {"type": "text"}}}), "never"),
        (PROVIDERS["Gemini"](), "alone"),
        (PROVIDERS["Gemini"](output_schemas="always"), "always"),
        (PROVIDERS["Gemini"](generation_config={"responseMimeType": "text/plain"}), "never"),
        (PROVIDERS["XAI"](), "alone"),
        (PROVIDERS["compat"](), "alone"),
        (PROVIDERS["compat"](output_schemas="never"), "never"),
        (PROVIDERS["compat"](extra_body={"response_format": {"type": "text"}}), "never"),
        (PROVIDERS["compat"](preset="deepseek", **KEY), "never"),
        (PROVIDERS["compat"](preset="azure", **KEY), "always"),
    ],
    ids=repr,
)
def test_providers_say_whether_they_take_a_schema(provider: Any, takes: str) -> None:
    assert provider.output_schemas == takes


@pytest.mark.parametrize("name", PROVIDERS)
def test_a_word_that_is_none_of_the_three_is_refused(name: str) -> None:
    with pytest.raises(errors.ConfigError, match="output_schemas must be one of 'always', 'alone', 'never'"):
        PROVIDERS[name](output_schemas="sometimes")


@pytest.mark.parametrize("name", PROVIDERS)
@pytest.mark.parametrize("tools", [[], [look]], ids=["alone", "with tools"])
@pytest.mark.parametrize("kind", [City, list[City], City | Point, Literal["a", "b"], bool], ids=str)
def test_usual_types_are_taken_by_every_provider(name: str, tools: list[Any], kind: Any) -> None:
    make_config(RunConfig, {"provider": PROVIDERS[name](), "tools": tools, "output": kind}, where="run")


@pytest.mark.parametrize(
    ("name", "kind", "complaint"),
    [
        ("Anthropic", Node, "run: output=Node: .*recursive"),
        ("Anthropic", dict[str, int], r"run: output=dict.*name its properties"),
        ("OpenAI", dict[str, int], "run: output=dict.*members of any name"),
        ("OpenAI", list[dict[str, int]], r"value\[\]"),
        ("XAI", tuple[int, str], "prefixItems"),
        ("Gemini", Odd, "x .* has both 'anyOf' and values|x uses 'not'"),
    ],
)
def test_a_schema_that_the_provider_would_refuse_is_named_before_the_run(
    name: str, kind: Any, complaint: str
) -> None:
    options = {"provider": PROVIDERS[name](), "output": kind}
    with pytest.raises(errors.ConfigError, match=complaint):
        make_config(RunConfig, options, where="run")
    if name != "Gemini":  # whose declarations of tools have the same words
        never = PROVIDERS[name](output_schemas="never")
        make_config(RunConfig, {**options, "provider": never}, where="run")


# -- after a restart -----------------------------------------------------------------------------------------------


def ended(message: Message, status: str = "completed") -> list[log.Record]:
    return [
        log.RunBegan("r", user("hi")),
        log.RequestSent("r", 1, "m"),
        log.Replied("r", message, "end_turn", Usage(1, 1)),
        log.RunEnded("r", status, time.time()),
    ]


def test_the_output_of_a_stored_result_is_read_from_its_text_again() -> None:
    records = ended(Message("assistant", json.dumps(OSLO)))
    _, (finished,) = fold(records, 60, Output(City))
    assert finished.result.output == City(**OSLO)
    _, (finished,) = fold(records, 60, Output(Point))  # the type has changed since
    assert finished.result.output is None
    _, (finished,) = fold(records, 60)
    assert finished.result.output is None


def test_the_output_that_a_tool_handed_in_is_in_the_log_as_well(listen: bool) -> None:
    scene = Scene(ScriptedProvider([tool_call(SUBMIT, value=[OSLO])]), listen=listen, output=list[City])
    result = scene.play()
    _, (finished,) = fold(scene.store.load("agent"), 60, Output(list[City]))
    assert finished.result.output == result.output == [City(**OSLO)]
    assert finished.result.text == result.text


def test_an_answer_is_read_by_its_json_and_not_by_its_python_value() -> None:
    class Strict(pydantic.BaseModel, strict=True):
        day: dt.date

    output = Output(Strict)
    assert output.read({"day": "2026-11-27"}) == Strict(day=dt.date(2026, 11, 27))
    with pytest.raises(UnfitError, match="day"):
        output.read({"day": 3.5})
    with pytest.raises(UnfitError, match="no JSON|Invalid JSON"):
        output.read_text(Message("assistant", (ToolCall("c", "x", {}),)))
