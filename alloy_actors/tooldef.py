"""What a tool is: a function, its schema, and what the runtime tells it."""

from __future__ import annotations

import functools
import inspect
import re
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

from alloy_actors.deadline import NEVER, Deadline
from alloy_actors.errors import ConfigError
from alloy_actors.tool_schema import Arguments, calling_frame, first_paragraph

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    # With defaults, so that `Tool` alone means any tool; only type checkers on Python 3.11 can say so.
    from typing_extensions import ParamSpec
    from typing_extensions import TypeVar as TypeVarWithDefault

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


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True, repr=False)
class Tool(Generic[_P, _R]):
    """A function that a model may call; made by `@tool`. Calling the tool calls the function.

    Args:
        name: What the model calls it.
        description: What the model is told about it.
        function: Plain or async.
        arguments: Its parameters.
        is_async: Whether the function is awaited on a loop; a plain one runs on a worker thread.
        concurrent: False: never beside another call of the same reply; it waits for those before it, those after it
            wait for it.
        timeout: Seconds for one call; None is the run's `tool_timeout`.
        idempotent: Running it twice does no harm: after a crash it may be run again.
        max_result_chars: Longer results are cut in the middle; None for no limit.
    """

    name: str
    description: str
    function: Callable[_P, _R]
    arguments: Arguments
    is_async: bool
    concurrent: bool = True
    timeout: float | None = None
    idempotent: bool = False
    max_result_chars: int | None = None
    # (wire format, encoded) of the last format this tool was encoded for; a benign race at worst encodes twice.
    _wire: tuple[object, bytes] | None = field(default=None, init=False)

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

    def cached_wire(self, wire_format: object) -> bytes | None:
        """What `cache_wire` kept for exactly this `wire_format`, else None."""
        kept = self._wire
        return kept[1] if kept is not None and kept[0] is wire_format else None

    def cache_wire(self, wire_format: object, encoded: bytes) -> bytes:
        """Keep the encoded form for `wire_format` (compared by identity) and return it."""
        object.__setattr__(self, "_wire", (wire_format, encoded))
        return encoded


@overload
def tool(
    function: Callable[_Q, _S],
    /,
    *,
    name: str | None = None,
    description: str | None = None,
    timeout: float | None = None,
    concurrent: bool = True,
    idempotent: bool = False,
    max_result_chars: int | None = None,
) -> Tool[_Q, _S]: ...


@overload
def tool(
    *,
    name: str | None = None,
    description: str | None = None,
    timeout: float | None = None,
    concurrent: bool = True,
    idempotent: bool = False,
    max_result_chars: int | None = None,
) -> Callable[[Callable[_Q, _S]], Tool[_Q, _S]]: ...


def tool(
    function: Callable[..., Any] | None = None,
    /,
    *,
    name: str | None = None,
    description: str | None = None,
    timeout: float | None = None,
    concurrent: bool = True,
    idempotent: bool = False,
    max_result_chars: int | None = None,
) -> Any:
    """Make a tool of a function: `@tool`, `@tool(timeout=5)`, or `tool(client.search, name="search")`.

    Args:
        function: Plain or async; also a bound method, a partial, an object with `__call__`. Each parameter needs an
            annotation: the schema is made of them, by pydantic.
        name: Letters, digits, `_` and `-`, up to 64; the function's name unless given.
        description: The docstring's first paragraph unless given. Its Google-style `Args:` describe the parameters.
        timeout: See `Tool`, also for the others.
        concurrent: See `Tool`.
        idempotent: See `Tool`.
        max_result_chars: See `Tool`.

    Raises:
        ConfigError: A name no model takes, a parameter without annotation, *args, an option out of range.
    """
    frame = calling_frame(1)
    options: dict[str, Any] = {
        "name": name,
        "description": description,
        "timeout": timeout,
        "concurrent": concurrent,
        "idempotent": idempotent,
        "max_result_chars": max_result_chars,
    }
    if function is None:
        return functools.partial(_make, frame=frame, **options)
    return _make(function, frame=frame, **options)


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
        made.arguments.build()
        box[made.name] = made
    return box


def _wrap(item: Any) -> Tool:
    if not callable(item) or isinstance(item, type):
        raise ConfigError(f"tools holds {item!r}: give functions, or tools made with @alloy.tool")
    if inspect.isroutine(item):
        return _wrap_function(item)
    return _make(item, frame=None)


# A plain function is often given again with the next run, and pydantic needs a millisecond for it.
@functools.lru_cache(maxsize=256)
def _wrap_function(function: Callable[..., Any]) -> Tool:
    return _make(function, frame=None)


def _make(
    function: Any,
    *,
    frame: Any,
    name: Any = None,
    description: Any = None,
    timeout: Any = None,
    concurrent: Any = True,
    idempotent: Any = False,
    max_result_chars: Any = None,
) -> Tool:
    """Check everything: untyped callers exist."""
    if isinstance(function, Tool):
        raise ConfigError(f"{function!r} is a tool already; make another of its .function")
    if not callable(function) or isinstance(function, type):
        raise ConfigError(f"tool({function!r}): give a function")
    plain = _innermost(function)
    name = plain.__name__ if name is None and inspect.isroutine(plain) else name
    if name is None:
        raise ConfigError(f"tool({function!r}): an object has no name of its own; give name=")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ConfigError(
            f"tool name {name!r}: use 1 to 64 letters, digits, '_' or '-', for example @tool(name='add')"
        )
    _check(name, "timeout", timeout, "seconds > 0, or None", fits=_is_positive(timeout))
    fits = max_result_chars is None or (_is_positive(max_result_chars) and isinstance(max_result_chars, int))
    _check(name, "max_result_chars", max_result_chars, "a whole number >= 1, or None", fits=fits)
    _check(name, "concurrent", concurrent, "True or False", fits=isinstance(concurrent, bool))
    _check(name, "idempotent", idempotent, "True or False", fits=isinstance(idempotent, bool))
    _check(
        name, "description", description, "a string", fits=description is None or isinstance(description, str)
    )
    call = plain if inspect.isroutine(plain) else type(plain).__call__
    if inspect.isasyncgenfunction(call):
        raise ConfigError(f"tool {name!r} yields: a tool returns one value")
    return Tool(
        name=name,
        description=first_paragraph(function) if description is None else inspect.cleandoc(description),
        function=function,
        arguments=Arguments(function, name, ToolContext, frame),
        is_async=inspect.iscoroutinefunction(call),
        concurrent=concurrent,
        timeout=timeout,
        idempotent=idempotent,
        max_result_chars=max_result_chars,
    )


def _innermost(function: Callable[..., Any]) -> Any:
    while isinstance(function, functools.partial):
        function = function.func
    return function


def _is_positive(value: object) -> bool:
    if value is None:
        return True
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value > 0


def _check(tool_name: str, option: str, value: object, wanted: str, *, fits: bool) -> None:
    if not fits:
        raise ConfigError(f"tool {tool_name!r}: {option}={value!r} must be {wanted}")
