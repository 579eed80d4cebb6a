"""Who works at what, and what processes tell each other: by the engine that knows how."""

from __future__ import annotations

import secrets
from collections.abc import Callable

from vivavoce.store.interface import Claim
from vivavoce.store.tables.places import Placed


class Claiming(Placed):
    """A token says whose turn a claim is from: one that is taken over has another."""

    async def live(self, holder: str, seconds: float) -> None:
        await self._engine.claims.live(holder, seconds)

    async def leave(self, holder: str) -> None:
        await self._engine.claims.leave(holder)

    async def claim(self, holder: str, *name: str) -> Claim | None:
        key, token = self._keyring.name("claim", *name), secrets.randbits(62) | 1
        before = await self._engine.claims.take(key, holder, token)
        if before is None:
            return None
        return Claim(name=key, token=token, is_continued=before == holder)

    async def tell(self, news: str) -> None:
        await self._engine.news.tell(news)

    async def listen(self, heard: Callable[[str | None], None]) -> None:
        await self._engine.news.listen(heard)

    async def keep(self, holder: str, claim: Claim) -> None:
        await self._engine.claims.keep(claim.name, holder, claim.token)

    async def release(self, claim: Claim) -> None:
        await self._engine.claims.release(claim.name, claim.token)
