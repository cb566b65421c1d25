from enum import Enum
from typing import Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field

from alloy_actors.errors import InvalidRequestError
from alloy_actors.providers._strict import strict_schema


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: int = 9


class Dog(BaseModel):
    kind: Literal["dog"]
    name: str | None = Field(None, description="What it is called")


class Shelter(BaseModel):
    """A place for animals."""

    city: str = Field("Rome", title="Town")
    colour: Colour = Colour.RED
    animals: list[Cat | Dog] = []
    first: Cat = Field(Cat(kind="cat"), description="The first one")
    favourite: Cat | Dog = Field(discriminator="kind")


class Node(BaseModel):
    value: int
    children: list["Node"] = []


def objects(schema: object) -> list[dict]:
    """Every schema of an object in it."""
    if isinstance(schema, list):
        return [found for item in schema for found in objects(item)]
    if not isinstance(schema, dict):
        return []
    own = [schema] if schema.get("type") == "object" else []
    return own + [found for item in schema.values() for found in objects(item)]


@pytest.mark.parametrize("model", [Shelter, Node])
def test_the_schema_of_a_model_is_narrowed_to_what_strict_mode_takes(model: type[BaseModel]) -> None:
    given = model.model_json_schema()
    schema = strict_schema(given)
    assert schema["type"] == "object"
    assert objects(schema)
    for found in objects(schema):
        assert found["additionalProperties"] is False
        assert found["required"] == list(found["properties"])
    text = str(schema)
    for word in ("'default'", "'oneOf'", "'discriminator'"):
        assert word not in text
    assert given == model.model_json_schema()


def test_what_a_narrowed_schema_says() -> None:
    assert strict_schema(Dog.model_json_schema()) == {
        "type": "object",
        "title": "Dog",
        "properties": {
            "kind": {"const": "dog", "title": "Kind", "type": "string"},
            "name": {
                "anyOf": [{"type": "string"}, {"type": "null"}],
                "description": "What it is called",
                "title": "Name",
            },
        },
        "required": ["kind", "name"],
        "additionalProperties": False,
    }


def test_references_stand_alone_and_a_recursive_model_has_its_object_at_the_root() -> None:
    schema = strict_schema(Node.model_json_schema())
    assert schema["properties"]["children"]["items"] == {"$ref": "#/$defs/Node"}
    assert schema["$defs"]["Node"]["required"] == ["value", "children"]
    assert strict_schema(Shelter.model_json_schema())["properties"]["first"] == {"$ref": "#/$defs/Cat"}


def test_one_part_of_allof_is_the_schema_itself() -> None:
    schema = {"type": "object", "properties": {"a": {"allOf": [{"type": "string"}], "description": "A"}}}
    assert strict_schema(schema)["properties"]["a"] == {"type": "string", "description": "A"}


def test_limits_that_strict_mode_knows_are_kept() -> None:
    class Limited(BaseModel):
        count: int = Field(ge=1, le=3)
        name: str = Field(pattern="^a")
        items: list[int] = Field(min_length=1, max_length=3)

    members = strict_schema(Limited.model_json_schema())["properties"]
    assert members["count"]["minimum"] == 1
    assert members["name"]["pattern"] == "^a"
    assert members["items"]["maxItems"] == 3


class Free(BaseModel):
    counts: dict[str, int]


class Nested(BaseModel):
    rows: list[Free]


class Anything(BaseModel):
    value: object


class Pair(BaseModel):
    pair: tuple[int, str]


class Unique(BaseModel):
    names: set[str]


class Open(BaseModel):
    model_config = ConfigDict(extra="allow")


@pytest.mark.parametrize(
    ("schema", "says"),
    [
        (Free.model_json_schema(), r"answer\.counts is an object with members of any name: name them"),
        (Nested.model_json_schema(), r"Free\.counts is an object with members of any name"),
        (Anything.model_json_schema(), r"answer\.value has no type"),
        (Pair.model_json_schema(), r"answer\.pair uses 'prefixItems'"),
        (Unique.model_json_schema(), r"answer\.names uses 'uniqueItems'"),
        (Open.model_json_schema(), "answer is an object with members of any name"),
        ({"type": "array", "items": {"type": "string"}}, "answer must be an object at its root"),
        ({"anyOf": [{"type": "object"}]}, "answer must be an object at its root"),
        ({"$ref": "#/$defs/Gone", "$defs": {}}, "answer refers to '#/.defs/Gone', which is not there"),
        ({"type": "object", "properties": {"a": {}}}, r"answer\.a may be anything"),
        ({"type": "object", "properties": {"a": True}}, r"answer\.a may be anything"),
        ({"type": "object", "properties": {"a": {"type": "array"}}}, r"answer\.a\[\] may be anything"),
        ({"type": "object", "properties": {"a": {"not": {}}}}, r"answer\.a uses 'not'"),
        ({"type": "object", "properties": {"a": {"allOf": [{}, {}]}}}, r"answer\.a uses 'allOf'"),
        (
            {"type": "object", "properties": {"a": {"$ref": "#", "minLength": 1}}},
            r"answer\.a has 'minLength' beside",
        ),
    ],
)
def test_what_cannot_be_narrowed_is_refused_and_its_place_named(schema: dict, says: str) -> None:
    with pytest.raises(InvalidRequestError, match=f"not for the strict mode: {says}"):
        strict_schema(schema)
