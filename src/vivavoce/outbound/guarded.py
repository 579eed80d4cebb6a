"""HTTP with every address checked when it is connected to, so that a name cannot mean one thing first and another then."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from time import perf_counter
from urllib.parse import urljoin, urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from vivavoce.outbound.interface import OutboundError, Refused, Request, Response, TimedOut, Unreachable

MAX_REDIRECTS = 5
MAX_BODY_BYTES = 4 << 20
_PRIVATE_HEADERS = ("authorization", "proxy-authorization", "cookie", "x-api-key", "api-key")


class _Resolver(AbstractResolver):
    def __init__(self, allowed: frozenset[str]) -> None:
        self._inner = aiohttp.ThreadedResolver()
        self._allowed = allowed

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await self._inner.resolve(host, port, family)
        if not _is_allowed(host, self._allowed) and any(not is_public(entry["host"]) for entry in found):
            raise Refused(_refusal(host))
        return found

    async def close(self) -> None:
        await self._inner.close()


class GuardedHttp:
    """`allowed` are the private hosts that may be reached; `*` is every one."""

    def __init__(self, allowed: tuple[str, ...] = ()) -> None:
        self._allowed = frozenset(host.lower() for host in allowed)
        self._session: aiohttp.ClientSession | None = None

    async def send(self, request: Request) -> Response:
        began = perf_counter()
        try:
            async with asyncio.timeout(request.timeout):
                return await self._follow(request, began)
        except TimeoutError:
            raise TimedOut(f"{_host(request.url)} did not answer within {request.timeout:g} s.") from None
        except OutboundError:
            raise
        except aiohttp.ClientError as error:
            raise Unreachable(f"{_host(request.url)} cannot be reached ({type(error).__name__}).") from error
        except (ValueError, OSError) as error:
            raise Unreachable(f"{_host(request.url)} cannot be reached ({type(error).__name__}).") from error

    async def _follow(self, request: Request, began: float) -> Response:
        method, url, body, headers = request.method, request.url, request.body, dict(request.headers)
        params = request.params
        for _ in range(MAX_REDIRECTS + 1):
            self._check(url)
            async with self._opened().request(
                method, url, params=params or None, data=body, headers=headers, allow_redirects=False
            ) as reply:
                target = reply.headers.get("location")
                if reply.status not in (301, 302, 303, 307, 308) or not target:
                    return Response(
                        status=reply.status,
                        reason=reply.reason or "",
                        headers=dict(reply.headers),
                        body=await _body(reply),
                        url=str(reply.url),
                        seconds=perf_counter() - began,
                    )
                next_url = urljoin(str(reply.url), target)
                if reply.status == 303 or (reply.status in (301, 302) and method == "POST"):
                    method, body = "GET", None
            if urlsplit(next_url)[:2] != urlsplit(url)[:2]:  # what was meant for one host is not told to another
                headers = {k: v for k, v in headers.items() if k.lower() not in _PRIVATE_HEADERS}
            url, params = next_url, {}
        raise OutboundError(f"{_host(request.url)} redirected more than {MAX_REDIRECTS} times.")

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector = aiohttp.TCPConnector(resolver=_Resolver(self._allowed), limit=128)
            self._session = aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())
        return self._session

    def _check(self, url: str) -> None:
        parts = urlsplit(url)
        host = parts.hostname or ""
        if parts.scheme not in ("http", "https") or not host:
            raise Refused("Only http and https addresses can be called.")
        try:
            ipaddress.ip_address(host)
        except ValueError:
            return  # a name: looked at when it is resolved
        if not is_public(host) and not _is_allowed(host, self._allowed):
            raise Refused(_refusal(host))

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            await asyncio.sleep(0)
            self._session = None


def is_public(address: str) -> bool:
    """True for an address of the open internet; loopback, private, link-local, shared and reserved ones are not."""
    found = ipaddress.ip_address(address.split("%")[0])
    mapped = getattr(found, "ipv4_mapped", None)
    return (mapped or found).is_global and not found.is_multicast


def _is_allowed(host: str, allowed: frozenset[str]) -> bool:
    return "*" in allowed or host.lower() in allowed


def _refusal(host: str) -> str:
    return f"{host} is a private address, which is not called; name it in VIVAVOCE_PRIVATE_HOSTS if it is meant to be."


def _host(url: str) -> str:
    return urlsplit(url).hostname or "the address"


async def _body(reply: aiohttp.ClientResponse) -> bytes:
    parts: list[bytes] = []
    size = 0
    async for part in reply.content.iter_any():
        size += len(part)
        if size > MAX_BODY_BYTES:
            raise OutboundError(f"{reply.url.host} answered with more than {MAX_BODY_BYTES >> 20} MiB.")
        parts.append(part)
    return b"".join(parts)
