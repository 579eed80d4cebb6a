"""A request that was let in to the console: who asks, of which services, with what."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Literal, TypeAlias
from zoneinfo import ZoneInfo

from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from vivavoce.domain.principal import Permission, Principal
from vivavoce.errors import Invalid
from vivavoce.service.services import Services

Authentication: TypeAlias = Literal["session", "none"]


class Setting(Struct, frozen=True, kw_only=True):
    """What the console is told of where it runs."""

    zone: ZoneInfo  # in which times are shown
    public_url: str | None = None


class Visit(Struct, frozen=True, kw_only=True):
    """`token` is the session's, or whatever stands for a visitor who is not signed in; `form` is what was posted.

    `is_hiding`: somebody with the right to personal data wants to see what others see; the principal has that right no more.
    """

    request: Request
    services: Services
    setting: Setting
    principal: Principal
    token: str
    form: Mapping[str, list[str]]
    is_hiding: bool = False

    def path(self, name: str) -> str:
        return str(self.request.path_params[name])

    @property
    def agent_id(self) -> str:
        return self.path("agentId")

    def field(self, name: str) -> str:
        """A field of the form; "" when it is not there."""
        return (self.form.get(name) or [""])[0]

    def may(self, permission: Permission) -> bool:
        return permission in self.principal.permissions

    @property
    def address(self) -> str:
        """Of the page, within the console."""
        url = self.request.url
        return url.path + (f"?{url.query}" if url.query else "")

    @property
    def is_fragment(self) -> bool:
        """A script of the page asks for a part of it."""
        return self.request.headers.get("hx-request") == "true"

    @property
    def cookies(self) -> Mapping[str, str]:
        return self.request.cookies


def number(name: str, text: str) -> int:
    """A small whole number, such as a turn's."""
    if not (text.isascii() and text.isdecimal() and len(text) <= 6):
        raise Invalid(f"{name} is {text[:20]!r}; it should be a whole number.")
    return int(text)


Handler: TypeAlias = Callable[[Visit], Awaitable[Response]]


class Page(Struct, frozen=True, kw_only=True):
    """A route of the console as data. Everything but reading is posted, with the session's token against forgery."""

    method: Literal["GET", "POST"]
    path: str
    handler: Handler
    permission: Permission | None = None
    authentication: Authentication = "session"
