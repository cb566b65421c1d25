"""What is said of an option that is unknown, or that has a wrong value."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pydantic import ValidationError
    from pydantic_core import ErrorDetails

OF_PROVIDERS: Final = frozenset(
    {
        "api_key",
        "api_url",
        "connect_timeout",
        "extra_body",
        "extra_headers",
        "first_byte_timeout",
        "http_client",
        "idle_timeout",
        "max_in_flight",
        "max_reply_bytes",
        "model",
        "output_schemas",
        "preset",
        "provider_state",
        "reasoning",
        "temperature",
        "thinking",
        "tool_choice",
        "trace",
    }
)
OF_MESSAGES: Final = frozenset({"on_chunk", "on_event", "on_result", "request_id", "when_busy"})

_ELSEWHERE: Final = {
    "providers": (
        OF_PROVIDERS,
        "it is one of providers: alloy.OpenAICompat(model=..., api_url=...) and the others",
    ),
    "messages": (
        OF_MESSAGES,
        "it belongs to the call with the message: chat, stream_chat, send_message, stream",
    ),
}

_SAID: Final = {
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "finite_number": "must be a finite number",
    "greater_than": "must be above {gt:g}",
    "greater_than_equal": "must be {ge:g} or more",
    "bool_type": "must be True or False",
    "string_type": "must be a string",
    "string_too_short": "must not be empty",
    "callable_type": "must be a function",
    "mapping_type": "must be a dict",
    "dict_type": "must be a dict",
    "literal_error": "must be {expected}",
    "is_instance_of": "must be an object of {class}",
}
"""By pydantic's type of the error, with the facts that come with it; for what is not here its own words are good."""


def unknown_option(
    where: str, name: str, valid: Iterable[str], elsewhere: Mapping[str, Iterable[str]]
) -> str:
    """What is said of an option that a call does not have.

    Args:
        where: The call.
        name: The option.
        valid: What the call has.
        elsewhere: {whose options they are: their names}, for a hint.
    """
    valid = sorted(valid)
    hint = ""
    if near := difflib.get_close_matches(name, valid, n=1):
        hint = f" (did you mean {near[0]!r}?)"
    owners = [f"it is one of {owner}" for owner, names in elsewhere.items() if name in names]
    owners += [said for names, said in _ELSEWHERE.values() if name in names]
    if owners:
        hint = f" ({'; or '.join(owners)})"
    return f"{where}: unknown option {name!r}{hint}; valid options: {', '.join(valid)}"


def wrong_options(where: str, error: ValidationError) -> str:
    """What is said of values that do not fit; all of them in one line."""
    found = error.errors(include_url=False)
    return f"{where}: " + "; ".join(
        f"{_name(item)} {_problem(item)}, got {brief(item['input'])}" for item in found
    )


def brief(value: object) -> str:
    """A value as it may be shown: text may be long or secret, so of all but numbers the type is said."""
    if value is None or isinstance(value, bool | int | float):
        return repr(value)
    kind = type(value).__name__
    return f"{'an' if kind[0] in 'aeiouAEIOU' else 'a'} {kind}"


def _name(item: ErrorDetails) -> str:
    return ".".join(str(part) for part in item["loc"])


def _problem(item: ErrorDetails) -> str:
    facts: dict[str, Any] = item.get("ctx", {})
    said = _SAID.get(item["type"])
    return f"is wrong: {item['msg']}" if said is None else said.format(**facts)
