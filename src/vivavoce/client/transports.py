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

from vivavoce.client.errors import AnswerInvalid, ApiError, ClientError, ConnectionFailed, error_of
from vivavoce.client.operation import Request

T = TypeVar("T")

ATTEMPTS = 3
FIRST_WAIT_SECONDS = 0.5
LONGEST_WAIT_SECONDS = 30.0
CONNECT_SECONDS = 10.0
CHUNK_BYTES = 1 << 16
MOST_BYTES = 256 << 20  # of an answer, or of one line of it


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
                    return read(_read_whole(answer))
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
                lines = _Lines()
                for chunk in answer.stream(CHUNK_BYTES):
                    yield from map(read, lines.whole(chunk))
                yield from map(read, lines.rest())
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
                raise error_of(answer.status, {k.lower(): v for k, v in answer.headers.items()}, _read_whole(answer))
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
                    return read(await _await_whole(answer))
            except ClientError as error:
                wait = pause(request, error, attempt, self._attempts)
                if wait is None:
                    raise
                await asyncio.sleep(wait)
        raise AssertionError("the last attempt returns or raises")

    async def stream(self, request: Request, read: Callable[[bytes], T] | None) -> AsyncIterator[Any]:
        async with self._opened(request) as answer:
            lines = _Lines()
            async for chunk in answer.content.iter_chunked(CHUNK_BYTES):
                if read is None:
                    yield chunk
                    continue
                for line in lines.whole(chunk):
                    yield read(line)
            if read is not None:
                for line in lines.rest():
                    yield read(line)

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
                    raise error_of(answer.status, headers, await _await_whole(answer))
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


class _Lines:
    """Pieces put together to lines, in time that grows with their bytes alone."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._size = 0

    def whole(self, chunk: bytes) -> list[bytes]:
        """The lines that end in this piece."""
        *ended, last = chunk.split(b"\n")
        found = []
        if ended:
            found = [line for line in (b"".join([*self._parts, ended[0]]), *ended[1:]) if line]
            self._parts, self._size = [], 0
        self._parts.append(last)
        self._size += len(last)
        if self._size > MOST_BYTES:
            raise AnswerInvalid(f"A line of the server's answer is longer than {MOST_BYTES >> 20} MiB.")
        return found

    def rest(self) -> list[bytes]:
        """What stands after the last end of a line."""
        line = b"".join(self._parts)
        return [line] if line else []


def _bounded(parts: list[bytes], size: int, chunk: bytes) -> int:
    """The size with one more piece. Raises for an answer that is larger than any of this API."""
    parts.append(chunk)
    if size + len(chunk) > MOST_BYTES:
        raise AnswerInvalid(f"The server's answer is larger than {MOST_BYTES >> 20} MiB.")
    return size + len(chunk)


def _read_whole(answer: urllib3.BaseHTTPResponse) -> bytes:
    parts: list[bytes] = []
    size = 0
    for chunk in answer.stream(CHUNK_BYTES):
        size = _bounded(parts, size, chunk)
    return b"".join(parts)


async def _await_whole(answer: aiohttp.ClientResponse) -> bytes:
    parts: list[bytes] = []
    size = 0
    async for chunk in answer.content.iter_chunked(CHUNK_BYTES):
        size = _bounded(parts, size, chunk)
    return b"".join(parts)
