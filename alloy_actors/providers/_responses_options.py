"""The options of the Responses API, checked and put as the body wants them; each mistake is a ConfigError."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from alloy_actors.errors import ConfigError
from alloy_actors.providers import _options as check
from alloy_actors.providers._json import dumps

CHOICES = ("auto", "none", "required")


def encoded(value: Any) -> bytes | None:
    """JSON; None for None, which leaves the member out."""
    return None if value is None else dumps(value)


def flag(name: str, value: object) -> bool | None:
    """True, False, or None for not given."""
    return None if value is None else check.flag(name, value)


def count(name: str, value: int | None) -> int | None:
    """A whole number above 0, or None for not given."""
    if value is not None:
        check.number(name, value, kind=int)
    return value


def temperature(value: float | None) -> float | None:
    """A number from 0, or None for not given."""
    if value is not None:
        check.number("temperature", value, least=-1e-9)
    return value


def settings(name: str, value: object) -> dict[str, Any] | None:
    """A mapping that is JSON, or None for not given."""
    found = None if value is None else check.mapping(name, value)
    _json(name, found)
    return found


def included(value: object) -> list[str]:
    """The names in `include`."""
    if isinstance(value, str) or not all(isinstance(name, str) for name in _sequence("include", value)):
        raise ConfigError(f"include must be a list of names, not {value!r}")
    return list(dict.fromkeys(_sequence("include", value)))


def choice(value: object) -> bytes | None:
    """`tool_choice`, encoded."""
    if value is None or (isinstance(value, str) and value in CHOICES):
        return encoded(value)
    if isinstance(value, Mapping) and isinstance(value.get("type"), str):
        return _json("tool_choice", value)
    names = ", ".join(map(repr, CHOICES))
    raise ConfigError(f"tool_choice must be {names} or a mapping with a 'type', not {value!r}")


def tools(built_in: object, **searches: object) -> bytes:
    """The tools that the server runs, encoded and joined by commas: searches by their type, then the others."""
    found: list[dict[str, Any]] = []
    for kind, given in searches.items():
        if given is True:
            found.append({"type": kind})
        elif isinstance(given, Mapping):
            found.append({"type": kind, **check.mapping(kind, given)})
        elif given is not False and given is not None:
            raise ConfigError(f"{kind} must be True, False or a mapping of its settings, not {given!r}")
    for tool in _sequence("built_in_tools", built_in):
        if not isinstance(tool, Mapping) or not isinstance(tool.get("type"), str):
            raise ConfigError(f"built_in_tools holds {tool!r}: each is a mapping with a 'type'")
        found.append(dict(tool))
    return b",".join(_json("built_in_tools", tool) for tool in found)


def _sequence(name: str, value: object) -> list[Any] | tuple[Any, ...]:
    if not isinstance(value, list | tuple):
        raise ConfigError(f"{name} must be a list, not {value!r}")
    return value


def _json(name: str, value: object) -> bytes:
    try:
        return dumps(value)
    except (TypeError, ValueError) as exc:
        raise ConfigError(f"{name} must be JSON: {exc}") from exc
