"""JSON of whatever a run holds."""

from __future__ import annotations

import json
from typing import Any

import pydantic

from alloy_actors.plain_json import plain_json

HALF = "\ud800"  # half a surrogate pair: what sends a value down the slow path


class Place(pydantic.BaseModel):
    city: str


def test_a_list_in_itself_is_written_once_however_often_it_is_in_there() -> None:
    circle: list[Any] = [HALF]
    circle += [circle] * 5
    assert json.loads(plain_json(circle)) == ["\ufffd", *["<list>"] * 5]


def test_what_stands_in_two_places_is_no_circle() -> None:
    shared = {"a": HALF}
    assert json.loads(plain_json([shared, shared])) == [{"a": "\ufffd"}] * 2


def test_a_model_is_an_object_beside_half_a_character_too() -> None:
    assert json.loads(plain_json([Place(city="Oslo")])) == [{"city": "Oslo"}]
    assert json.loads(plain_json([Place(city="Oslo"), HALF])) == [{"city": "Oslo"}, "\ufffd"]
