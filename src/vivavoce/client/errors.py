"""What a call of the API can end in, besides its answer."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from vivavoce.errors import VivavoceError
from vivavoce.wire.errors import ErrorEnvelope


class ClientError(VivavoceError):
    """Every error of this package."""


class ApiError(ClientError):
    """The server refused, or failed. `status`, `code` and `message` are its own; `correlation_id` finds the request in its logs."""

    def __init__(
        self, status: int, code: str, message: str, *, correlation_id: str = "", retry_after: float | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.correlation_id = correlation_id
        self.retry_after = retry_after  # seconds
        self.retryable = status in RETRYABLE


class ConnectionFailed(ClientError):
    """There is no server, or the connection broke before it had answered."""

    code = "CONNECTION_FAILED"
    status = 503
    retryable = True


class AnswerInvalid(ClientError):
    """The server answered something that is not of this API."""

    code = "ANSWER_INVALID"
    status = 502


RETRYABLE = frozenset((429, 502, 503, 504))
_decode = msgspec.json.Decoder(ErrorEnvelope).decode


def error_of(status: int, headers: Mapping[str, str], body: bytes) -> ApiError:
    seconds = headers.get("retry-after", "")
    retry_after = float(seconds) if seconds.isascii() and seconds.isdigit() else None
    correlation = headers.get("x-polyai-correlation-id", "")
    try:
        found = _decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return ApiError(
            status,
            f"HTTP_{status}",
            f"The server answered with status {status}, and not in the words of this API.",
            correlation_id=correlation,
            retry_after=retry_after,
        )
    return ApiError(
        status, found.error_code, found.error_message, correlation_id=found.error_id, retry_after=retry_after
    )
