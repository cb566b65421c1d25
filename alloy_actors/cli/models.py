"""`alloy models`: what the catalogue knows of models, and which providers a model string may name."""

from __future__ import annotations

import difflib
import json
import os
from typing import TYPE_CHECKING, Any

from alloy_actors.cli import output
from alloy_actors.cli.exits import DONE
from alloy_actors.errors import ConfigError
from alloy_actors.models import catalogue
from alloy_actors.providers import model_strings

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from alloy_actors.models import ModelFacts
    from alloy_actors.prices import Rate

PER_MILLION = 1_000_000 / 100  # dollars per million tokens for a cent per token
UNKNOWN = "-"
KINDS = ("input", "output", "cache_read", "cache_write")


def models(provider: str | None, *, as_json: bool) -> int:
    """List the models of one provider, or of all of them, and return the exit code.

    Args:
        provider: What may stand before the colon of a model string, or a vendor of the catalogue; None for all.
        as_json: One JSON array instead of lines.

    Raises:
        ConfigError: There is no such provider.
    """
    names = {vendor: name for name, vendor in _vendors().items() if vendor is not None}
    vendor = None if provider is None else _vendor(provider)
    known = [] if provider is not None and vendor is None else catalogue(vendor)
    if as_json:
        output.answer(json.dumps([_document(facts, names) for facts in known], ensure_ascii=False) + "\n")
    elif known:
        head = ("model", "window", *(f"{kind.replace('_', ' ')} $/M" for kind in KINDS))
        output.answer(_table([head, *(_row(facts, names) for facts in known)]))
    if not known:
        output.note(f"the catalogue knows no models of {provider}: its server lists what it has")
    return DONE


def providers(*, as_json: bool) -> int:
    """List what may stand before the colon of a model string, and return the exit code; keys are never shown."""
    rows = [_provider(name, vendor) for name, vendor in _vendors().items()]
    if as_json:
        output.answer(json.dumps(rows) + "\n")
        return DONE
    head = ("provider", "key", "models", "address")
    lines = [(row["name"], _key(row), str(row["models"]), row["api_url"] or "yours") for row in rows]
    output.answer(_table([head, *lines]))
    return DONE


def _vendors() -> dict[str, str | None]:
    """The catalogue's word for each provider of a model string."""
    return {name: model_strings.vendor_of(name) for name in model_strings.names()}


def _vendor(provider: str) -> str | None:
    wanted = provider.strip().lower()
    ours = _vendors()
    if wanted in ours:
        return ours[wanted]
    vendors = {facts.vendor for facts in catalogue()}
    if wanted in vendors:
        return wanted
    near = difflib.get_close_matches(wanted, [*ours, *vendors], n=1)
    hint = f" (did you mean {near[0]}?)" if near else ""
    listed = ", ".join(sorted({*ours, *vendors}))
    raise ConfigError(f"there is no provider {provider!r}{hint}; there are {listed}")


def _provider(name: str, vendor: str | None) -> dict[str, Any]:
    variables = model_strings.key_variables(name)
    return {
        "name": name,
        "key_variables": list(variables),
        "key_set": any(os.environ.get(variable) for variable in variables),
        "models": 0 if vendor is None else len(catalogue(vendor)),
        "api_url": model_strings.address_of(name),
    }


def _key(row: dict[str, Any]) -> str:
    if not row["key_variables"]:
        return "none needed"
    state = "set" if row["key_set"] else "not set"
    return f"{' or '.join(row['key_variables'])} ({state})"


def _document(facts: ModelFacts, names: dict[str, str]) -> dict[str, Any]:
    prices = facts.prices
    return {
        "vendor": facts.vendor,
        "provider": names.get(facts.vendor),
        "model": facts.id,
        "context_window": facts.context_window,
        "dollars_per_million": None
        if prices is None
        else {kind: _rates(getattr(prices, kind)) for kind in KINDS},
    }


def _rates(rate: Rate) -> dict[str, Any]:
    tiers = [{"above_tokens": start, "price": _dollars(cents)} for start, cents in rate.tiers]
    return {"price": _dollars(rate.base), "tiers": tiers}


def _row(facts: ModelFacts, names: dict[str, str]) -> tuple[str, ...]:
    window = UNKNOWN if facts.context_window is None else f"{facts.context_window:,}"
    rates = [None if facts.prices is None else getattr(facts.prices, kind) for kind in KINDS]
    name = names.get(facts.vendor)
    named = f"{facts.vendor} / {facts.id}" if name is None else f"{name}:{facts.id}"
    return (named, window, *map(_price, rates))


def _price(rate: Rate | None) -> str:
    """The price of a short prompt; `+` where a longer one costs more."""
    return UNKNOWN if rate is None else f"{_dollars(rate.base):g}{'+' if rate.tiers else ''}"


def _dollars(cents: float) -> float:
    return round(cents * PER_MILLION, 6)


def _table(rows: Sequence[Iterable[str]]) -> str:
    """Columns, the first to the left and numbers to the right, as text."""
    cells = [tuple(row) for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    right = [
        all(cell[:1].isdigit() or cell == UNKNOWN for cell in column[1:])
        for column in zip(*cells, strict=True)
    ]
    lines = [
        "  ".join(
            cell.rjust(width) if to_right else cell.ljust(width)
            for cell, width, to_right in zip(row, widths, right, strict=True)
        ).rstrip()
        for row in cells
    ]
    return "\n".join(lines) + "\n"
