"""Tools of a JSON schema that was there already; T39."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import pytest

from alloy_actors.errors import ConfigError
from alloy_actors.tool_input import ToolInputError
from alloy_actors.tooldef import Tool, ToolContext, tool, toolbox

SCHEMA = {
    "type": "object",
    "properties": {
        "city": {"type": "string", "minLength": 1},
        "days": {"type": "integer", "minimum": 1},
        "unit": {"enum": ["C", "F"]},
        "place": {"$ref": "#/$defs/Place"},
    },
    "required": ["city"],
    "additionalProperties": False,
    "$defs": {"Place": {"type": "object", "properties": {"lat": {"type": "number"}}, "required": ["lat"]}},
}


def forecast(city: str, days: int = 1, unit: str = "C", place: Any = None) -> str:
    return f"{city} {days} {unit} {place}"


def made(schema: Any = None, function: Callable[..., Any] = forecast, **options: Any) -> Tool:
    return Tool("forecast", "The weather.", SCHEMA if schema is None else schema, function, **options)


def test_a_tool_is_made_of_a_name_a_description_a_schema_and_a_function() -> None:
    given = alloy_tool = Tool(
        name="forecast", description="The weather.", input_schema=SCHEMA, function=forecast, timeout=5
    )
    assert (given.name, given.description, given.timeout, given.concurrent) == (
        "forecast",
        "The weather.",
        5,
        True,
    )
    assert given.input_schema == SCHEMA
    assert given("Rome") == "Rome 1 C None"
    assert toolbox([given]) == {"forecast": alloy_tool}
    assert not given.is_async


def test_the_schema_is_a_copy_that_nobody_changes() -> None:
    schema = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    given = made(schema)
    schema["properties"]["city"]["type"] = "integer"  # type: ignore[index] # the case
    assert given.input_schema["properties"]["city"] == {"type": "string"}


def test_arguments_that_fit_are_passed_on_as_they_are() -> None:
    given = made()
    arguments = {"city": "Rome", "days": 2, "place": {"lat": 1.5, "more": [1]}}
    assert given.arguments.bind(arguments, None) == arguments


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ({}, "city: required, but missing"),
        ({"city": 3}, "city: should be of type 'string' (got 3)"),
        ({"city": "Rome", "days": "2"}, "days: should be of type 'integer' (got '2')"),
        ({"city": "Rome", "days": 0}, "days: should be at least 1 (got 0)"),
        ({"city": "Rome", "unit": "K"}, "unit: should be one of ['C', 'F'] (got 'K')"),
        ({"city": "Rome", "place": {}}, "place.lat: required, but missing"),
        ({"city": "Rome", "colour": 1}, "colour: the tool has no such parameter"),
        ({"city": ""}, "city: should have at least this many characters: 1 (got '')"),
    ],
)
def test_t39_what_does_not_fit_is_named_with_what_was_expected(
    arguments: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(ToolInputError) as caught:
        made().arguments.bind(arguments, None)
    assert (
        str(caught.value)
        == f"Tool forecast: invalid arguments. {complaint}. Correct them and call the tool again."
    )


def test_t39_every_missing_key_is_named_once() -> None:
    schema = {"type": "object", "properties": {"a": {}, "b": {}}, "required": ["a", "b"]}
    with pytest.raises(ToolInputError, match="a: required, but missing; b: required, but missing. Correct"):
        Tool("f", "", schema, lambda **given: given).arguments.bind({}, None)


def test_a_long_wrong_value_is_not_quoted_whole() -> None:
    schema = {"type": "object", "properties": {"a": {"anyOf": [{"type": "string"}, {"type": "null"}]}}}
    with pytest.raises(ToolInputError) as caught:
        Tool("f", "", schema, lambda **given: given).arguments.bind({"a": ["x" * 10_000]}, None)
    assert len(str(caught.value)) < 300


def test_a_function_may_take_anything() -> None:
    given = made(
        {"type": "object", "properties": {"from": {}, "a-b": {}}}, lambda **arguments: sorted(arguments)
    )
    bound = given.arguments.bind({"from": 1, "a-b": 2, "other": 3}, None)
    assert given.arguments.call(**bound) == ["a-b", "from", "other"]


def test_members_that_a_schema_allows_and_the_function_does_not_take_are_refused() -> None:
    open_schema = {"type": "object", "properties": {"city": {}}, "required": ["city"]}
    with pytest.raises(ToolInputError, match="colour: the tool has no such parameter"):
        made(open_schema).arguments.bind({"city": "Rome", "colour": 1}, None)


def test_the_context_goes_to_the_parameter_annotated_with_it() -> None:
    def with_context(ctx: ToolContext, **arguments: Any) -> Any:
        return ctx, arguments

    given = made({"type": "object", "properties": {"a": {}}}, with_context)
    context = ToolContext(agent="x")
    assert given.arguments.wants_context
    assert given.arguments.bind({"a": 1}, context) == {"a": 1, "ctx": context}
    with pytest.raises(ToolInputError, match="ctx: the tool has no such parameter"):
        given.arguments.bind({"a": 1, "ctx": "mine"}, context)
    with pytest.raises(ConfigError, match=r"input_schema\['properties'\] has 'ctx'"):
        made({"type": "object", "properties": {"ctx": {}}}, with_context)


def test_methods_partials_and_callable_objects_take_a_schema_too() -> None:
    class Client:
        async def call(self, city: str) -> str:
            return city

        def __call__(self, city: str) -> str:
            return city

    schema = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}

    def located(country: str, city: str) -> str:
        return f"{city}, {country}"

    assert made(schema, Client().call).is_async
    assert made(schema, Client())(city="Rome") == "Rome"
    assert made(schema, functools.partial(located, "IT"))(city="Rome") == "Rome, IT"


def test_a_schema_without_properties_gets_an_empty_map_of_them() -> None:
    assert made({"type": "object"}, lambda: "x").input_schema == {"type": "object", "properties": {}}


OBJECT = {"type": "object"}


@pytest.mark.parametrize(
    ("schema", "field"),
    [
        ("{}", "input_schema='{}' must be a mapping"),
        (None, "input_schema=None must be a mapping"),
        ({}, r"input_schema\['type'\] must be 'object', got None"),
        ({"type": "string"}, r"input_schema\['type'\] must be 'object', got 'string'"),
        ({"type": ["object", "null"]}, r"input_schema\['type'\] must be 'object'"),
        ({**OBJECT, "properties": {"a": object()}}, "input_schema is not JSON"),
        ({**OBJECT, "properties": {"a": {"default": float("nan")}}}, "input_schema is not JSON"),
        ({**OBJECT, "properties": []}, r"input_schema\['properties'\]"),
        ({**OBJECT, "properties": {"a": {"type": "text"}}}, r"\['properties'\]\['a'\]\['type'\].*'text'"),
        ({**OBJECT, "required": "a"}, r"input_schema\['required'\]"),
        (
            {**OBJECT, "properties": {"a": {"$ref": "#/$defs/A"}}},
            r"\['a'\]\['\$ref'\].*'#/\$defs/A' is not there",
        ),
        (
            {**OBJECT, "properties": {"a": {"$ref": "https://example.org/a.json"}}},
            r"\['\$ref'\].*put it into '\$defs'",
        ),
        (
            {**OBJECT, "properties": {"default": {"$ref": "#/nowhere"}}},
            r"\['default'\]\['\$ref'\].*is not there",
        ),
    ],
)
def test_a_schema_no_provider_takes_is_refused_with_the_field_named(schema: Any, field: str) -> None:
    with pytest.raises(ConfigError, match=f"tool 'f': .*{field}"):
        Tool("f", "", schema, lambda **given: given)


def test_a_strict_schema_must_rule_out_other_members() -> None:
    open_schema = {"type": "object", "properties": {}}
    with pytest.raises(ConfigError, match=r"strict=True needs input_schema\['additionalProperties'\]"):
        toolbox([Tool("f", "", open_schema, lambda: 1, strict=True)])
    assert toolbox([Tool("f", "", {**open_schema, "additionalProperties": False}, lambda: 1, strict=True)])


def _positional(city: str, /) -> None: ...
def _needs_more(city: str, key: str) -> None: ...


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (3, "function=3"),
        (int, "function="),
        (tool(forecast), "function="),
        (_positional, "'city' is positional-only"),
        (_needs_more, "'key' has no default"),
        (lambda town="": 1, "has 'city', which the function does not take"),
        (dict.fromkeys, "does not say what it takes|positional-only"),
    ],
)
def test_a_function_that_does_not_take_what_the_schema_allows_is_refused(function: Any, says: str) -> None:
    schema = {"type": "object", "properties": {"city": {}}, "required": ["city"]}
    with pytest.raises(ConfigError, match=says):
        Tool("f", "", schema, function)


@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("tool name", {"name": "a b"}),
        ("description", {"description": None}),
        ("'retries'; valid options: name", {"retries": 3}),
        ("timeout", {"timeout": 0}),
    ],
)
def test_a_field_that_does_not_fit_is_refused_by_name(field: str, change: dict[str, Any]) -> None:
    fields: dict[str, Any] = {
        "name": "f",
        "description": "",
        "input_schema": OBJECT,
        "function": lambda: 1,
        **change,
    }
    with pytest.raises(ConfigError, match=field):
        Tool(**fields)
