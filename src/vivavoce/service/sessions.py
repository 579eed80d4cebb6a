"""Who is signed in at the console: an API key was shown once, and a random token stands for it until it expires."""

from __future__ import annotations

import hashlib
import secrets
from datetime import timedelta

from vivavoce.domain.clock import Clock
from vivavoce.domain.fact import Fact
from vivavoce.domain.principal import Principal
from vivavoce.errors import Unauthenticated
from vivavoce.service.keys import Keys, digest
from vivavoce.store.interface import Store

FACT = "session"  # kind of fact; it belongs to no agent
LIFETIME = timedelta(hours=12)


class SessionExpired(Unauthenticated):
    code = "SESSION_EXPIRED"


class Sessions:
    """Kept in the store, so that any process knows them and signing out ends them; as hashes, so that the store gives none away."""

    def __init__(self, store: Store, clock: Clock, keys: Keys) -> None:
        self._store = store
        self._clock = clock
        self._keys = keys

    async def begin(self, key: str) -> str:
        """The token. Raises Unauthenticated when the key is not valid."""
        self._keys.authenticate(key)
        token = secrets.token_urlsafe(32)
        now = self._clock.now()
        body = {"key": digest(key)}
        await self._store.put_fact(
            Fact(
                account_id="",
                agent_id="",
                kind=FACT,
                key=digest(token),
                body=body,
                at=now,
                expires_at=now + LIFETIME,
            )
        )
        return token

    async def principal(self, token: str) -> Principal:
        """Whom a token stands for, with the rights that its key has now. Raises SessionExpired."""
        fact = await self._store.get_fact("", "", FACT, digest(token), self._clock.now())
        if fact is None:
            raise SessionExpired("You are not signed in, or no longer; sign in again.")
        try:
            return self._keys.of_digest(fact.body["key"])
        except Unauthenticated as error:
            raise SessionExpired(f"{error.message} Sign in with another key.") from None

    async def end(self, token: str) -> None:
        await self._store.remove_fact("", "", FACT, digest(token))


def csrf_token(token: str) -> str:
    """Proves that a form came from a page of this session: other sites can make a browser send the cookie, but not read it."""
    return hashlib.sha256(b"csrf\0" + token.encode()).hexdigest()
