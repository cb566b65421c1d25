"""The options of a tool beside its name, description and parameters, checked."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypedDict, get_args

from alloy_actors.errors import ConfigError
from alloy_actors.tool_spill import Spill

if TYPE_CHECKING:
    from collections.abc import Sequence

Caller: TypeAlias = Literal["direct", "code_execution"]
"""Who may call a tool: the model itself, or code that it runs at its provider."""


class ToolOptions(TypedDict, total=False):
    """Options that every way to make a tool takes.

    timeout: Seconds for one call; None is the run's `tool_timeout`.
    concurrent: False: never beside another call of the same reply; it waits for those before it, those after it wait
        for it.
    idempotent: Running it twice does no harm: after a crash it may be run again.
    max_result_chars: Longer results are cut in the middle; None for no limit.
    spill: Longer results are kept in a file, see `Spill`; not beside `max_result_chars`.
    strict: The provider holds the model to the schema, where it can (Anthropic, OpenAI, most compatible servers).
    input_examples: Arguments as they should be, for the model (Anthropic).
    defer_loading: The model finds the tool by searching, where the provider searches (Anthropic, OpenAI).
    allowed_callers: "direct", "code_execution" or both; None leaves it to the provider (Anthropic, OpenAI).
    native_types: Types that a provider's models know the tool by, for example {"anthropic": "memory_20250818"}: there
        it goes without description and schema.
    """

    timeout: float | None
    concurrent: bool
    idempotent: bool
    max_result_chars: int | None
    spill: Spill | None
    strict: bool
    input_examples: Sequence[Mapping[str, Any]]
    defer_loading: bool
    allowed_callers: Sequence[Caller] | None
    native_types: Mapping[str, str]


def refuse_unknown(given: Mapping[str, Any]) -> None:
    """Before there is a function.

    Raises:
        ConfigError: There is no option of that name.
    """
    for name in given:
        if name not in ToolOptions.__annotations__:
            valid = ", ".join(("name", "description", *ToolOptions.__annotations__))
            raise ConfigError(f"tool: unknown option {name!r}; valid options: {valid}")


def checked(tool: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """The options as they are kept.

    Raises:
        ConfigError: There is none of that name, or a value does not fit.
    """
    refuse_unknown(given)
    options = dict(given)

    def check(name: str, wanted: str, *, fits: bool) -> None:
        if not fits:
            raise ConfigError(f"tool {tool!r}: {name}={given.get(name)!r} must be {wanted}")

    check("timeout", "seconds > 0, or None", fits=_is_positive(given.get("timeout")))
    limit = given.get("max_result_chars")
    fits = limit is None or (_is_positive(limit) and isinstance(limit, int))
    check("max_result_chars", "a whole number >= 1, or None", fits=fits)
    for name in ("concurrent", "idempotent", "strict", "defer_loading"):
        check(name, "True or False", fits=isinstance(given.get(name, False), bool))
    spill = given.get("spill")
    check("spill", "an alloy.Spill, or None", fits=spill is None or isinstance(spill, Spill))
    if spill is not None and limit is not None:
        raise ConfigError(
            f"tool {tool!r}: give spill or max_result_chars, not both: each makes a result shorter"
        )
    if "input_examples" in given:
        options["input_examples"] = _examples(given["input_examples"], check)
    if given.get("allowed_callers") is not None:
        callers = given["allowed_callers"]
        fits = (
            isinstance(callers, list | tuple)
            and bool(callers)
            and all(one in get_args(Caller) for one in callers)
        )
        check("allowed_callers", "a list of 'direct' and 'code_execution', or None", fits=fits)
        options["allowed_callers"] = tuple(dict.fromkeys(callers))
    if "native_types" in given:
        kinds = given["native_types"]
        fits = isinstance(kinds, Mapping) and all(
            name == "anthropic" and isinstance(kind, str) and kind for name, kind in kinds.items()
        )
        check(
            "native_types", "a type by provider: {'anthropic': '...'}, the only one that has them", fits=fits
        )
        options["native_types"] = dict(kinds)
    return options


def _examples(given: Any, check: Any) -> tuple[dict[str, Any], ...]:
    fits = isinstance(given, list | tuple) and all(isinstance(item, Mapping) for item in given)
    copy: list[dict[str, Any]] = []
    try:
        copy += json.loads(json.dumps([dict(item) for item in given], allow_nan=False)) if fits else []
    except (TypeError, ValueError, RecursionError):
        fits = False
    check("input_examples", "a list of arguments, each a mapping of JSON values", fits=fits)
    return tuple(copy)


def _is_positive(value: object) -> bool:
    if value is None:
        return True
    return isinstance(value, int | float) and not isinstance(value, bool) and value > 0
