"""Pydantic models, their validators and validated functions as tools."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict, Field, RootModel, TypeAdapter, validate_call

from alloy_actors.content import ToolCall
from alloy_actors.deadline import NEVER
from alloy_actors.errors import ConfigError
from alloy_actors.tool_input import ToolInputError
from alloy_actors.tool_runner import ToolOutcome, ToolRunner
from alloy_actors.tooldef import Tool, ToolContext, tool, toolbox


class Line(BaseModel):
    item: str
    count: int = Field(ge=1)


class Order(BaseModel):
    """Place an order.

    More than one line is fine.
    """

    lines: list[Line] = Field(description="what to buy")
    note: str = Field("", alias="remark")


class Node(BaseModel):
    model_config = ConfigDict(extra="forbid")
    name: str
    below: list[Node] = []


ORDERS = [tool(Order), tool(Order.model_validate), tool(TypeAdapter(Order).validate_python, name="Order")]


class Inline:
    async def call(self, function: Any, *, name: str) -> object:
        return function()


class Observer:
    async def starting(self, calls: Any) -> None: ...
    async def ended(self, outcome: ToolOutcome) -> None: ...


def outcome_of(made: Tool, **arguments: Any) -> ToolOutcome:
    calls = [ToolCall("1", made.name, arguments)]
    run = ToolRunner(Inline()).run(
        calls,
        toolbox([made]),
        lambda call, cancelled: ToolContext(),
        timeout=10,
        deadline=NEVER,
        observer=Observer(),
    )
    return asyncio.run(run)[0]


@pytest.mark.parametrize("made", ORDERS, ids=["model", "model_validate", "adapter"])
def test_a_model_is_a_tool_whose_arguments_are_its_fields(made: Tool) -> None:
    assert made.name == "Order"
    assert list(made.input_schema["properties"]) == ["lines", "remark"]
    assert made.input_schema["required"] == ["lines"]
    assert "title" not in made.input_schema
    outcome = outcome_of(made, lines=[{"item": "tea", "count": "2"}], remark="soon")
    assert outcome.data == {"lines": [{"item": "tea", "count": 2}], "remark": "soon"}
    assert not outcome.result.is_error


@pytest.mark.parametrize("made", ORDERS, ids=["model", "model_validate", "adapter"])
def test_what_a_model_refuses_is_an_error_the_model_can_act_on(made: Tool) -> None:
    outcome = outcome_of(made, lines=[{"item": "tea", "count": 0}, {"count": 1}])
    assert outcome.result.is_error
    assert "lines.0.count: Input should be greater than or equal to 1 (got 0)" in outcome.result.text
    assert "lines.1.item: required, but missing" in outcome.result.text


def test_the_description_is_the_models_own() -> None:
    assert tool(Order).description == "Place an order."
    assert tool(Order.model_validate).description == "Place an order."
    assert tool(Line).description == ""  # and not that of BaseModel
    assert tool(TypeAdapter(Order).validate_python, name="Order").description == ""


def test_models_may_be_handed_over_as_they_are_and_still_be_called() -> None:
    assert list(toolbox([Order])) == ["Order"]
    assert tool(Order)(lines=[]) == Order(lines=[])


def test_a_recursive_model_has_an_object_at_the_top() -> None:
    made = tool(Node)
    assert made.input_schema["type"] == "object"
    assert made.input_schema["properties"]["below"]["items"] == {"$ref": "#/$defs/Node"}
    assert outcome_of(made, name="a", below=[{"name": "b"}]).data["below"] == [{"name": "b", "below": []}]


def test_a_strict_model_must_forbid_other_members() -> None:
    assert toolbox([tool(Node, strict=True)])
    with pytest.raises(ConfigError, match="extra='forbid'"):
        toolbox([tool(Order, strict=True)])


def test_a_parameter_may_be_a_model() -> None:
    @tool
    def place(order: Order, urgent: bool = False) -> str:
        return f"{len(order.lines)} {urgent}"

    assert outcome_of(place, order={"lines": []}).result.content == "0 False"


def test_a_function_validated_by_pydantic_is_a_tool() -> None:
    @validate_call
    def add(a: int, b: int = 1) -> int:
        """Add."""
        return a + b

    made = tool(add)
    assert (made.name, made.description, made.input_schema["required"]) == ("add", "Add.", ["a"])
    assert outcome_of(made, a="2").result.content == "3"


def test_other_methods_of_a_model_are_methods() -> None:
    class Shop(BaseModel):
        city: str = "Rome"

        def order(self, item: str) -> str:
            """Order."""
            return f"{item} in {self.city}"

        @classmethod
        def open(cls, city: str) -> str:
            return cls(city=city).city

    assert outcome_of(tool(Shop().order), item="tea").result.content == "tea in Rome"
    assert outcome_of(tool(Shop.open), city="Oslo").result.content == "Oslo"


class Numbers(RootModel[list[int]]):
    pass


class Locked(BaseModel):
    model_config = ConfigDict(arbitrary_types_allowed=True)
    lock: asyncio.Lock


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (Numbers, "no object"),
        (TypeAdapter(list[int]).validate_python, "name="),
        (Locked, "no JSON schema"),
        (Line.model_validate_json, "no annotation|no schema|JSON schema"),
    ],
)
def test_what_is_no_object_of_arguments_is_refused(given: Any, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        toolbox([tool(given)])


def test_arguments_that_do_not_fit_name_the_tool() -> None:
    with pytest.raises(ToolInputError, match="Tool Line: invalid arguments. item: required"):
        tool(Line).arguments.bind({"count": 1}, None)
