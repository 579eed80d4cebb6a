"""Templates to pages: everything that is put into one is escaped, and every page carries the headers that keep it to itself."""

from __future__ import annotations

from typing import Any

import jinja2
from starlette.responses import Response

from vivavoce import __version__
from vivavoce.console import assets, showing
from vivavoce.console.visit import Visit
from vivavoce.service.sessions import csrf_token

CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'{nonce}; img-src 'self' data:; font-src 'self'; media-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "microphone=(self), camera=(), geolocation=()",
}
THEMES = ("auto", "light", "dark")

_templates = jinja2.Environment(
    loader=jinja2.PackageLoader("vivavoce.console"),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    auto_reload=False,
)
_templates.filters.update(showing.FILTERS)
_templates.globals.update(asset=assets.url, version=__version__)


def render(
    visit: Visit, template: str, *, status: int = 200, headers: dict[str, str] | None = None, **values: Any
) -> Response:
    return html(text(visit, template, **values), status=status, headers=headers, nonce=values.get("nonce", ""))


async def show(visit: Visit, template: str, active: str, *, agent_id: str | None = None, **values: Any) -> Response:
    """A whole page in its frame: `active` is its place in the navigation."""
    if agent_id is not None:
        values["agent_id"] = agent_id
    if "agents" not in values:
        values["agents"] = await visit.services.deployments.agents(visit.principal)
    return render(visit, template, active=active, **values)


def html(body: str, *, status: int = 200, headers: dict[str, str] | None = None, nonce: str = "") -> Response:
    """What was rendered, as it is sent. `nonce` lets in the style elements that carry it."""
    csp = CSP.format(nonce=f" 'nonce-{nonce}'" if nonce else "")
    sent = {"Content-Security-Policy": csp, "Cache-Control": "no-store", **HEADERS, **(headers or {})}
    return Response(body, status, sent, media_type="text/html; charset=utf-8")


def text(visit: Visit, template: str, **values: Any) -> str:
    theme = visit.cookies.get("vivavoce_theme", "auto")
    return _templates.get_template(template).render(
        visit=visit,
        principal=visit.principal,
        csrf=csrf_token(visit.token),
        theme=theme if theme in THEMES else "auto",
        zone=visit.setting.zone,
        **values,
    )


def redirect(address: str) -> Response:
    """After something was posted: the browser asks for a page, so that loading it again posts nothing."""
    return Response(status_code=303, headers={"Location": address, "Cache-Control": "no-store"})
