"""The route table and how a request passes through it: correlation, authentication, body, handler, answer."""

from __future__ import annotations

import asyncio
import logging
import re
import uuid
from collections.abc import Awaitable, Callable
from time import monotonic, perf_counter
from typing import Any

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route as StarletteRoute
from starlette.routing import Router
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from vivavoce.api import (
    adk,
    agents,
    audio_cache,
    calls,
    chat,
    conversations,
    deployments,
    erasure,
    experiments,
    exports,
    external,
    keys,
    lists,
    problems,
    projections,
    real_time,
    redaction,
    test_runs,
)
from vivavoce.api.openapi import DOCS_PAGE, document
from vivavoce.api.route import Answer, Call, Route
from vivavoce.domain import correlation
from vivavoce.domain.principal import Principal
from vivavoce.errors import Invalid, VivavoceError
from vivavoce.service.access import require
from vivavoce.service.services import Services
from vivavoce.telemetry.interface import Telemetry
from vivavoce.wire import body as bodies
from vivavoce.wire import query as queries

MAX_BODY_BYTES = 2 << 20
_PARENT = re.compile("[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
METRICS = "text/plain; version=0.0.4; charset=utf-8"
log = logging.getLogger(__name__)
_NOBODY = Principal(key_id="", permissions=frozenset())
_MAX_CORRELATION = 128
SEND_SECONDS = 30.0  # for which one piece of an answer waits to be read
_ALWAYS = (
    (b"access-control-allow-origin", b"*"),
    (b"access-control-expose-headers", b"*"),
    (b"x-content-type-options", b"nosniff"),
)


async def healthz(call: Call) -> Answer:
    return Answer(body=b'{"status":"ok"}')


async def readyz(call: Call) -> Answer:
    operations = call.services.operations
    return Answer(status=200 if operations.is_ready else 503, body=msgspec.json.encode(operations.readiness()))


async def metrics(call: Call) -> Answer:
    return Answer(body=call.services.operations.metrics(call.principal), media_type=METRICS)


async def openapi(call: Call) -> Answer:
    return Answer(body=msgspec.json.encode(document(ROUTES)))


async def docs(call: Call) -> Answer:
    return Answer(body=DOCS_PAGE, media_type="text/html; charset=utf-8")


ROUTES: tuple[Route, ...] = (
    *chat.ROUTES,
    *calls.ROUTES,
    *audio_cache.ROUTES,
    *conversations.ROUTES,
    *lists.ROUTES,
    *erasure.ROUTES,
    *exports.ROUTES,
    *redaction.ROUTES,
    *keys.ROUTES,
    *real_time.ROUTES,
    *external.ROUTES,
    *deployments.ROUTES,
    *agents.ROUTES,
    *adk.ROUTES,
    *projections.ROUTES,
    *experiments.ROUTES,
    *test_runs.ROUTES,
    Route(method="GET", path="/healthz", handler=healthz, summary="The process is alive.", permission=None, authentication="none"),
    Route(
        method="GET", path="/readyz", handler=readyz, summary="Whether it takes work, how many agents it serves, and which guards hold around author code.",
        permission=None, authentication="none",
    ),
    Route(
        method="GET", path="/metrics", handler=metrics, summary="This process in numbers, as Prometheus reads them.",
        permission="admin", errors=(401, 403), media_type=METRICS, takes_bearer=True,
    ),
    Route(method="GET", path="/openapi.json", handler=openapi, summary="This API, as OpenAPI 3.1.", permission="chat", errors=(401, 403)),
    Route(method="GET", path="/docs", handler=docs, summary="This API, to read.", permission=None, authentication="none"),
)  # fmt: skip


def application(services: Services) -> ASGIApp:
    routes = []
    for path in dict.fromkeys(route.path for route in ROUTES):
        methods = {route.method: route for route in ROUTES if route.path == path}
        routes.append(StarletteRoute(path, _endpoint(services, path, methods), methods=None))
    # A bare router: errors are shaped where they arise, so Starlette's middleware around it would only cost.
    return Correlation(Router(routes, redirect_slashes=False, default=_not_found), services.telemetry)


async def _not_found(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "http":
        await _nothing_here(Request(scope))(scope, receive, send)


def _nothing_here(request: Request) -> Response:
    return problems.respond(
        request, 404, "NOT_FOUND", "There is nothing at this address; GET /docs lists what there is."
    )


def _endpoint(services: Services, path: str, methods: dict[str, Route]) -> ASGIApp:
    """One ASGI endpoint for all methods of a path."""
    decoders = {method: _decoder(route) for method, route in methods.items()}

    async def endpoint(scope: Scope, receive: Receive, send: Send) -> None:
        scope["route_path"] = path
        request = Request(scope, receive)
        method = request.method
        route = methods.get("GET" if method == "HEAD" else method)
        try:
            if any("\0" in value for value in request.path_params.values()):
                response = _nothing_here(request)  # nothing is called so, and PostgreSQL would not even look
            elif route is None:
                allowed = ", ".join(methods)
                response = problems.respond(
                    request,
                    405,
                    "METHOD_NOT_ALLOWED",
                    f"This address takes {allowed}, not {method}.",
                    {"Allow": allowed},
                )
            else:
                response = await _handle(services, route, decoders[route.method], request)
        except VivavoceError as error:
            response = problems.of_error(request, error)
        except ClientDisconnect:
            return  # nobody is left to answer
        except Exception as error:  # noqa: BLE001  # the last line: whatever it is, the caller gets the one error shape
            response = problems.of_exception(request, error)
        await response(scope, receive, send)

    return _Endpoint(endpoint)


class _Endpoint:
    """A class, because Starlette takes a plain function for a request handler."""

    def __init__(self, call: Callable[[Scope, Receive, Send], Awaitable[None]]) -> None:
        self._call = call

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._call(scope, receive, send)


async def _handle(services: Services, route: Route, decode: Any, request: Request) -> Response:
    principal = _NOBODY
    if route.authentication == "key":
        given = request.headers.get("x-api-key")
        if given is None and route.takes_bearer:
            given = request.headers.get("authorization", "").removeprefix("Bearer ") or None
        principal = services.keys.authenticate(given)
        services.rates.take(principal, monotonic())
        if route.permission is not None:
            require(principal, route.permission)
    raw = b""
    if decode is not None or route.takes_any_body or route.method != "GET":  # one that nobody wants is read as well
        most, declared = route.max_body or MAX_BODY_BYTES, request.headers.get("content-length", "")
        raw = await bodies.read(request.stream(), most=most, declared=declared)
    body = _decoded(raw, decode) if decode is not None else None
    query = queries.read(route.query, request.query_params, route.query_error, is_strict=not route.takes_any_body)
    answer = await route.handler(Call(request, services, principal, body, query, raw))
    if answer.stream is not None:
        return StreamingResponse(answer.stream, answer.status, answer.headers, media_type=answer.media_type)
    return Response(answer.body, answer.status, answer.headers, media_type=answer.media_type)


def _decoder(route: Route) -> Any:
    return msgspec.json.Decoder(route.request).decode if route.request is not None else None


def _decoded(raw: bytes, decode: Any) -> Any:
    try:
        return decode(raw)
    except msgspec.ValidationError as error:
        raise Invalid(f"The body is not as it should be: {error}.") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Invalid(
            f"The body is not valid JSON: {error}." if raw else "The body is empty; send a JSON object."
        ) from error


class Correlation:
    """Gives every reply the correlation id of its request, or a new one, and tells of it."""

    def __init__(self, app: ASGIApp, telemetry: Telemetry) -> None:
        self._app = app
        self._telemetry = telemetry

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = next((v for k, v in scope["headers"] if k == b"x-polyai-correlation-id"), b"").decode("latin-1")
        is_sound = 0 < len(given) <= _MAX_CORRELATION and given.isascii() and given.isprintable()
        id_ = scope["correlation_id"] = given if is_sound else str(uuid.uuid4())
        parent = next((v for k, v in scope["headers"] if k == b"traceparent"), b"").decode("latin-1")
        correlation.current.set(correlation.Correlation(id_, parent if _PARENT.fullmatch(parent) else ""))
        began, status = perf_counter(), 0

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                nonlocal status
                status = message["status"]
                message["headers"] = [*message["headers"], (b"x-polyai-correlation-id", id_.encode()), *_ALWAYS]
            try:
                async with asyncio.timeout(SEND_SECONDS):
                    await send(message)
            except TimeoutError:  # who does not read holds nothing up for others
                raise ClientDisconnect from None

        try:
            await self._app(scope, receive, sending)
        except ClientDisconnect:
            log.info("a client did not read its answer: route=%s", scope.get("route_path", "none"))
        self._telemetry.request(scope["method"], scope.get("route_path", "none"), status, perf_counter() - began)
