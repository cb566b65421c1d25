"""Errors in the shape of the OpenAI API: `{"error": {"message", "type", "param", "code"}}`."""

from __future__ import annotations


class ApiError(Exception):
    """A request that is answered with an HTTP error.

    Args:
        message: What is wrong and where, for the programmer of the client.
        status: HTTP status.
        param: Path of the offending field, for example `messages[2].role`.
        code: The API's machine-readable word.
        type_: The API's class of errors.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int = 400,
        param: str | None = None,
        code: str | None = None,
        type_: str = "invalid_request_error",
    ) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.param = param
        self.code = code
        self.type = type_
        self.retry_after: str | None = None  # value of the header of that name

    def body(self) -> dict[str, object]:
        """Return the JSON body."""
        return {"error": {"message": self.message, "type": self.type, "param": self.param, "code": self.code}}


_TYPES = {
    401: "authentication_error",
    403: "permission_error",
    404: "invalid_request_error",
    429: "rate_limit_error",
    529: "overloaded_error",
}
_CODES = {401: "invalid_api_key", 429: "rate_limit_exceeded"}


def ordered_error(status: int) -> ApiError:
    """Return the error for a directive `status=...`."""
    kind = _TYPES.get(status, "server_error" if status >= 500 else "invalid_request_error")
    return ApiError(
        f"HTTP {status}, as ordered by the directive in the model's name.",
        status=status,
        code=_CODES.get(status),
        type_=kind,
    )
