"""Any error becomes one JSON shape, with the status that its class names."""

from __future__ import annotations

import logging
import math

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from vivavoce.errors import VivavoceError
from vivavoce.wire.errors import envelope, problem

log = logging.getLogger(__name__)
_encode = msgspec.json.Encoder().encode

RETRY_AFTER_SECONDS = 2.0  # where nobody knows better
CODES = {404: "NOT_FOUND", 405: "METHOD_NOT_ALLOWED", 413: "PAYLOAD_TOO_LARGE", 415: "UNSUPPORTED_MEDIA_TYPE"}


def of_error(request: Request, error: VivavoceError) -> Response:
    headers = {}
    after = (
        error.retry_after if error.retry_after is not None or error.status not in (429, 503) else RETRY_AFTER_SECONDS
    )
    if after is not None:
        headers["Retry-After"] = str(max(1, math.ceil(after)))
    return respond(request, error.status, error.code, error.message, headers)


def of_exception(request: Request, error: Exception) -> Response:
    """A fault of ours: logged with its type and place, told without them."""
    log.error(
        "a request failed: route=%s error=%s",
        request.scope.get("route_path", "?"),
        type(error).__name__,
        exc_info=error,
    )
    return respond(request, 500, "INTERNAL_ERROR", "Something went wrong on the server; its log has the details.")


def respond(request: Request, status: int, code: str, message: str, headers: dict[str, str] | None = None) -> Response:
    correlation = request.scope.get("correlation_id", "")
    if "application/problem+json" in request.headers.get("accept", ""):
        body, media_type = _encode(problem(code, message, correlation, status)), "application/problem+json"
    else:
        body, media_type = _encode(envelope(code, message, correlation)), "application/json"
    return Response(body, status, headers, media_type)
