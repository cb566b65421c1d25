"""A function's parameters, as a JSON schema for the model and as a validator for what the model sends.

Both are made by pydantic from the signature, at first use: decorating a function stays cheap. Every parameter is
passed by keyword. Field names of the pydantic model are our own (`p0`, `p1` ...) with the parameter as alias, so a
parameter may be called `copy` or `schema` without meeting an attribute of `BaseModel`.
"""

from __future__ import annotations

import functools
import inspect
import re
import sys
import types
import typing
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model
from pydantic.errors import PydanticUserError
from pydantic.fields import FieldInfo
from pydantic.json_schema import GenerateJsonSchema

from alloy_actors.errors import ConfigError, ToolError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from pydantic_core import ErrorDetails

_SHOWN_ERRORS = 5  # a model that got more wrong than this learns nothing from a longer list
_SHOWN_INPUT = 80  # characters of a wrong value quoted back to the model
_SECTION = re.compile(r"^(Args|Arguments|Parameters|Params):\s*$")
_ENTRY = re.compile(r"^\*{0,2}(\w+)\s*(?:\([^)]*\))?\s*:\s*(.*)$")


class ToolInputError(ToolError):
    """The model's arguments do not fit; the text names the tool, the fields and what was expected."""


class _Built(NamedTuple):
    schema: dict[str, Any]
    model: type[BaseModel]
    parameters: tuple[
        tuple[str, str, bool], ...
    ]  # (field of the model, parameter, whether Python has its default)
    injected: tuple[str, ...]  # parameters that get the context


class _Schema(GenerateJsonSchema):
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
        self._parameters = tuple(_checked_parameters(function, tool))
        # Names local to the function that decorates are only known now; names of the module may be defined later.
        self._hints = _try_hints(function, frame)
        self._built: _Built | None = None

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
            raise ToolInputError(_explain(self._tool, error)) from None
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
        hints = self._hints if self._hints is not None else self._late_hints()
        described = parameter_descriptions(_target(self._function))
        fields: dict[str, Any] = {}
        parameters: list[tuple[str, str, bool]] = []
        injected: list[str] = []
        for parameter in self._parameters:
            annotation = hints.get(parameter.name, parameter.annotation)
            if _means(annotation, self._injected):
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
            schema = model.model_json_schema(schema_generator=_Schema)
        except PydanticUserError as error:
            first = str(error).split("\n", 1)[0]
            raise ConfigError(
                f"tool {self._tool!r}: no JSON schema can be made of its parameters: {first}"
            ) from error
        _drop_titles(schema)
        schema.setdefault("properties", {})
        schema["additionalProperties"] = False
        return _Built(schema, model, tuple(parameters), tuple(injected))

    def _late_hints(self) -> dict[str, Any]:
        try:
            return _hints(self._function, None)
        except NameError as error:
            raise ConfigError(
                f"tool {self._tool!r}: the annotation name {error.name!r} cannot be resolved; import or define it "
                "where the function is defined (not only under TYPE_CHECKING)"
            ) from error


def _target(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function with the annotations: of a partial its function, of a callable object its `__call__`."""
    while isinstance(function, functools.partial):
        function = function.func
    if inspect.isroutine(function):
        return function
    return type(function).__call__


def _hints(function: Callable[..., Any], local_names: dict[str, Any] | None) -> dict[str, Any]:
    return typing.get_type_hints(inspect.unwrap(_target(function)), localns=local_names, include_extras=True)


def _try_hints(function: Callable[..., Any], frame: types.FrameType | None) -> dict[str, Any] | None:
    try:
        return _hints(function, None if frame is None else dict(frame.f_locals))
    except NameError:  # a forward reference: asked again at first use
        return None


def _checked_parameters(function: Callable[..., Any], tool: str) -> Iterator[inspect.Parameter]:
    bound = function.keywords if isinstance(function, functools.partial) else {}
    for parameter in inspect.signature(function).parameters.values():
        where = f"tool {tool!r}, parameter {parameter.name!r}"
        if parameter.kind in {parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD}:
            raise ConfigError(f"{where}: *args and **kwargs have no schema; name each parameter")
        if parameter.kind is parameter.POSITIONAL_ONLY:
            raise ConfigError(f"{where} is positional-only; models pass arguments by name, so drop the '/'")
        if parameter.name in bound:
            continue
        if parameter.annotation is parameter.empty:
            hint = (
                "; of a method make a tool of the bound one: tool(instance.method)"
                if parameter.name == "self"
                else ""
            )
            raise ConfigError(f"{where} has no annotation, so the model cannot be told its type{hint}")
        yield parameter


def _means(annotation: Any, wanted: type) -> bool:
    """Whether the annotation is `wanted`, `wanted | None` or an `Annotated` of these."""
    if annotation is wanted:
        return True
    origin = typing.get_origin(annotation)
    if origin is Annotated:
        return _means(typing.get_args(annotation)[0], wanted)
    if origin in {typing.Union, types.UnionType}:
        return any(_means(part, wanted) for part in typing.get_args(annotation))
    return False


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


def _drop_titles(schema: Any, *, names: bool = False) -> None:
    """Remove the titles pydantic makes of class names; `names`: keys here are properties, and one may be "title"."""
    if isinstance(schema, list):
        for item in schema:
            _drop_titles(item)
    elif isinstance(schema, dict):
        if not names and isinstance(schema.get("title"), str):
            del schema["title"]
        for key, value in schema.items():
            if names or key not in {"default", "const", "enum", "examples"}:
                _drop_titles(value, names=not names and key in {"properties", "$defs"})


def _explain(tool: str, error: ValidationError) -> str:
    found = error.errors(include_url=False, include_context=False)
    parts = [_explain_one(item) for item in found[:_SHOWN_ERRORS]]
    if len(found) > _SHOWN_ERRORS:
        parts.append(f"and {len(found) - _SHOWN_ERRORS} more")
    return f"Tool {tool}: invalid arguments. {'; '.join(parts)}. Correct them and call the tool again."


def _explain_one(item: ErrorDetails) -> str:
    field = ".".join(str(part) for part in item["loc"]) or "arguments"
    if item["type"] == "missing":
        return f"{field}: required, but missing"
    if item["type"] == "extra_forbidden":
        return f"{field}: the tool has no such parameter"
    shown = repr(item["input"])
    if len(shown) > _SHOWN_INPUT:
        shown = shown[:_SHOWN_INPUT] + "..."
    return f"{field}: {item['msg'].rstrip('.')} (got {shown})"


def first_paragraph(function: Callable[..., Any]) -> str:
    """The first paragraph of the docstring in one line; "" without one."""
    text = inspect.getdoc(_documented(function)) or ""
    return " ".join(text.split("\n\n", 1)[0].split())


def parameter_descriptions(function: Callable[..., Any]) -> dict[str, str]:
    """The entries of a Google-style `Args:` section, each in one line."""
    found: dict[str, str] = {}
    inside, indent, current = False, 0, ""
    for line in (inspect.getdoc(_documented(function)) or "").splitlines():
        text = line.strip()
        if not inside:
            inside = bool(_SECTION.match(line))
            continue
        depth = len(line) - len(line.lstrip())
        if text and depth == 0:  # the next section, or prose
            if not _SECTION.match(line):
                inside = False
            continue
        entry = _ENTRY.match(text)
        if entry and (not found or depth <= indent):
            current, indent = entry[1], depth
            found[current] = entry[2]
        elif text and current:
            found[current] = f"{found[current]} {text}".strip()
    return found


def _documented(function: Callable[..., Any]) -> Callable[..., Any]:
    """Where the docstring is: partials and callable objects have their class's, which says nothing of the tool."""
    while isinstance(function, functools.partial):
        function = function.func
    if inspect.isroutine(function):
        return function
    call = type(function).__call__
    return call if call.__doc__ else type(function)


def calling_frame(depth: int) -> types.FrameType | None:
    """The frame `depth` calls above the caller, where that is a function and no module (whose names are global)."""
    frame = sys._getframe(depth + 1)  # noqa: SLF001  (the only way to see a caller's local classes)
    return None if frame.f_code.co_name == "<module>" else frame
