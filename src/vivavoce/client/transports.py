"""The two ways in which requests are sent: blocking over urllib3, and on an event loop over aiohttp.

Both try again what may be sent twice, when the server says that it is busy or the connection fails before an answer.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, TypeVar

import aiohttp
import urllib3
from msgspec.structs import replace

from vivavoce.client.errors import ApiError, ClientError, ConnectionFailed, error_of
from vivavoce.client.operation import Request

T = TypeVar("T")

ATTEMPTS = 3
FIRST_WAIT_SECONDS = 0.5
LONGEST_WAIT_SECONDS = 30.0
CONNECT_SECONDS = 10.0
CHUNK_BYTES = 1 << 16


class BlockingTransport:
    def __init__(self, url: str, headers: dict[str, str], *, timeout: float, attempts: int) -> None:
        self._url, self._headers, self._attempts = url.rstrip("/"), headers, attempts
        self._pool = urllib3.PoolManager(timeout=urllib3.Timeout(connect=CONNECT_SECONDS, read=timeout), retries=False)

    def close(self) -> None:
        self._pool.clear()

    def send(self, request: Request, read: Callable[[bytes], T]) -> T:
        request = keyed(request)
        for attempt in range(1, self._attempts + 1):
            try:
                with self._opened(request) as answer:
                    return read(answer.data)
            except ClientError as error:
                wait = pause(request, error, attempt, self._attempts)
                if wait is None:
                    raise
                time.sleep(wait)
        raise AssertionError("the last attempt returns or raises")

    def stream(self, request: Request, read: Callable[[bytes], T] | None) -> Iterator[Any]:
        with self._opened(request) as answer:
            try:
                if read is None:
                    yield from answer.stream(CHUNK_BYTES)
                    return
                rest = b""
                for chunk in answer.stream(CHUNK_BYTES):
                    whole, rest = _split(rest + chunk)
                    yield from map(read, whole)
                if rest:
                    yield read(rest)
            except urllib3.exceptions.HTTPError as error:
                raise ConnectionFailed(f"The answer broke off: {type(error).__name__}.") from error

    @contextmanager
    def _opened(self, request: Request) -> Iterator[urllib3.BaseHTTPResponse]:
        try:
            answer = self._pool.request(
                request.method,
                self._url + request.target,
                body=request.body,
                headers={**self._headers, **request.headers},
                preload_content=False,
                redirect=False,
            )
        except urllib3.exceptions.HTTPError as error:
            raise ConnectionFailed(f"{self._url} does not answer: {type(error).__name__}.") from error
        try:
            if answer.status >= 300:
                raise error_of(answer.status, {k.lower(): v for k, v in answer.headers.items()}, answer.data)
            yield answer
        except urllib3.exceptions.HTTPError as error:
            raise ConnectionFailed(f"The answer broke off: {type(error).__name__}.") from error
        finally:
            answer.drain_conn() if answer.length_remaining == 0 else answer.close()
            answer.release_conn()


class AwaitingTransport:
    def __init__(self, url: str, headers: dict[str, str], *, timeout: float, attempts: int) -> None:
        self._url, self._headers, self._attempts = url.rstrip("/"), headers, attempts
        self._timeout = aiohttp.ClientTimeout(total=None, connect=CONNECT_SECONDS, sock_read=timeout)
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def send(self, request: Request, read: Callable[[bytes], T]) -> T:
        request = keyed(request)
        for attempt in range(1, self._attempts + 1):
            try:
                async with self._opened(request) as answer:
                    return read(await answer.read())
            except ClientError as error:
                wait = pause(request, error, attempt, self._attempts)
                if wait is None:
                    raise
                await asyncio.sleep(wait)
        raise AssertionError("the last attempt returns or raises")

    async def stream(self, request: Request, read: Callable[[bytes], T] | None) -> AsyncIterator[Any]:
        async with self._opened(request) as answer:
            rest = b""
            async for chunk in answer.content.iter_chunked(CHUNK_BYTES):
                if read is None:
                    yield chunk
                    continue
                whole, rest = _split(rest + chunk)
                for line in whole:
                    yield read(line)
            if rest and read is not None:
                yield read(rest)

    @asynccontextmanager
    async def _opened(self, request: Request) -> AsyncIterator[aiohttp.ClientResponse]:
        if self._session is None:  # made on the loop that it will be used on
            self._session = aiohttp.ClientSession(timeout=self._timeout)
        try:
            async with self._session.request(
                request.method,
                self._url + request.target,
                data=request.body,
                headers={**self._headers, **request.headers},
                allow_redirects=False,
            ) as answer:
                if answer.status >= 300:
                    headers = {k.lower(): v for k, v in answer.headers.items()}
                    raise error_of(answer.status, headers, await answer.read())
                yield answer
        except (aiohttp.ClientError, TimeoutError) as error:
            raise ConnectionFailed(f"{self._url} does not answer: {type(error).__name__}.") from error


def keyed(request: Request) -> Request:
    """With an Idempotency-Key of its own, where one makes it safe to send it again."""
    if not request.takes_key:
        return request
    headers = {"Idempotency-Key": secrets.token_hex(16), **request.headers}
    return replace(request, headers=headers, is_repeatable=True)


def pause(request: Request, error: ClientError, attempt: int, attempts: int) -> float | None:
    """Seconds to wait before the next attempt; None when there is none."""
    if attempt >= attempts or not error.retryable or not request.is_repeatable:
        return None
    asked = error.retry_after if isinstance(error, ApiError) else None
    wait = asked if asked is not None else FIRST_WAIT_SECONDS * 2 ** (attempt - 1)
    return min(wait, LONGEST_WAIT_SECONDS)


def _split(text: bytes) -> tuple[list[bytes], bytes]:
    """(whole lines, the rest)."""
    *whole, rest = text.split(b"\n")
    return [line for line in whole if line], rest
