"""A function's parameters, as a JSON schema for the model and as a validator for what the model sends.

Both are made by pydantic from the signature, at first use: decorating a function stays cheap. Every parameter is
passed by keyword. Field names of the pydantic model are our own (`p0`, `p1` ...) with the parameter as alias, so a
parameter may be called `copy` or `schema` without meeting an attribute of `BaseModel`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model
from pydantic.errors import PydanticUserError
from pydantic.fields import FieldInfo
from pydantic.json_schema import GenerateJsonSchema

from alloy_actors.errors import ConfigError
from alloy_actors.tool_docs import parameter_descriptions
from alloy_actors.tool_input import complaints, misfit
from alloy_actors.tool_signature import checked_parameters, known_hints, late_hints, means, target

if TYPE_CHECKING:
    import inspect
    import types
    from collections.abc import Callable, Mapping


class _Built(NamedTuple):
    schema: dict[str, Any]
    model: type[BaseModel]
    parameters: tuple[
        tuple[str, str, bool], ...
    ]  # (field of the model, parameter, whether Python has its default)
    injected: tuple[str, ...]  # parameters that get the context


class TitlelessSchema(GenerateJsonSchema):
    """Without the titles that pydantic makes of the names of fields."""

    ignored_warning_kinds = {"skipped-choice", "non-serializable-default"}  # noqa: RUF012  (pydantic's declaration)

    def field_title_should_be_set(self, schema: object) -> bool:  # noqa: ARG002  (pydantic's signature)
        return False


class Arguments:
    """The parameters of `function`; a parameter annotated with `injected` gets the context and is no argument.

    Raises:
        ConfigError: A parameter is positional-only, variadic or has no annotation.
    """

    __slots__ = ("_built", "_function", "_hints", "_injected", "_parameters", "_tool")

    def __init__(
        self, function: Callable[..., Any], tool: str, injected: type, frame: types.FrameType | None
    ) -> None:
        self._tool = tool
        self._function = function
        self._injected = injected
        self._parameters = tuple(checked_parameters(function, tool))
        # Names local to the function that decorates are only known now; names of the module may be defined later.
        self._hints = known_hints(function, frame)
        self._built: _Built | None = None

    @property
    def call(self) -> Callable[..., Any]:
        """The function."""
        return self._function

    @property
    def schema(self) -> dict[str, Any]:
        """The JSON schema: an object without titles that allows no other properties.

        Raises:
            ConfigError: An annotation cannot be resolved, or has no JSON schema.
        """
        return self.build().schema

    @property
    def wants_context(self) -> bool:
        """Whether a parameter gets the context."""
        return bool(self.build().injected)

    def bind(self, given: Mapping[str, Any], context: object) -> dict[str, Any]:
        """Validate and coerce what the model gave, and return keyword arguments.

        Raises:
            ToolInputError: They do not fit the signature.
        """
        built = self._built or self.build()
        try:
            values = built.model.model_validate(given)
        except ValidationError as error:
            raise misfit(self._tool, complaints(error)) from None
        found, present = values.__dict__, values.__pydantic_fields_set__
        arguments = {
            name: found[field]
            for field, name, has_default in built.parameters
            if field in present or not has_default
        }
        for name in built.injected:
            arguments[name] = context
        return arguments

    def build(self) -> _Built:
        """Make schema and validator once; two threads doing it at once is waste, not harm."""
        if self._built is None:
            self._built = self._build()
        return self._built

    def _build(self) -> _Built:
        hints = self._hints if self._hints is not None else late_hints(self._function, self._tool)
        described = parameter_descriptions(target(self._function))
        fields: dict[str, Any] = {}
        parameters: list[tuple[str, str, bool]] = []
        injected: list[str] = []
        for parameter in self._parameters:
            annotation = hints.get(parameter.name, parameter.annotation)
            if means(annotation, self._injected):
                injected.append(parameter.name)
                continue
            field = f"p{len(fields)}"
            fields[field] = _field(parameter, annotation, described.get(parameter.name))
            has_default = parameter.default is not parameter.empty and not isinstance(
                parameter.default, FieldInfo
            )
            parameters.append((field, parameter.name, has_default))
        try:
            config = ConfigDict(extra="forbid", arbitrary_types_allowed=False)
            model: type[BaseModel] = create_model(f"{self._tool}_arguments", __config__=config, **fields)
            schema = model.model_json_schema(schema_generator=TitlelessSchema)
        except PydanticUserError as error:
            first = str(error).split("\n", 1)[0]
            raise ConfigError(
                f"tool {self._tool!r}: no JSON schema can be made of its parameters: {first}"
            ) from error
        drop_titles(schema)
        schema.setdefault("properties", {})
        schema["additionalProperties"] = False
        return _Built(schema, model, tuple(parameters), tuple(injected))


def _field(parameter: inspect.Parameter, annotation: Any, description: str | None) -> Any:
    """A field definition for `create_model`. What a user's own `Field(...)` says wins."""
    own = [item for item in getattr(annotation, "__metadata__", ()) if isinstance(item, FieldInfo)]
    default: Any = ... if parameter.default is parameter.empty else parameter.default
    extra: list[Any] = []
    if isinstance(default, FieldInfo):
        own.append(default)
        extra.append(default)
        default = ...
    alias = next((item.alias for item in own if item.alias), parameter.name)
    has_description = any(item.description for item in own)
    extra.append(Field(alias=alias) if has_description else Field(alias=alias, description=description))
    annotated = Annotated[(annotation, *extra)]
    return annotated if default is ... else (annotated, default)


def drop_titles(schema: Any, *, names: bool = False) -> None:
    """Remove the titles pydantic makes of class names; `names`: keys here are properties, and one may be "title"."""
    if isinstance(schema, list):
        for item in schema:
            drop_titles(item)
    elif isinstance(schema, dict):
        if not names and isinstance(schema.get("title"), str):
            del schema["title"]
        for key, value in schema.items():
            if names or key not in {"default", "const", "enum", "examples"}:
                drop_titles(value, names=not names and key in {"properties", "$defs"})
