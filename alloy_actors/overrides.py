r"""What the caller knows better of models: the option `model_metadata_overrides`.

    {"house-model": 32_000,
     "gpt-5": {"limit": 272_000, "suffix_patterns": ["", re.compile(r"-\d{4}-\d{2}-\d{2}")]},
     "llama3.2": {"dollars_per_million": {"input": 0, "output": 0}}}

A name stands for the models that begin with it and go on as one of its suffix patterns: text that the rest is equal to, or
a regular expression that matches the whole rest. So a look-alike ("gpt-5-mini") does not match. The first override that
matches counts.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NoReturn

from alloy_actors.errors import ConfigError
from alloy_actors.option_errors import brief
from alloy_actors.prices import Prices, Rate, cents_per_token

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_OPTION: Final = "model_metadata_overrides"
_FIELDS: Final = ("limit", "suffix_patterns", "dollars_per_million")
_PRICES: Final = ("input", "output", "cache_read", "cache_write")
_HIGHEST: Final = 1_000_000_000  # dollars
_DATED: Final = re.compile(r"-\d{4}")


@dataclass(frozen=True, slots=True)
class ModelOverride:
    """For one name.

    Args:
        name: What a model's name begins with.
        limit: Input tokens that the model takes; None leaves what the catalogue says.
        prices: None leaves what the catalogue says.
        suffixes: How the name goes on; None where nothing was said of it: the name itself, and the dated snapshots of a
            model that the catalogue knows.
    """

    name: str
    limit: int | None = None
    prices: Prices | None = None
    suffixes: tuple[str | re.Pattern[str], ...] | None = None

    def matches(self, model: str, is_known: Callable[[str], bool]) -> bool:
        """Whether it holds for a model.

        Args:
            model: As the provider spells it.
            is_known: Whether the catalogue knows a name; asked only where that decides.
        """
        if self.suffixes is None:
            return model == self.name or (self.may_be_snapshot(model) and is_known(self.name))
        if not model.startswith(self.name):
            return False
        suffix = model[len(self.name) :]
        return any(
            suffix == pattern if isinstance(pattern, str) else pattern.fullmatch(suffix) is not None
            for pattern in self.suffixes
        )

    def may_be_snapshot(self, model: str) -> bool:
        """Whether a model's name is this one with a date behind it, so that the catalogue has to be asked."""
        return (
            self.suffixes is None
            and model.startswith(self.name)
            and _DATED.match(model, len(self.name)) is not None
        )


def names_to_look_up(overrides: Iterable[ModelOverride], model: str) -> list[str]:
    """Of which names it decides about a model whether the catalogue knows them."""
    return [one.name for one in overrides if one.may_be_snapshot(model)]


def parse_overrides(given: object, where: str) -> tuple[ModelOverride, ...]:
    """Read the option: a map or a list of pairs; a model that nobody knows is the normal case.

    Raises:
        ConfigError: Naming the override, its field, and what is wrong with it.
    """
    if isinstance(given, tuple) and all(isinstance(item, ModelOverride) for item in given):
        return given
    start = f"{where}: {_OPTION}"
    parsed = []
    for name, value in _pairs(given, start):
        if not isinstance(name, str) or not name:
            _refuse(start, "must be named by models (non-empty strings)", name)
        parsed.append(_parse(name, value, f"{start}[{name!r}]"))
    return tuple(parsed)


def _parse(name: str, value: object, start: str) -> ModelOverride:
    if isinstance(value, int | float | str) or value is None:
        return ModelOverride(name, _limit(value, start))
    fields = dict(_pairs(value, start))
    _refuse_unknown(fields, _FIELDS, start)
    limit, patterns, prices = (fields.get(field) for field in _FIELDS)
    if limit is None and prices is None:
        _refuse(start, "needs a limit (input tokens), or dollars_per_million, or both", value)
    return ModelOverride(
        name,
        None if limit is None else _limit(limit, f"{start}.limit"),
        None if prices is None else _parse_prices(prices, f"{start}.dollars_per_million"),
        None if patterns is None else _parse_patterns(patterns, f"{start}.suffix_patterns"),
    )


def _limit(value: object, start: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        _refuse(start, "must be a whole number of tokens above 0", value)
    return value


def _parse_patterns(value: object, start: str) -> tuple[str | re.Pattern[str], ...]:
    patterns = value if isinstance(value, list | tuple) else ()
    good = all(
        isinstance(one, str) or (isinstance(one, re.Pattern) and isinstance(one.pattern, str))
        for one in patterns
    )
    if not patterns or not good:
        _refuse(start, "must be a list of strings and compiled regular expressions, at least one", value)
    return tuple(patterns)


def _parse_prices(value: object, start: str) -> Prices:
    fields = dict(_pairs(value, start))
    _refuse_unknown(fields, _PRICES, start)
    for name in ("input", "output"):
        if name not in fields:
            _refuse(start, f"needs {name!r} (dollars per million tokens; 0 where it is free)", value)
    rates = {name: Rate(_cents(price, f"{start}[{name!r}]")) for name, price in fields.items()}
    return Prices(
        rates["input"],
        rates["output"],
        rates.get("cache_read", rates["input"]),
        rates.get("cache_write", rates["input"]),
    )


def _cents(price: object, start: str) -> float:
    good = isinstance(price, int | float) and not isinstance(price, bool)
    # The bound keeps costs finite: of an infinite price no budget is ever known to be spent.
    if not good or not isinstance(price, int | float) or not 0 <= price <= _HIGHEST:
        _refuse(start, f"must be a number of dollars per million tokens, 0 to {_HIGHEST:,}", price)
    return cents_per_token(price)


def _pairs(value: object, start: str) -> Sequence[tuple[Any, Any]]:
    items = value.items() if isinstance(value, Mapping) else value
    if not isinstance(items, Iterable) or isinstance(items, str | bytes):
        _refuse(start, "must be a map, or a list of pairs", value)
    pairs = list(items)
    if not all(isinstance(pair, list | tuple) and len(pair) == 2 for pair in pairs):
        _refuse(start, "must be a map, or a list of pairs", value)
    if not all(isinstance(key, Hashable) for key, _ in pairs):
        _refuse(start, "must have names for keys", value)
    return [(key, one) for key, one in pairs]


def _refuse_unknown(fields: Mapping[Any, Any], valid: Sequence[str], start: str) -> None:
    for field in fields:
        if field not in valid:
            msg = f"{start}: unknown field {field!r}; valid fields: {', '.join(valid)}"
            raise ConfigError(msg)


def _refuse(start: str, what: str, value: object) -> NoReturn:
    msg = f"{start} {what}, got {brief(value)}"
    raise ConfigError(msg)
