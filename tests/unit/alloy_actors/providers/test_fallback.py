"""T26, and who is asked instead when a key is cooling down."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from structlog.testing import capture_logs

from alloy_actors import errors
from alloy_actors.content import assistant, user
from alloy_actors.deadline import NEVER, Deadline
from alloy_actors.pauses import pausing_by
from alloy_actors.provider import Delta, ModelReply, ModelRequest
from alloy_actors.providers.fallback import complete_with_fallback
from alloy_actors.providers.limits import limiter_of

CURABLE = [
    errors.ProviderError,
    errors.RateLimitError,
    errors.OverloadedError,
    errors.ServerError,
    errors.ProviderTimeoutError,
    errors.ConnectionFailedError,
    errors.AuthError,
    errors.QuotaError,
    errors.MalformedReplyError,
]


class Scripted:
    """Raises what it is given, in order, then answers with its name; says a word before, if told to."""

    def __init__(self, model: str, *failures: BaseException, key: str | None = None, word: str = "") -> None:
        self.model = model
        self.origin = key
        self.failures = list(failures)
        self.word = word
        self.requests: list[ModelRequest] = []

    @property
    def asked(self) -> int:
        return len(self.requests)

    async def complete(self, request, on_deltas=None) -> ModelReply:
        self.requests.append(request)
        if self.word and on_deltas is not None:
            on_deltas([Delta("text", self.word)])
        if self.failures:
            raise self.failures.pop(0)
        return ModelReply(assistant(self.model))


class Asked:
    """One call of complete_with_fallback; pauses are only noted."""

    def __init__(
        self,
        *providers: Any,
        deadline: Deadline = NEVER,
        cooling: tuple[Any, float] | None = None,
        listen: bool = False,
        **options: Any,
    ) -> None:
        self.error: BaseException | None = None
        self.model = self.text = ""
        self.pauses: list[float] = []
        self.heard: list[Sequence[Delta]] = []
        self.requested: list[str] = []

        async def note(seconds: float) -> None:
            self.pauses.append(seconds)

        async def request_for(provider: Any) -> ModelRequest:
            self.requested.append(provider.model)
            return ModelRequest((user("hi"),), deadline=deadline, request_id="r")

        async def main() -> None:
            if cooling is not None:
                provider, seconds = cooling
                limiter = limiter_of(provider)
                limiter.refused(limiter.number, errors.RateLimitError("x", retry_after=seconds), 0.001)
            with pausing_by(note):
                reply, provider = await complete_with_fallback(
                    providers, request_for, self.heard.append if listen else None, **options
                )
            self.text, self.model = reply.message.text, provider.model

        with capture_logs() as self.lines:
            try:
                asyncio.run(main())
            except BaseException as error:
                self.error = error


def test_a_primary_that_answers_is_all_there_is() -> None:
    primary, fallback = Scripted("primary"), Scripted("fallback")
    asked = Asked(primary, fallback)
    assert (asked.text, asked.model) == ("primary", "primary")
    assert (fallback.asked, asked.requested) == (0, ["primary"])


@pytest.mark.parametrize("kind", CURABLE)
def test_another_provider_answers_where_the_first_could_not(kind: type[errors.ProviderError]) -> None:
    primary, fallback = Scripted("primary", *[kind("x", status=500)] * 9), Scripted("fallback")
    asked = Asked(primary, fallback, max_retries=2)
    assert (asked.text, asked.model) == ("fallback", "fallback")
    assert primary.asked == (3 if kind.retryable else 1)
    assert asked.requested == ["primary", "fallback"]
    (line,) = [line for line in asked.lines if line["event"] == "provider_fallback"]
    assert (line["model"], line["to"], line["error"]) == ("primary", "fallback", kind.__name__)


@pytest.mark.parametrize(
    "kind", [errors.InvalidRequestError, errors.ContextOverflowError, errors.ConfigError]
)
def test_what_no_other_provider_can_cure_is_raised_at_once(kind: type[Exception]) -> None:
    failure = kind("x")
    fallback = Scripted("fallback")
    assert Asked(Scripted("primary", failure), fallback).error is failure
    assert fallback.asked == 0


def test_a_bug_is_a_bug() -> None:
    fallback = Scripted("fallback")
    assert isinstance(Asked(Scripted("primary", KeyError("x")), fallback).error, errors.CrashError)
    assert fallback.asked == 0


@pytest.mark.parametrize("status", [404, 410])
def test_a_model_that_is_gone_may_be_there_elsewhere(status: int) -> None:
    gone = errors.InvalidRequestError("no such model", status=status)
    assert Asked(Scripted("primary", gone), Scripted("fallback")).text == "fallback"


def test_an_overflow_is_raised_by_the_first_that_reports_it_also_a_fallback() -> None:
    overflow = errors.ContextOverflowError("too long")
    last = Scripted("last")
    asked = Asked(Scripted("primary", errors.AuthError("x")), Scripted("small", overflow), last)
    assert asked.error is overflow
    assert last.asked == 0


def test_each_has_the_same_retries_and_the_last_error_is_raised() -> None:
    providers = [
        Scripted(str(number), *[errors.ServerError(f"{number}.{n}") for n in range(9)]) for number in range(3)
    ]
    asked = Asked(*providers, max_retries=2)
    assert [provider.asked for provider in providers] == [3, 3, 3]
    assert str(asked.error) == "2.2"


def test_a_provider_named_twice_is_asked_once() -> None:
    provider = Scripted("primary", errors.AuthError("x"))
    assert isinstance(Asked(provider, provider).error, errors.AuthError)
    assert provider.asked == 1


def test_nobody_else_is_asked_once_a_delta_was_heard() -> None:
    cut = errors.ConnectionFailedError("cut")
    fallback = Scripted("fallback")
    asked = Asked(Scripted("primary", cut, word="Hel"), fallback, listen=True)
    assert asked.error is cut
    assert (fallback.asked, asked.heard) == (0, [[Delta("text", "Hel")]])


def test_a_fallback_that_was_heard_is_the_last_one() -> None:
    cut = errors.ConnectionFailedError("cut")
    third = Scripted("third")
    asked = Asked(
        Scripted("primary", errors.AuthError("x")), Scripted("second", cut, word="a"), third, listen=True
    )
    assert asked.error is cut
    assert third.asked == 0


def test_without_time_left_the_latest_error_is_raised() -> None:
    failure = errors.AuthError("x")
    fallback = Scripted("fallback")
    asked = Asked(Scripted("primary", failure), fallback, deadline=Deadline(0.0))
    assert asked.error is failure
    assert fallback.asked == 0


def test_a_wait_that_the_deadline_does_not_allow_is_a_reason_to_ask_another() -> None:
    failure = errors.ServerError("x", retry_after=60.0)
    asked = Asked(Scripted("primary", failure), Scripted("fallback"), deadline=Deadline.after(30))
    assert (asked.text, asked.pauses) == ("fallback", [])


# -- cool-downs ----------------------------------------------------------------------------------------------------


def test_a_primary_that_is_cooling_down_for_long_is_passed_over() -> None:
    primary, fallback = Scripted("primary", key="a"), Scripted("fallback", key="b")
    asked = Asked(primary, fallback, cooling=(primary, 10.0))
    assert (asked.text, primary.asked, asked.pauses) == ("fallback", 0, [])
    assert asked.requested == ["fallback"]  # nothing was recorded for the other one
    (line,) = [line for line in asked.lines if line["event"] == "provider_fallback"]
    assert line["cooling"] == pytest.approx(10.0, abs=0.1)


def test_a_primary_that_is_cooling_down_for_a_moment_is_waited_for() -> None:
    primary, fallback = Scripted("primary", key="a"), Scripted("fallback", key="b")
    asked = Asked(primary, fallback, cooling=(primary, 1.5))
    assert (asked.text, fallback.asked) == ("primary", 0)
    assert asked.pauses == [pytest.approx(1.5, abs=0.1)]


def test_a_primary_that_asks_to_wait_for_long_is_left_at_once() -> None:
    refusal = errors.RateLimitError("x", retry_after=30.0)
    for key in ("a", None):
        primary, fallback = Scripted("primary", refusal, key=key), Scripted("fallback", key="b")
        asked = Asked(primary, fallback)
        assert (asked.text, primary.asked, asked.pauses) == ("fallback", 1, [])


def test_nobody_is_passed_over_for_one_who_cools_down_as_long() -> None:
    primary, fallback = Scripted("primary", key="a"), Scripted("fallback", key="a")
    asked = Asked(primary, fallback, cooling=(primary, 10.0))
    assert asked.text == "primary"
    assert asked.pauses == [pytest.approx(10.0, abs=0.1)]


def test_who_was_passed_over_is_asked_after_all_when_the_others_fail() -> None:
    primary = Scripted("primary", key="a")
    fallback = Scripted("fallback", errors.AuthError("x"), key="b")
    asked = Asked(primary, fallback, cooling=(primary, 10.0))
    assert asked.text == "primary"
    assert asked.pauses == [pytest.approx(10.0, abs=0.1)]
    assert asked.requested == ["fallback", "primary"]


def test_who_was_passed_over_and_cannot_be_waited_for_has_the_last_word() -> None:
    primary = Scripted("primary", key="a")
    fallback = Scripted("fallback", errors.AuthError("x"), key="b")
    asked = Asked(primary, fallback, cooling=(primary, 60.0), deadline=Deadline.after(30))
    assert isinstance(asked.error, errors.RateLimitError)
    assert primary.asked == 0


def test_who_was_passed_over_has_only_the_retries_left_that_it_had() -> None:
    failures = [errors.RateLimitError(str(n), retry_after=30.0) for n in range(9)]
    primary = Scripted("primary", *failures)
    asked = Asked(primary, Scripted("fallback", errors.AuthError("x")), max_retries=2)
    assert primary.asked == 3
    assert asked.error is failures[2]
    assert asked.pauses == [pytest.approx(30.0, abs=0.1), 30.0]


def test_the_request_of_each_is_made_for_it() -> None:
    async def request_for(provider: Any) -> ModelRequest:
        request = ModelRequest((user("hi"),))
        return replace(request, provider_state={"of": provider.model})

    primary, fallback = Scripted("primary", errors.AuthError("x")), Scripted("fallback")
    asyncio.run(complete_with_fallback((primary, fallback), request_for))
    assert primary.requests[0].provider_state == {"of": "primary"}
    assert fallback.requests[0].provider_state == {"of": "fallback"}
