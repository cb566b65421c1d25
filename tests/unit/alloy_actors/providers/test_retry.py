import asyncio
from collections.abc import Sequence
from functools import partial

import pytest

from alloy_actors import errors
from alloy_actors.content import assistant, user
from alloy_actors.deadline import Deadline
from alloy_actors.pauses import pausing_by
from alloy_actors.provider import Delta, ModelReply, ModelRequest
from alloy_actors.providers import limits
from alloy_actors.providers.retry import complete_with_retry

REQUEST = ModelRequest((user("hi"),))
RETRYABLE = [
    errors.RateLimitError,
    errors.OverloadedError,
    errors.ServerError,
    errors.ProviderTimeoutError,
    errors.ConnectionFailedError,
]
FINAL = [
    errors.ProviderError,
    errors.ContextOverflowError,
    errors.AuthError,
    errors.QuotaError,
    errors.InvalidRequestError,
    errors.MalformedReplyError,
]


class Failing:
    """Raises what it is given, in order, then answers; says a word before, if told to."""

    model = "failing"

    def __init__(self, *failures: BaseException, word: str = "") -> None:
        self.failures = list(failures)
        self.word = word
        self.asked = 0
        self.listeners: list[object] = []

    async def complete(self, request, on_deltas=None) -> ModelReply:
        self.asked += 1
        self.listeners.append(on_deltas)
        if self.word and on_deltas is not None:
            on_deltas([Delta("text", self.word)])
        if self.failures:
            raise self.failures.pop(0)
        return ModelReply(assistant("done"))


class Attempt:
    """One call of complete_with_retry under a sleep that only notes its length."""

    def __init__(
        self, provider: Failing, request: ModelRequest = REQUEST, on_deltas=None, pick=max, **options
    ) -> None:
        self.slept: list[float] = []
        self.error: BaseException | None = None
        self.reply: ModelReply | None = None

        async def sleep(seconds: float) -> None:
            self.slept.append(seconds)

        asking = complete_with_retry(provider, request, on_deltas, random=pick, **options)
        try:
            with pausing_by(sleep):
                self.reply = asyncio.run(asking)
        except BaseException as error:
            self.error = error


@pytest.mark.parametrize("kind", RETRYABLE)
def test_what_may_pass_is_asked_again(kind: type[errors.ProviderError]) -> None:
    """T21: by its class; DNS and TLS are failed connections."""
    provider = Failing(kind("x"))
    attempt = Attempt(provider)
    assert attempt.reply is not None
    assert provider.asked == 2


@pytest.mark.parametrize("kind", FINAL)
def test_what_cannot_pass_is_not(kind: type[errors.ProviderError]) -> None:
    """T21; T87 for an empty account."""
    failure = kind("x")
    provider = Failing(failure)
    attempt = Attempt(provider)
    assert attempt.error is failure
    assert provider.asked == 1
    assert attempt.slept == []


def test_a_bug_is_not_retried() -> None:
    provider = Failing(KeyError("x"))
    error = Attempt(provider).error
    assert isinstance(error, errors.CrashError)
    assert isinstance(error.__cause__, KeyError)
    assert provider.asked == 1


def test_retries_run_out_with_the_last_error() -> None:
    """T22."""
    failures = [errors.ServerError(str(number)) for number in range(9)]
    attempt = Attempt(Failing(*failures), max_retries=3)
    assert attempt.error is failures[3]
    assert len(attempt.slept) == 3


def test_no_retries_asks_once() -> None:
    """T22."""
    attempt = Attempt(Failing(errors.ServerError("x")), max_retries=0)
    assert isinstance(attempt.error, errors.ServerError)
    assert attempt.slept == []


def test_the_wait_doubles_and_is_fully_jittered() -> None:
    """T24."""
    failures = [errors.ServerError("x") for _ in range(3)]
    assert Attempt(Failing(*failures), pick=max).slept == [2.0, 4.0, 8.0]
    assert Attempt(Failing(*failures), pick=min).slept == [0.0, 0.0, 0.0]
    assert Attempt(Failing(*failures), backoff=0.1, pick=max).slept == [0.2, 0.4, 0.8]


def test_the_wait_is_never_less_than_the_provider_asked_for() -> None:
    """T87."""
    failures = [errors.RateLimitError("x", retry_after=5.0), errors.RateLimitError("x", retry_after=0.5)]
    assert Attempt(Failing(*failures)).slept == [5.0, 4.0]


def test_a_wait_beyond_the_deadline_gives_up_at_once() -> None:
    """T23, T87."""
    failure = errors.RateLimitError("x", retry_after=60.0)
    provider = Failing(failure)
    attempt = Attempt(provider, ModelRequest((user("hi"),), deadline=Deadline.after(30)))
    assert attempt.error is failure
    assert attempt.slept == []
    assert provider.asked == 1


def test_nothing_is_asked_again_once_a_delta_was_heard() -> None:
    """T25."""
    heard: list[Sequence[Delta]] = []
    provider = Failing(errors.ConnectionFailedError("cut"), word="Hel")
    attempt = Attempt(provider, on_deltas=heard.append)
    assert isinstance(attempt.error, errors.ConnectionFailedError)
    assert provider.asked == 1
    assert heard == [[Delta("text", "Hel")]]


def test_a_stream_that_failed_before_its_first_delta_is_asked_again() -> None:
    heard: list[Sequence[Delta]] = []
    attempt = Attempt(Failing(errors.ConnectionFailedError("cut")), on_deltas=heard.append)
    assert attempt.reply is not None
    assert heard == []


def test_without_a_listener_the_provider_sees_none() -> None:
    provider = Failing()
    Attempt(provider)
    assert provider.listeners == [None]


def test_a_cancelled_wait_stays_cancelled() -> None:
    async def main() -> None:
        waiting = asyncio.Event()

        async def sleep(_seconds: float) -> None:
            waiting.set()
            await asyncio.Event().wait()

        provider = Failing(errors.ServerError("x"))
        with pausing_by(sleep):
            task = asyncio.create_task(complete_with_retry(provider, REQUEST))
        await waiting.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert provider.asked == 1

    asyncio.run(main())


def test_a_thought_that_was_heard_ends_the_retries_as_well() -> None:
    """T25."""

    class Thinking(Failing):
        async def complete(self, request, on_deltas=None) -> ModelReply:
            if on_deltas is not None:
                on_deltas([Delta("thinking", "hm")])
            return await super().complete(request)

    provider = Thinking(errors.ConnectionFailedError("cut"))
    heard: list[Sequence[Delta]] = []
    assert isinstance(Attempt(provider, on_deltas=heard.append).error, errors.ConnectionFailedError)
    assert heard == [[Delta("thinking", "hm")]]
    assert provider.asked == 1


def test_a_bug_in_a_listener_is_no_reason_to_ask_again() -> None:
    def broken(_deltas: object) -> None:
        raise KeyError("x")

    provider = Failing(errors.ServerError("x"), word="Hel")
    assert isinstance(Attempt(provider, on_deltas=broken).error, errors.CrashError)
    assert provider.asked == 1


# -- with a key, whose limits hold ---------------------------------------------------------------------------------


class Keyed(Failing):
    """One that names its key."""

    origin = "0123456789abcdef"


def together(*asks, pause=None) -> list:
    """The outcomes of several coroutines on one loop, and the pauses that they made."""
    pauses: list[float] = []

    async def note(seconds: float) -> None:
        pauses.append(seconds)
        await (asyncio.sleep(0) if pause is None else pause(seconds))

    async def main() -> list:
        with pausing_by(note):
            outcomes = await asyncio.gather(*(ask() for ask in asks), return_exceptions=True)
        assert all(not limiter.in_flight for limiter in limits._limiters[asyncio.get_running_loop()].values())
        return [*outcomes, pauses]

    return asyncio.run(main())


@pytest.mark.parametrize("kind", [errors.RateLimitError, errors.OverloadedError])
def test_with_a_key_the_wait_after_a_refusal_is_the_cool_down(kind: type[errors.ProviderError]) -> None:
    """T24, T87."""
    provider = Keyed(kind("x"), kind("x", retry_after=30.0), kind("x"))
    reply, pauses = together(lambda: complete_with_retry(provider, REQUEST))
    assert reply.message.text == "done"
    first, second, third = pauses
    assert 1.0 <= first <= 2.1
    assert 29.9 <= second <= 30.1
    assert 4.0 <= third <= 8.1


def test_with_a_key_other_failures_are_ones_own() -> None:
    provider = Keyed(errors.ServerError("x"), errors.ConnectionFailedError("x", retry_after=5.0))
    reply, pauses = together(lambda: complete_with_retry(provider, REQUEST, random=max))
    assert reply.message.text == "done"
    assert pauses == [2.0, 5.0]


def test_with_a_key_a_cool_down_beyond_the_deadline_gives_up_at_once() -> None:
    """T23, T87."""
    failure = errors.RateLimitError("x", retry_after=60.0)
    request = ModelRequest((user("hi"),), deadline=Deadline.after(30))
    one, other = Keyed(failure), Keyed()

    async def later() -> ModelReply:
        await asyncio.sleep(0)
        return await complete_with_retry(other, request)

    first, second, pauses = together(lambda: complete_with_retry(one, request), later)
    assert first is failure
    assert isinstance(second, errors.RateLimitError)
    assert "cooling down" in str(second)
    assert (one.asked, other.asked, pauses) == (1, 0, [])


def test_a_refusal_of_one_request_holds_back_the_others_who_spend_no_attempt_on_it() -> None:
    refused, others = Keyed(errors.RateLimitError("x", retry_after=9.0)), [Keyed() for _ in range(5)]
    over = []

    async def pause(_seconds: float) -> None:
        over.append([other.asked for other in others])
        await asyncio.sleep(0)

    async def later(other: Keyed) -> ModelReply:
        await asyncio.sleep(0)
        return await complete_with_retry(other, REQUEST, max_retries=0)

    asks = [partial(complete_with_retry, refused, REQUEST), *(partial(later, other) for other in others)]
    *replies, pauses = together(*asks, pause=pause)
    assert [reply.message.text for reply in replies] == ["done"] * 6
    assert over[0] == [0] * 5
    assert 8.9 <= pauses[0] <= 9.1
    assert all(seconds <= 0.075 for seconds in pauses[1:])


def test_an_asker_with_many_requests_does_not_hold_up_another() -> None:
    order: list[str] = []

    class Noting(Keyed):
        max_in_flight = 1

        def __init__(self, name: str) -> None:
            super().__init__()
            self.name = name

        async def complete(self, request, on_deltas=None) -> ModelReply:
            order.append(self.name)
            await asyncio.sleep(0)
            return await super().complete(request, on_deltas)

    greedy = [partial(complete_with_retry, Noting("greedy"), REQUEST, asker="greedy") for _ in range(50)]
    modest = partial(complete_with_retry, Noting("modest"), REQUEST, asker="modest")
    together(*greedy, modest)
    assert order.index("modest") <= 3
    assert len(order) == 51
