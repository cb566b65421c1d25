"""`--price`: what a model costs that the catalogue does not know, or knows otherwise."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from alloy_actors.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable


def overrides(given: Iterable[str], model: str) -> dict[str, dict[str, dict[str, float]]]:
    """The option `model_metadata_overrides` that the flags come to.

    Args:
        given: Each `[MODEL=]INPUT/OUTPUT`, dollars per million tokens; a model's name may have a `=` or a `/` in it.
        model: Whose price it is where none is named.

    Raises:
        ConfigError: One is no such text, or a model has two prices.
    """
    prices: dict[str, dict[str, dict[str, float]]] = {}
    for text in given:
        name, _, pair = text.rpartition("=")
        name = name or model
        try:
            dollars_in, dollars_out = (_dollars(part) for part in pair.split("/"))
        except ValueError:
            raise ConfigError(
                f"--price {text!r}: write dollars per million tokens of input and of output, such as 0.5/2 "
                "or house-model=0.5/2; 0/0 where it is free"
            ) from None
        if name in prices:
            raise ConfigError(f"--price {text!r}: {name!r} has a price already; give one for each model")
        prices[name] = {"dollars_per_million": {"input": dollars_in, "output": dollars_out}}
    return prices


def _dollars(text: str) -> float:
    dollars = float(text)
    if not 0 <= dollars < math.inf:  # which is false of a nan too
        raise ValueError
    return dollars
