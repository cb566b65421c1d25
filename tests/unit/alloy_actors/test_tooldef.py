"""A tool's schema, its description, and the mistakes that are found before anything starts."""

from __future__ import annotations

import enum
import functools
import inspect
import threading
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field

from alloy_actors.errors import ConfigError
from alloy_actors.tool_input import ToolInputError
from alloy_actors.tooldef import Cancelled, Tool, ToolContext, tool, toolbox


@tool
def add(a: int, b: int = 1) -> int:
    """Add two
    numbers.

    And nothing else.
    """
    return a + b


class Color(enum.Enum):
    RED = "red"


class Address(BaseModel):
    title: str
    zip: str = Field(description="postal code")


def test_the_schema_comes_from_the_signature_without_titles() -> None:
    assert add.input_schema == {
        "type": "object",
        "properties": {"a": {"type": "integer"}, "b": {"type": "integer", "default": 1}},
        "required": ["a"],
        "additionalProperties": False,
    }


def test_a_function_without_parameters_has_an_empty_object_as_schema() -> None:
    @tool
    def now() -> str:
        return "now"

    assert now.input_schema == {"type": "object", "properties": {}, "additionalProperties": False}


def test_the_description_is_the_first_paragraph_of_the_docstring() -> None:
    assert add.description == "Add two numbers."
    assert tool(add.function, description="Sum.").description == "Sum."
    assert tool(lambda: 1, name="one").description == ""


def test_calling_a_tool_calls_its_function() -> None:
    assert add(1, 2) == 3
    assert add(a=1) == 2
    assert str(inspect.signature(add)) == "(a: 'int', b: 'int' = 1) -> 'int'"


def test_nested_models_keep_a_property_that_is_called_title() -> None:
    @tool
    def send(to: Address, title: str, color: Color) -> None:
        return None

    schema = send.input_schema
    assert schema["$defs"]["Address"]["properties"]["title"] == {"type": "string"}
    assert "title" not in schema["$defs"]["Address"]
    assert schema["properties"]["title"] == {"type": "string"}
    assert send.arguments.bind({"to": {"title": "x", "zip": "1"}, "title": "t", "color": "red"}, None) == {
        "to": Address(title="x", zip="1"),
        "title": "t",
        "color": Color.RED,
    }


def test_google_style_args_describe_the_parameters() -> None:
    @tool
    def find(
        query: str, limit: Annotated[int, Field(description="own words", le=9)] = 5, *, kind: str = "a"
    ) -> str:
        """Find things.

        Args:
            query: What to look for,
                in words.
            limit (int): Not shown: the annotation has its own.
            kind: one of: a, b

        Returns:
            query: not this one.
        """
        return query + str(limit) + kind

    properties = find.input_schema["properties"]
    assert properties["query"] == {"type": "string", "description": "What to look for, in words."}
    assert properties["limit"] == {"type": "integer", "default": 5, "maximum": 9, "description": "own words"}
    assert properties["kind"]["description"] == "one of: a, b"


@pytest.mark.parametrize("name", ["copy", "schema", "model_config", "json", "self_", "validate"])
def test_a_parameter_may_be_called_like_an_attribute_of_a_model(name: str) -> None:
    space: dict[str, Any] = {}
    exec(f"def f({name}: int) -> int: return {name}", space)
    made = tool(space["f"])
    assert list(made.input_schema["properties"]) == [name]
    assert made.arguments.bind({name: "3"}, None) == {name: 3}


def test_arguments_are_coerced_and_defaults_left_to_python() -> None:
    marker = object()

    def f(
        a: int, b: float = 2.5, c: Any = marker, d: int = Field(4, ge=0), e: tuple[int, ...] = ()
    ) -> None: ...

    made = tool(f)
    assert made.arguments.bind({"a": "3"}, None) == {"a": 3, "d": 4}
    assert made.arguments.bind({"a": 3, "e": [1, "2"]}, None) == {"a": 3, "d": 4, "e": (1, 2)}
    assert made.input_schema["properties"]["c"] == {}


def test_defaults_may_be_pydantics() -> None:
    def f(
        a: list[int] = Field(default_factory=lambda: [1]),
        b: Annotated[int, Field(default=2)] = Field(),
    ) -> None: ...

    made = tool(f)
    assert "required" not in made.input_schema
    assert made.arguments.bind({}, None) == {"a": [1], "b": 2}


def test_an_alias_in_the_annotation_is_what_the_model_sees() -> None:
    @tool
    def copy(from_: Annotated[str, Field(alias="from")], to: str) -> str:
        return from_ + to

    assert list(copy.input_schema["properties"]) == ["from", "to"]
    assert copy.arguments.bind({"from": "a", "to": "b"}, None) == {"from_": "a", "to": "b"}


def test_wrong_arguments_are_explained_with_tool_field_and_expectation() -> None:
    @tool
    def order(item: str, count: int, kind: Literal["a", "b"] = "a") -> None: ...

    with pytest.raises(ToolInputError) as caught:
        order.arguments.bind({"count": "many", "kind": "c", "colour": 1}, None)
    text = str(caught.value)
    assert text.startswith("Tool order: invalid arguments. ")
    assert "item: required, but missing" in text
    assert "count: Input should be a valid integer" in text
    assert "(got 'many')" in text
    assert "kind: Input should be 'a' or 'b' (got 'c')" in text
    assert "colour: the tool has no such parameter" in text
    assert "\n" not in text


def test_a_long_list_of_mistakes_is_cut() -> None:
    @tool
    def order(item: str) -> None: ...

    with pytest.raises(ToolInputError, match="and 6 more"):
        order.arguments.bind({str(n): n for n in range(10)}, None)


def test_the_context_is_injected_by_annotation_and_not_part_of_the_schema() -> None:
    @tool
    def one(a: int, ctx: ToolContext) -> None: ...

    @tool
    def two(a: int, ctx: ToolContext | None = None, *, again: Annotated[ToolContext, "x"]) -> None: ...

    context = ToolContext(agent="x", request_id="r", tool_call_id="c")
    assert one.arguments.bind({"a": 1}, context) == {"a": 1, "ctx": context}
    assert two.arguments.bind({"a": 1}, context) == {"a": 1, "ctx": context, "again": context}
    for made in (one, two):
        assert list(made.input_schema["properties"]) == ["a"]
        assert made.arguments.wants_context
    assert not add.arguments.wants_context
    with pytest.raises(ToolInputError, match="ctx: the tool has no such parameter"):
        one.arguments.bind({"a": 1, "ctx": {}}, context)
    assert context.idempotency_key == "x:r:c"


def test_annotations_may_name_what_is_local_or_defined_later() -> None:
    class Local(BaseModel):
        n: int

    @tool
    def near(a: Local) -> None: ...

    def late(a: Later) -> None: ...  # noqa: F821  (the case)

    made = tool(late)  # decorated before the class exists
    globals()["Later"] = int
    try:
        assert made.input_schema["properties"]["a"] == {"type": "integer"}
    finally:
        del globals()["Later"]
    assert near.input_schema["properties"]["a"] == {"$ref": "#/$defs/Local"}


def test_methods_partials_and_callable_objects_become_tools() -> None:
    class Shop:
        def order(self, item: str) -> str:
            """Order it."""
            return item

        async def __call__(self, item: str) -> str:
            """Call the shop."""
            return item

    def scale(factor: int, value: int, unit: str = "m") -> str:
        """Scale it."""
        return f"{factor * value}{unit}"

    order, shop = tool(Shop().order), tool(Shop(), name="shop")
    bound = tool(functools.partial(scale, 2, unit="km"))
    assert (order.name, order.description, list(order.input_schema["properties"])) == (
        "order",
        "Order it.",
        ["item"],
    )
    assert (shop.is_async, shop.description) == (True, "Call the shop.")
    assert (bound.name, list(bound.input_schema["properties"])) == ("scale", ["value"])
    assert bound(**bound.arguments.bind({"value": 3}, None)) == "6km"


def test_async_functions_are_recognised_through_partials() -> None:
    async def f(a: int) -> int:
        return a

    assert tool(f).is_async
    assert tool(functools.partial(f, a=1)).is_async
    assert not add.is_async


def _untyped(a, b: int) -> None: ...  # type: ignore[no-untyped-def] # the case
def _variadic(*numbers: int) -> None: ...
def _keywords(**options: int) -> None: ...
def _positional(a: int, /) -> None: ...


@pytest.mark.parametrize(
    ("function", "parts"),
    [
        (_untyped, ["'_untyped'", "'a'", "no annotation"]),
        (_variadic, ["'_variadic'", "'numbers'", "*args"]),
        (_keywords, ["'_keywords'", "'options'", "**kwargs"]),
        (_positional, ["'_positional'", "'a'", "positional-only"]),
        (lambda: 1, ["'<lambda>'", "name"]),
        (add, ["already"]),
        (3, ["function"]),
        (Shop := type("Shop", (), {}), ["function"]),
        (functools.partial(Shop), ["name="]),
    ],
)
def test_a_function_no_model_can_call_is_refused_at_decoration(function: Any, parts: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        tool(function)
    assert all(part in str(caught.value) for part in parts)


def test_a_method_in_a_class_body_says_what_to_do() -> None:
    with pytest.raises(ConfigError, match=r"tool\(instance.method\)"):

        class Shop:
            @tool
            def order(self, item: str) -> str:
                return item


def test_generators_are_refused() -> None:
    async def numbers() -> Any:
        yield 1

    with pytest.raises(ConfigError, match="yields"):
        tool(numbers)


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "a" * 65}, "name"),
        ({"name": "a b"}, "name"),
        ({"name": "ä"}, "name"),
        ({"name": 3}, "name"),
        ({"timeout": 0}, "timeout"),
        ({"timeout": "5"}, "timeout"),
        ({"timeout": True}, "timeout"),
        ({"max_result_chars": 0}, "max_result_chars"),
        ({"max_result_chars": 1.5}, "max_result_chars"),
        ({"concurrent": "no"}, "concurrent"),
        ({"idempotent": 1}, "idempotent"),
        ({"description": 3}, "description"),
    ],
)
def test_an_option_out_of_range_is_refused_by_name(options: dict[str, Any], field: str) -> None:
    with pytest.raises(ConfigError, match=field):
        tool(**options)(add.function)


def test_an_unknown_option_is_refused() -> None:
    with pytest.raises(ConfigError, match="'retries'; valid options: .*timeout"):
        tool(retries=3)  # type: ignore[call-overload] # the case


def test_a_toolbox_wraps_functions_and_keeps_the_order() -> None:
    def zero() -> int:
        return 0

    box = toolbox([zero, add])
    assert list(box) == ["zero", "add"]
    assert box["add"] is add
    assert toolbox([zero])["zero"] is box["zero"]  # wrapped once


@pytest.mark.parametrize("item", [3, "add", None, int])
def test_a_toolbox_refuses_what_is_no_tool(item: Any) -> None:
    with pytest.raises(ConfigError, match="tools holds"):
        toolbox([item])


def test_a_toolbox_refuses_two_tools_of_one_name() -> None:
    with pytest.raises(ConfigError, match="'add'"):
        toolbox([add, tool(add.function)])


def test_an_annotation_without_schema_or_definition_is_found_by_the_toolbox() -> None:
    def locked(lock: threading.Thread) -> None: ...

    def missing(a: Nowhere) -> None: ...  # noqa: F821  (the case)

    with pytest.raises(ConfigError, match="'locked'"):
        toolbox([locked])
    with pytest.raises(ConfigError, match=r"'missing'.*'Nowhere'"):
        toolbox([missing])


def test_a_tool_is_immutable_but_keeps_its_encoded_form() -> None:
    made: Tool = tool(add.function)
    fmt = object()
    with pytest.raises(AttributeError):
        made.name = "x"  # type: ignore[misc] # the case
    assert made.cached_wire(fmt) is None
    assert made.cache_wire(fmt, b"{}") == b"{}"
    assert made.cached_wire(fmt) == b"{}"
    assert made.cached_wire(object()) is None
    assert repr(made) == "<Tool add>"


def test_a_cancel_flag_wakes_those_who_wait() -> None:
    flag = Cancelled()
    assert not flag.is_set()
    assert not flag.wait(0)
    woken: list[bool] = []
    threads = [threading.Thread(target=lambda: woken.append(flag.wait(10))) for _ in range(3)]
    for thread in threads:
        thread.start()
    flag.set()
    for thread in threads:
        thread.join(10)
    assert woken == [True] * 3
    assert flag.is_set()
    assert flag.wait()
