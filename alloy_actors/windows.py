"""How long a request may be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from alloy_actors.models import facts_for

if TYPE_CHECKING:
    from alloy_actors.config import RunConfig

DEFAULT_WINDOW: Final = 200_000
"""Tokens, for a model of which nobody has said anything."""


async def context_budget(provider: object, config: RunConfig) -> int:
    """Tokens that a request to this provider may have, answer not included.

    The option `max_tokens`; else the model's window by `model_metadata_overrides`, else by the catalogue, else 200,000.
    Derived from the provider at hand, so that it follows a `set_model`; once known it is a look-up.

    Source: section 1.1 of the description of the reference system. The catalogue's windows of some vendors count the
    answer in; see `ModelFacts.context_window`.
    """
    if config.max_tokens is not None:
        return config.max_tokens
    facts = await facts_for(provider, config.model_metadata_overrides)
    return facts.context_window or DEFAULT_WINDOW
