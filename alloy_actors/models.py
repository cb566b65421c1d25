"""What is known of models: their windows and prices. The one module that knows genai-prices.

The catalogue is a fifth of a second of imports, so it is loaded at the first question, on a thread that ends with the
answer, never on a loop; what a model costs is looked up once. Nothing is fetched: prices are those of the installed
version of genai-prices.
"""

from __future__ import annotations

import asyncio
import os
import threading
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from alloy_actors.logs import log, traced
from alloy_actors.overrides import names_to_look_up
from alloy_actors.prices import Prices, Rate, cents_per_token

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from alloy_actors.overrides import ModelOverride


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """A model of the catalogue.

    Args:
        vendor: Whose, in the catalogue's words: "anthropic", "openai", "google", "x-ai", "openrouter" ...
        id: Its name on the wire.
        context_window: Tokens that it takes; None where the catalogue does not say. For some vendors (OpenAI's newer models
            among them) this is prompt and answer together, and the prompt alone may not be as long: give those a `limit`
            in `model_metadata_overrides`.
        prices: None where the catalogue does not say.
    """

    vendor: str
    id: str
    context_window: int | None = None
    prices: Prices | None = None


_known: dict[tuple[str, str], ModelFacts | None] = {}
_asking: dict[tuple[str, str], list[Callable[[], None]]] = {}  # who waits for an answer that is on its way
_asking_lock = threading.Lock()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_asking.clear)  # nobody answers there


async def facts_for(provider: object, overrides: Sequence[ModelOverride] = ()) -> ModelFacts:
    """What holds for a provider's model: what the caller says of it, else the catalogue. Never blocks the loop.

    A provider says whose model it asks by its attribute `vendor`; of one without (a server of one's own) only the caller
    can know anything.
    """
    vendor, model = key = _key_of(provider)
    if vendor and model:
        for name in (model, *names_to_look_up(overrides, model)):
            if (vendor, name) not in _known:
                await _ask_catalogue((vendor, name))
    return _overridden(key, overrides)


def facts_by_now(provider: object, overrides: Sequence[ModelOverride] = ()) -> ModelFacts:
    """`facts_for` as far as the catalogue was asked already."""
    return _overridden(_key_of(provider), overrides)


def facts_for_now(provider: object, overrides: Sequence[ModelOverride] = ()) -> ModelFacts:
    """`facts_for` for threads; blocks at first use: not for a loop."""
    vendor, model = key = _key_of(provider)
    if vendor and model:
        for name in (model, *names_to_look_up(overrides, model)):
            facts(vendor, name)
    return _overridden(key, overrides)


def facts(vendor: str, model: str) -> ModelFacts | None:
    """What the catalogue says of a model, None for one that it does not know. Blocks at first use: not for a loop."""
    key = (vendor, model)
    if key not in _known:
        _known[key] = _look_up(vendor, model)
    return _known[key]


def catalogue(vendor: str | None = None) -> list[ModelFacts]:
    """All models, or those of one vendor, in the catalogue's order. Blocks at first use: not for a loop."""
    return [
        _facts_of(provider.id, model)
        for provider in _providers()
        if vendor is None or provider.id == vendor
        for model in provider.models
    ]


async def _ask_catalogue(key: tuple[str, str]) -> None:
    """Return when `_known` has the answer; whoever asks meanwhile waits for the same one.

    Raises:
        RuntimeError: There can be no further thread.
    """
    loop = asyncio.get_running_loop()
    answered: asyncio.Future[None] = loop.create_future()

    def answer() -> None:
        if not answered.done():
            answered.set_result(None)

    def wake() -> None:
        try:
            loop.call_soon_threadsafe(answer)
        except RuntimeError:
            pass  # the loop is closed: nobody waits any more

    with _asking_lock:
        if key in _known:
            return
        first = key not in _asking
        _asking.setdefault(key, []).append(wake)
    if first:
        try:
            threading.Thread(target=_answer, args=(key,), name="alloy-catalogue", daemon=True).start()
        except RuntimeError:
            _wake(key)  # each of them tries again for itself
            raise
    await answered
    if key not in _known:
        await _ask_catalogue(key)


def _answer(key: tuple[str, str]) -> None:
    try:
        found = _look_up(*key)
    except Exception as error:  # a price that cannot be read is a price that is not known
        log.error("catalogue_failed", vendor=key[0], model=key[1], **traced(error))
        found = None
    _known[key] = found
    _wake(key)


def _wake(key: tuple[str, str]) -> None:
    with _asking_lock:
        waiting = _asking.pop(key)
    for wake in waiting:
        wake()


def _providers() -> list[Any]:
    from genai_prices.data import providers

    return providers


def _look_up(vendor: str, model: str) -> ModelFacts | None:
    providers = _providers()
    provider = next((one for one in providers if one.id == vendor), None)
    found = provider.find_model(model, all_providers=providers) if provider is not None else None
    return _facts_of(vendor, found, name=model) if found is not None else None


def _facts_of(vendor: str, model: Any, name: str | None = None) -> ModelFacts:
    from datetime import UTC, datetime

    prices = model.get_prices(datetime.now(UTC))
    return ModelFacts(vendor, name or model.id, model.context_window, _prices(prices))


def _prices(prices: Any) -> Prices | None:
    input_, output = _rate(prices.input_mtok), _rate(prices.output_mtok)
    if input_ is None or output is None:
        return None
    return Prices(
        input_, output, _rate(prices.cache_read_mtok) or input_, _rate(prices.cache_write_mtok) or input_
    )


def _rate(price: Any) -> Rate | None:
    if price is None:
        return None
    tiers = getattr(price, "tiers", None)
    if tiers is None:
        return Rate(_cents(price))
    return Rate(_cents(price.base), tuple((tier.start, _cents(tier.price)) for tier in tiers))


def _cents(price: Any) -> float:
    return cents_per_token(float(price))


def _key_of(provider: object) -> tuple[str, str]:
    """(vendor, model), "" for what the provider does not say."""
    vendor, model = getattr(provider, "vendor", None), getattr(provider, "model", None)
    return (vendor if isinstance(vendor, str) else "", model if isinstance(model, str) else "")


def _overridden(key: tuple[str, str], overrides: Sequence[ModelOverride]) -> ModelFacts:
    """What is known of a model by now, after the caller's own word."""
    vendor, model = key
    known = _known.get(key) or ModelFacts(vendor, model)
    for one in overrides:
        if one.matches(model, lambda name: _known.get((vendor, name)) is not None):
            return replace(
                known,
                context_window=one.limit or known.context_window,
                prices=one.prices or known.prices,
            )
    return known
