"""What a tool is: a function, its schema, and what the runtime tells it."""

from __future__ import annotations

import functools
import inspect
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Generic, TypeVar, Unpack, overload

from alloy_actors.deadline import NEVER, Deadline
from alloy_actors.errors import ConfigError
from alloy_actors.estimate import tokens_of_tool
from alloy_actors.tool_docs import first_paragraph
from alloy_actors.tool_model import ModelArguments, validated_by
from alloy_actors.tool_options import Caller, ToolOptions, checked, refuse_unknown
from alloy_actors.tool_schema import Arguments
from alloy_actors.tool_signature import calling_frame

if TYPE_CHECKING:
    import types
    from collections.abc import Callable, Iterable

    # With defaults, so that `Tool` alone means any tool; only type checkers on Python 3.11 can say so.
    from typing_extensions import ParamSpec
    from typing_extensions import TypeVar as TypeVarWithDefault

    from alloy_actors.tool_input import ToolArguments
    from alloy_actors.tool_spill import Spill

    _P = ParamSpec("_P", default=...)
    _R = TypeVarWithDefault("_R", default=Any)
else:
    from typing import ParamSpec

    _P = ParamSpec("_P")
    _R = TypeVar("_R")

_Q = ParamSpec("_Q")
_S = TypeVar("_S")

_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}", re.ASCII)


class Cancelled:
    """Tells a plain tool that nobody waits for it any more; like a `threading.Event` that cannot be cleared."""

    __slots__ = ("_event", "_set")
    _making = threading.Lock()

    def __init__(self) -> None:
        self._set = False
        self._event: threading.Event | None = None  # made when a tool waits: most only ask, or do neither

    def is_set(self) -> bool:
        """Whether the call was cancelled or ran out of time."""
        return self._set

    def set(self) -> None:
        """For the runtime."""
        self._set = True
        if (event := self._event) is not None:
            event.set()

    def wait(self, timeout: float | None = None) -> bool:
        """Sleep up to `timeout` seconds, or until the call is cancelled; whether it is."""
        with self._making:
            event = self._event = self._event or threading.Event()
        if self._set:
            event.set()
        return event.wait(timeout)


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolContext:
    """What a tool may know of its call: annotate a parameter with this class to get it.

    Args:
        agent: The agent's name.
        request_id: Of the run.
        turn: Of the run, from 1.
        tool_call_id: As the model gave it.
        working_directory: The agent's option; relative paths mean it.
        context: The agent's option, as it is.
        deadline: When this call times out.
        cancelled: Set when the call timed out or the run was cancelled. A plain tool that runs long looks at it; an
            async tool is cancelled anyway.
    """

    agent: str = ""
    request_id: str = ""
    turn: int = 1
    tool_call_id: str = ""
    working_directory: str = "."
    context: Mapping[str, Any] = field(default_factory=dict)
    deadline: Deadline = NEVER
    cancelled: Cancelled = field(default_factory=Cancelled)

    @property
    def idempotency_key(self) -> str:
        """Names this call in the whole world, and stays the same when it is run again after a crash."""
        return f"{self.agent}:{self.request_id}:{self.tool_call_id}"


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True, repr=False, init=False)
class Tool(Generic[_P, _R]):
    """A function that a model may call: made by `@tool`, or of a JSON schema that is already there.

        alloy.Tool(name="add", description="Add two numbers.", input_schema={...}, function=add)

    Calling the tool calls the function. What the model sends is checked against the schema and passed to the function
    by name; nothing is coerced.

    Args:
        name: What the model calls it: letters, digits, `_` and `-`, up to 64.
        description: What the model is told about it.
        input_schema: JSON Schema of the arguments, an object.
        function: Plain or async. Takes the schema's properties by name, or `**arguments`; a parameter annotated with
            `ToolContext` gets the context.
        options: See `ToolOptions`.

    Raises:
        ConfigError: A name no model takes, a schema no provider takes, a function that does not take what the schema
            allows, an unknown option or one out of range.
    """

    name: str
    description: str
    function: Callable[_P, _R]
    arguments: ToolArguments
    """The parameters; for the runtime."""
    is_async: bool
    """Whether the function is awaited on a loop; a plain one runs on a worker thread."""
    concurrent: bool
    timeout: float | None
    idempotent: bool
    max_result_chars: int | None
    spill: Spill | None
    strict: bool
    input_examples: tuple[Mapping[str, Any], ...]
    defer_loading: bool
    allowed_callers: tuple[Caller, ...] | None
    native_types: Mapping[str, str]
    # (wire format, encoded) of the last format this tool was encoded for; a benign race at worst encodes twice.
    _wire: tuple[object, bytes] | None
    _tokens: int | None

    def __init__(
        self,
        name: str,
        description: str,
        input_schema: Mapping[str, Any],
        function: Callable[_P, _R],
        **options: Unpack[ToolOptions],
    ) -> None:
        # Imports jsonschema, which takes 0.2 seconds: that is for those who bring a schema.
        from alloy_actors.tool_given import GivenArguments

        _check_name(name)
        schema: object = input_schema
        if not isinstance(schema, Mapping):
            raise ConfigError(f"tool {name!r}: input_schema={schema!r} must be a mapping")
        given: object = function
        if not callable(given) or isinstance(given, type | Tool):
            raise ConfigError(f"tool {name!r}: function={given!r} must be a function")
        arguments = GivenArguments(name, input_schema, function, ToolContext, calling_frame(1))
        self._fill(name, description, function, arguments, options)

    def _fill(
        self,
        name: str,
        description: str,
        function: Callable[..., Any],
        arguments: ToolArguments,
        options: Mapping[str, Any],
    ) -> None:
        """Check what untyped callers may get wrong, and set every field."""
        if not isinstance(description, str):
            raise ConfigError(f"tool {name!r}: description={description!r} must be a string")
        values = {
            **_DEFAULTS,
            **checked(name, options),
            "name": name,
            "description": inspect.cleandoc(description),
            "function": function,
            "arguments": arguments,
            "is_async": _is_async(name, arguments.call),
        }
        for field_name, value in values.items():
            object.__setattr__(self, field_name, value)

    def __call__(self, *args: _P.args, **kwargs: _P.kwargs) -> _R:
        return self.function(*args, **kwargs)

    def __repr__(self) -> str:
        return f"<Tool {self.name}{' async' if self.is_async else ''}>"

    @property
    def __wrapped__(self) -> Callable[_P, _R]:
        """For `inspect.signature` and friends."""
        return self.function

    @property
    def input_schema(self) -> dict[str, Any]:
        """The JSON schema of the arguments; not to be changed.

        Raises:
            ConfigError: None can be made of the signature.
        """
        return self.arguments.schema

    def check(self) -> None:
        """Make the schema, if that is still to be done, and see whether it can be strict.

        Raises:
            ConfigError: None can be made, or it does not rule out other members although `strict` is set.
        """
        if self.input_schema.get("additionalProperties") is not False and self.strict:
            raise ConfigError(
                f"tool {self.name!r}: strict=True needs input_schema['additionalProperties'] to be False (of a pydantic model: "
                "extra='forbid')"
            )

    @property
    def estimated_tokens(self) -> int:
        """About how many tokens it is to a model; see `alloy_actors.estimate`. Found once."""
        tokens = self._tokens
        if tokens is None:
            tokens = tokens_of_tool(self)
            object.__setattr__(self, "_tokens", tokens)
        return tokens

    def cached_wire(self, wire_format: object) -> bytes | None:
        """What `cache_wire` kept for exactly this `wire_format`, else None."""
        kept = self._wire
        return kept[1] if kept is not None and kept[0] is wire_format else None

    def cache_wire(self, wire_format: object, encoded: bytes) -> bytes:
        """Keep the encoded form for `wire_format` (compared by identity) and return it."""
        object.__setattr__(self, "_wire", (wire_format, encoded))
        return encoded


_DEFAULTS: dict[str, Any] = {
    "concurrent": True,
    "timeout": None,
    "idempotent": False,
    "max_result_chars": None,
    "spill": None,
    "strict": False,
    "input_examples": (),
    "defer_loading": False,
    "allowed_callers": None,
    "native_types": {},
    "_wire": None,
    "_tokens": None,
}


@overload
def tool(
    function: Callable[_Q, _S],
    /,
    *,
    name: str | None = None,
    description: str | None = None,
    **options: Unpack[ToolOptions],
) -> Tool[_Q, _S]: ...


@overload
def tool(
    *, name: str | None = None, description: str | None = None, **options: Unpack[ToolOptions]
) -> Callable[[Callable[_Q, _S]], Tool[_Q, _S]]: ...


def tool(
    function: Callable[..., Any] | None = None,
    /,
    *,
    name: str | None = None,
    description: str | None = None,
    **options: Unpack[ToolOptions],
) -> Any:
    """Make a tool of a function: `@tool`, `@tool(timeout=5)`, or `tool(client.search, name="search")`.

    Args:
        function: Plain or async; also a bound method, a partial, an object with `__call__`. Each parameter needs an
            annotation: the schema is made of them, by pydantic. Or a pydantic model, its `model_validate`, or the
            `validate_python` of a `TypeAdapter`: the arguments are its fields, the result is the validated object.
        name: Letters, digits, `_` and `-`, up to 64; the function's (or the model's) name unless given.
        description: The docstring's first paragraph unless given. Its Google-style `Args:` describe the parameters.
        options: See `ToolOptions`.

    Raises:
        ConfigError: A name no model takes, a parameter without annotation, *args, an unknown option or one out of
            range.
    """
    frame = calling_frame(1)
    if function is None:
        refuse_unknown(options)
        return functools.partial(_make, frame=frame, name=name, description=description, options=options)
    return _make(function, frame=frame, name=name, description=description, options=options)


def toolbox(tools: Iterable[Tool | Callable[..., Any]]) -> dict[str, Tool]:
    """Tools by name, in their order; plain functions become tools, schemas are made.

    Raises:
        ConfigError: Two tools of one name; something that is neither tool nor function; an annotation without schema.
    """
    box: dict[str, Tool] = {}
    for item in tools:
        made = item if isinstance(item, Tool) else _wrap(item)
        if made.name in box:
            raise ConfigError(
                f"two tools are called {made.name!r}; give one of them another name: @tool(name=...)"
            )
        made.check()
        box[made.name] = made
    return box


def _wrap(item: Any) -> Tool:
    if not callable(item) or (isinstance(item, type) and validated_by(item) is None):
        raise ConfigError(f"tools holds {item!r}: give functions, or tools made with @alloy.tool")
    if inspect.isroutine(item) or isinstance(item, type):
        return _wrap_function(item)
    return _make(item, frame=None)


# A plain function is often given again with the next run, and pydantic needs a millisecond for it.
@functools.lru_cache(maxsize=256)
def _wrap_function(function: Callable[..., Any]) -> Tool:
    return _make(function, frame=None)


def _make(
    function: Any,
    *,
    frame: types.FrameType | None,
    name: Any = None,
    description: Any = None,
    options: Mapping[str, Any] = MappingProxyType({}),
) -> Tool:
    model = validated_by(function)
    if isinstance(function, Tool):
        raise ConfigError(f"{function!r} is a tool already; make another of its .function")
    if not callable(function) or (isinstance(function, type) and model is None):
        raise ConfigError(f"tool({function!r}): give a function")
    described = function if model is None else model  # an adapter has no name and says nothing
    name = _name_of(described) if name is None else name
    _check_name(name)
    arguments = (
        Arguments(function, name, ToolContext, frame) if model is None else ModelArguments(name, model)
    )
    description = first_paragraph(described) if description is None else description
    return tool_of(name, description, function, arguments, options)


def tool_of(
    name: str,
    description: str,
    function: Callable[..., Any],
    arguments: ToolArguments,
    options: Mapping[str, Any] = MappingProxyType({}),
) -> Tool:
    """A tool whose parameters are made already."""
    made: Tool = Tool.__new__(Tool)
    made._fill(name, description, function, arguments, options)  # noqa: SLF001  (the other way to make one)
    return made


def _name_of(function: Any) -> str:
    plain = _innermost(function)
    if isinstance(function, type) or inspect.isroutine(plain):
        return str(plain.__name__)
    raise ConfigError(f"tool({function!r}): an object has no name of its own; give name=")


def _check_name(name: object) -> None:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ConfigError(
            f"tool name {name!r}: use 1 to 64 letters, digits, '_' or '-', for example @tool(name='add')"
        )


def _is_async(name: str, function: Any) -> bool:
    plain = _innermost(function)
    call = plain if inspect.isroutine(plain) else type(plain).__call__
    if inspect.isasyncgenfunction(call):
        raise ConfigError(f"tool {name!r} yields: a tool returns one value")
    return inspect.iscoroutinefunction(call)


def _innermost(function: Callable[..., Any]) -> Any:
    while isinstance(function, functools.partial):
        function = function.func
    return function
