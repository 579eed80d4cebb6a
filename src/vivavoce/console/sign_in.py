"""Signing in with an API key, and out again."""

from __future__ import annotations

import secrets
from urllib.parse import urlencode

from msgspec.structs import replace
from starlette.requests import Request
from starlette.responses import Response

from vivavoce.console import page
from vivavoce.console.home import PATH as HOME
from vivavoce.console.visit import Page, Visit
from vivavoce.errors import Unauthenticated
from vivavoce.service.sessions import LIFETIME

PATH = "/console/sign-in"
SESSION = "session"  # kinds of cookies
VISITOR = "visitor"  # stands for a session against forgery, until there is one
HIDING = "hiding"  # whoever may see personal data wants to see what others see


def cookie(request: Request, kind: str) -> str:
    """Its name: cookies know no ports, and two servers on one machine should not sign each other's visitors out."""
    return f"vivavoce_{kind}" + (f"_{request.url.port}" if request.url.port else "")


def kept(request: Request, kind: str) -> str:
    """What a cookie holds; "" when there is none."""
    return request.cookies.get(cookie(request, kind), "")


def drop(request: Request, response: Response, kind: str) -> None:
    response.delete_cookie(cookie(request, kind), path=HOME)


def address(request: Request) -> str:
    """Where to sign in, and then go on: to the page, not to the part of it or the form that was asked for."""
    asked = request.headers.get("hx-current-url") or (
        str(request.url) if request.method in ("GET", "HEAD") else request.headers.get("referer", "")
    )
    wanted = _own("/" + asked.partition("://")[2].partition("/")[2].partition("#")[0])
    return PATH if wanted in ("", HOME, PATH) else f"{PATH}?{urlencode({'next': wanted})}"


async def show(visit: Visit) -> Response:
    return _form(visit, next=visit.request.query_params.get("next", ""))


def _form(visit: Visit, *, next: str, problem: str = "", status: int = 200) -> Response:
    token = kept(visit.request, VISITOR) or secrets.token_urlsafe(24)
    visit = replace(visit, token=token)
    response = page.render(visit, "sign_in.html", status=status, next=_own(next), problem=problem)
    _set(visit, response, VISITOR, token)
    return response


async def enter(visit: Visit) -> Response:
    try:
        token = await visit.services.sessions.begin(visit.field("key").strip())
        await visit.services.sessions.end(kept(visit.request, SESSION))  # the one before
    except Unauthenticated as error:
        problem = error.message if visit.field("key").strip() else "Enter an API key."
        return _form(visit, next=visit.field("next"), problem=problem, status=401)
    response = page.redirect(_own(visit.field("next")) or HOME)
    _set(visit, response, SESSION, token, seconds=int(LIFETIME.total_seconds()))
    drop(visit.request, response, VISITOR)
    return response


async def session(visit: Visit) -> Response:
    """That there is one: asked by the page's own script, whose request has the cookie where a link from elsewhere had not."""
    return Response(status_code=204, headers={"Cache-Control": "no-store"})


async def hide(visit: Visit) -> Response:
    """Shows what others see, or all again."""
    response = page.redirect(_own(visit.field("next")) or HOME)
    if visit.field("hide") == "1":
        _set(visit, response, HIDING, "1")
    else:
        drop(visit.request, response, HIDING)
    return response


async def leave(visit: Visit) -> Response:
    await visit.services.sessions.end(visit.token)
    response = page.redirect(PATH)
    drop(visit.request, response, SESSION)
    drop(visit.request, response, HIDING)
    response.headers["Clear-Site-Data"] = '"cache"'
    return response


def _own(address: str) -> str:
    """An address within the console, or nothing: signing in does not lead elsewhere."""
    is_own = address == HOME or address.startswith((HOME + "/", HOME + "?"))
    return address if is_own and "\\" not in address and address.isascii() and address.isprintable() else ""


def _set(visit: Visit, response: Response, kind: str, value: str, *, seconds: int | None = None) -> None:
    response.set_cookie(
        cookie(visit.request, kind),
        value,
        max_age=seconds,
        path=HOME,
        secure=_is_secure(visit),
        httponly=True,
        samesite="strict",
    )


def _is_secure(visit: Visit) -> bool:
    """Behind a proxy the request itself does not tell: the address under which the server is reached does."""
    public = visit.setting.public_url or ""
    host = public.partition("://")[2].partition("/")[0]
    return visit.request.url.scheme == "https" or (
        public.startswith("https://") and visit.request.headers.get("host") == host
    )


PAGES = (
    Page(method="GET", path=PATH, handler=show, authentication="none"),
    Page(method="POST", path=PATH, handler=enter, authentication="none"),
    Page(method="GET", path="/console/session", handler=session),
    Page(method="POST", path="/console/hiding", handler=hide),
    Page(method="POST", path="/console/sign-out", handler=leave),
)
