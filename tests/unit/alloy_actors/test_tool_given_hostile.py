"""Schemas that were given and mean harm, or only look odd: refused when the tool is made, or harmless when it is called."""

from __future__ import annotations

from typing import Any

import pytest

import alloy_actors as alloy
from alloy_actors.providers import _anthropic_schema
from alloy_actors.tool_input import ToolInputError, short


def _tool(schema: dict[str, Any]) -> alloy.Tool:
    return alloy.Tool(name="t", description="", input_schema=schema, function=lambda **given: str(len(given)))


def _object(**members: Any) -> dict[str, Any]:
    return {"type": "object", "properties": members}


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        (_object(a={"$ref": "#/$defs/A"}) | {"$defs": {"A": {"$ref": "#/$defs/A"}}}, "without end"),
        (
            _object(a={"$ref": "#/$defs/A"})
            | {"$defs": {"A": {"anyOf": [{"$ref": "#/$defs/B"}]}, "B": {"allOf": [{"$ref": "#/$defs/A"}]}}},
            "without end",
        ),
        (_object() | {"$ref": "#"}, "without end"),
        (
            _object(a={"$id": "https://b", "items": {"$ref": "#/$defs/A"}}) | {"$defs": {"A": {}}},
            "stands under an '.id' of its own",
        ),
        (_object(a={"$ref": "#/required"}) | {"required": ["a"]}, "is no schema"),
        (_object() | {"$schema": 5}, "is no text"),
    ],
)
def test_a_schema_that_cannot_be_checked_against_is_refused(schema: dict[str, Any], said: str) -> None:
    with pytest.raises(alloy.ConfigError, match=said):
        _tool(schema)


def test_a_schema_nested_beyond_reason_is_refused() -> None:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(300):
        schema = _object(a=schema)
    with pytest.raises(alloy.ConfigError, match="nested too deep"):
        _tool(schema)


def test_arguments_nested_beyond_reason_are_the_models_mistake() -> None:
    made = _tool(_object(n={"$ref": "#/$defs/N"}) | {"$defs": {"N": _object(n={"$ref": "#/$defs/N"})}})
    given: dict[str, Any] = {}
    for _ in range(400):
        given = {"n": given}
    with pytest.raises(ToolInputError, match="nested too deep"):
        made.arguments.bind(given, None)
    assert made.arguments.bind({"n": {"n": {}}}, None) == {"n": {"n": {}}}


@pytest.mark.parametrize(
    ("rule", "value", "said"),
    [
        ({"type": "integer", "multipleOf": 0.01}, 10**400, "a number is too large"),
        ({"type": "string"}, 10**5000, "a number is too large"),
    ],
    ids=["a rule that calculates", "a value to quote"],
)
def test_a_number_beyond_all_bounds_is_the_models_mistake(
    rule: dict[str, Any], value: int, said: str
) -> None:
    with pytest.raises(ToolInputError, match=said):
        _tool(_object(a=rule)).arguments.bind({"a": value}, None)


def test_a_number_too_long_to_write_out_is_named_by_its_type() -> None:
    assert short(10**5000) == "a large int"


def test_a_pattern_that_would_take_re_for_ever_is_answered() -> None:
    made = _tool(_object(a={"type": "string", "pattern": "^(a+)+$"}))
    with pytest.raises(ToolInputError, match=r"should match '\^\(a\+\)\+\$'"):
        made.arguments.bind({"a": "a" * 5000 + "!"}, None)
    assert made.arguments.bind({"a": "a" * 5000}, None)


def test_a_pattern_with_a_look_ahead_holds_as_well() -> None:
    made = _tool(_object(a={"type": "string", "pattern": "^(?!x)"}))
    assert made.arguments.bind({"a": "y"}, None)
    with pytest.raises(ToolInputError, match="should match"):
        made.arguments.bind({"a": "x"}, None)


def test_definitions_that_fork_and_meet_are_looked_at_once() -> None:
    definitions: dict[str, Any] = {
        f"D{at}": _object(a={"$ref": f"#/$defs/D{at + 1}"}, b={"$ref": f"#/$defs/D{at + 1}"})
        for at in range(60)
    }
    definitions["D60"] = {"type": "integer"}
    sent = _anthropic_schema.strict(_object(a={"$ref": "#/$defs/D0"}) | {"$defs": definitions})
    assert len(sent["$defs"]) == 61
