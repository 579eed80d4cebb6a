"""The error envelope, and RFC 9457 for those who ask for it."""

from __future__ import annotations

from typing import Any

from msgspec import Struct


class ErrorEnvelope(Struct, frozen=True, kw_only=True):
    success: bool = False
    error: str
    error_id: str
    error_code: str
    error_message: str
    data: None = None


def envelope(code: str, message: str, correlation_id: str) -> ErrorEnvelope:
    return ErrorEnvelope(error=message, error_id=correlation_id, error_code=code, error_message=message)


def problem(code: str, message: str, correlation_id: str, status: int) -> dict[str, Any]:
    """application/problem+json."""
    return {
        "type": f"urn:vivavoce:error:{code.lower()}",
        "title": code,
        "status": status,
        "detail": message,
        "instance": correlation_id,
    }
