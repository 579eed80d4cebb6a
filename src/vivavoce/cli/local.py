"""Where a command's work is done: in the running server that owns the data folder, or here when nobody does."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import msgspec

from vivavoce.cli.server import OwnerLock, address_of_owner
from vivavoce.client.errors import ApiError, ConnectionFailed
from vivavoce.client.operation import Request
from vivavoce.client.transports import AwaitingTransport
from vivavoce.errors import Unavailable, UsageError
from vivavoce.settings import Settings
from vivavoce.wiring import Running, running

SILENCE_SECONDS = 120.0  # of a server, before it counts as gone


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
    """The HTTP API, as a command uses it: refusals become one sentence."""

    def __init__(self, url: str, key: str) -> None:
        self._transport = AwaitingTransport(url, {"X-API-KEY": key}, timeout=SILENCE_SECONDS, attempts=1)

    async def __aenter__(self) -> Remote:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._transport.close()
        await asyncio.sleep(0)

    async def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        return await self.call("POST", path, body)

    async def call(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        with _refusals():
            return await self._transport.send(_request(method, path, body), _object)

    async def fetch(self, path: str) -> bytes:
        """A body as it is."""
        with _refusals():
            return await self._transport.send(_request("GET", path), bytes)

    async def lines(self, path: str) -> AsyncIterator[str]:
        """A body of lines, one after another."""
        with _refusals():
            async for line in self._transport.stream(
                _request("GET", path, accept="application/x-ndjson"), bytes.decode
            ):
                yield line

    async def pieces(self, path: str) -> AsyncIterator[bytes]:
        """A body as it arrives."""
        with _refusals():
            async for piece in self._transport.stream(_request("GET", path, accept="*/*"), None):
                yield piece


def _request(method: str, path: str, body: Any = None, accept: str = "application/json") -> Request:
    return Request(
        method=method,
        target=path,
        headers={"Content-Type": "application/json", "Accept": accept},
        body=msgspec.json.encode(body) if body is not None else None,
        is_repeatable=False,
        takes_key=False,
    )


def _object(body: bytes) -> dict[str, Any]:
    try:
        return dict(msgspec.json.decode(body)) if body else {}
    except (msgspec.DecodeError, TypeError, ValueError):
        raise UsageError("The server answered with something that is not JSON; is it vivavoce?") from None


@contextlib.contextmanager
def _refusals() -> Iterator[None]:
    try:
        yield
    except ApiError as error:
        raise UsageError(str(error)) from None
    except ConnectionFailed as error:
        raise Unavailable(f"{error} Is the server running?") from error


def stored_key(settings: Settings) -> str:
    """The operator's key of this data folder, or the one that the environment gives."""
    path = settings.data / "api-key"
    return settings.api_key or (path.read_text("utf-8").strip() if path.is_file() else "")
