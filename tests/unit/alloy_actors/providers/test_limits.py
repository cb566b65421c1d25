"""The limiter alone, on a clock that only moves when the test says so."""

import asyncio
import os
import random
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from structlog.testing import capture_logs

from alloy_actors import OpenAICompat
from alloy_actors.deadline import NEVER, Deadline
from alloy_actors.errors import (
    ConfigError,
    OverloadedError,
    ProviderError,
    ProviderTimeoutError,
    RateLimitError,
)
from alloy_actors.pauses import pausing_by
from alloy_actors.providers import limits
from alloy_actors.providers.limits import LONGEST, FairQueue, Limiter, cooling, limiter_of
from tests.world.time import FakeTime, settled


class Street:
    """A limiter, its clock, and the requests that want through: `left` says who left, in order."""

    def __init__(self, most: int = 1000, pick: Callable[[float, float], float] = max) -> None:
        self.time = FakeTime()
        self.dropped = 0
        self.limiter = Limiter(most, self._drop, now=self.time.now, uniform=pick)
        self.left: list[str] = []
        self.tasks: list[asyncio.Task[None]] = []

    def _drop(self) -> None:
        self.dropped += 1

    def send(self, name: str, asker: str = "", deadline: Deadline = NEVER, **options: Any) -> asyncio.Task:
        async def through() -> None:
            await self.limiter.enter(asker or name, deadline, **options)
            self.left.append(name)

        task = asyncio.ensure_future(through())
        self.tasks.append(task)
        return task

    def refuse(self, retry_after: float | None = None, kind: type = RateLimitError, number=None) -> None:
        """A request that left now, or when `number` was current, is refused."""
        number = self.limiter.number if number is None else number
        self.limiter.refused(number, kind("too many", retry_after=retry_after, status=429), 1.0)

    def until(self, seconds: float) -> Deadline:
        return Deadline(self.time.now() + seconds)


def on(street: Street, test: Callable[[Street], Awaitable[None]]) -> None:
    async def main() -> None:
        with pausing_by(street.time.pause):
            await test(street)
        for task in street.tasks:
            task.cancel()
        await asyncio.gather(*street.tasks, return_exceptions=True)

    asyncio.run(main())


def failing(task: asyncio.Task) -> BaseException | None:
    return task.exception() if task.done() and not task.cancelled() else None


def test_without_contention_nobody_waits_and_an_idle_key_is_let_go() -> None:
    async def test(street: Street) -> None:
        assert street.limiter.enter_now()
        assert street.limiter.enter_now()
        assert street.limiter.in_flight == 2
        street.limiter.leave()
        assert street.dropped == 0
        street.limiter.leave()
        assert street.dropped == 1

    on(Street(), test)


def test_a_request_beyond_the_cap_waits_for_a_place() -> None:
    async def test(street: Street) -> None:
        for name in "abc":
            street.send(name)
        await settled()
        assert street.left == ["a", "b"]
        street.limiter.leave()
        await settled()
        assert street.left == ["a", "b", "c"]
        assert street.limiter.in_flight == 2

    on(Street(most=2), test)


def test_a_newcomer_does_not_take_the_place_of_one_who_waits() -> None:
    async def test(street: Street) -> None:
        assert street.limiter.enter_now()
        street.send("first")
        await settled()
        street.limiter.leave()  # "first" has not noticed yet
        assert not street.limiter.enter_now()
        await settled()
        assert street.left == ["first"]

    on(Street(most=1), test)


def test_an_agent_with_a_hundred_requests_does_not_starve_another() -> None:
    async def test(street: Street) -> None:
        assert street.limiter.enter_now()
        for number in range(100):
            street.send(f"greedy {number}", "greedy")
        await settled()
        for number in range(3):
            street.send(f"modest {number}", "modest")
        await settled()
        for _ in range(9):
            street.limiter.leave()
            await settled()
        # The first was at the head of the queue already; from then on they take turns.
        assert street.left == [
            "greedy 0",
            "greedy 1",
            "modest 0",
            "greedy 2",
            "modest 1",
            "greedy 3",
            "modest 2",
            "greedy 4",
            "greedy 5",
        ]

    on(Street(most=1), test)


def test_nobody_sends_during_a_cool_down_and_then_they_leave_one_after_another() -> None:
    async def test(street: Street) -> None:
        street.refuse(retry_after=30.0)
        for number in range(5):
            street.send(f"{number}")
        await street.time.passes(29.99)
        assert street.left == []
        await street.time.passes(0.02)
        assert street.left == ["0"]
        for count in range(2, 6):
            await street.time.passes(0.075)  # one and a half times the distance, at most
            assert len(street.left) == count
        assert street.left == ["0", "1", "2", "3", "4"]
        assert street.limiter.enter_now()  # the queue is empty: as before

    on(Street(), test)


def test_many_waiters_are_out_within_a_few_seconds_of_the_cool_down() -> None:
    async def test(street: Street) -> None:
        street.refuse(retry_after=10.0)
        for number in range(1000):
            street.send(f"{number}")
        await street.time.passes(10.005)
        assert len(street.left) == 1
        await street.time.passes(8.0)
        assert len(street.left) == 1000

    on(Street(), test)


def test_a_refusal_on_the_way_out_stops_the_others() -> None:
    async def test(street: Street) -> None:
        street.refuse(retry_after=10.0)
        for number in range(5):
            street.send(f"{number}")
        await street.time.passes(10.01)
        street.refuse(retry_after=20.0)
        await street.time.passes(19.99)
        assert street.left == ["0"]
        await street.time.passes(1.0)
        assert len(street.left) == 5

    on(Street(), test)


def test_a_success_after_the_cool_down_lets_the_others_out_faster() -> None:
    async def test(street: Street) -> None:
        street.refuse(retry_after=10.0)
        for number in range(5):
            street.send(f"{number}")
        await street.time.passes(10.01)
        assert street.left == ["0"]
        for _ in range(9):
            street.limiter.answered(street.limiter.number)
        await street.time.passes(0.075)  # the next one has begun its pause already
        assert len(street.left) == 5

    on(Street(), test)


def test_refusals_of_one_burst_are_one_cool_down_and_one_line_in_the_log() -> None:
    async def test(street: Street) -> None:
        for _ in range(50):
            assert street.limiter.enter_now()
        sent = street.limiter.number
        with capture_logs() as lines:
            for _ in range(50):
                street.refuse(number=sent)
        assert street.limiter.cooling() == pytest.approx(2.0, abs=0.01)
        (line,) = [line for line in lines if line["event"] == "provider_cooling_down"]
        assert line["seconds"] == 2.0
        assert line["error"] == "RateLimitError"
        street.refuse(retry_after=7.0, number=sent)  # but more is more
        assert street.limiter.cooling() == pytest.approx(7.0, abs=0.01)

    on(Street(), test)


@pytest.mark.parametrize(("pick", "lengths"), [(max, [2.0, 4.0, 8.0]), (min, [1.0, 2.0, 4.0])])
def test_without_retry_after_the_cool_down_grows_with_jitter_until_a_success(pick, lengths) -> None:
    """T24, for all agents at once."""

    async def test(street: Street) -> None:
        for seconds in [*lengths, "success", lengths[0]]:
            if seconds == "success":
                street.limiter.answered(street.limiter.number)
                continue
            street.refuse()
            assert street.limiter.cooling() == pytest.approx(seconds, abs=0.01)
            await street.time.passes(seconds + 0.01)

    on(Street(pick=pick), test)


def test_a_success_of_a_request_from_before_the_cool_down_proves_nothing() -> None:
    async def test(street: Street) -> None:
        sent = street.limiter.number
        street.refuse(retry_after=5.0)
        street.limiter.answered(sent)
        assert street.limiter.cooling() > 4.9
        await street.time.passes(5.01)
        street.refuse()
        assert street.limiter.cooling() == pytest.approx(4.0, abs=0.01)  # the second in a row

    on(Street(), test)


def test_a_server_that_asks_for_years_gets_an_hour() -> None:
    async def test(street: Street) -> None:
        street.refuse(retry_after=1e9)
        assert street.limiter.cooling() == pytest.approx(LONGEST, abs=0.01)

    on(Street(), test)


@pytest.mark.parametrize("kind", [RateLimitError, OverloadedError])
def test_a_cool_down_beyond_the_deadline_is_said_at_once(kind: type[ProviderError]) -> None:
    """T87: it gives up."""

    async def test(street: Street) -> None:
        street.refuse(retry_after=30.0, kind=kind)
        late, in_time = street.send("late", deadline=street.until(29)), street.send("in time")
        await settled()
        error = failing(late)
        assert type(error) is kind
        assert error.retry_after == pytest.approx(30.0, abs=0.1)
        assert "cooling down for 30 s more, after: too many" in str(error)
        assert not in_time.done()
        assert street.time.paused == [pytest.approx(30.0, abs=0.01)]

    on(Street(), test)


def test_a_cool_down_that_grows_beyond_the_deadline_of_a_waiter_is_said_at_once() -> None:
    async def test(street: Street) -> None:
        sent = street.limiter.number
        street.refuse(retry_after=5.0)
        street.send("head")
        waiter = street.send("waiter", deadline=street.until(10))
        await settled()
        assert not waiter.done()
        street.refuse(retry_after=20.0, number=sent)
        await settled()
        assert isinstance(failing(waiter), RateLimitError)
        assert street.limiter.waiting == 1

    on(Street(), test)


def test_a_refusal_during_the_cool_down_makes_it_longer_for_the_one_who_pauses_too() -> None:
    async def test(street: Street) -> None:
        sent = street.limiter.number
        street.refuse(retry_after=5.0)
        street.send("head")
        await street.time.passes(4.0)
        street.refuse(retry_after=20.0, number=sent)
        await street.time.passes(19.99)
        assert street.left == []
        await street.time.passes(0.02)
        assert street.left == ["head"]

    on(Street(), test)


def test_who_has_no_patience_does_not_wait_for_a_longer_cool_down() -> None:
    async def test(street: Street) -> None:
        street.refuse(retry_after=5.0)
        hurried, patient = street.send("hurried", patience=2.0), street.send("patient", patience=6.0)
        await settled()
        assert isinstance(failing(hurried), RateLimitError)
        assert not patient.done()

    on(Street(), test)


def test_a_deadline_that_passes_in_the_queue_is_a_timeout_that_names_the_cap() -> None:
    async def main() -> None:
        limiter = Limiter(1)
        assert limiter.enter_now()
        first = asyncio.ensure_future(limiter.enter("a", Deadline.after(0.01)))
        second = asyncio.ensure_future(limiter.enter("b", Deadline.after(0.01)))
        for outcome in await asyncio.gather(first, second, return_exceptions=True):
            assert isinstance(outcome, ProviderTimeoutError)
            assert "max_in_flight=1" in str(outcome)
        assert (limiter.in_flight, limiter.waiting) == (1, 0)

    asyncio.run(main())


def test_who_is_cancelled_in_the_queue_is_gone_and_who_pauses_hands_over() -> None:
    async def test(street: Street) -> None:
        street.refuse(retry_after=10.0)
        head, second, _third = (street.send(name) for name in ("head", "second", "third"))
        await settled()
        second.cancel()
        await settled()
        assert street.limiter.waiting == 2
        head.cancel()
        await street.time.passes(10.01)
        assert street.left == ["third"]

    on(Street(), test)


def test_a_cancel_at_the_very_moment_of_ones_turn_loses_no_place() -> None:
    async def test(street: Street) -> None:
        assert street.limiter.enter_now()
        head, _second, third, _fourth = (street.send(name) for name in ("head", "second", "third", "fourth"))
        await settled()
        street.limiter.leave()
        head.cancel()  # the place it waits for is free, and it has not gone on yet
        await settled()
        assert street.left == ["second"]
        street.limiter.leave()
        await settled()
        assert street.left == ["second", "third"]
        assert third.done()
        assert street.limiter.waiting == 1

    on(Street(most=1), test)


def test_a_cancel_between_being_called_and_going_hands_the_turn_on() -> None:
    async def test(street: Street) -> None:
        assert street.limiter.enter_now()
        _head, second, _third = (street.send(name) for name in ("head", "second", "third"))
        await settled()
        street.limiter.leave()
        await asyncio.sleep(0)
        assert street.left == ["head"]
        second.cancel()  # it was called a moment ago, and its task has not run yet
        await settled()
        street.limiter.leave()
        await settled()
        assert street.left == ["head", "third"]
        street.limiter.leave()
        assert (street.limiter.in_flight, street.limiter.waiting, street.dropped) == (0, 0, 1)

    on(Street(most=1), test)


@pytest.mark.parametrize("seed", range(5))
def test_hundreds_of_requests_that_fail_and_are_cancelled_at_random_leave_no_place_taken(seed: int) -> None:
    chance = random.Random(seed)

    async def test(street: Street) -> None:
        limiter, most = street.limiter, 0

        async def request(number: int) -> None:
            nonlocal most
            if not limiter.enter_now():
                deadline = street.until(chance.choice([3.0, 30.0, 300.0]))
                await limiter.enter(number % 7, deadline)
            most = max(most, limiter.in_flight)
            sent = limiter.number
            try:
                await street.time.pause(chance.uniform(0, 2))
                if chance.random() < 0.1:
                    error = RateLimitError("x", retry_after=chance.choice([None, 0.5, 4.0]))
                    limiter.refused(sent, error, 1.0)
                else:
                    limiter.answered(sent)
            finally:
                limiter.leave()

        tasks = []
        for number in range(500):
            tasks.append(asyncio.ensure_future(request(number)))
            if chance.random() < 0.3:
                chance.choice(tasks).cancel()
            if chance.random() < 0.2:
                await street.time.passes(chance.uniform(0, 1))
        outcomes = asyncio.gather(*tasks, return_exceptions=True)
        for _ in range(1000):
            if outcomes.done():
                break
            await street.time.passes(10.0)
        kinds = {type(outcome) for outcome in await outcomes}
        assert kinds <= {type(None), asyncio.CancelledError, RateLimitError}
        assert most == 20
        assert (limiter.in_flight, limiter.waiting) == (0, 0)

    on(Street(most=20, pick=chance.uniform), test)


def test_the_queue_forgets_those_who_leave_it() -> None:
    async def main() -> None:
        queue, loop = FairQueue(), asyncio.get_running_loop()
        turns = [loop.create_future() for _ in range(3)]
        for turn in turns:
            queue.add("a", turn, 1.0)
        queue.remove("a", turns[1])
        queue.remove("a", turns[1])
        queue.remove("b", turns[0])
        assert len(queue) == 2
        assert queue.wake()
        assert queue.wake()
        assert not queue.wake()
        assert [turn.done() for turn in turns] == [True, False, True]
        assert not queue._lanes

    asyncio.run(main())


# -- which limiter ------------------------------------------------------------------------------------------------


class Custom:
    model = "custom"


def compat(**options: Any) -> OpenAICompat:
    return OpenAICompat(**{"model": "m", "api_url": "http://models.example", "api_key": "one", **options})


def test_a_key_has_one_limiter_whatever_the_model_and_another_key_another() -> None:
    async def main() -> None:
        limiter = limiter_of(compat())
        assert limiter_of(compat(model="n")) is limiter
        assert limiter_of(compat(api_key="two")) is not limiter
        assert limiter_of(compat(api_url="http://other.example")) is not limiter
        assert limiter_of(Custom()) is None

    asyncio.run(main())


def test_a_function_that_gives_the_key_is_a_key_of_its_own() -> None:
    class Unhashable:
        __hash__ = None

        def __call__(self) -> str:
            return "a key"

    async def main() -> None:
        one, two, three = (lambda: "a key"), (lambda: "a key"), Unhashable()
        assert limiter_of(compat(api_key=one)) is limiter_of(compat(api_key=one))
        assert limiter_of(compat(api_key=one)) is not limiter_of(compat(api_key=two))
        assert limiter_of(compat(api_key=three)) is limiter_of(compat(api_key=three))

    asyncio.run(main())


def test_of_two_caps_on_one_key_the_smaller_counts() -> None:
    async def main() -> None:
        assert limiter_of(compat(max_in_flight=9)).most == 9
        assert limiter_of(compat(max_in_flight=3)).most == 3
        assert limiter_of(compat(max_in_flight=9)).most == 3
        assert limiter_of(compat()).most == 3
        assert limiter_of(compat(api_key="two")).most > 9

    asyncio.run(main())


@pytest.mark.parametrize("wrong", [0, -1, True, 1.5, "many"])
def test_a_cap_that_is_no_number_of_requests_is_refused(wrong: object) -> None:
    with pytest.raises(ConfigError, match="max_in_flight must be a whole number above 0"):
        compat(max_in_flight=wrong)


def test_a_key_that_nobody_uses_is_kept_only_while_it_cools_down() -> None:
    async def main() -> None:
        provider = compat()
        limiter = limiter_of(provider)
        dropped = asyncio.Event()
        drop = limiter._drop
        limiter._drop = lambda: (drop(), dropped.set())
        assert limiter.enter_now()
        limiter.refused(limiter.number, RateLimitError("x", retry_after=0.02), 0.001)
        limiter.leave()
        assert limiter_of(provider) is limiter
        assert cooling(provider) > 0
        await dropped.wait()
        assert cooling(provider) == 0
        assert limiter_of(provider) is not limiter

    asyncio.run(main())


def test_another_loop_has_limits_of_its_own() -> None:
    provider = compat()

    async def refuse() -> Limiter:
        limiter = limiter_of(provider)
        assert cooling(provider) == 0
        limiter.refused(limiter.number, RateLimitError("x", retry_after=60), 1.0)
        return limiter

    first, second = asyncio.run(refuse()), asyncio.run(refuse())
    assert first is not second
    closed = [limiters for loop, limiters in limits._limiters.items() if loop.is_closed()]
    assert not any(first in limiters.values() for limiters in closed)  # gone when the next loop came


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the platform has no fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_has_none_of_its_parents_requests() -> None:
    provider = compat()

    async def enter() -> bool:
        return limiter_of(provider).enter_now()

    async def main() -> int:
        limiter = limiter_of(provider)
        assert limiter.enter_now()
        limiter.refused(limiter.number, RateLimitError("x", retry_after=60), 1.0)
        child = os.fork()
        if child == 0:
            status = 1
            try:
                asyncio._set_running_loop(None)
                kept = dict(limits._limiters)
                status = 0 if not kept and asyncio.run(enter()) else 2
            finally:
                os._exit(status)
        limiter.leave()
        return child

    assert os.waitstatus_to_exitcode(os.waitpid(asyncio.run(main()), 0)[1]) == 0
