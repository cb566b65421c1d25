"""How a callable is looked at: whatever it is, what it takes, and what its annotations mean."""

from __future__ import annotations

import functools
import inspect
import sys
import types
import typing
from typing import TYPE_CHECKING, Annotated, Any

from alloy_actors.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def target(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function with the annotations: of a partial its function, of a callable object its `__call__`."""
    while isinstance(function, functools.partial):
        function = function.func
    if inspect.isroutine(function):
        return function
    return type(function).__call__


def hints_of(function: Callable[..., Any], local_names: dict[str, Any] | None) -> dict[str, Any]:
    """The annotations by parameter, resolved.

    Raises:
        NameError: One names what is not there, or not yet.
    """
    return typing.get_type_hints(inspect.unwrap(target(function)), localns=local_names, include_extras=True)


def known_hints(function: Callable[..., Any], frame: types.FrameType | None) -> dict[str, Any] | None:
    """Likewise, with the names local to whoever makes the tool; None while one is not there."""
    try:
        return hints_of(function, None if frame is None else dict(frame.f_locals))
    except NameError:  # a forward reference: asked again at first use
        return None


def late_hints(function: Callable[..., Any], tool: str) -> dict[str, Any]:
    """Likewise, at first use.

    Raises:
        ConfigError: One is still not there.
    """
    try:
        return hints_of(function, None)
    except NameError as error:
        raise ConfigError(
            f"tool {tool!r}: the annotation name {error.name!r} cannot be resolved; import or define it "
            "where the function is defined (not only under TYPE_CHECKING)"
        ) from error


def parameters_of(function: Callable[..., Any], tool: str) -> list[inspect.Parameter]:
    """What it takes, without what a partial has given it already.

    Raises:
        ConfigError: Nobody knows: some functions written in C do not say.
    """
    bound = function.keywords if isinstance(function, functools.partial) else {}
    try:
        parameters = inspect.signature(function).parameters.values()
    except (ValueError, TypeError) as error:
        raise ConfigError(
            f"tool {tool!r}: {function!r} does not say what it takes; write a function that calls it"
        ) from error
    return [parameter for parameter in parameters if parameter.name not in bound]


def checked_parameters(function: Callable[..., Any], tool: str) -> Iterator[inspect.Parameter]:
    """Those that a schema can be made of.

    Raises:
        ConfigError: One is variadic, positional-only, or has no annotation.
    """
    for parameter in parameters_of(function, tool):
        where = f"tool {tool!r}, parameter {parameter.name!r}"
        if parameter.kind in {parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD}:
            raise ConfigError(f"{where}: *args and **kwargs have no schema; name each parameter")
        if parameter.kind is parameter.POSITIONAL_ONLY:
            raise ConfigError(f"{where} is positional-only; models pass arguments by name, so drop the '/'")
        if parameter.annotation is parameter.empty:
            hint = (
                "; of a method make a tool of the bound one: tool(instance.method)"
                if parameter.name == "self"
                else ""
            )
            raise ConfigError(f"{where} has no annotation, so the model cannot be told its type{hint}")
        yield parameter


def means(annotation: Any, wanted: type) -> bool:
    """Whether the annotation is `wanted`, `wanted | None` or an `Annotated` of these."""
    if annotation is wanted:
        return True
    origin = typing.get_origin(annotation)
    if origin is Annotated:
        return means(typing.get_args(annotation)[0], wanted)
    if origin in {typing.Union, types.UnionType}:
        return any(means(part, wanted) for part in typing.get_args(annotation))
    return False


def calling_frame(depth: int) -> types.FrameType | None:
    """The frame `depth` calls above the caller, where that is a function and no module (whose names are global)."""
    frame = sys._getframe(depth + 1)  # noqa: SLF001  (the only way to see a caller's local classes)
    return None if frame.f_code.co_name == "<module>" else frame
