"""A pydantic model, or its validator, as the parameters of a tool: what the model sends is one object of it.

`Order`, `Order.model_validate` and `TypeAdapter(Order).validate_python` mean the same. The tool returns the validated
object.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic.errors import PydanticUserError

from alloy_actors.errors import ConfigError
from alloy_actors.tool_input import complaints, misfit
from alloy_actors.tool_schema import TitlelessSchema, drop_titles

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def validated_by(function: object) -> type[BaseModel] | TypeAdapter[Any] | None:
    """What validates when `function` is called; None where that is something else."""
    if isinstance(function, type):
        return function if issubclass(function, BaseModel) else None
    if not inspect.ismethod(function):
        return None
    owner = function.__self__
    if isinstance(owner, type) and issubclass(owner, BaseModel) and function.__name__ == "model_validate":
        return owner
    return owner if isinstance(owner, TypeAdapter) and function.__name__ == "validate_python" else None


class ModelArguments:
    """The fields of a model.

    Raises:
        ConfigError: It is not an object with members, or has no JSON schema.
    """

    __slots__ = ("_adapter", "_schema", "_tool")

    def __init__(self, tool: str, model: type[BaseModel] | TypeAdapter[Any]) -> None:
        self._tool = tool
        try:
            self._adapter = model if isinstance(model, TypeAdapter) else TypeAdapter(model)
            schema = self._adapter.json_schema(schema_generator=TitlelessSchema)
        except PydanticUserError as error:
            first = str(error).split("\n", 1)[0]
            raise ConfigError(f"tool {tool!r}: no JSON schema can be made of {model!r}: {first}") from error
        drop_titles(schema)
        self._schema = entered(schema)
        if self._schema.get("type") != "object":
            raise ConfigError(
                f"tool {tool!r}: what {model!r} validates is no object; models send one object of arguments, so give a "
                "model with a field for it"
            )
        self._schema.setdefault("properties", {})

    @property
    def call(self) -> Callable[..., Any]:
        """Returns what was validated."""
        return _itself

    @property
    def schema(self) -> dict[str, Any]:
        """Of the model, without titles."""
        return self._schema

    @property
    def wants_context(self) -> bool:
        """A model takes none."""
        return False

    def bind(self, given: Mapping[str, Any], context: object) -> dict[str, Any]:  # noqa: ARG002  (see there)
        """See `ToolArguments`."""
        try:
            return {"value": self._adapter.validate_python(given)}
        except ValidationError as error:
            raise misfit(self._tool, complaints(error)) from None


def _itself(value: object) -> object:
    return value


def entered(schema: dict[str, Any]) -> dict[str, Any]:
    """A recursive model is a reference to one of its own definitions: no provider takes that at the top."""
    name = str(schema.get("$ref", "")).removeprefix("#/$defs/")
    if name not in schema.get("$defs", {}):
        return schema
    more = {key: value for key, value in schema.items() if key != "$ref"}
    return {**schema["$defs"][name], **more}
