import random

import pytest

from supervisors.backoff import Backoff
from supervisors.errors import InvalidOption


def test_S_260_without_jitter_the_delays_double_up_to_the_maximum() -> None:
    backoff = Backoff(initial=1, factor=2, maximum=5, jitter=0)
    assert [backoff.delay(n, random.Random(1)) for n in range(5)] == [1, 2, 4, 5, 5]


def test_S_261_jitter_goes_down_and_large_counts_do_not_overflow() -> None:
    backoff = Backoff(initial=1, factor=2, maximum=5, jitter=0.5)
    source = random.Random(7)
    for n in (0, 1, 2, 3, 10, 5000):
        base = backoff.base(n)
        for _ in range(200):
            assert base / 2 <= backoff.delay(n, source) <= base <= 5


def test_an_initial_delay_of_zero_stays_zero() -> None:
    assert Backoff(initial=0, jitter=0).base(5000) == 0


def test_the_uptime_that_resets_defaults_to_the_maximum() -> None:
    assert Backoff(maximum=12).reset_uptime == 12
    assert Backoff(reset_after=3).reset_uptime == 3


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("initial", -1),
        ("initial", float("nan")),
        ("initial", True),
        ("maximum", float("inf")),
        ("maximum", 0.1),
        ("factor", 0.5),
        ("jitter", 1.5),
        ("reset_after", -1),
        ("max_attempts", 1.5),
        ("max_attempts", -1),
        ("max_attempts", True),
    ],
)
def test_a_value_out_of_range_is_refused_by_name(field, value) -> None:
    with pytest.raises(InvalidOption) as caught:
        Backoff(**{field: value})
    assert caught.value.field == f"backoff.{field}"
    assert caught.value.value is value
