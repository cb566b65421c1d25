"""What alloy-actors raises, and what it puts into `Result.error`.

AlloyError
├── ConfigError                    (also ValueError) a mistake in an option; raised before anything starts
├── ProviderError                  the model's side; `status`, `code`, `request_id`, `retry_after`
│   ├── RateLimitError             retried
│   ├── OverloadedError            retried
│   ├── ServerError                retried
│   ├── ProviderTimeoutError       retried; (also TimeoutError)
│   ├── ConnectionFailedError      retried: refused, DNS, TLS, a stream that was cut
│   ├── ContextOverflowError       the history does not fit the model's window
│   ├── AuthError                  the key is missing, wrong or not allowed to
│   ├── QuotaError                 the account has run dry; waiting does not help
│   ├── InvalidRequestError        the provider refused what we sent
│   └── MalformedReplyError        the reply is not what the API promises
├── ToolError                      raise it in a tool: its text goes to the model
├── RunError                       raised by Result.raise_for_status()
├── CancelledError                 the run was cancelled; a value in a Result, never raised by us
├── BudgetExceededError            the next request would cost too much; a value in a Result, never raised by us
├── OutputError                    the model's answer is not of the type given as output=; a value in a Result
├── HaltedError                    a middleware ended the run (a value in a Result), or kept an agent from starting (raised)
├── CrashError                     a bug ended the run; `__cause__` is it
├── BusyError                      the agent is in a run
├── QueueFullError                 max_pending requests wait already
├── AgentDownError                 the agent is stopped, parked or unknown
├── FencedError                    a newer incarnation owns the agent's journal
├── StoreError                     a store could not read or write; `agent_id`, `record`
├── WouldDeadlock                  the call would wait for something that waits for the caller
└── TimeoutError                   (also the builtin TimeoutError) a run's or a caller's time is up

Handlers choose by class, never by text.
"""

from __future__ import annotations

import builtins


class AlloyError(Exception):
    """Root of all errors of this package."""


class ConfigError(AlloyError, ValueError):
    """A mistake in an option: the message names the option and what to do."""


class ProviderError(AlloyError):
    """The model's side failed.

    Args:
        message: What the provider said, without secrets.
        status: HTTP status; None for failures below HTTP and for errors inside a stream.
        code: The provider's own error code or type.
        request_id: The provider's id of the exchange, to quote to its support.
        retry_after: Seconds the provider asked to wait.

    Attributes:
        retryable: Whether the same provider may answer when it is asked again.
        switchable: Whether another provider may; not where the request itself is what is wrong.
    """

    retryable = False
    switchable = True

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        code: str | None = None,
        request_id: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.request_id = request_id
        self.retry_after = retry_after


class RateLimitError(ProviderError):
    """Too many requests or tokens for now."""

    retryable = True


class OverloadedError(ProviderError):
    """The provider has no capacity for now."""

    retryable = True


class ServerError(ProviderError):
    """The provider failed."""

    retryable = True


class ProviderTimeoutError(ProviderError, builtins.TimeoutError):
    """No connection, no first byte, or no next byte in time."""

    retryable = True


class ConnectionFailedError(ProviderError):
    """Refused, unresolved, reset, or a stream that ended before its end."""

    retryable = True


class ContextOverflowError(ProviderError):
    """The request is longer than the model's window."""

    switchable = False


class AuthError(ProviderError):
    """The key is missing, wrong, or may not use this model."""


class QuotaError(ProviderError):
    """The account is out of credit; retrying does not help."""


class InvalidRequestError(ProviderError):
    """The provider refused the request as malformed."""

    switchable = False


class MalformedReplyError(ProviderError):
    """The reply cannot be understood."""


class ToolError(AlloyError):
    """Raise it in a tool to tell the model what went wrong; any other exception does so too, but is logged."""


class RunError(AlloyError):
    """A run did not end well; `result` is what there is of it."""

    def __init__(self, message: str, result: object) -> None:
        super().__init__(message)
        self.result = result


class CancelledError(AlloyError):
    """The run was cancelled. A value in `Result.error`; unrelated to `asyncio.CancelledError`."""


class OutputError(AlloyError):
    """The model's answer is not of the type given as `output=`, also not after `output_retries`. A value in `Result.error`."""


class HaltedError(AlloyError):
    """A middleware ended the run, or kept an agent from starting; the text is its reason.

    A value in `Result.error` in the first case, raised by `spawn` in the second.
    """


class BudgetExceededError(AlloyError):
    """The next request was not sent: it would have used up a budget. A value in `Result.error`.

    Args:
        message: Which budget.
        spent_cents: By then; None in a result that was read from the store.
        limit_cents: Of the budget.
        estimate_cents: What the input of the next request costs.
    """

    def __init__(
        self,
        message: str,
        *,
        spent_cents: float | None = None,
        limit_cents: float | None = None,
        estimate_cents: float | None = None,
    ) -> None:
        super().__init__(message)
        self.spent_cents = spent_cents
        self.limit_cents = limit_cents
        self.estimate_cents = estimate_cents


class CrashError(AlloyError):
    """A bug ended the run: in the agent, in a hook, or in a provider; `__cause__` is the exception."""


class BusyError(AlloyError):
    """The agent is in a run; wait, cancel it, or pass when_idle=True."""


class QueueFullError(AlloyError):
    """`max_pending` requests wait already."""


class AgentDownError(AlloyError):
    """The agent is stopped, parked after too many crashes, or unknown."""


class FencedError(AlloyError):
    """A newer incarnation of the agent has taken the journal; this one may not write any more."""


class StoreError(AlloyError):
    """A store could not write (disk full, locked by another program), or what it read is damaged.

    Args:
        message: What happened and what to do.
        agent_id: Whose records; None when all agents of the store are concerned.
        record: The row in the store, where one is to blame.
    """

    def __init__(self, message: str, *, agent_id: str | None = None, record: int | None = None) -> None:
        super().__init__(message)
        self.agent_id = agent_id
        self.record = record


class WouldDeadlock(AlloyError):
    """The call would wait for something that waits for the caller; the message names the way out."""


class TimeoutError(AlloyError, builtins.TimeoutError):  # noqa: A001  (the public name, and it is one)
    """The time of a run, or of a caller's wait, is up."""
