"""API keys: made once, shown once, kept as hashes."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import logging
import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta

from msgspec.structs import replace

from vivavoce.domain.clock import Clock, Random
from vivavoce.domain.principal import EVERY_PERMISSION, Key, Permission, Principal
from vivavoce.errors import Forbidden, Invalid, NotFound, Unauthenticated
from vivavoce.service.access import require
from vivavoce.service.admission import OPERATOR_KEY
from vivavoce.service.audit import Audit
from vivavoce.service.news import News
from vivavoce.store.interface import Store

log = logging.getLogger(__name__)

USE_RESOLUTION = timedelta(minutes=1)
PREFIX = "vv_"
AGAIN_SECONDS = 1.0
MAX_NAME_CHARACTERS = 200
MOST_AGENTS = 1_000
OPERATOR = Principal(key_id=OPERATOR_KEY)


def digest(text: str) -> str:
    """Keys are long and random: a plain hash is as good as a slow one, and costs nothing per request."""
    return hashlib.sha256(text.encode()).hexdigest()


class Keys:
    def __init__(self, store: Store, clock: Clock, random: Random, audit: Audit, *, bootstrap: str, news: News) -> None:
        self._store = store
        self._audit = audit
        self._clock = clock
        self._random = random
        self._bootstrap = digest(bootstrap)
        self._principals: dict[str, Principal] = {}
        self._used: dict[str, datetime] = {}  # as it was written last
        self._writing: set[asyncio.Task[None]] = set()
        self._loading = asyncio.Lock()
        self._news = news
        news.on("keys", lambda _: self._load_again())

    async def load(self) -> None:
        """Reads the stored keys; called at start and after each change. Who reads last has the last word."""
        async with self._loading:
            await self._load()

    async def _load(self) -> None:
        self._principals = {
            key.digest: Principal(
                key_id=key.id,
                name=key.name,
                account_id=key.account_id,
                permissions=key.permissions,
                agents=key.agents,
                expires_at=key.expires_at,
            )
            for key in await self._store.keys()
            if key.revoked_at is None
        }

    def _load_again(self) -> None:
        task = asyncio.ensure_future(self.load())
        self._writing.add(task)
        task.add_done_callback(self._loaded)

    def _loaded(self, task: asyncio.Task[None]) -> None:
        self._writing.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.warning("keys that another process changed could not be read: %s", type(task.exception()).__name__)
            asyncio.get_running_loop().call_later(AGAIN_SECONDS, self._load_again)

    def authenticate(self, text: str | None) -> Principal:
        if not text:
            raise Unauthenticated("Send an API key in the X-API-KEY header.")
        return self.of_digest(digest(text))

    def of_digest(self, given: str) -> Principal:
        """The same by a key's hash, for whoever has shown the key before."""
        if hmac.compare_digest(given, self._bootstrap):
            return OPERATOR
        # Looked up by its hash, so nothing about the key itself can be timed.
        found = self._principals.get(given)
        if found is None:
            raise Unauthenticated("This API key is not valid here.")
        now = self._clock.now()
        if found.expires_at is not None and found.expires_at <= now:
            raise Unauthenticated(f"This API key expired on {found.expires_at:%Y-%m-%d}; ask for a new one.")
        self._note_use(found.key_id, now)
        return found

    def _note_use(self, key_id: str, now: datetime) -> None:
        """To the minute: a write for each request would cost more than the request."""
        last = self._used.get(key_id)
        if last is not None and now - last < USE_RESOLUTION:
            return
        self._used[key_id] = now
        task = asyncio.ensure_future(self._store.put_key_use(key_id, now))
        self._writing.add(task)
        task.add_done_callback(self._written)

    def _written(self, task: asyncio.Task[None]) -> None:
        self._writing.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.warning("the last use of a key was not written: %s", type(task.exception()).__name__)

    async def close(self) -> None:
        """Waits for what is being written."""
        await asyncio.gather(*self._writing, return_exceptions=True)

    async def create(
        self,
        principal: Principal,
        name: str,
        *,
        account_id: str | None = None,
        permissions: Sequence[Permission] = tuple(EVERY_PERMISSION),
        agents: Sequence[str] | None = None,
        expires_at: datetime | None = None,
    ) -> tuple[Key, str]:
        """(key, its text). The text is not kept and cannot be shown again."""
        require(principal, "admin")
        if not 0 < len(name.strip()) <= MAX_NAME_CHARACTERS:
            raise Invalid(f"A key needs a name, of at most {MAX_NAME_CHARACTERS} characters.")
        named = (*(agents or ()), account_id or "")
        if len(named) > MOST_AGENTS + 1 or any(len(text) > MAX_NAME_CHARACTERS for text in named):
            raise Invalid(
                f"A key may be for {MOST_AGENTS} agents; names have at most {MAX_NAME_CHARACTERS} characters."
            )
        if expires_at is not None and expires_at <= self._clock.now():
            raise Invalid("expiresAt is in the past; the key would never work.")
        if agents is not None and not agents:
            raise Invalid("agents is empty; leave it out for every agent, or name some.")
        if not permissions:
            raise Invalid("A key needs at least one permission.")
        if not frozenset(permissions) <= principal.permissions:
            raise Forbidden("A key cannot be given rights that the key it is made with does not have.")
        if principal.agents is not None and not (agents and frozenset(agents) <= principal.agents):
            raise Forbidden("A key that is for some agents can make keys for those only; name them.")
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
            expires_at=expires_at,
        )
        await self._store.put_key(key)
        await self._news.tell("keys")
        await self._audit.note(principal, "key.create", account or "", about=key.id, permissions=sorted(permissions))
        await self.load()
        return key, text

    async def list(self, principal: Principal) -> list[Key]:
        require(principal, "admin")
        own = [key for key in await self._store.keys() if principal.account_id in (None, key.account_id)]
        # Who is for some agents sees and revokes keys that are for no others.
        return [k for k in own if principal.agents is None or (k.agents is not None and k.agents <= principal.agents)]

    async def last_used(self, principal: Principal) -> dict[str, datetime]:
        """key id -> when it was last used, to the minute."""
        require(principal, "admin")
        return {**await self._store.key_uses(), **self._used}

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
        await self._news.tell("keys")
        await self._audit.note(principal, "key.revoke", revoked.account_id or "", about=revoked.id)
        await self.load()
        return revoked
