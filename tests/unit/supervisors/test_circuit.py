import asyncio
import math
import threading

import pytest

from supervisors import CircuitBreaker, CircuitOpen, CircuitState, Exit, InvalidOption, Normal
from supervisors.testing import FakeClock

CLOSED, OPEN, HALF_OPEN = CircuitState.CLOSED, CircuitState.OPEN, CircuitState.HALF_OPEN


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def make(clock):
    def breaker(**options):
        return CircuitBreaker(**{"max_failures": 2, "reset_timeout": 10, "clock": clock} | options)

    return breaker


def down(error=ConnectionError):
    raise error


def fail(breaker, times=1, error=ConnectionError):
    for _ in range(times):
        with pytest.raises(error):
            breaker.call(down, error)


def opened(breaker):
    fail(breaker, 2)
    assert breaker.state is OPEN
    return breaker


def test_failures_count_only_in_a_row(make) -> None:
    breaker = make()
    fail(breaker)
    assert breaker.failures == 1
    assert breaker.call(int, "3") == 3
    assert breaker.failures == 0
    fail(breaker)
    assert breaker.state is CLOSED


def test_a_success_after_failed_probes_brings_the_first_reset_timeout_back(make, clock) -> None:
    breaker = opened(make())
    clock.advance(10)
    fail(breaker)
    clock.advance(20)
    breaker.call(int)
    assert breaker.state is CLOSED
    opened(breaker)
    clock.advance(10)
    breaker.call(int)
    assert breaker.state is CLOSED


def test_the_reset_timeout_doubles_up_to_its_maximum(make, clock) -> None:
    breaker = opened(make(max_reset_timeout=25))
    for wait in (10, 20, 25, 25):
        with pytest.raises(CircuitOpen) as caught:
            breaker.call(int)
        assert caught.value.retry_in == wait
        clock.advance(wait)
        fail(breaker)


def test_a_slow_call_is_a_failure_though_it_returns_its_value(make, clock) -> None:
    breaker = make(call_timeout=1)

    def slow(seconds):
        clock.advance(seconds)
        return seconds

    assert breaker.call(slow, 1) == 1
    assert breaker.failures == 0
    assert [breaker.call(slow, 1.1), breaker.call(slow, 1.1)] == [1.1, 1.1]
    assert breaker.state is OPEN


def test_exceptions_that_are_the_callers_fault_count_as_a_success(make) -> None:
    breaker = make(is_failure=lambda error: not isinstance(error, LookupError))
    fail(breaker)
    fail(breaker, error=KeyError)
    assert breaker.failures == 0
    fail(breaker, 2)
    assert breaker.state is OPEN


@pytest.mark.parametrize("error", [Exit(Normal()), KeyboardInterrupt(), asyncio.CancelledError()])
def test_an_end_that_is_no_answer_says_nothing(make, clock, error) -> None:
    breaker = make()
    fail(breaker)
    with pytest.raises(type(error)):
        breaker.call(down, error)
    assert breaker.failures == 1
    fail(breaker)
    clock.advance(10)
    with pytest.raises(type(error)):  # the probe: the next call is another one, at once
        breaker.call(down, error)
    assert breaker.state is OPEN
    assert breaker.call(int) == 0
    assert breaker.state is CLOSED


def test_a_call_that_began_before_it_opened_counts_no_more(make, clock) -> None:
    breaker = make()
    with breaker:
        opened(breaker)
    assert breaker.state is OPEN


def test_a_late_success_does_not_close_what_has_opened_again(make, clock) -> None:
    breaker = opened(make(call_timeout=5))
    clock.advance(10)
    with breaker:  # the probe hangs
        clock.advance(5)
        with pytest.raises(CircuitOpen) as caught:  # given up now
            breaker.call(int)
        assert caught.value.retry_in == 20
    assert breaker.state is OPEN


def test_a_probe_that_never_comes_back_blocks_others_no_longer_than_a_reset_timeout(make, clock) -> None:
    breaker = opened(make())
    clock.advance(10)
    with breaker:
        clock.advance(9)
        with pytest.raises(CircuitOpen) as caught:
            breaker.call(int)
        assert caught.value.retry_in == 0
        clock.advance(1)
        with pytest.raises(CircuitOpen):
            breaker.call(int)
        clock.advance(20)
        assert breaker.call(int) == 0
    assert breaker.state is CLOSED


def test_one_thread_of_many_is_the_probe(make, clock) -> None:
    breaker = opened(make())
    clock.advance(10)
    together = threading.Barrier(8, timeout=10)
    outcomes = []

    def service():
        together.wait()

    def call():
        together.wait()
        try:
            breaker.call(service)
        except CircuitOpen:
            outcomes.append("refused")
            together.wait()  # the probe does not return before all others were refused
        else:
            outcomes.append("called")

    threads = [threading.Thread(target=call) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert sorted(outcomes) == ["called"] + ["refused"] * 7
    assert breaker.state is CLOSED


def test_it_decorates_functions_and_keeps_their_names(make) -> None:
    breaker = make()

    @breaker
    def service(a, *, b):
        """Doc."""
        if b is None:
            raise ConnectionError
        return a + b

    assert service(1, b=2) == 3
    assert (service.__name__, service.__doc__) == ("service", "Doc.")
    for _ in range(2):
        with pytest.raises(ConnectionError):
            service(1, b=None)
    with pytest.raises(CircuitOpen):
        service(1, b=2)


def test_it_decorates_coroutine_functions(make, clock) -> None:
    breaker = make(call_timeout=5)

    @breaker
    async def service(turn, other):
        turn.set()
        await other.wait()
        clock.advance(3)
        if other is turn:
            raise ConnectionError
        return "answer"

    async def main():
        first, second = asyncio.Event(), asyncio.Event()
        # Both are in the guarded call at the same time, in one thread; the one that began first ends first.
        assert await asyncio.gather(service(first, second), service(second, first)) == ["answer"] * 2
        assert breaker.failures == 1  # one of them took 6 s
        done = asyncio.Event()
        with pytest.raises(ConnectionError):
            await service(done, done)
        with pytest.raises(CircuitOpen):
            await service(first, second)

    asyncio.run(main())


def test_breakers_and_calls_of_one_breaker_may_be_nested(make) -> None:
    outer, inner = make(name="outer"), make(name="inner")
    with outer, inner, outer:
        assert inner.call(int) == 0
    with outer, pytest.raises(ConnectionError):
        fail(inner, 1)
        inner.call(down)
    assert (outer.failures, inner.failures) == (0, 2)


def test_listeners_hear_of_every_transition_and_may_use_the_breaker(make, clock, capsys) -> None:
    breaker = make(name="model")
    heard = []

    def listener(old, new):
        heard.append((old, new, breaker.state))
        raise ValueError("a listener's own fault")

    undo = breaker.listen(listener)
    opened(breaker)
    clock.advance(10)
    fail(breaker)
    clock.advance(20)
    breaker.call(int)
    assert [(old, new) for old, new, _ in heard] == [
        (CLOSED, OPEN),
        (OPEN, HALF_OPEN),
        (HALF_OPEN, OPEN),
        (OPEN, HALF_OPEN),
        (HALF_OPEN, CLOSED),
    ]
    assert "circuit_listener_failed" in capsys.readouterr().out
    undo()
    undo()
    opened(breaker)
    assert len(heard) == 5


def test_a_block_ends_where_it_began(make) -> None:
    breaker = make()
    breaker.__enter__()
    failed = []

    def leave():
        try:
            breaker.__exit__(None, None, None)
        except RuntimeError as error:
            failed.append(error)

    thread = threading.Thread(target=leave)
    thread.start()
    thread.join(10)
    assert len(failed) == 1
    breaker.__exit__(None, None, None)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("max_failures", 0),
        ("max_failures", True),
        ("max_failures", 2.5),
        ("reset_timeout", 0),
        ("reset_timeout", -1),
        ("reset_timeout", math.inf),
        ("reset_timeout", math.nan),
        ("call_timeout", 0),
        ("call_timeout", "1"),
        ("max_reset_timeout", 5),
        ("is_failure", "all"),
    ],
)
def test_options_out_of_range_are_refused_with_field_and_value(make, field, value) -> None:
    with pytest.raises(InvalidOption) as caught:
        make(**{field: value})
    assert caught.value.field == field
    assert caught.value.value is value or math.isnan(value)


def test_the_message_names_the_circuit_and_says_when(make) -> None:
    breaker = opened(make(name="model"))
    with pytest.raises(CircuitOpen, match=r"circuit model is open, retry in 10 s"):
        breaker.call(int)
    assert repr(breaker) == "<CircuitBreaker model open>"
