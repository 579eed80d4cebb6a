"""Where a command's work is done: in the running server that owns the data folder, or here when nobody does."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import msgspec

from vivavoce.cli.server import OwnerLock, address_of_owner
from vivavoce.errors import Unavailable, UsageError, VivavoceError
from vivavoce.settings import Settings
from vivavoce.wiring import Running, running


@contextlib.asynccontextmanager
async def owned(settings: Settings, folders: tuple[Path, ...] = ()) -> AsyncIterator[Running]:
    """Opens the data folder for one command. Raises UsageError when a server has it."""
    lock = OwnerLock(settings.data)
    lock.take("")
    try:
        async with running(settings, folders=folders) as started:
            yield started
    finally:
        lock.give_back()


def server_of(settings: Settings) -> str | None:
    return address_of_owner(settings.data)


class Remote:
    """The HTTP API, as a command uses it."""

    def __init__(self, url: str, key: str) -> None:
        self._url = url.rstrip("/")
        self._key = key
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Remote:
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=120))
        return self

    async def __aexit__(self, *error: object) -> None:
        if self._session is not None:
            await self._session.close()
            await asyncio.sleep(0)

    async def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        return await self.call("POST", path, body)

    async def call(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        async with self._asked(method, path, body) as reply:
            raw = await reply.read()
            return self._decoded(raw, reply.status)

    async def fetch(self, path: str) -> bytes:
        """A body as it is."""
        async with self._asked("GET", path) as reply:
            raw = await reply.read()
            if reply.status >= 400:
                self._decoded(raw, reply.status)
            return raw

    async def lines(self, path: str) -> AsyncIterator[str]:
        """A body of lines, one after another."""
        async with self._asked("GET", path, accept="application/x-ndjson") as reply:
            if reply.status >= 400:
                self._decoded(await reply.read(), reply.status)
            async for line in reply.content:
                yield line.decode().rstrip("\n")

    @contextlib.asynccontextmanager
    async def _asked(
        self, method: str, path: str, body: Any = None, accept: str = "application/json"
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        assert self._session is not None
        headers = {"X-API-KEY": self._key, "content-type": "application/json", "accept": accept}
        data = msgspec.json.encode(body) if body is not None else None
        try:
            async with self._session.request(method, self._url + path, data=data, headers=headers) as reply:
                yield reply
        except (aiohttp.ClientError, TimeoutError) as error:
            raise Unavailable(
                f"{self._url} cannot be reached ({type(error).__name__}); is the server running?"
            ) from error

    def _decoded(self, raw: bytes, status: int) -> dict[str, Any]:
        if not raw and status < 400:
            return {}
        try:
            found = msgspec.json.decode(raw)
        except msgspec.DecodeError:
            raise VivavoceError(
                f"{self._url} answered with something that is not JSON (status {status}); is it vivavoce?"
            ) from None
        if status >= 400:
            raise UsageError(str(found.get("error") or f"status {status}"))
        return dict(found)


def stored_key(settings: Settings) -> str:
    """The operator's key of this data folder, or the one that the environment gives."""
    path = settings.data / "api-key"
    return settings.api_key or (path.read_text("utf-8").strip() if path.is_file() else "")
