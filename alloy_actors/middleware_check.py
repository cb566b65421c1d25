"""What middleware must look like, said before anything starts: a hook that is never asked fails nobody but in silence."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Sequence
from typing import TYPE_CHECKING

from alloy_actors.errors import ConfigError
from alloy_actors.middleware import HOOKS, Middleware, overrides

if TYPE_CHECKING:
    from collections.abc import Iterator

_LIKE_A_HOOK = ("before_", "after_")


def check_middleware(middleware: object, where: str) -> tuple[Middleware, ...]:
    """Refuse what is no list of middleware, and hooks that could not be asked.

    Raises:
        ConfigError: Naming what is wrong.
    """
    if isinstance(middleware, str) or not isinstance(middleware, Sequence):
        msg = (
            f"{where}: middleware must be a list of alloy.Middleware objects, got {type(middleware).__name__}"
        )
        raise ConfigError(msg)
    for one in middleware:
        if not isinstance(one, Middleware):
            hint = ": make an object of it" if isinstance(one, type) and issubclass(one, Middleware) else ""
            msg = f"{where}: middleware holds {one!r}, which is no alloy.Middleware object{hint}"
            raise ConfigError(msg)
        for wrong in (*_misnamed(one), *_misshapen(one)):
            raise ConfigError(f"{where}: middleware {type(one).__name__}{wrong}")
    return tuple(middleware)


def _misnamed(one: Middleware) -> Iterator[str]:
    """Public methods that look like hooks and are none."""
    for cls in type(one).__mro__:
        if cls is Middleware:
            return
        for name, value in vars(cls).items():
            if name.startswith("_") or name in HOOKS or not inspect.isroutine(value):
                continue
            near = difflib.get_close_matches(name, HOOKS, n=1, cutoff=0.8)
            if near or name.startswith(_LIKE_A_HOOK):
                hint = f"did you mean {near[0]!r}?" if near else f"the hooks are {', '.join(HOOKS)}"
                yield (
                    f".{name} is no hook and would never be asked: {hint} "
                    f"A method of your own that is none may be named _{name}"
                )


def _misshapen(one: Middleware) -> Iterator[str]:
    """Hooks that cannot be called with what they are asked about."""
    for name in HOOKS:
        if not overrides(one, name):
            continue
        hook = getattr(one, name)
        if not callable(hook):
            yield f".{name} must be a method, got {type(hook).__name__}"
            continue
        wanted = list(inspect.signature(getattr(Middleware, name)).parameters)[1:]
        try:
            signature = inspect.signature(hook)
        except ValueError:  # some callables cannot say what they take
            continue
        try:
            signature.bind(*wanted)
        except TypeError:
            yield f".{name} is asked with ({', '.join(wanted)}), but takes {signature}"
