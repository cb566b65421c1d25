"""Checks of a provider's options: each mistake raises at construction and names its field, never its value if secret."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Generic, TypeVar
from urllib.parse import urlsplit

from alloy_actors.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable

T = TypeVar("T")


class Hidden(Generic[T]):
    """Holds a secret so that no repr, str, log line or pickle shows it."""

    __slots__ = ("_value",)

    def __init__(self, value: T) -> None:
        self._value = value

    def reveal(self) -> T:
        """The secret itself."""
        return self._value

    def __repr__(self) -> str:
        return "Hidden(***)"

    def __reduce__(self) -> tuple[Any, ...]:
        msg = "a secret is not pickled: make the provider anew from its options"
        raise TypeError(msg)


def refuse_unknown(owner: type, given: Iterable[str], shared: Iterable[str]) -> None:
    """Raise for further options of the constructor of `owner` that are none of the shared ones."""
    unknown = sorted(set(given) - set(shared))
    if not unknown:
        return
    parameters = inspect.signature(owner).parameters.values()
    valid = [item.name for item in parameters if item.kind is not item.VAR_KEYWORD] + list(shared)
    names = ", ".join(repr(name) for name in unknown)
    raise ConfigError(f"{owner.__name__} has no option {names}; the options are {', '.join(valid)}")


def text(name: str, value: object) -> str:
    """A string with something in it."""
    if not isinstance(value, str) or not value.strip():
        raise ConfigError(f"{name} must be a string that is not empty, not {value!r}")
    return value


def number(name: str, value: object, *, kind: type[int | float] = float, least: float = 0) -> None:
    """A number above `least` (a bool is none)."""
    allowed = (int,) if kind is int else (int, float)
    if isinstance(value, bool) or not isinstance(value, allowed) or not value > least:
        what = "a whole number" if kind is int else "a number"
        raise ConfigError(f"{name} must be {what} above {least}, not {value!r}")


def flag(name: str, value: object) -> bool:
    """True or False."""
    if not isinstance(value, bool):
        raise ConfigError(f"{name} must be True or False, not {value!r}")
    return value


def base_url(name: str, value: object, *, query: str = "") -> str:
    """An http(s) URL without a trailing slash; `query` says where one belongs."""
    if value is None:
        raise ConfigError(f"{name} is required: the server's address, for example 'http://localhost:11434'")
    url = text(name, value).strip()
    try:
        parts = urlsplit(url)
        port_is_fine = parts.port is None or parts.port > 0
    except ValueError:
        raise ConfigError(f"{name} is no URL: its port must be a number") from None
    if parts.username is not None or parts.password is not None:
        raise ConfigError(
            f"{name} holds a user name or password: pass an authorization header in extra_headers"
        )
    if parts.scheme not in {"http", "https"} or not parts.hostname or not port_is_fine:
        raise ConfigError(f"{name} must begin with http:// or https:// and name a host, not {url!r}")
    if parts.query or parts.fragment:
        raise ConfigError(f"{name} must end before '?' and '#'{query}")
    return url.rstrip("/")


def headers(name: str, value: object) -> dict[str, str]:
    """Header names and values that HTTP can carry; names are lowered."""
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise ConfigError(f"{name} must be a mapping of header names to strings, not {type(value).__name__}")
    found: dict[str, str] = {}
    for key, item in value.items():
        if (
            not isinstance(key, str)
            or not key.isascii()
            or not key.replace("-", "").replace("_", "").isalnum()
        ):
            raise ConfigError(f"{name} has {key!r}, which is no header name")
        found[key.lower()] = header_value(f"{name}[{key!r}]", item)
    return found


def header_value(name: str, value: object) -> str:
    """A header value; the message does not repeat it."""
    if not isinstance(value, str):
        raise ConfigError(f"{name} must be a string, not {type(value).__name__}")
    if not value.isascii() or not value.isprintable():
        raise ConfigError(f"{name} holds characters that a header cannot carry (a line break at its end?)")
    return value


def mapping(name: str, value: object) -> dict[str, Any]:
    """A mapping with string keys."""
    if value is None:
        return {}
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise ConfigError(f"{name} must be a mapping with string keys, not {type(value).__name__}")
    return dict(value)


def listener(name: str, value: object) -> Callable[[Any], object] | None:
    """A plain function that is told of something, or None."""
    if value is None:
        return None
    if not callable(value):
        raise ConfigError(f"{name} must be a function of one argument, not {type(value).__name__}")
    if inspect.iscoroutinefunction(value) or inspect.iscoroutinefunction(getattr(value, "__call__", None)):  # noqa: B004  (not whether, but which)
        raise ConfigError(f"{name} must be a plain function: nobody awaits what an async one returns")
    return value


def secret(name: str, value: object) -> Hidden[str] | Callable[[], Any] | None:
    """A key: a string, a pydantic SecretStr, or a callable that returns one (or an awaitable of one)."""
    reveal = getattr(value, "get_secret_value", None)
    if callable(reveal):
        value = reveal()
    if value is None:
        return None
    if isinstance(value, str):
        if not value.strip():
            raise ConfigError(f"{name} is empty: leave it out where the server needs none")
        return Hidden(header_value(name, value))
    if callable(value):
        return value
    raise ConfigError(f"{name} must be a string, a SecretStr or a callable, not {type(value).__name__}")
