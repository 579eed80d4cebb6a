"""HTTP with every address checked when it is connected to, so that a name cannot mean one thing first and another then."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from time import perf_counter
from urllib.parse import urljoin, urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from vivavoce.outbound.interface import OutboundError, Refused, Request, Response, TimedOut, Unreachable

MAX_REDIRECTS = 5
MAX_BODY_BYTES = 4 << 20
_WITH_IPV4 = (
    ipaddress.IPv6Network("64:ff9b::/96"),
    ipaddress.IPv6Network("64:ff9b:1::/48"),
    ipaddress.IPv6Network("::ffff:0:0:0/96"),
    ipaddress.IPv6Network("::/96"),
)
_HEADERS_FOR_ANYBODY = ("accept", "accept-language", "user-agent")


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
            target_url = self._checked(url)
            async with self._opened().request(
                method, target_url, params=params or None, data=body, headers=headers, allow_redirects=False
            ) as reply:
                target = reply.headers.get("location")
                if reply.status not in (301, 302, 303, 307, 308) or not target:
                    return Response(
                        status=reply.status,
                        reason=_clean(reply.reason or ""),
                        headers={_clean(k): _clean(v) for k, v in reply.headers.items()},
                        body=await _body(reply),
                        url=str(reply.url),
                        seconds=perf_counter() - began,
                    )
                next_url = urljoin(str(reply.url), target)
                if reply.status == 303 or (reply.status in (301, 302) and method == "POST"):
                    method, body = "GET", None
            if urlsplit(next_url)[:2] != urlsplit(url)[:2]:  # what was meant for one host is not told to another
                if method not in ("GET", "HEAD"):
                    raise OutboundError(
                        f"{_host(url)} redirected what was sent to it to another host; it was not sent on."
                    )
                headers = {k: v for k, v in headers.items() if k.lower() in _HEADERS_FOR_ANYBODY}
            url, params = next_url, {}
        raise OutboundError(f"{_host(request.url)} redirected more than {MAX_REDIRECTS} times.")

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector = aiohttp.TCPConnector(resolver=_Resolver(self._allowed), limit=128)
            self._session = aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())
        return self._session

    def _checked(self, url: str) -> URL:
        """The address as it will be called: what it looks like before its host is normalised proves nothing."""
        try:
            found = URL(url)
            host = found.raw_host or ""
        except ValueError as error:
            raise Refused("That is no address that could be called.") from error
        if found.scheme not in ("http", "https") or not host:
            raise Refused("Only http and https addresses can be called.")
        try:
            ipaddress.ip_address(host.split("%")[0])
        except ValueError:
            return found  # a name: looked at when it is resolved
        if not is_public(host) and not _is_allowed(host, self._allowed):
            raise Refused(_refusal(host))
        return found

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            await asyncio.sleep(0)
            self._session = None


def is_public(address: str) -> bool:
    """True for an address of the open internet; loopback, private, link-local, shared and reserved ones are not."""
    found = ipaddress.ip_address(address.split("%")[0])
    if isinstance(found, ipaddress.IPv6Address):
        inner = found.ipv4_mapped or found.sixtofour or _embedded(found)
        if inner is not None:
            return inner.is_global and not inner.is_multicast
    return found.is_global and not found.is_multicast and not getattr(found, "is_site_local", False)


def _embedded(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address that a translator or a compatible host would take it for."""
    for network in _WITH_IPV4:
        if address in network:
            return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return None


def _clean(text: str) -> str:
    """Bytes that are no text arrive as lone surrogates; nobody could write them again."""
    return text.encode("utf-8", "replace").decode()


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
