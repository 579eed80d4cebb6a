"""The table of pages and how a request passes through it: session, forgery, rights, handler; errors are pages, too."""

from __future__ import annotations

import hmac
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeAlias
from urllib.parse import parse_qs, urlsplit

from msgspec.structs import replace
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from vivavoce.console import (
    ab_tests,
    agent,
    assets,
    calling,
    conversations,
    home,
    operations,
    page,
    review,
    sign_in,
    talk,
    version,
)
from vivavoce.console.visit import Page, Setting, Visit
from vivavoce.domain.principal import Principal
from vivavoce.errors import Forbidden, Invalid, NotFound, Unauthenticated, VivavoceError
from vivavoce.service.access import require
from vivavoce.service.services import Services
from vivavoce.service.sessions import csrf_token
from vivavoce.wire import body

log = logging.getLogger(__name__)
MAX_FORM_BYTES = 1 << 20
MAX_FIELDS = 200
Endpoint: TypeAlias = Callable[[Request], Awaitable[Response]]
_NOBODY = Principal(key_id="", name="", permissions=frozenset())
_ANY = ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")  # what is not taken is told by a page
_YEAR = 31_536_000  # seconds
STOP_ASKING = 286  # what htmx takes for: show this, and ask no more


async def asset(visit: Visit) -> Response:
    found = assets.ASSETS.get(visit.path("name"))
    if found is None or visit.path("hash") != assets.HASH:
        raise NotFound("There is no such file; load the page again.")
    headers = {"Cache-Control": f"public, max-age={_YEAR}, immutable", "Vary": "Accept-Encoding", **page.HEADERS}
    if "gzip" in visit.request.headers.get("accept-encoding", ""):
        return Response(found.packed, headers={**headers, "Content-Encoding": "gzip"}, media_type=found.media_type)
    return Response(found.body, headers=headers, media_type=found.media_type)


PAGES: tuple[Page, ...] = (
    *sign_in.PAGES,
    *home.PAGES,
    *talk.PAGES,
    *calling.PAGES,
    *conversations.PAGES,
    *review.PAGES,
    *agent.PAGES,
    *version.PAGES,
    *operations.PAGES,
    *ab_tests.PAGES,
    Page(method="GET", path=assets.PATH, handler=asset, authentication="none"),
)


def routes(services: Services, setting: Setting) -> Sequence[BaseRoute]:
    found: list[BaseRoute] = []
    for path in dict.fromkeys(item.path for item in PAGES):
        methods = {item.method: item for item in PAGES if item.path == path}
        found.append(Route(path, _endpoint(services, setting, methods), methods=_ANY))
    for path in ("/", f"{home.PATH}/"):
        found.append(Route(path, _moved(home.PATH), methods=["GET"]))
    found.append(Route("/call", _moved(calling.PATH), methods=["GET"]))  # where calls were made before the console
    found.append(Route("/console/{rest:path}", _endpoint(services, setting, {}), methods=_ANY))
    return found


def _moved(to: str) -> Endpoint:
    async def moved(request: Request) -> Response:
        return page.redirect(f"{to}?{request.url.query}" if request.url.query else to)

    return moved


def _endpoint(services: Services, setting: Setting, methods: Mapping[Any, Page]) -> Endpoint:
    async def endpoint(request: Request) -> Response:
        visit = Visit(
            request=request,
            services=services,
            setting=setting,
            principal=_NOBODY,
            token=sign_in.kept(request, sign_in.VISITOR),
            form={},
        )
        try:
            try:
                found = methods.get("GET" if request.method == "HEAD" else request.method)
                if found is None or found.authentication == "session":
                    visit = await _signed_in(visit)
                return await _handled(visit, found, methods)
            except VivavoceError as error:
                return await _problem(visit, error)
        except ClientDisconnect:
            return Response(status_code=499)
        except Exception as error:  # the last line: whatever it is, the visitor gets a page
            log.error("a page failed: error=%s", type(error).__name__, exc_info=error)
            message = "Something went wrong on the server; its log has the details."
            return await _shown(visit, 500, message, "INTERNAL_ERROR")

    return endpoint


async def _handled(visit: Visit, found: Page | None, methods: Mapping[Any, Page]) -> Response:
    if found is None and methods:
        response = await _shown(
            visit, 405, f"This page takes {', '.join(methods)}, not {visit.request.method}.", "METHOD_NOT_ALLOWED"
        )
        response.headers["Allow"] = ", ".join(methods)
        return response
    if found is None:
        raise NotFound("There is no page at this address.")
    if found.method == "POST":
        visit = await _posted(visit)
    if found.permission is not None:
        require(visit.principal, found.permission)
    return await found.handler(visit)


class ForgedRequest(Forbidden):
    code = "FORGED_REQUEST"


async def _signed_in(visit: Visit) -> Visit:
    token = sign_in.kept(visit.request, sign_in.SESSION)
    principal = await visit.services.sessions.principal(token)
    is_hiding = "pii" in principal.permissions and sign_in.kept(visit.request, sign_in.HIDING) == "1"
    if is_hiding:
        principal = replace(principal, permissions=principal.permissions - {"pii"})
    return replace(visit, principal=principal, token=token, is_hiding=is_hiding)


async def _posted(visit: Visit) -> Visit:
    """With its form; refused when it does not come from a page of this session."""
    request = visit.request
    if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        raise ForgedRequest("The request comes from another site.")
    origin = request.headers.get("origin")
    own = {request.headers.get("host", ""), urlsplit(visit.setting.public_url or "").netloc} - {""}
    if origin and origin.partition("://")[2] not in own:
        raise ForgedRequest(
            "The request comes from another site. Behind a proxy, set VIVAVOCE_PUBLIC_URL to the address that browsers see."
        )
    raw = await body.read(request.stream(), most=MAX_FORM_BYTES, declared=request.headers.get("content-length", ""))
    try:
        form = parse_qs(raw.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=MAX_FIELDS)
    except ValueError:
        raise Invalid(f"The form has more than {MAX_FIELDS} fields.") from None
    given = request.headers.get("x-csrf-token") or (form.get("csrf") or [""])[0]
    if not visit.token or not hmac.compare_digest(given.encode(), csrf_token(visit.token).encode()):
        raise ForgedRequest("The form is not of this session; load the page again, then send it once more.")
    return replace(visit, form=form)


async def _problem(visit: Visit, error: VivavoceError) -> Response:
    request = visit.request
    if isinstance(error, Unauthenticated) and not _wants_json(request):
        where = sign_in.address(request)
        response = (
            Response(status_code=204, headers={"HX-Redirect": where}) if visit.is_fragment else page.redirect(where)
        )
        if sign_in.kept(request, sign_in.SESSION):  # which stands for nobody any more; a link from elsewhere has none
            sign_in.drop(request, response, sign_in.SESSION)
        return response
    # A part that asks for itself again and again is told to stop, and shows why.
    is_asked_again = visit.is_fragment and request.method == "GET" and error.status < 500
    return await _shown(visit, STOP_ASKING if is_asked_again else error.status, error.message, error.code)


def _wants_json(request: Request) -> bool:
    return "application/json" in request.headers.get("accept", "")


async def _shown(visit: Visit, status: int, message: str, code: str) -> Response:
    if _wants_json(visit.request):
        return JSONResponse({"error": message, "code": code}, status, {"Cache-Control": "no-store", **page.HEADERS})
    told: dict[str, Any] = {"status": status, "message": message, "code": code}
    if visit.is_fragment:
        return page.render(visit, "problem_part.html", **told)
    # Whoever is not known is shown no agents; and what failed may fail again.
    if visit.principal is _NOBODY or status >= 500:
        return page.render(visit, "problem.html", **told)
    return await page.show(visit, "problem.html", "", **told)
