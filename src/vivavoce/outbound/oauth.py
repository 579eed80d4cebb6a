"""Access tokens for client credentials (RFC 6749, 4.4): fetched once, kept until shortly before they expire."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from time import monotonic
from typing import Any
from urllib.parse import urlencode

import msgspec

from vivavoce.outbound.interface import Outbound, OutboundError, Request

EARLY_SECONDS = 30.0
DEFAULT_LIFETIME_SECONDS = 300.0
_Key = tuple[str, str, str, str]


class Tokens:
    def __init__(self, outbound: Outbound) -> None:
        self._outbound = outbound
        self._kept: dict[_Key, tuple[str, float]] = {}
        self._locks: dict[_Key, asyncio.Lock] = {}

    async def token(self, credentials: dict[str, Any]) -> str:
        """`credentials`: token_url, client_id, client_secret and perhaps scope."""
        key = _key(credentials)
        url, client, scope, _ = key
        async with self._locks.setdefault(key, asyncio.Lock()):
            kept = self._kept.get(key)
            if kept is not None and kept[1] > monotonic():
                return kept[0]
            token, lifetime = await self._fetch(url, client, str(credentials.get("client_secret") or ""), scope)
            self._kept[key] = (token, monotonic() + lifetime - EARLY_SECONDS)
            return token

    def forget(self, credentials: dict[str, Any]) -> None:
        """After a 401: the next call fetches a new one."""
        self._kept.pop(_key(credentials), None)

    async def _fetch(self, url: str, client: str, secret: str, scope: str) -> tuple[str, float]:
        basic = base64.b64encode(f"{client}:{secret}".encode()).decode()
        fields = {"grant_type": "client_credentials", **({"scope": scope} if scope else {})}
        response = await self._outbound.send(
            Request(
                method="POST",
                url=url,
                headers={
                    "authorization": f"Basic {basic}",
                    "content-type": "application/x-www-form-urlencoded",
                    "accept": "application/json",
                },
                body=urlencode(fields).encode(),
            )
        )
        try:
            answer = msgspec.json.decode(response.body)
            token = answer["access_token"]
            lifetime = float(answer.get("expires_in") or DEFAULT_LIFETIME_SECONDS)
        except (msgspec.DecodeError, KeyError, TypeError, ValueError, AttributeError):
            raise OutboundError(
                f"The token server answered with status {response.status} and no access token."
            ) from None
        if response.status >= 400 or not isinstance(token, str):
            raise OutboundError(f"The token server answered with status {response.status} and no access token.")
        return token, max(lifetime, EARLY_SECONDS)


def _key(credentials: dict[str, Any]) -> _Key:
    """The secret among it, as a hash: whoever has another one gets no token of somebody else's."""
    return (
        str(credentials.get("token_url") or ""),
        str(credentials.get("client_id") or ""),
        str(credentials.get("scope") or ""),
        hashlib.sha256(str(credentials.get("client_secret") or "").encode()).hexdigest(),
    )
