"""What models cost, and where that is found out."""

from __future__ import annotations

import asyncio
import threading

import pytest

from alloy_actors import models
from alloy_actors.content import Usage
from alloy_actors.models import ModelFacts
from alloy_actors.prices import Prices, Rate


class Priced:
    """A provider of a vendor that the catalogue knows."""

    def __init__(self, vendor: object, model: object) -> None:
        self.vendor = vendor
        self.model = model


async def price_of(provider: Priced) -> float | None:
    """Cents for a token of input."""
    prices = (await models.facts_for(provider)).prices
    return prices.cost(Usage(1, 0)) if prices is not None else None


PRICES = Prices(Rate(1.0, ((100, 2.0),)), Rate(5.0, ((100, 8.0),)), Rate(0.1), Rate(1.25))


def test_every_kind_of_token_has_its_rate() -> None:
    usage = Usage(input_tokens=10, output_tokens=2, cache_read_input_tokens=20, cache_creation_input_tokens=4)
    assert PRICES.cost(usage) == pytest.approx(10 + 10 + 2 + 5)


def test_a_long_prompt_costs_more_from_its_first_token_on() -> None:
    assert PRICES.cost(Usage(100, 1)) == pytest.approx(105)
    assert PRICES.cost(Usage(101, 1)) == pytest.approx(2 * 101 + 8)
    assert PRICES.cost(Usage(1, 0, cache_read_input_tokens=100)) == pytest.approx(2 + 10)


def test_the_catalogue_knows_a_dated_model_by_its_name_and_agrees_with_its_own_arithmetic() -> None:
    from genai_prices import Usage as TheirUsage
    from genai_prices import calc_price

    for vendor, model in (
        ("anthropic", "claude-sonnet-4-5-20250929"),
        ("openai", "gpt-5"),
        ("google", "gemini-2.5-pro"),
        ("x-ai", "grok-4"),
    ):
        found = models.facts(vendor, model)
        assert found is not None, model
        assert found.prices is not None
        for tokens in (1_000, 300_000):
            ours = found.prices.cost(Usage(tokens - 500, 700, 500))
            theirs = calc_price(
                TheirUsage(input_tokens=tokens, output_tokens=700, cache_read_tokens=500),
                model,
                provider_id=vendor,
            )
            assert ours == pytest.approx(float(theirs.total_price) * 100), (model, tokens)


def test_what_the_catalogue_does_not_know_has_no_price() -> None:
    assert models.facts("openai", "no-such-model") is None
    assert models.facts("nobody", "gpt-5") is None


def test_a_provider_without_a_vendor_costs_nothing_known_and_loads_no_catalogue(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(models, "_look_up", lambda *_: pytest.fail("the catalogue was asked"))
    for provider in (Priced(None, "m"), Priced("anthropic", None), object()):
        assert asyncio.run(models.facts_for(provider)).prices is None


def test_the_catalogue_is_asked_off_the_loop_and_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def look_up(vendor: str, model: str) -> ModelFacts:
        asked.append(threading.current_thread().name)
        return ModelFacts(vendor, model, None, PRICES)

    monkeypatch.setattr(models, "_known", {})
    monkeypatch.setattr(models, "_look_up", look_up)

    async def ask() -> list[float | None]:
        return [await price_of(Priced("v", "m")) for _ in range(3)]

    assert asyncio.run(ask()) == [1.0] * 3
    assert asked == ["alloy-catalogue"]


def test_many_who_ask_at_once_wait_for_one_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    all_ask = threading.Event()

    def look_up(vendor: str, model: str) -> ModelFacts:
        asked.append(model)
        assert all_ask.wait(5.0)
        return ModelFacts(vendor, model, None, PRICES)

    monkeypatch.setattr(models, "_known", {})
    monkeypatch.setattr(models, "_look_up", look_up)

    async def ask() -> list[float | None]:
        asking = [asyncio.create_task(price_of(Priced("v", "m"))) for _ in range(50)]
        await asyncio.sleep(0)
        all_ask.set()
        return await asyncio.gather(*asking)

    assert asyncio.run(ask()) == [1.0] * 50
    assert asked == ["m"]


def test_a_catalogue_that_fails_is_a_price_that_is_not_known(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(models, "_known", {})
    monkeypatch.setattr(models, "_look_up", lambda *_: 1 / 0)
    assert asyncio.run(price_of(Priced("v", "m"))) is None
    assert "catalogue_failed" in capsys.readouterr().out


def test_the_catalogue_can_be_listed_whole_and_by_vendor() -> None:
    everything = models.catalogue()
    anthropic = models.catalogue("anthropic")
    assert {one.vendor for one in anthropic} == {"anthropic"}
    assert len(everything) > len(anthropic) > 5
    assert any(one.context_window for one in anthropic)
    assert models.catalogue("nobody") == []


def test_whoever_waits_for_the_catalogue_tries_for_itself_where_no_thread_can_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(models, "_known", {})

    class Full:
        def __init__(self, **_options: object) -> None:
            pass

        def start(self) -> None:
            raise RuntimeError("can't start new thread")

    async def main() -> list[object]:
        provider = Priced("anthropic", "claude-sonnet-4-5")
        return await asyncio.gather(
            *(models.facts_for(provider, ()) for _ in range(3)), return_exceptions=True
        )

    with monkeypatch.context() as patch:
        patch.setattr(models.threading, "Thread", Full)
        assert [type(one) for one in asyncio.run(main())] == [RuntimeError] * 3
    assert not models._asking
    assert all(one.prices is not None for one in asyncio.run(main()))
