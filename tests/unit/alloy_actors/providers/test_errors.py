import json
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from alloy_actors import errors
from alloy_actors.providers._errors import LABELS, from_object, from_response, redact, retry_after


def headers(**given: str):
    found = {name.replace("_", "-"): value for name, value in given.items()}
    return found.get


def refused(status: int, **error: object) -> errors.ProviderError:
    return from_response(status, headers(), json.dumps({"error": error}).encode())


@pytest.mark.parametrize(("label", "kind"), LABELS.items())
def test_a_label_decides_over_the_status(label: str, kind: type) -> None:
    assert type(refused(418, type=label, message="x")) is kind
    assert type(refused(418, code=label, type="x", message="x")) is kind
    assert type(from_object({"type": label, "message": "x"})) is kind


def test_the_code_counts_before_the_type() -> None:
    assert type(refused(400, code="server_error", type="rate_limit_error", message="x")) is errors.ServerError


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, errors.InvalidRequestError),
        (401, errors.AuthError),
        (402, errors.QuotaError),
        (403, errors.AuthError),
        (404, errors.InvalidRequestError),
        (408, errors.ProviderTimeoutError),
        (413, errors.InvalidRequestError),
        (429, errors.RateLimitError),
        (500, errors.ServerError),
        (503, errors.ServerError),
        (504, errors.ProviderTimeoutError),
        (529, errors.OverloadedError),
        (599, errors.ServerError),
    ],
)
def test_a_status_decides_where_no_label_does(status: int, kind: type) -> None:
    error = refused(status, message="no")
    assert type(error) is kind
    assert error.status == status
    assert str(error) == f"HTTP {status}: no"


@pytest.mark.parametrize(
    "phrase",
    [
        "Prompt is too long: 200001 tokens",
        "This model's maximum context length is 8192 tokens",
        "input exceeds the context window",
        "exceeds the maximum number of tokens allowed",
        "This model's maximum prompt length is 131072",
        "input length and `max_tokens` exceed context limit: 190000 + 16000 > 200000",
    ],
)
def test_the_words_for_a_prompt_too_long_are_known(phrase: str) -> None:
    assert type(refused(400, message=phrase)) is errors.ContextOverflowError
    assert type(from_object({"message": phrase})) is errors.ContextOverflowError
    assert type(refused(429, message=phrase)) is errors.RateLimitError


@pytest.mark.parametrize(
    "label",
    [
        "insufficient_quota",
        "billing_hard_limit_reached",
        "credit_balance_exhausted",
        "org_spend_limit_exceeded",
        "billing_error",
    ],
)
def test_an_empty_account_is_no_rate_limit(label: str) -> None:
    error = refused(429, code=label, type="rate_limit_error", message="x")
    assert type(error) is errors.QuotaError
    assert not error.retryable


def test_an_account_without_credit_is_no_bad_request() -> None:
    error = refused(
        400, type="invalid_request_error", message="Your credit balance is too low to use the API"
    )
    assert type(error) is errors.QuotaError


def test_an_error_inside_a_stream_has_no_status() -> None:
    error = from_object({"message": "boom", "code": 502})
    assert type(error) is errors.ServerError
    assert error.status is None


def test_an_error_nobody_knows_is_not_retried() -> None:
    error = from_object({"message": "boom"})
    assert type(error) is errors.ProviderError
    assert not error.retryable


@pytest.mark.parametrize("body", [b"", b"   ", b"null", b"[]", b"7", b'{"error": null}', b"\xff\xfe"])
def test_any_body_makes_an_error(body: bytes) -> None:
    error = from_response(500, headers(), body)
    assert type(error) is errors.ServerError
    assert str(error).startswith("HTTP 500")


def test_a_long_text_is_cut() -> None:
    assert len(str(from_response(500, headers(), b"x" * 100_000))) < 1_100


def test_lone_surrogates_in_a_message_do_not_survive() -> None:
    str(from_response(500, headers(), b'{"error": {"message": "a \\ud83d b"}}')).encode()


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        ({}, None),
        ({"retry_after": "2"}, 2.0),
        ({"retry_after": "0.25"}, 0.25),
        ({"retry_after": "0"}, 0.0),
        ({"retry_after": "-1"}, None),
        ({"retry_after": "nan"}, None),
        ({"retry_after": "inf"}, None),
        ({"retry_after": "soon"}, None),
        ({"retry_after_ms": "1500", "retry_after": "2"}, 1.5),
        ({"retry_after_ms": "x", "retry_after": "2"}, 2.0),
    ],
)
def test_retry_after_is_read_in_seconds(given: dict[str, str], seconds: float | None) -> None:
    """T87."""
    assert retry_after(headers(**given)) == seconds


def test_retry_after_may_be_a_date() -> None:
    """T87: one that has passed asks for nothing."""
    now = datetime(2026, 1, 1, 12, tzinfo=UTC)
    later = headers(retry_after=format_datetime(now + timedelta(seconds=30), usegmt=True))
    earlier = headers(retry_after=format_datetime(now - timedelta(seconds=30), usegmt=True))
    assert retry_after(later, now.timestamp) == 30.0
    assert retry_after(earlier, now.timestamp) is None


@pytest.mark.parametrize(
    "text",
    [
        "Thu, 01 Jan 2026 12:00:30 GMT",
        "Thursday, 01-Jan-26 12:00:30 GMT",
        "Thu Jan  1 12:00:30 2026",
        "Thu, 01 Jan 2026 12:00:30 -0000",
        "Thu, 01 Jan 2026 13:00:30 +0100",
    ],
)
def test_the_dates_of_http_are_in_gmt_whatever_the_zone_of_this_machine(text: str, monkeypatch) -> None:
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    try:
        now = datetime(2026, 1, 1, 12, tzinfo=UTC)
        assert retry_after(headers(retry_after=text), now.timestamp) == 30.0
    finally:
        monkeypatch.undo()
        time.tzset()


def test_a_date_that_is_none_asks_for_nothing() -> None:
    assert retry_after(headers(retry_after="Thu, 01 Jan 2026 25:00:00 GMT")) is None


def test_the_request_id_is_kept() -> None:
    assert from_response(500, headers(x_request_id="r1"), b"").request_id == "r1"
    assert from_response(500, headers(request_id="r2"), b"").request_id == "r2"
    assert from_response(500, headers(), b"").request_id is None


def test_secrets_are_taken_out() -> None:
    assert redact("key sk-1 and sk-2", ["sk-1", ""]) == "key *** and sk-2"
    body = json.dumps({"error": {"message": "bad key sk-secret", "code": "sk-secret"}}).encode()
    error = from_response(401, headers(), body, secrets=["sk-secret"])
    assert "sk-secret" not in f"{error!r} {error} {error.args} {error.code}"
