"""A route as data: the one table of them drives dispatch, validation, the OpenAPI page and the permission test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Literal, TypeAlias

from msgspec import Struct
from starlette.requests import Request

from vivavoce.domain.principal import Permission, Principal
from vivavoce.errors import Invalid
from vivavoce.service.services import Services
from vivavoce.wire.query import Query

Authentication: TypeAlias = Literal["key", "none"]


class Call(Struct, frozen=True):
    """A request that was let in: who asks, with what body and query, of which services."""

    request: Request
    services: Services
    principal: Principal
    body: Any
    query: dict[str, Any]
    raw: bytes


class Answer(Struct, frozen=True, kw_only=True):
    status: int = 200
    body: bytes = b""
    stream: AsyncIterator[bytes] | None = None  # in place of a body
    headers: dict[str, str] = {}
    media_type: str = "application/json"


Handler: TypeAlias = Callable[[Call], Awaitable[Answer]]


class Route(Struct, frozen=True, kw_only=True):
    method: str
    path: str
    handler: Handler
    summary: str
    permission: Permission | None
    authentication: Authentication = "key"
    request: type | None = None
    query: tuple[Query, ...] = ()
    response: type | None = None
    media_type: str = "application/json"  # of what is answered
    other_media_types: tuple[str, ...] = ()  # in which it may be asked for besides
    status: int = 200
    errors: tuple[int, ...] = ()
    max_body: int | None = None  # bytes; None is what every route takes
    query_error: type[Invalid] = Invalid  # what a bad parameter is called here
    takes_any_body: bool = False  # read, and left to the handler as it came
    form: tuple[str, ...] = ()  # its parts, where such a body is one
    body_media_type: str = "application/json"
    headers: tuple[str, ...] = ()  # that it reads, beside those that every route does
    takes_bearer: bool = False  # the key may come as `Authorization: Bearer`, for callers that know no other header
    is_idempotent: bool = False  # takes an Idempotency-Key
