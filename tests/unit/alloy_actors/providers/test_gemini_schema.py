"""JSON schemas in Gemini's words: what is kept, what becomes description, what is refused."""

from enum import Enum
from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, Field

from alloy_actors.errors import ConfigError
from alloy_actors.providers._gemini_schema import declaration, translated
from alloy_actors.tooldef import tool


def member(schema: dict) -> dict:
    """One property, translated."""
    return translated({"type": "object", "properties": {"a": schema}}, "it")["properties"]["a"]


@pytest.mark.parametrize(
    ("given", "put"),
    [
        ({"type": "string", "title": "A"}, {"type": "string"}),
        ({"type": ["string", "null"]}, {"type": ["string", "null"]}),
        ({"type": "integer", "minimum": 1, "maximum": 3}, {"type": "integer", "minimum": 1, "maximum": 3}),
        ({"type": "integer", "exclusiveMinimum": 0}, {"type": "integer", "minimum": 1}),
        ({"type": "integer", "exclusiveMaximum": 9, "maximum": 5}, {"type": "integer", "maximum": 5}),
        ({"type": "number", "exclusiveMinimum": 0}, {"type": "number", "description": "(exclusiveMinimum: 0)"}),
        (
            {"type": "string", "pattern": "^a", "minLength": 2, "description": "A word."},
            {"type": "string", "description": 'A word. (pattern: "^a"; minLength: 2)'},
        ),
        ({"type": "string", "format": "date-time"}, {"type": "string", "format": "date-time"}),
        ({"type": "string", "format": "uuid"}, {"type": "string", "description": '(format: "uuid")'}),
        ({"type": "integer", "default": 3}, {"type": "integer", "description": "(default: 3)"}),
        ({"const": "a", "type": "string"}, {"type": "string", "enum": ["a"]}),
        ({"const": True}, {"type": "boolean", "description": "(always true)"}),
        ({"enum": ["a", "b"], "type": "string"}, {"type": "string", "enum": ["a", "b"]}),
        ({"enum": [1, 2]}, {"type": "integer", "enum": [1, 2]}),
        ({"enum": [True, False]}, {"type": "boolean"}),
        ({"enum": ["a", 1, None]}, {"anyOf": [{"type": "string", "enum": ["a"]}, {"type": "integer", "enum": [1]}, {"type": "null"}]}),
        ({"oneOf": [{"type": "string"}, {"type": "null"}]}, {"anyOf": [{"type": "string"}, {"type": "null"}]}),
        ({"allOf": [{"type": "string"}], "description": "A."}, {"type": "string", "description": "A."}),
        ({"type": "array", "items": {"type": "string", "title": "B"}, "minItems": 1}, {"type": "array", "items": {"type": "string"}, "minItems": 1}),
        (
            {"type": "array", "prefixItems": [{"type": "string"}, {"const": 1}], "items": False},
            {"type": "array", "prefixItems": [{"type": "string"}, {"type": "integer", "enum": [1]}]},
        ),
        ({"items": [{"const": "a"}]}, {"prefixItems": [{"type": "string", "enum": ["a"]}]}),
        ({"type": "string", "default": None}, {"type": "string"}),
        ({"type": "object", "additionalProperties": {"const": 1}}, {"type": "object", "additionalProperties": {"type": "integer", "enum": [1]}}),
        ({"type": "object", "additionalProperties": True}, {"type": "object", "additionalProperties": True}),
        (True, {}),
        ({}, {}),
    ],
)  # fmt: skip
def test_a_schema_is_put_as_the_api_takes_it(given: dict, put: dict) -> None:
    assert member(given) == put


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"not": {"type": "string"}}, "it: a uses 'not', which Gemini does not know"),
        ({"type": "object", "patternProperties": {}}, "a uses 'patternProperties'"),
        ({"type": "array", "items": {"if": {}}}, r"it: a\[\] uses 'if'"),
        ({"allOf": [{}, {}]}, "a uses 'allOf' with several parts"),
        ({"anyOf": [{}], "oneOf": [{}]}, "a has both 'anyOf' and 'oneOf'"),
        ({"enum": [[1]]}, r"a has \[1\] among its values"),
        ({"anyOf": [{}], "enum": ["a", 1]}, "a has both 'anyOf' and values of several kinds"),
        ({"$ref": "#/$defs/Missing"}, "a refers to '#/\\$defs/Missing'"),
        ({"$ref": "https://example.org/schema"}, "follows references into \\$defs alone"),
        (False, "a False describes no value"),
    ],
)
def test_what_cannot_be_put_otherwise_is_refused_and_the_place_named(given: dict, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        member(given)


def test_a_reference_with_words_beside_it_is_written_out() -> None:
    class Colour(Enum):
        RED = "red"
        BLUE = "blue"

    class Car(BaseModel):
        paint: Colour = Field(description="Outside.")
        seats: Colour

    put = translated(Car.model_json_schema(), "it")
    assert put["properties"] == {
        "paint": {"type": "string", "enum": ["red", "blue"], "description": "Outside."},
        "seats": {"$ref": "#/$defs/Colour"},
    }
    assert put["$defs"] == {"Colour": {"type": "string", "enum": ["red", "blue"]}}


class Node(BaseModel):
    name: str
    next: "Node | None" = Field(default=None, description="The one after it.")
    others: list["Node"]


def test_a_cycle_is_led_through_optional_properties_only() -> None:
    put = translated({"$defs": Node.model_json_schema()["$defs"], "$ref": "#/$defs/Node"}, "it")
    assert put["required"] == ["name", "others"]
    assert put["properties"]["others"] == {"type": "array", "items": {"$ref": "#/$defs/Node"}}
    node = put["$defs"]["Node"]
    assert node["required"] == ["name"]
    assert node["properties"]["others"] == {"type": "array", "items": {"$ref": "#/$defs/Node"}}


def test_a_reference_to_itself_takes_no_bounds_beside_it() -> None:
    schema = {
        "$defs": {"A": {"properties": {"a": {"$ref": "#/$defs/A", "minItems": 1}}}},
        "$ref": "#/$defs/A",
    }
    with pytest.raises(ConfigError, match="it: a has 'minItems' beside a reference to itself"):
        translated(schema, "it")


def test_definitions_of_older_drafts_are_found() -> None:
    schema = {"definitions": {"A": {"type": "string"}}, "properties": {"a": {"$ref": "#/definitions/A"}}}
    assert translated(schema, "it") == {
        "properties": {"a": {"$ref": "#/$defs/A"}},
        "$defs": {"A": {"type": "string"}},
    }


def test_the_tools_that_people_write_are_declared() -> None:
    @tool
    async def order(
        size: Literal["s", "m"],
        count: Annotated[int, Field(gt=0, le=9)] = 1,
        pair: tuple[int, str] | None = None,
        notes: dict[str, str] | None = None,
    ) -> str:
        """Order a shirt.

        Args:
            size: How large.
        """
        return f"{size}{count}{pair}{notes}"

    assert declaration(order) == {
        "name": "order",
        "description": "Order a shirt.",
        "parametersJsonSchema": {
            "type": "object",
            "properties": {
                "size": {"type": "string", "enum": ["s", "m"], "description": "How large."},
                "count": {"type": "integer", "maximum": 9, "minimum": 1, "description": "(default: 1)"},
                "pair": {
                    "anyOf": [
                        {
                            "type": "array",
                            "minItems": 2,
                            "maxItems": 2,
                            "prefixItems": [{"type": "integer"}, {"type": "string"}],
                        },
                        {"type": "null"},
                    ],
                },
                "notes": {
                    "anyOf": [
                        {"type": "object", "additionalProperties": {"type": "string"}},
                        {"type": "null"},
                    ],
                },
            },
            "additionalProperties": False,
            "required": ["size"],
        },
    }


def test_definitions_that_double_with_each_level_are_refused() -> None:
    def twice(level: int) -> dict:
        one = {"$ref": f"#/$defs/D{level}", "description": "the next"}
        return {"type": "object", "properties": {"a": one, "b": one}}

    definitions = {f"D{level}": twice(level + 1) for level in range(16)} | {"D16": {"type": "string"}}
    with pytest.raises(ConfigError, match="it: its schema has more than 10000 parts"):
        translated({**twice(0), "$defs": definitions}, "it")
