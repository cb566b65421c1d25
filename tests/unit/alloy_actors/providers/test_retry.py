import asyncio
from collections.abc import Sequence

import pytest

from alloy_actors import errors
from alloy_actors.content import assistant, user
from alloy_actors.deadline import Deadline
from alloy_actors.pauses import pausing_by
from alloy_actors.provider import Delta, ModelReply, ModelRequest
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
    provider = Failing(kind("x"))
    attempt = Attempt(provider)
    assert attempt.reply is not None
    assert provider.asked == 2


@pytest.mark.parametrize("kind", FINAL)
def test_what_cannot_pass_is_not(kind: type[errors.ProviderError]) -> None:
    failure = kind("x")
    provider = Failing(failure)
    attempt = Attempt(provider)
    assert attempt.error is failure
    assert provider.asked == 1
    assert attempt.slept == []


def test_a_bug_is_not_retried() -> None:
    provider = Failing(KeyError("x"))
    assert isinstance(Attempt(provider).error, KeyError)
    assert provider.asked == 1


def test_retries_run_out_with_the_last_error() -> None:
    failures = [errors.ServerError(str(number)) for number in range(9)]
    attempt = Attempt(Failing(*failures), max_retries=3)
    assert attempt.error is failures[3]
    assert len(attempt.slept) == 3


def test_no_retries_asks_once() -> None:
    attempt = Attempt(Failing(errors.ServerError("x")), max_retries=0)
    assert isinstance(attempt.error, errors.ServerError)
    assert attempt.slept == []


def test_the_wait_doubles_and_is_fully_jittered() -> None:
    failures = [errors.ServerError("x") for _ in range(3)]
    assert Attempt(Failing(*failures), pick=max).slept == [2.0, 4.0, 8.0]
    assert Attempt(Failing(*failures), pick=min).slept == [0.0, 0.0, 0.0]
    assert Attempt(Failing(*failures), backoff=0.1, pick=max).slept == [0.2, 0.4, 0.8]


def test_the_wait_is_never_less_than_the_provider_asked_for() -> None:
    failures = [errors.RateLimitError("x", retry_after=5.0), errors.RateLimitError("x", retry_after=0.5)]
    assert Attempt(Failing(*failures)).slept == [5.0, 4.0]


def test_a_wait_beyond_the_deadline_gives_up_at_once() -> None:
    failure = errors.RateLimitError("x", retry_after=60.0)
    provider = Failing(failure)
    attempt = Attempt(provider, ModelRequest((user("hi"),), deadline=Deadline.after(30)))
    assert attempt.error is failure
    assert attempt.slept == []
    assert provider.asked == 1


def test_nothing_is_asked_again_once_a_delta_was_heard() -> None:
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
