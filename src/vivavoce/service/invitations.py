"""Who may bring a call in: a token that is good for one line, once, within a minute, at whichever process it arrives."""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec
from msgspec import Struct

from vivavoce.domain.clock import Clock, Random
from vivavoce.domain.fact import Fact
from vivavoce.domain.principal import Principal
from vivavoce.engine.tools import is_plain
from vivavoce.errors import Invalid, Unauthenticated, Unavailable
from vivavoce.service.chats import Opening
from vivavoce.store.interface import Store

FACT, LATEST = "call_token", "call_invited"  # kinds of fact; they belong to no agent
LIFE = timedelta(seconds=60)
MOST = 2_000  # that wait to be used, of one process
MOST_OF_A_KEY = 200
MOST_OPENING_BYTES = 32 << 10  # of what a caller may say about a call
RETRY_AFTER_SECONDS = 10.0


class TooManyCalls(Unavailable):
    code = "CALLS_LIMIT_REACHED"


class Invitation(Struct, frozen=True, kw_only=True):
    """What a line shows to be let in, once."""

    token: str
    conversation_id: str
    seconds: float


class Expected(Struct, frozen=True, kw_only=True):
    principal: Principal
    agent_id: str
    opening: Opening
    door: str
    is_told: bool  # what was said, while it is said


class Invitations:
    def __init__(self, store: Store, clock: Clock, random: Random) -> None:
        self._store = store
        self._clock = clock
        self._random = random
        self._waiting: dict[str, tuple[str, datetime]] = {}  # token -> (key, until), of those that were made here

    def check(self, opening: Opening) -> None:
        """What is kept for a minute has to be small, and what a conversation takes."""
        if not is_plain(opening.integration_attributes):
            raise Invalid("integrationAttributes may be nested 32 levels deep, with whole numbers of at most 64 bits.")
        if len(msgspec.json.encode(opening)) > MOST_OPENING_BYTES:
            raise Invalid(f"A call may be opened with {MOST_OPENING_BYTES >> 10} KiB of attributes and headers.")

    def check_room(self, principal: Principal) -> None:
        now = self._clock.now()
        self._waiting = {token: kept for token, kept in self._waiting.items() if kept[1] > now}
        own = sum(key_id == principal.key_id for key_id, _ in self._waiting.values())
        if len(self._waiting) >= MOST or own >= MOST_OF_A_KEY:
            raise TooManyCalls("Too many calls wait to begin; try again shortly.", retry_after=RETRY_AFTER_SECONDS)

    async def offer(self, expected: Expected) -> Invitation:
        """One for a conversation: a webhook that is sent again makes the token before worthless."""
        token, id_, now = self._random.uuid(), expected.opening.id or "", self._clock.now()
        await self._store.put_fact(_fact(FACT, token, msgspec.to_builtins(expected), now))
        await self._store.put_fact(_fact(LATEST, _call(expected), {"token": token}, now))
        self._waiting[token] = (expected.principal.key_id, now + LIFE)
        return Invitation(token=token, conversation_id=id_, seconds=LIFE.total_seconds())

    async def accept(self, token: str, door: str) -> Expected:
        """Takes a token in; it is not worth anything any more. Raises Unauthenticated."""
        now = self._clock.now()
        fact = await self._store.get_fact("", "", FACT, token, now)
        is_first = fact is not None and await self._store.remove_fact("", "", FACT, token)
        self._waiting.pop(token, None)
        if fact is not None and is_first:
            expected = msgspec.convert(fact.body, Expected)
            latest = await self._store.get_fact("", "", LATEST, _call(expected), now)
            if expected.door == door and latest is not None and latest.body["token"] == token:
                return expected
        raise Unauthenticated("The call's token is not valid, or was used before; ask for a new one.")


def _call(expected: Expected) -> str:
    account_id = expected.principal.account_id or ""
    return "\0".join((account_id, expected.agent_id, expected.opening.id or ""))


def _fact(kind: str, key: str, body: dict[str, object], now: datetime) -> Fact:
    return Fact(
        account_id="", agent_id="", kind=kind, key=key, body=body, is_private=True, at=now, expires_at=now + LIFE
    )
