"""What the HTTP adapters share: one connection pool each, server-sent events, and errors told apart by what helps."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import msgspec

from vivavoce.errors import NOT_JSON
from vivavoce.models.interface import ModelError, ModelRefused, ModelUnavailable

MAX_EVENT_BYTES = 1 << 20
MAX_REPLY_BYTES = 8 << 20
_BUSY = {408, 409, 425, 429, 500, 502, 503, 504, 529}
_encode = msgspec.json.Encoder().encode


class Http:
    """Posts JSON and reads the events of the answer. `timeout` is in seconds: to connect, and between two chunks."""

    def __init__(self, name: str, *, headers: dict[str, str], timeout: float) -> None:
        self._name = name
        self._headers = {"content-type": "application/json", "accept": "text/event-stream", **headers}
        self._timeout = timeout
        self._session: aiohttp.ClientSession | None = None

    async def events(self, url: str, body: Any) -> AsyncIterator[bytes]:
        """The data of each event, until the stream ends or says [DONE]."""
        if self._session is None:
            limits = aiohttp.ClientTimeout(total=self._timeout * 4, sock_connect=self._timeout, sock_read=self._timeout)
            self._session = aiohttp.ClientSession(timeout=limits, connector=aiohttp.TCPConnector(limit=256))
        try:
            async with self._session.post(
                url, data=_encode(body), headers=self._headers, allow_redirects=False
            ) as reply:
                if reply.status != 200:
                    raise await self._refusal(reply)
                if "event-stream" not in reply.content_type:
                    raise ModelUnavailable(
                        f"{self._name} answered with {reply.content_type}, not with a stream of events."
                    )
                async for data in _data(reply.content, self._name):
                    yield data
        except TimeoutError as error:
            raise ModelUnavailable(f"{self._name} did not answer within {self._timeout:g} s.") from error
        except aiohttp.ClientError as error:
            raise ModelUnavailable(f"{self._name} cannot be reached ({type(error).__name__}).") from error

    async def _refusal(self, reply: aiohttp.ClientResponse) -> ModelError:
        """The provider's own words are not passed on: they may repeat the prompt."""
        await reply.read()
        if reply.status in _BUSY:
            wait = reply.headers.get("retry-after", "")
            return ModelUnavailable(
                f"{self._name} answered with status {reply.status}.",
                retry_after=float(wait) if wait.isdigit() else None,
            )
        hints = {
            401: "; check its API key",
            403: "; check its API key",
            404: "; check the model's name and the base URL",
        }
        return ModelRefused(
            f"{self._name} refused the request with status {reply.status}{hints.get(reply.status, '')}."
        )

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            await asyncio.sleep(0)  # lets the transports close
            self._session = None


async def _data(content: aiohttp.StreamReader, name: str) -> AsyncIterator[bytes]:
    buffer = b""
    total = 0
    async for part in content.iter_any():
        total += len(part)
        buffer += part
        if total > MAX_REPLY_BYTES or len(buffer) > MAX_EVENT_BYTES + len(part):
            raise ModelUnavailable(f"{name} answered without end; the answer was cut off.")
        *lines, buffer = buffer.split(b"\n")
        for line in lines:
            if line.startswith(b"data:"):
                data = line[5:].strip()
                if data == b"[DONE]":
                    return
                if data:
                    yield data


def decoded(data: bytes, decode: Any, name: str) -> Any:
    try:
        return decode(data)
    except NOT_JSON as error:
        raise ModelUnavailable(f"{name} answered with something that is not part of its protocol.") from error
