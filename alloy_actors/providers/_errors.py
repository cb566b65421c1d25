"""What a provider's refusal means: status, type and code of the answer become one of our error classes.

The same table serves HTTP answers and error objects inside a stream that began with 200; the latter have no
status of their own. Order of the rules: overflow, quota, the provider's own label (code before type), status.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from alloy_actors.errors import (
    AuthError,
    ContextOverflowError,
    InvalidRequestError,
    OverloadedError,
    ProviderError,
    ProviderTimeoutError,
    QuotaError,
    RateLimitError,
    ServerError,
)
from alloy_actors.providers._json import dumps, loads, mend

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    Headers = Callable[[str], str | None]  # a response header by its lower-case name

OVERFLOW_PHRASES = (
    "prompt is too long",
    "context_length_exceeded",
    "maximum context length",
    "context window",
    "exceeds the maximum number of tokens",
    "maximum prompt length",
    "exceed_context_size",  # llama.cpp
    "exceed context limit",  # Anthropic, where the prompt fits but not with max_tokens beside it
)
QUOTA_LABELS = frozenset(
    {"insufficient_quota", "billing_hard_limit_reached", "credit_balance_exhausted", "billing_error"}
)
QUOTA_PHRASE = "credit balance is too low"  # Anthropic, as an invalid request
LABELS: dict[str, type[ProviderError]] = {
    "rate_limit_error": RateLimitError,
    "rate_limit_exceeded": RateLimitError,
    "slow_down": RateLimitError,
    "RESOURCE_EXHAUSTED": RateLimitError,
    "overloaded_error": OverloadedError,
    "server_is_overloaded": OverloadedError,
    "service_unavailable_error": OverloadedError,
    "UNAVAILABLE": OverloadedError,
    "timeout_error": ProviderTimeoutError,
    "DEADLINE_EXCEEDED": ProviderTimeoutError,
    "api_error": ServerError,
    "server_error": ServerError,
    "INTERNAL": ServerError,
    "authentication_error": AuthError,
    "permission_error": AuthError,
    "UNAUTHENTICATED": AuthError,
    "PERMISSION_DENIED": AuthError,
    "API_KEY_INVALID": AuthError,  # Google, as an invalid argument
}
STATUSES: dict[int, type[ProviderError]] = {
    401: AuthError,
    402: QuotaError,  # OpenRouter, DeepSeek: out of credit
    403: AuthError,
    408: ProviderTimeoutError,
    429: RateLimitError,
    504: ProviderTimeoutError,
    529: OverloadedError,
}
MAX_MESSAGE = 1_000  # characters of a provider's text that we repeat


@dataclass(frozen=True, slots=True)
class _Facts:
    message: str
    type: str | None = None
    code: str | None = None
    status: int | None = None  # a status as `code`, as OpenRouter writes it into streams
    retry_after: float | None = None  # Google says it in the body


def from_response(
    status: int, headers: Headers, body: bytes, *, secrets: Iterable[str] = ()
) -> ProviderError:
    """The error for an answer that is no success; `body` may be JSON of any shape, or text, or nothing."""
    try:
        decoded: Any = loads(body)
    except ValueError:
        decoded = body.decode("utf-8", "replace").strip()
    facts = _facts(decoded)
    if 300 <= status < 400:
        where = headers("location") or "elsewhere"
        facts = _Facts(f"redirected to {where}; set api_url to the address that answers")
    return _build(facts, status, headers, secrets)


def from_object(error: Any, *, headers: Headers | None = None, secrets: Iterable[str] = ()) -> ProviderError:
    """The error for an error object (or text) inside a reply that began as a success."""
    return _build(_facts({"error": error}), None, headers, secrets)


def retry_after(headers: Headers, now: Callable[[], float] = time.time) -> float | None:
    """Seconds that the provider asks to wait: `retry-after-ms`, else `retry-after` as seconds or HTTP-date."""
    milliseconds = _number(headers("retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1000
    given = headers("retry-after")
    seconds = _number(given)
    if seconds is not None or not given:
        return seconds
    try:
        when = parsedate_to_datetime(given)
        # HTTP's dates are all in GMT, also those in the old form that does not say so.
        wait = (when if when.tzinfo is not None else when.replace(tzinfo=UTC)).timestamp() - now()
    except (ValueError, OverflowError):
        return None
    return wait if wait >= 0 else None


def request_id(headers: Headers) -> str | None:
    """The provider's id of the exchange."""
    return headers("x-request-id") or headers("request-id")


def redact(text: str, secrets: Iterable[str]) -> str:
    """The text without the secrets: some servers repeat a wrong key in full."""
    for secret in secrets:
        if secret:
            text = text.replace(secret, "***")
    return text


def _build(
    facts: _Facts, status: int | None, headers: Headers | None, secrets: Iterable[str]
) -> ProviderError:
    kind = _classify(facts, status if status is not None else facts.status)
    if facts.type:
        text = f"{facts.type}: {facts.message}"
    elif status is not None:
        text = f"HTTP {status}: {facts.message}" if facts.message else f"HTTP {status}"
    else:
        text = facts.message
    secrets = tuple(secrets)
    wait = headers and retry_after(headers)
    return kind(
        redact(mend(text), secrets),
        status=status,
        code=redact(facts.code or facts.type or "", secrets) or None,
        request_id=headers and request_id(headers),
        retry_after=facts.retry_after if wait is None else wait,
    )


def _classify(facts: _Facts, status: int | None) -> type[ProviderError]:
    labels = [label for label in (facts.code, facts.type) if label]
    text = f"{facts.code or ''} {facts.type or ''} {facts.message}".lower()
    if status != 429 and any(phrase in text for phrase in OVERFLOW_PHRASES):
        return ContextOverflowError
    if any(label in QUOTA_LABELS or label.endswith("_spend_limit_exceeded") for label in labels):
        return QuotaError
    if QUOTA_PHRASE in text:
        return QuotaError
    for label in labels:
        if label in LABELS:
            return LABELS[label]
    if status is None:
        return InvalidRequestError if any(label.startswith("invalid_") for label in labels) else ProviderError
    if status in STATUSES:
        return STATUSES[status]
    return ServerError if status >= 500 else InvalidRequestError


def _facts(body: Any) -> _Facts:
    """Read an error body: `{"error": {...}}`, `{"error": "..."}`, the bare object, a list of them, or text."""
    if isinstance(body, list) and body:
        body = body[0]
    if not isinstance(body, dict):
        return _Facts(_short(body if isinstance(body, str) else _as_json(body)))
    error = body.get("error", body)
    if not isinstance(error, dict):
        return _Facts(_short(error if isinstance(error, str) else _as_json(error)))
    kind, code, message = error.get("type") or error.get("status"), error.get("code"), error.get("message")
    metadata = error.get("metadata")
    if isinstance(metadata, dict) and isinstance(metadata.get("raw"), str):
        message = f"{message}: {metadata['raw']}"  # OpenRouter keeps the upstream's own words there
    status = code if isinstance(code, int) and 400 <= code < 600 else None
    reason, wait = _google_details(error.get("details"))
    return _Facts(
        message=_short(message if isinstance(message, str) and message else _as_json(error)),
        type=kind if isinstance(kind, str) else None,
        code=code if isinstance(code, str) else reason,
        status=status,
        retry_after=wait,
    )


def _google_details(details: Any) -> tuple[str | None, float | None]:
    """The reason and the seconds to wait that Google's `google.rpc` details name."""
    reason = wait = None
    for detail in details if isinstance(details, list) else ():
        kind = str(detail.get("@type")) if isinstance(detail, dict) else ""
        if kind.endswith("google.rpc.ErrorInfo") and isinstance(detail.get("reason"), str):
            reason = detail["reason"]
        elif kind.endswith("google.rpc.RetryInfo"):
            wait = _number(str(detail.get("retryDelay")).removesuffix("s"))
    return reason, wait


def _number(text: str | None) -> float | None:
    try:
        value = float(text) if text else None
    except ValueError:
        return None
    return value if value is not None and math.isfinite(value) and value >= 0 else None


def _as_json(value: Any) -> str:
    return dumps(value).decode() if value else ""


def _short(text: str) -> str:
    return text if len(text) <= MAX_MESSAGE else text[:MAX_MESSAGE] + "..."
