"""Somebody at the console: signed in with a key, keeping cookies, sending forms with their token."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

import aiohttp

from tests.support.http import KEY, Api

TOKEN = re.compile(r'name="csrf" value="(\w+)"')


class Visitor:
    def __init__(self, http: Api, session: aiohttp.ClientSession) -> None:
        self.http = http
        self.session = session

    async def __aenter__(self) -> Visitor:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.session.close()

    async def get(
        self, path: str, *, headers: Mapping[str, str] | None = None, redirects: bool = True
    ) -> tuple[int, str, Any]:
        async with self.session.get(self.http.url + path, headers=headers, allow_redirects=redirects) as reply:
            return reply.status, (await reply.read()).decode("utf-8", "replace"), reply.headers

    async def post(
        self,
        path: str,
        fields: Mapping[str, Any] | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        csrf: str | None = None,
    ) -> tuple[int, str, Any]:
        """The form with the token of the session, unless another is given; redirects are followed."""
        token = csrf if csrf is not None else await self.token()
        raw = urlencode({"csrf": token, **(fields or {})}, doseq=True)
        sent = {"Content-Type": "application/x-www-form-urlencoded", **(headers or {})}
        async with self.session.post(self.http.url + path, data=raw, headers=sent) as reply:
            return reply.status, (await reply.read()).decode("utf-8", "replace"), reply.headers

    @property
    def session_cookie(self) -> tuple[str, str]:
        """(its name, what it holds)."""
        return next((c.key, c.value) for c in self.session.cookie_jar if c.key.startswith("vivavoce_session"))

    async def token(self) -> str:
        found = TOKEN.search((await self.get("/console"))[1])
        return found[1] if found else ""

    async def say(self, path: str, fields: Mapping[str, Any]) -> list[dict[str, Any]]:
        """What a talk tells, line by line."""
        status, body, _ = await self.post(path, fields, headers={"Accept": "application/json"})
        assert status == 200, (status, body)
        return [json.loads(line) for line in body.splitlines()]


def stranger(http: Api) -> Visitor:
    return Visitor(http, aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)))


async def visitor(http: Api, key: str = KEY) -> Visitor:
    found = stranger(http)
    _, page, _ = await found.get("/console/sign-in")
    token = TOKEN.search(page)
    assert token is not None
    status, body, _ = await found.post("/console/sign-in", {"key": key, "next": ""}, csrf=token[1])
    assert status == 200, body
    return found
