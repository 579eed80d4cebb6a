"""API keys: made once, shown once, kept as hashes."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Sequence

from msgspec.structs import replace

from vivavoce.domain.clock import Clock, Random
from vivavoce.domain.principal import EVERY_PERMISSION, Key, Permission, Principal
from vivavoce.errors import Invalid, NotFound, Unauthenticated
from vivavoce.service.access import require
from vivavoce.store.interface import Store

PREFIX = "vv_"
OPERATOR = Principal(key_id="operator")


def digest(text: str) -> str:
    """Keys are long and random: a plain hash is as good as a slow one, and costs nothing per request."""
    return hashlib.sha256(text.encode()).hexdigest()


class Keys:
    def __init__(self, store: Store, clock: Clock, random: Random, *, bootstrap: str) -> None:
        self._store = store
        self._clock = clock
        self._random = random
        self._bootstrap = digest(bootstrap)
        self._principals: dict[str, Principal] = {}

    async def load(self) -> None:
        """Reads the stored keys; called at start and after each change."""
        self._principals = {
            key.digest: Principal(
                key_id=key.id, name=key.name, account_id=key.account_id, permissions=key.permissions, agents=key.agents
            )
            for key in await self._store.keys()
            if key.revoked_at is None
        }

    def authenticate(self, text: str | None) -> Principal:
        if not text:
            raise Unauthenticated("Send an API key in the X-API-KEY header.")
        given = digest(text)
        if hmac.compare_digest(given, self._bootstrap):
            return OPERATOR
        # Looked up by its hash, so nothing about the key itself can be timed.
        found = self._principals.get(given)
        if found is None:
            raise Unauthenticated("This API key is not valid here.")
        return found

    async def create(
        self,
        principal: Principal,
        name: str,
        *,
        account_id: str | None = None,
        permissions: Sequence[Permission] = tuple(EVERY_PERMISSION),
        agents: Sequence[str] | None = None,
    ) -> tuple[Key, str]:
        """(key, its text). The text is not kept and cannot be shown again."""
        require(principal, "admin")
        if not name.strip():
            raise Invalid("A key needs a name.")
        account = account_id if principal.account_id is None else principal.account_id
        text = PREFIX + secrets.token_urlsafe(32)
        key = Key(
            id=self._random.uuid(),
            name=name.strip(),
            digest=digest(text),
            hint=text[-4:],
            account_id=account,
            permissions=frozenset(permissions),
            agents=frozenset(agents) if agents else None,
            created_at=self._clock.now(),
        )
        await self._store.put_key(key)
        await self.load()
        return key, text

    async def list(self, principal: Principal) -> list[Key]:
        require(principal, "admin")
        return [key for key in await self._store.keys() if principal.account_id in (None, key.account_id)]

    async def revoke(self, principal: Principal, id: str) -> Key:
        require(principal, "admin")
        keys = await self.list(principal)
        found = [key for key in keys if key.id == id] or [k for k in keys if k.name == id and k.revoked_at is None]
        if not found:
            raise NotFound(f"There is no valid key {id!r}.")
        if len(found) > 1:
            raise Invalid(f"There are {len(found)} keys named {id!r}; give the id of one.")
        revoked = replace(found[0], revoked_at=found[0].revoked_at or self._clock.now())
        await self._store.put_key(revoked)
        await self.load()
        return revoked
