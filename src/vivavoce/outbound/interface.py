"""What the rest of vivavoce asks of the way out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from msgspec import Struct

from vivavoce.errors import VivavoceError


class OutboundError(VivavoceError):
    """The request was made and nothing sensible came back, or it was not allowed to be made."""

    code = "OUTBOUND_FAILED"
    status = 502
    retryable = True


class Unreachable(OutboundError):
    code = "OUTBOUND_UNREACHABLE"


class TimedOut(OutboundError):
    code = "OUTBOUND_TIMEOUT"


class Refused(OutboundError):
    """The address is one that nobody outside may be led to."""

    code = "OUTBOUND_REFUSED"
    retryable = False


class Request(Struct, frozen=True, kw_only=True):
    method: str
    url: str
    headers: Mapping[str, str] = {}
    params: Mapping[str, Any] = {}
    body: bytes | None = None
    timeout: float = 10.0  # seconds, for all of it


class Response(Struct, frozen=True, kw_only=True):
    status: int
    reason: str
    headers: dict[str, str]
    body: bytes
    url: str
    seconds: float


class Outbound(Protocol):
    async def send(self, request: Request) -> Response:
        """Follows redirects, each looked at as the first address was. Raises an OutboundError."""
        ...

    async def close(self) -> None: ...
