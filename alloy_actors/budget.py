"""Money: what a reply has cost, and whether the next request may still be sent.

What was spent is folded from the records (`Conversation.run_cost`, `Conversation.cost`), so a run that is taken up again
goes on counting. The check comes before each request, so that one reply is the most by which a limit is passed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from alloy_actors.config import AgentConfig, tokens_beside
from alloy_actors.content import NO_USAGE, Usage
from alloy_actors.errors import BudgetExceededError, ConfigError
from alloy_actors.logs import log
from alloy_actors.models import facts_by_now, facts_for, facts_for_now

if TYPE_CHECKING:
    from collections.abc import Iterator

    from alloy_actors.config import RunConfig
    from alloy_actors.conversation import Conversation
    from alloy_actors.prices import Prices
    from alloy_actors.provider import ModelReply, Provider

RUN: Final = "max_budget_cents"
LIFETIME: Final = "lifetime_budget_cents"

_warned: set[tuple[object, str]] = set()  # (vendor, model); of the loop thread


class Budget:
    """Of one run, and of its agent. Every request of the run asks it, those of compaction too.

    Args:
        config: Its limits; without any, `check` does nothing.
        conversation: Follows the records.
    """

    __slots__ = ("_config", "_conversation", "_limits", "_overhead")

    def __init__(self, config: RunConfig, conversation: Conversation) -> None:
        self._config = config
        self._conversation = conversation
        self._limits = tuple(limits_of(config))
        self._overhead: int | None = None  # counted once, and only where somebody needs it

    async def check(self, provider: Provider, tokens: int | None = None) -> None:
        """Return when a request may be sent: what was spent, and what its input will cost, stay below the limits.

        Args:
            provider: Who would be asked.
            tokens: Of the request; None is the conversation as it stands, by the provider's own count where there is one.

        Raises:
            BudgetExceededError: It may not.
            ConfigError: Nobody knows what it would cost; whoever began the run has not called `check_prices`.
        """
        if not self._limits:
            return
        prices = await self._prices(provider)
        if prices is None:
            raise _unpriced("run", self._limits[0][0], provider)
        estimate = prices.input_cost(self._prompt_tokens() if tokens is None else tokens)
        for name, limit in self._limits:
            spent = (self._conversation.run_cost if name == RUN else self._conversation.cost) or 0.0
            if spent + estimate >= limit:
                raise BudgetExceededError(
                    f"{name}={limit:g} would be used up: {spent:.4g} cents were spent, and the input of the next request "
                    f"to {provider.model!r} costs about {estimate:.4g}",
                    spent_cents=spent,
                    limit_cents=limit,
                    estimate_cents=estimate,
                )

    async def cost_of(self, provider: Provider, reply: ModelReply) -> float | None:
        """Cents for a reply that has just come, before it is in the conversation; None where no price is known.

        A reply that says nothing of usage is priced by estimate: a server that does not count must not make a budget that
        never ends a run.
        """
        prices = await self._prices(provider)
        if prices is None:
            return None
        usage = reply.usage
        if usage == NO_USAGE:
            usage = Usage(self._prompt_tokens(), reply.message.estimated_tokens)
        return prices.cost(usage)

    def cost_of_lost(self, provider: Provider, usage: Usage) -> float | None:
        """Cents for a request that ended without a reply.

        By the prices that were looked up already, since a run that is cancelled does not wait: without a budget that may
        be none for the first request of a process.
        """
        prices = facts_by_now(provider, self._config.model_metadata_overrides).prices
        return prices.cost(usage) if prices is not None else None

    async def _prices(self, provider: Provider) -> Prices | None:
        prices = (await facts_for(provider, self._config.model_metadata_overrides)).prices
        if prices is None and not getattr(provider, "local", False):
            _warn(getattr(provider, "vendor", None), provider.model)
        return prices

    def _prompt_tokens(self) -> int:
        if self._overhead is None:
            self._overhead = tokens_beside(self._config)
        return self._conversation.prompt_tokens(self._overhead)


def limits_of(config: RunConfig) -> Iterator[tuple[str, float]]:
    """The budgets that are set, as (option, cents)."""
    if config.max_budget_cents is not None:
        yield RUN, config.max_budget_cents
    if isinstance(config, AgentConfig) and config.lifetime_budget_cents is not None:
        yield LIFETIME, config.lifetime_budget_cents


def check_prices(where: str, config: RunConfig, provider: Provider | None = None) -> None:
    """Refuse a budget on a model that nobody knows the price of. May load the catalogue: not for a loop.

    Args:
        where: The call, for the message.
        config: Its budgets and overrides.
        provider: Who is to answer; None is everyone that the options name.

    Raises:
        ConfigError: Naming the model.
    """
    if budgets := [name for name, _ in limits_of(config)]:
        for one in _asked(config, provider):
            if facts_for_now(one, config.model_metadata_overrides).prices is None:
                raise _unpriced(where, budgets[0], one)


async def acheck_prices(where: str, config: RunConfig, provider: Provider | None = None) -> None:
    """`check_prices` for coroutines: the catalogue is loaded on a thread of its own."""
    if budgets := [name for name, _ in limits_of(config)]:
        for one in _asked(config, provider):
            if (await facts_for(one, config.model_metadata_overrides)).prices is None:
                raise _unpriced(where, budgets[0], one)


def _asked(config: RunConfig, provider: Provider | None) -> tuple[Provider, ...]:
    return (config.provider, *config.fallback_providers) if provider is None else (provider,)


def _unpriced(where: str, option: str, provider: Provider) -> ConfigError:
    model = provider.model
    return ConfigError(
        f"{where}: {option}: no price is known for the model {model!r}: give it by model_metadata_overrides="
        f"{{{model!r}: {{'dollars_per_million': {{'input': ..., 'output': ...}}}}}}, 0 where it is free; or set no budget"
    )


def _warn(vendor: object, model: str) -> None:
    """Once for a model: its runs cost something, and nobody counts it."""
    if (vendor, model) not in _warned:
        _warned.add((vendor, model))
        log.warning("price_unknown", vendor=vendor, model=model, option="model_metadata_overrides")
