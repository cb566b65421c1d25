"""What tokens cost: rates that may depend on how long the prompt is. Arithmetic alone, in cents and never rounded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from alloy_actors.content import Usage


@dataclass(frozen=True, slots=True)
class Rate:
    """Cents per token; a longer prompt may cost more, and then all of it does.

    Args:
        base: Cents per token.
        tiers: (tokens, cents per token): what holds for prompts of more tokens than that, shortest first.
    """

    base: float
    tiers: tuple[tuple[int, float], ...] = ()

    def for_prompt(self, tokens: int) -> float:
        """Cents per token in a request whose whole prompt, cached or not, has so many tokens."""
        rate = self.base
        for start, higher in self.tiers:
            if tokens > start:
                rate = higher
        return rate


@dataclass(frozen=True, slots=True)
class Prices:
    """What a model's tokens cost; cached input without a rate of its own costs what input costs."""

    input: Rate
    output: Rate
    cache_read: Rate
    cache_write: Rate

    def cost(self, usage: Usage) -> float:
        """Cents for one request."""
        prompt = usage.prompt_tokens
        return (
            usage.input_tokens * self.input.for_prompt(prompt)
            + usage.cache_read_input_tokens * self.cache_read.for_prompt(prompt)
            + usage.cache_creation_input_tokens * self.cache_write.for_prompt(prompt)
            + usage.output_tokens * self.output.for_prompt(prompt)
        )

    def input_cost(self, tokens: int) -> float:
        """Cents for a prompt of so many tokens, none of them from a cache."""
        return tokens * self.input.for_prompt(tokens)


def cents_per_token(dollars_per_million: float) -> float:
    """$0.075 per million tokens are 7.5 cents per million."""
    return dollars_per_million * 100 / 1_000_000
