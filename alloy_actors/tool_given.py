"""A JSON schema that was given, not made: what it must be, and what the model sends checked against it.

This is the one module that knows `jsonschema`, and it is loaded when the first such tool is made.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError, ValidationError
from jsonschema.validators import validator_for
from referencing import Registry

from alloy_actors.errors import ConfigError
from alloy_actors.tool_input import misfit, missing, short, unknown, wrong
from alloy_actors.tool_patterns import with_linear_patterns
from alloy_actors.tool_references import check_references, refusal
from alloy_actors.tool_signature import known_hints, late_hints, means, parameters_of

if TYPE_CHECKING:
    import types
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from inspect import Parameter


_WANTED = {
    "type": "should be of type",
    "enum": "should be one of",
    "const": "should be",
    "pattern": "should match",
    "minimum": "should be at least",
    "maximum": "should be at most",
    "exclusiveMinimum": "should be above",
    "exclusiveMaximum": "should be below",
    "minLength": "should have at least this many characters:",
    "maxLength": "should have at most this many characters:",
    "minItems": "should have at least this many items:",
    "maxItems": "should have at most this many items:",
}


class GivenArguments:
    """The parameters that a schema says; each is passed to `function` by its name.

    Args:
        tool: Its name.
        schema: JSON Schema of an object.
        function: Takes the schema's properties by name, or anything (`**arguments`).
        injected: The class of the context, which a parameter may be annotated with.
        frame: See `known_hints`.

    Raises:
        ConfigError: No provider would take the schema, or the function does not take what it allows.
    """

    __slots__ = ("_function", "_injected", "_names", "_schema", "_takes_any", "_tool", "_validator")

    def __init__(
        self,
        tool: str,
        schema: Mapping[str, Any],
        function: Callable[..., Any],
        injected: type,
        frame: types.FrameType | None,
    ) -> None:
        self._tool = tool
        self._function = function
        self._schema = _checked(tool, schema)
        cls = validator_for(self._schema, default=Draft202012Validator)
        try:
            cls.check_schema(self._schema)
            check_references(tool, self._schema)
        except SchemaError as error:
            raise refusal(tool, _place(error), error.message) from None
        except RecursionError:
            raise ConfigError(f"tool {tool!r}: input_schema is nested too deep") from None
        # An empty registry: what a schema refers to is in it, and nothing is ever fetched.
        self._validator = with_linear_patterns(cls)(self._schema, registry=Registry())
        parameters = parameters_of(function, tool)
        hints = known_hints(function, frame)
        hints = late_hints(function, tool) if hints is None else hints
        self._injected = tuple(
            item.name for item in parameters if means(hints.get(item.name, item.annotation), injected)
        )
        self._takes_any = any(item.kind is item.VAR_KEYWORD for item in parameters)
        own = [item for item in parameters if item.name not in self._injected]
        self._names = frozenset(item.name for item in own if item.kind is not item.VAR_KEYWORD)
        self._check_function(own)

    @property
    def call(self) -> Callable[..., Any]:
        """The function."""
        return self._function

    @property
    def schema(self) -> dict[str, Any]:
        """As it was given."""
        return self._schema

    @property
    def wants_context(self) -> bool:
        """Whether a parameter gets the context."""
        return bool(self._injected)

    def bind(self, given: Mapping[str, Any], context: object) -> dict[str, Any]:
        """See `ToolArguments`; nothing is coerced."""
        try:
            found = [text for error in self._validator.iter_errors(given) for text in _complaints(error)]
        except RecursionError:
            raise misfit(self._tool, ["arguments: nested too deep"]) from None
        except (
            OverflowError,
            ValueError,
        ):  # a number beyond all floats, or too long for jsonschema to write out
            raise misfit(self._tool, ["arguments: a number is too large"]) from None
        if not self._takes_any and not found:  # a schema that allows others does not say that they are used
            found = [unknown(name) for name in given if name not in self._names]
        found += [unknown(name) for name in self._injected if name in given and self._takes_any]
        if found:
            raise misfit(self._tool, list(dict.fromkeys(found)))
        return {**given, **dict.fromkeys(self._injected, context)}

    def _check_function(self, parameters: Iterable[Parameter]) -> None:
        properties = self._schema["properties"]
        required = self._schema.get("required", ())
        for item in parameters:
            where = f"tool {self._tool!r}, parameter {item.name!r}"
            if item.kind is item.POSITIONAL_ONLY:
                raise ConfigError(
                    f"{where} is positional-only; models pass arguments by name, so drop the '/'"
                )
            if item.kind in {item.VAR_POSITIONAL, item.VAR_KEYWORD} or item.default is not item.empty:
                continue
            if item.name not in required:
                raise ConfigError(
                    f"{where} has no default, but input_schema['required'] does not name it; give it a default"
                )
        for name in properties:
            if name in self._injected or (not self._takes_any and name not in self._names):
                raise ConfigError(
                    f"tool {self._tool!r}: input_schema['properties'] has {name!r}, which the function does not take; "
                    "add the parameter, or **arguments"
                )


def _checked(tool: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    """A copy, so that nobody changes it later; of an object, and JSON."""
    try:
        copy = json.loads(json.dumps(dict(schema), allow_nan=False))
    except (TypeError, ValueError, RecursionError) as error:
        raise ConfigError(f"tool {tool!r}: input_schema is not JSON: {error}") from None
    assert isinstance(copy, dict)
    if copy.get("type") != "object":
        raise ConfigError(
            f"tool {tool!r}: input_schema['type'] must be 'object', got {copy.get('type')!r}: models send one object of "
            "arguments, so make what you have a property of it"
        )
    if not isinstance(copy.get("$schema", ""), str):
        raise refusal(tool, ("$schema",), f"{copy['$schema']!r} is no text")
    copy.setdefault("properties", {})  # says nothing new, and OpenAI refuses an object without
    return copy


def _place(error: SchemaError) -> Iterable[object]:
    return error.absolute_path


def _complaints(error: ValidationError) -> Iterator[str]:
    place = [str(part) for part in error.absolute_path]
    rule: Any = error.validator_value
    schema: Any = error.schema
    value: Any = error.instance
    if error.validator == "required":
        for name in rule:
            if name not in value:
                yield missing(".".join([*place, name]))
    elif error.validator == "additionalProperties" and rule is False and "patternProperties" not in schema:
        for name in value:
            if name not in schema.get("properties", {}):
                yield unknown(".".join([*place, name]))
    else:
        yield wrong(".".join(place) or "arguments", _wanted(error), value)


def _wanted(error: ValidationError) -> str:
    """What was expected, without the value: the library's own words quote all of it."""
    if error.validator in {"anyOf", "oneOf"}:
        return "should have one of the forms that the schema lists"
    words = _WANTED.get(str(error.validator), f"does not fit {error.validator}:")
    return f"{words} {short(error.validator_value)}"
