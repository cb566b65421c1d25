"""What a model sends to a tool: who takes it, and what the model is told of arguments that do not fit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol

from alloy_actors.errors import ToolError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pydantic import ValidationError
    from pydantic_core import ErrorDetails

_SHOWN_ERRORS = 5  # a model that got more wrong than this learns nothing from a longer list
_SHOWN_INPUT = 80  # characters of a wrong value quoted back to the model


class ToolInputError(ToolError):
    """The model's arguments do not fit; the text names the tool, the fields and what was expected."""


class ToolArguments(Protocol):
    """A tool's parameters: their schema for the model, and their check."""

    @property
    def call(self) -> Callable[..., Any]:
        """What is called with the bound arguments."""

    @property
    def schema(self) -> dict[str, Any]:
        """The JSON schema, an object; not to be changed.

        Raises:
            ConfigError: None can be made.
        """

    @property
    def wants_context(self) -> bool:
        """Whether a parameter gets the context."""

    def bind(self, given: Mapping[str, Any], context: object) -> dict[str, Any]:
        """Check what the model gave, and return keyword arguments.

        Raises:
            ToolInputError: It does not fit.
        """


def own(given: Any) -> Any:
    """A copy of JSON, for a tool to do with as it likes: the conversation has the other one."""
    if isinstance(given, dict):
        return {
            name: own(value) if isinstance(value, dict | list) else value for name, value in given.items()
        }
    if isinstance(given, list):
        return [own(value) if isinstance(value, dict | list) else value for value in given]
    return given


def misfit(tool: str, complaints: Sequence[str]) -> ToolInputError:
    """The error that lists what is wrong, field by field."""
    return ToolInputError(
        f"Tool {tool}: invalid arguments. {listed(complaints)}. Correct them and call the tool again."
    )


def listed(complaints: Sequence[str]) -> str:
    """The first of them, and how many more there are."""
    parts = list(complaints[:_SHOWN_ERRORS])
    if len(complaints) > _SHOWN_ERRORS:
        parts.append(f"and {len(complaints) - _SHOWN_ERRORS} more")
    return "; ".join(parts)


def missing(field: str) -> str:
    """A complaint: it is not there."""
    return f"{field}: required, but missing"


def unknown(field: str) -> str:
    """A complaint: nobody takes it."""
    return f"{field}: the tool has no such parameter"


def wrong(field: str, what: str, value: object) -> str:
    """A complaint: it is another than was asked for."""
    return f"{field}: {what.rstrip('.')} (got {short(value)})"


def short(value: object) -> str:
    """A wrong value, to quote back."""
    try:
        shown = repr(value)
    except ValueError:  # a whole number of more digits than Python writes out
        shown = f"a large {type(value).__name__}"
    return shown if len(shown) <= _SHOWN_INPUT else shown[:_SHOWN_INPUT] + "..."


ARGUMENTS: Final = "arguments"


def complaints(error: ValidationError, whole: str = ARGUMENTS) -> list[str]:
    """Those of pydantic; `whole` names the value that has the fields."""
    return [_complaint(item, whole) for item in error.errors(include_url=False, include_context=False)]


def _complaint(item: ErrorDetails, whole: str) -> str:
    field = ".".join(str(part) for part in item["loc"]) or whole
    if item["type"] == "missing":
        return missing(field)
    if item["type"] == "extra_forbidden":
        return unknown(field) if whole == ARGUMENTS else f"{field}: there is no such member"
    return wrong(field, item["msg"], item["input"])
